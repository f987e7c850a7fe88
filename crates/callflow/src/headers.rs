//! The request headers that actions and accounts give their deliveries: which are taken, and which never. Never prints a value.

use std::collections::BTreeMap;

use callreel_proto::{lenient_bool, lenient_u64};
use serde_json::{Map, Value};

use crate::data::Data;

/// More headers than any receiver of recordings reads.
const MOST: usize = 32;
/// Names and values together, bytes: servers refuse requests with some 8 KiB of headers.
const LARGEST: usize = 4096;
/// What the delivery itself says of the connection, the message and its body (RFC 9110 §7.6.1, RFC 9112 §6, RFC 9530).
const OURS: &[&str] = &[
    "connection",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-md5",
    "content-range",
    "content-type",
    "digest",
    "expect",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "repr-digest",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers that may be sent; a warning for each that may not.
pub(crate) fn read(data: &mut Data<'_>) -> BTreeMap<String, String> {
    let Some(asked) = data.object("headers") else {
        return BTreeMap::new();
    };
    let (taken, left_out) = request_headers(asked);
    for message in left_out {
        data.warn_of("headers", message);
    }
    taken
}

/// What a document asks to be sent along as request headers: those that may be, and a sentence for each that is left out.
/// The sentences name headers and hold no value.
pub fn request_headers(asked: &Map<String, Value>) -> (BTreeMap<String, String>, Vec<String>) {
    let mut taken = BTreeMap::new();
    let mut left_out = Vec::new();
    let mut size = 0;
    for (nth, (name, value)) in asked.iter().enumerate() {
        let refusal = match value_of(value) {
            _ if !is_name(name) => Err("it is no name of a header"),
            _ if is_of_delivery(name) => Err("the delivery itself sets it"),
            _ if taken
                .keys()
                .any(|other: &String| other.eq_ignore_ascii_case(name)) =>
            {
                Err("it is given twice")
            }
            None => Err("its value is not a text that may stand in a header"),
            Some(value) if taken.len() >= MOST || size + name.len() + value.len() > LARGEST => {
                Err("there are too many, or they are too long")
            }
            Some(value) => Ok(value),
        };
        match refusal {
            Ok(value) => {
                size += name.len() + value.len();
                taken.insert(name.clone(), value);
            }
            Err(reason) => {
                let which = shown(name, nth + 1);
                left_out.push(format!("{which} is left out: {reason}"));
            }
        }
    }
    (taken, left_out)
}

/// A name that cannot carry a secret by mistake, else its number.
fn shown(name: &str, nth: usize) -> String {
    if is_name(name) && name.len() <= 64 {
        name.to_owned()
    } else {
        format!("the header number {nth}")
    }
}

/// Whether a header of this name, in any case, is the delivery's alone to set.
pub fn is_of_delivery(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OURS.contains(&name.as_str()) || name.starts_with("x-callreel-")
}

/// A token (RFC 9110 §5.6.2).
fn is_name(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(token)
}

/// Visible ASCII, spaces and tabs (RFC 9110 §5.5).
fn value_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim_matches([' ', '\t']).to_owned(),
        other => lenient_u64(other)
            .map(|n| n.to_string())
            .or_else(|| lenient_bool(other).map(|b| b.to_string()))?,
    };
    let fits = |b: u8| b == b'\t' || (b' '..=b'~').contains(&b);
    text.bytes().all(fits).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(headers: Value) -> (Vec<(String, String)>, String) {
        let data = json!({"headers": headers});
        let mut data = Data::new(data.as_object().unwrap(), "/data");
        let taken = read(&mut data);
        (taken.into_iter().collect(), format!("{:?}", data.warnings))
    }

    #[test]
    fn what_frames_a_request_and_what_could_break_it_is_left_out_with_a_word() {
        let (kept, warnings) = taken(json!({
            "Authorization": " Bearer secret ", "X-Tenant": 7, "content-LENGTH": "0", "Host": "elsewhere",
            "Transfer-Encoding": "chunked", "Connection": "close", "Digest": "x", "X-Break": "a\r\nHost: secret",
            "X-High": "gr\u{fc}n", "bad name": "secret", "": "secret", "X-List": ["secret"], "x-tenant": "8"
        }));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            kept,
            [
                pair("Authorization", "Bearer secret"),
                pair("X-Tenant", "7")
            ]
        );
        assert_eq!(warnings.matches("left out").count(), 11, "{warnings}");
        assert!(!warnings.contains("secret"), "{warnings}");
    }

    #[test]
    fn there_is_an_end_to_them() {
        let many: serde_json::Map<_, _> = (0..99).map(|n| (format!("X-{n}"), json!("1"))).collect();
        assert_eq!(taken(Value::Object(many)).0.len(), MOST);
        assert_eq!(taken(json!({"X-Long": "x".repeat(LARGEST)})).0.len(), 0);
        assert_eq!(taken(json!("X: 1")).0.len(), 0);
    }
}
