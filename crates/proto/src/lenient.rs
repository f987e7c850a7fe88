//! Reading numbers and booleans that Kazoo writes sometimes as JSON values, sometimes as strings
//! (everything that has been through FreeSWITCH comes back as a string).

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

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

/// For `#[serde(deserialize_with)]`: a text, or nothing where the same key holds something else (a dialplan error's
/// `Request` is the refused command).
///
/// # Errors
/// Only those of the format.
pub(crate) fn text_only<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let value = Option::<Value>::deserialize(from)?;
    Ok(value.and_then(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    }))
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
