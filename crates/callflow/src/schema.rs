//! Checks a value against the part of JSON Schema that the modules' schemas use, with messages for people.
//! A test holds it against a full validator.

use callreel_proto::{lenient_bool, lenient_f64, lenient_u64};
use serde_json::Value;

use crate::flow::{escaped, kind};
use crate::problem::{Problem, Severity};

/// Adds what is wrong with `value`, at `pointer`, to `problems`.
///
/// A call reads "360" where 360 is meant and replaces what it cannot use by a default, so most findings are warnings; to the
/// strict they are errors.
pub(crate) fn check(
    schema: &Value,
    value: &Value,
    pointer: &str,
    strict: bool,
    problems: &mut Vec<Problem>,
) {
    let mut checker = Checker { strict, problems };
    checker.value(schema, value, pointer);
}

struct Checker<'a> {
    strict: bool,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn value(&mut self, schema: &Value, value: &Value, pointer: &str) {
        let wanted = schema["type"].as_str().unwrap_or_default();
        let Some(meant) = meant(wanted, value) else {
            let message = format!("wanted {}, found {}", named(wanted), kind(value));
            self.remark(Severity::Error, pointer, message);
            return;
        };
        if meant != *value {
            let message = format!("{value} is taken as {meant}; write {meant}");
            self.remark(Severity::Warning, pointer, message);
        }
        self.choice(schema, &meant, pointer);
        self.range(schema, &meant, pointer);
        self.length(schema, &meant, pointer);
        match &meant {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.value(&schema["items"], item, &format!("{pointer}/{at}"));
                }
            }
            Value::Object(map) => self.members(schema, map, pointer),
            _ => {}
        }
    }

    fn members(&mut self, schema: &Value, map: &serde_json::Map<String, Value>, pointer: &str) {
        let Some(known) = schema["properties"].as_object() else {
            return;
        };
        for key in required(schema) {
            if map.get(key).is_none_or(is_absent) {
                self.remark(Severity::Error, pointer, format!("{key:?} is missing"));
            }
        }
        for (key, value) in map {
            let place = format!("{pointer}/{}", escaped(key));
            match known.get(key) {
                Some(_) if value.is_null() => {}
                Some(schema) => {
                    if let Some(reason) = schema["x-callreel-ignored"].as_str() {
                        self.remark(Severity::Info, &place, format!("ignored: {reason}"));
                    }
                    self.value(schema, value, &place);
                }
                // Kazoo's editor writes it to groups and their members.
                None if key == "name"
                    && ["endpoints", "endpoint_type"]
                        .iter()
                        .any(|k| known.contains_key(*k)) =>
                {
                    self.remark(Severity::Info, &place, "ignored: it is for people");
                }
                None => {
                    let names: Vec<_> = known.keys().map(String::as_str).collect();
                    let message = format!("unknown key, ignored; known are {}", names.join(", "));
                    self.remark(Severity::Warning, &place, message);
                }
            }
        }
    }

    fn choice(&mut self, schema: &Value, value: &Value, pointer: &str) {
        let Some(choices) = schema["enum"].as_array() else {
            return;
        };
        if !choices.contains(value) {
            let names: Vec<_> = choices.iter().map(Value::to_string).collect();
            let message = format!("{value} is not one of {}", names.join(", "));
            self.remark(Severity::Warning, pointer, message);
        }
    }

    fn range(&mut self, schema: &Value, value: &Value, pointer: &str) {
        let Some(number) = value.as_f64() else {
            return;
        };
        let least = schema["minimum"].as_f64();
        let most = schema["maximum"].as_f64();
        if least.is_some_and(|least| number < least) {
            let message = format!("{value} is less than {}", schema["minimum"]);
            self.remark(Severity::Warning, pointer, message);
        }
        if most.is_some_and(|most| number > most) {
            let message = format!("{value} is more than {}", schema["maximum"]);
            self.remark(Severity::Warning, pointer, message);
        }
    }

    fn length(&mut self, schema: &Value, value: &Value, pointer: &str) {
        let Some(length) = value.as_str().map(|text| text.chars().count() as u64) else {
            return;
        };
        if schema["minLength"]
            .as_u64()
            .is_some_and(|least| length < least)
        {
            self.remark(Severity::Warning, pointer, "empty; counts as absent");
        }
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            let message = format!("{length} characters, {most} are allowed");
            self.remark(Severity::Warning, pointer, message);
        }
    }

    fn remark(&mut self, severity: Severity, pointer: &str, message: impl Into<String>) {
        let severity = severity.when(self.strict);
        self.problems.push(Problem::new(severity, pointer, message));
    }
}

/// As in a call: null and "" are as good as absent.
fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema["required"].as_array().map(Vec::as_slice);
    names.unwrap_or_default().iter().filter_map(Value::as_str)
}

/// The value of the wanted type that a call would read; none if it would read none.
fn meant(wanted: &str, value: &Value) -> Option<Value> {
    let is = match wanted {
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    if is {
        return Some(value.clone());
    }
    match wanted {
        "string" if value.is_number() => Some(Value::from(value.to_string())),
        "integer" => lenient_u64(value)
            .map(Value::from)
            .or_else(|| lenient_f64(value).map(|n| Value::from(n.trunc() as i64))),
        "boolean" => lenient_bool(value).map(Value::from),
        // "none", or the keys in one word.
        "array" if value.is_string() => {
            let word = value.as_str().filter(|word| *word != "none").unwrap_or("");
            Some(word.chars().map(|c| Value::from(c.to_string())).collect())
        }
        _ => None,
    }
}

fn named(wanted: &str) -> &str {
    match wanted {
        "string" => "a string",
        "integer" => "a whole number",
        "boolean" => "true or false",
        "array" => "an array",
        "object" => "an object",
        other => other,
    }
}
