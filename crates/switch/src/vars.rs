//! The variables of a channel, as FreeSWITCH keeps them: every value is text. Publishes nothing.

use serde_json::{Map, Value};

/// Variables a channel may have of either kind: Kazoo sets some twenty; every event carries them all.
const MAX_VARS: usize = 256;
/// Longest value in bytes, for the same reason.
const MAX_VALUE: usize = 4_096;

/// Variables of one kind: of the channel, or of the application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Vars(Map<String, Value>);

impl Vars {
    /// Sets one; an empty value removes it. What is too much is left out.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if value.is_empty() {
            self.0.shift_remove(name);
        } else if value.len() <= MAX_VALUE
            && name.len() <= MAX_VALUE
            && (self.0.len() < MAX_VARS || self.0.contains_key(name))
        {
            self.0.insert(name.to_owned(), Value::String(value));
        } else {
            tracing::debug!(name, "a variable too many, or too long, was left out");
        }
    }

    /// Sets those a message brought. Objects and lists cannot be variables of a channel and are left out.
    pub(crate) fn extend(&mut self, more: Map<String, Value>) {
        for (name, value) in more {
            match value {
                Value::String(text) => self.set(&name, text),
                Value::Number(number) => self.set(&name, number.to_string()),
                Value::Bool(truth) => self.set(&name, truth.to_string()),
                Value::Null => self.set(&name, ""),
                Value::Array(_) | Value::Object(_) => {}
            }
        }
    }

    /// One of them.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        match self.0.shift_remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// As messages carry them.
    pub(crate) fn map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl FromIterator<(String, String)> for Vars {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut vars = Self::default();
        for (name, value) in pairs {
            vars.set(&name, value);
        }
        vars
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(json: Value) -> Map<String, Value> {
        json.as_object().cloned().unwrap()
    }

    #[test]
    fn every_value_becomes_text_and_an_empty_one_removes() {
        let mut vars = Vars::default();
        vars.extend(of(
            json!({"A": 1, "B": true, "C": "c", "D": {"e": 1}, "F": [], "G": "g"}),
        ));
        vars.extend(of(json!({"C": "", "G": null})));
        assert_eq!(json!(vars.map()), json!({"A": "1", "B": "true"}));
    }

    #[test]
    fn a_controller_gone_wild_is_bounded() {
        let mut vars = Vars::default();
        for n in 0..=MAX_VARS {
            vars.set(&n.to_string(), "x");
        }
        assert_eq!(vars.map().len(), MAX_VARS);
        vars.set("0", "y");
        vars.set("1", "z".repeat(MAX_VALUE + 1));
        assert_eq!((vars.get("0"), vars.get("1")), (Some("y"), Some("x")));
    }
}
