//! Reading numbers and booleans that Kazoo writes sometimes as JSON values, sometimes as strings
//! (everything that has been through FreeSWITCH comes back as a string).

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use serde_json::{Map, Value};

/// The value as a non-negative whole number, if it is one or spells one.
pub fn lenient_u64(value: &Value) -> Option<u64> {
    match value {
        Value::Number(n) => n.as_u64().or_else(|| {
            n.as_f64()
                .filter(|f| *f >= 0.0 && f.fract() == 0.0)
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

/// For `#[serde(deserialize_with)]`: an optional whole number in either spelling.
///
/// # Errors
/// The value is there but spells no whole number.
pub fn opt_lenient_u64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    read(from, lenient_u64, "a whole number or a string of one")
}

/// For `#[serde(deserialize_with)]`: an optional boolean in either spelling.
///
/// # Errors
/// The value is there but spells no boolean.
pub fn opt_lenient_bool<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    read(from, lenient_bool, "a boolean, \"true\" or \"false\"")
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

fn read<'de, D: Deserializer<'de>, T>(
    from: D,
    convert: fn(&Value) -> Option<T>,
    expected: &'static str,
) -> Result<Option<T>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => Ok(None),
        Some(value) => convert(&value)
            .map(Some)
            .ok_or_else(|| D::Error::custom(format!("{value} is not {expected}"))),
    }
}
