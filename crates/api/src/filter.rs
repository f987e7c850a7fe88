//! Crossbar's filters on listings: `filter_KEY`, `filter_not_KEY`, `has_key`, `key_missing`. Keys may be dotted paths.

use serde_json::Value;

use crate::request::Params;

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    Is(Vec<String>, String),
    IsNot(Vec<String>, String),
    Has(Vec<String>),
    Lacks(Vec<String>),
}

/// All must hold.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<Rule>);

impl Filters {
    pub(crate) fn read(params: &Params) -> Self {
        let rule = |(name, value): (&String, &String)| match name.as_str() {
            "has_key" => Some(Rule::Has(path(value))),
            "key_missing" => Some(Rule::Lacks(path(value))),
            name => match name.strip_prefix("filter_not_") {
                Some(key) => Some(Rule::IsNot(path(key), value.clone())),
                None => {
                    let key = name.strip_prefix("filter_")?;
                    Some(Rule::Is(path(key), value.clone()))
                }
            },
        };
        Self(params.0.iter().filter_map(rule).collect())
    }

    /// Whether a public document passes.
    pub(crate) fn accept(&self, doc: &Value) -> bool {
        self.0.iter().all(|rule| match rule {
            Rule::Is(path, value) => find(doc, path).is_some_and(|v| spells(v, value)),
            Rule::IsNot(path, value) => !find(doc, path).is_some_and(|v| spells(v, value)),
            Rule::Has(path) => find(doc, path).is_some(),
            Rule::Lacks(path) => find(doc, path).is_none(),
        })
    }
}

fn path(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

fn find<'a>(doc: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(doc, |value, key| value.get(key))
}

fn spells(value: &Value, text: &str) -> bool {
    match value {
        Value::String(s) => s == text,
        Value::Number(n) => n.to_string() == text,
        Value::Bool(b) => b.to_string() == text,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_compare_what_values_spell() {
        let doc = json!({"from": "a@b", "duration": 5, "vars": {"Owner": "u", "on": true}});
        for (name, value, passes) in [
            ("filter_from", "a@b", true),
            ("filter_from", "x", false),
            ("filter_duration", "5", true),
            ("filter_vars.on", "true", true),
            ("filter_vars.Owner", "u", true),
            ("filter_missing", "", false),
            ("filter_not_from", "x", true),
            ("filter_not_from", "a@b", false),
            ("filter_not_missing", "x", true),
            ("has_key", "vars.Owner", true),
            ("has_key", "vars.Nobody", false),
            ("key_missing", "vars", false),
            ("page_size", "1", true),
        ] {
            let params = Params([(name.to_owned(), value.to_owned())].into());
            assert_eq!(
                Filters::read(&params).accept(&doc),
                passes,
                "{name}={value}"
            );
        }
    }
}
