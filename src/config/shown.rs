//! What `callreel config print` shows of a setting: all of it, but no password, token or key.

use serde_json::Value;
use url::Url;

/// Settings whose names hold one of these words are secrets, wherever they stand.
const SECRET_WORDS: [&str; 5] = ["secret", "token", "password", "bearer", "headers"];
/// Stands for a secret that is set.
const HIDDEN: &str = "(set)";

/// The setting `key` without its secrets.
pub(super) fn shown(key: &str, value: &Value) -> Value {
    let secret = SECRET_WORDS.iter().any(|word| key.contains(word));
    match value {
        Value::String(_) if secret => HIDDEN.into(),
        Value::String(text) => without_password(text).into(),
        Value::Array(items) => items.iter().map(|item| shown(key, item)).collect(),
        Value::Object(fields) => {
            let inner = |name: &String| if secret { key.to_owned() } else { name.clone() };
            let fields = fields.iter();
            fields
                .map(|(name, value)| (name.clone(), shown(&inner(name), value)))
                .collect()
        }
        other => other.clone(),
    }
}

/// A URL's password is as secret as any other.
fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return text.to_owned();
    };
    if url.password().is_none() || url.set_password(Some("hidden")).is_err() {
        return text.to_owned();
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand_and_nothing_else_is() {
        for (key, value, expected) in [
            ("log", json!("info,lapin=off"), json!("info,lapin=off")),
            ("url", json!("embedded:"), json!("embedded:")),
            (
                "url",
                json!("https://u:pw@h:5984/p"),
                json!("https://u:hidden@h:5984/p"),
            ),
            ("admin_token", json!("t0ken"), json!("(set)")),
            ("secret", json!(null), json!(null)),
            (
                "credentials",
                json!([{"host": "h", "bearer": "t0ken", "headers": {"X-Key": "k3y"}}]),
                json!([{"host": "h", "bearer": "(set)", "headers": {"X-Key": "(set)"}}]),
            ),
            ("intake_token_ttl_s", json!(300), json!(300)),
        ] {
            assert_eq!(shown(key, &value), expected, "{key}");
        }
    }
}
