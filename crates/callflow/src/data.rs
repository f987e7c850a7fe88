//! Reads the values of an action's data leniently and keeps what was wrong with them. Never decides what they mean.

use callreel_proto::{Terminators, lenient_bool, lenient_u64};
use serde_json::{Map, Value};

use crate::flow::{escaped, kind};

/// An action's data while it is being read.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    map: &'a Map<String, Value>,
    /// The place of the data, as a JSON pointer.
    place: String,
    /// What was accepted, left out or changed: a place and what was done about it.
    pub(crate) warnings: Vec<(String, String)>,
}

impl<'a> Data<'a> {
    /// Data at this place.
    pub(crate) fn new(map: &'a Map<String, Value>, place: impl Into<String>) -> Self {
        Self {
            map,
            place: place.into(),
            warnings: Vec::new(),
        }
    }

    /// Warns about one key.
    pub(crate) fn warn_of(&mut self, key: &str, message: impl Into<String>) {
        let place = format!("{}/{}", self.place, escaped(key));
        self.warnings.push((place, message.into()));
    }

    /// Warns about the whole.
    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push((self.place.clone(), message.into()));
    }

    /// A key's value; JSON null counts as absent.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A key's text; empty counts as absent, a number as its digits.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let read = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        self.read(key, "a string", read).filter(|s| !s.is_empty())
    }

    /// A key's whole number.
    pub(crate) fn whole(&mut self, key: &str) -> Option<u64> {
        self.read(key, "a whole number", lenient_u64)
    }

    /// A key's truth.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", lenient_bool)
    }

    /// A key's object.
    pub(crate) fn object(&mut self, key: &str) -> Option<&'a Map<String, Value>> {
        match self.value(key)? {
            Value::Object(map) => Some(map),
            other => {
                let message = format!("wanted an object, found {}; ignored", kind(other));
                self.warn_of(key, message);
                None
            }
        }
    }

    /// A key's array; empty when it has none.
    pub(crate) fn list(&mut self, key: &str) -> &'a [Value] {
        match self.value(key) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(other) => {
                let message = format!("wanted an array, found {}; ignored", kind(other));
                self.warn_of(key, message);
                &[]
            }
        }
    }

    /// The keys that end a playback; all of them when the data names none.
    pub(crate) fn terminators(&mut self) -> Terminators {
        let read = |value: &Value| serde_json::from_value::<Terminators>(value.clone()).ok();
        let mut keys = self
            .read("terminators", "an array of keys", read)
            .unwrap_or_else(Terminators::any);
        keys.0.retain(|key| Terminators::any().contains(key));
        keys
    }

    /// The keys that end what the caller dials: `terminators`, else the one `terminator`, else `#`.
    pub(crate) fn ending_keys(&mut self) -> Terminators {
        if self.value("terminators").is_some() {
            return self.terminators();
        }
        let one = self.text("terminator").unwrap_or_else(|| "#".to_owned());
        let mut keys = Terminators(one);
        keys.0.retain(|key| Terminators::any().contains(key));
        keys
    }

    fn read<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let found = read(value);
        if found.is_none() {
            let message = format!("wanted {wanted}, found {}; ignored", kind(value));
            self.warn_of(key, message);
        }
        found
    }
}
