//! Reading numbers and booleans that Kazoo writes sometimes as JSON values, sometimes as strings
//! (everything that has been through FreeSWITCH comes back as a string).

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use serde_json::{Map, Value};

/// The value as a non-negative whole number, if it is one or spells one.
pub fn lenient_u64(value: &Value) -> Option<u64> {
    match value {
        Value::Number(n) => n.as_u64().or_else(|| {
            n.as_f64()
                .filter(|f| (0.0..u64::MAX as f64).contains(f) && f.fract() == 0.0)
                .map(|f| f as u64)
        }),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// The value as a number, if it is one or spells one.
pub fn lenient_f64(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// The value as a boolean, if it is one or spells one.
pub fn lenient_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::String(s) if s == "true" => Some(true),
        Value::String(s) if s == "false" => Some(false),
        _ => None,
    }
}

/// For `#[serde(serialize_with)]`: a number that Kazoo's senders spell out.
pub(crate) fn spelled<S: Serializer>(number: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&number.unwrap_or_default())
}

/// A value that is read from any JSON that means it; what means nothing is as good as absent.
pub(crate) trait Loose: Sized {
    /// The value, if `json` means one.
    fn read(json: &Value) -> Option<Self>;
}

impl Loose for String {
    fn read(json: &Value) -> Option<Self> {
        match json {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }
}

impl Loose for u64 {
    fn read(json: &Value) -> Option<Self> {
        lenient_u64(json)
    }
}

impl Loose for i64 {
    fn read(json: &Value) -> Option<Self> {
        lenient_u64(json).and_then(|number| number.try_into().ok())
    }
}

impl Loose for bool {
    fn read(json: &Value) -> Option<Self> {
        lenient_bool(json)
    }
}

impl Loose for Map<String, Value> {
    fn read(json: &Value) -> Option<Self> {
        json.as_object().cloned()
    }
}

impl Loose for Value {
    fn read(json: &Value) -> Option<Self> {
        Some(json.clone())
    }
}

impl<T: Loose> Loose for Vec<T> {
    fn read(json: &Value) -> Option<Self> {
        Some(json.as_array()?.iter().filter_map(T::read).collect())
    }
}

/// Reads a type loosely that serde reads strictly.
macro_rules! loose_by_serde {
    ($type:ty) => {
        impl $crate::lenient::Loose for $type {
            fn read(json: &serde_json::Value) -> Option<Self> {
                serde_json::from_value(json.clone()).ok()
            }
        }
    };
}
pub(crate) use loose_by_serde;

/// For `#[serde(deserialize_with)]`: a field that must not cost us the message it stands in. One odd field of a foreign
/// switch's event is passed over; the event counts.
///
/// # Errors
/// Only those of the format.
pub(crate) fn loose<'de, D: Deserializer<'de>, T: Loose>(from: D) -> Result<Option<T>, D::Error> {
    let json = Option::<Value>::deserialize(from)?;
    Ok(json.as_ref().and_then(T::read))
}

/// The same for a field that has a default.
///
/// # Errors
/// Only those of the format.
pub(crate) fn loose_or_default<'de, D: Deserializer<'de>, T: Loose + Default>(
    from: D,
) -> Result<T, D::Error> {
    loose(from).map(Option::unwrap_or_default)
}

/// For `#[serde(deserialize_with)]`: a text that must be there; a number or boolean in its place is read as its text.
///
/// # Errors
/// The value is no text, number or boolean.
pub(crate) fn some_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let json = Value::deserialize(from)?;
    String::read(&json).ok_or_else(|| D::Error::custom("expected a text, a number or a boolean"))
}

/// The same for a list that must be there, of texts.
///
/// # Errors
/// The value is no list, or an element is no text, number or boolean.
pub(crate) fn some_texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Vec::<Value>::deserialize(from)?
        .iter()
        .map(|json| String::read(json).ok_or_else(|| D::Error::custom("expected texts")))
        .collect()
}

/// The same for a list that must be there. Elements that cannot be read are left out.
///
/// # Errors
/// The value is no list.
pub(crate) fn readable<'de, D: Deserializer<'de>, T: Loose>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::<Value>::deserialize(from)?;
    Ok(list.iter().filter_map(T::read).collect())
}
