//! What a delivery tells of its recording in headers: `X-Callreel-Account-Id` and the like. Pure.

use callreel_spool::{RenditionInfo, Ticket};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

/// Longest value, bytes as they are sent: phones choose some of them, and servers refuse requests with some 8 KiB of headers.
const LONGEST: usize = 512;
/// Names and values together, bytes, for the same reason; what comes last is left out first.
const LARGEST: usize = 4096;
/// All that is not visible ASCII is percent-encoded, and so is the percent sign, so that every value can be read back.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The headers; what is not known, and what is too long, has none.
pub(crate) fn metadata(ticket: &Ticket, rendition: &RenditionInfo) -> HeaderMap {
    let (promise, doc) = (ticket.promise(), ticket.document());
    let text = |field: &str| doc.get(field).and_then(Value::as_str).map(str::to_owned);
    let end_reason = serde_json::to_value(ticket.end_reason()).ok();
    let told = [
        (
            "x-callreel-account-id",
            Some(promise.account_id.as_str().to_owned()),
        ),
        (
            "x-callreel-call-id",
            Some(promise.call_id.as_str().to_owned()),
        ),
        ("x-callreel-started-at", Some(promise.started_at.rfc3339())),
        (
            "x-callreel-duration-ms",
            Some(rendition.duration_ms.to_string()),
        ),
        (
            "x-callreel-end-reason",
            end_reason
                .as_ref()
                .and_then(Value::as_str)
                .map(str::to_owned),
        ),
        ("x-callreel-owner-id", text("owner_id")),
        ("x-callreel-direction", text("direction")),
        ("x-callreel-from", text("from")),
        ("x-callreel-to", text("to")),
        ("x-callreel-caller-id-name", text("caller_id_name")),
        ("x-callreel-caller-id-number", text("caller_id_number")),
        ("x-callreel-callee-id-name", text("callee_id_name")),
        ("x-callreel-callee-id-number", text("callee_id_number")),
        ("x-callreel-cdr-id", text("cdr_id")),
        ("x-callreel-interaction-id", text("interaction_id")),
        ("x-callreel-channels", Some(rendition.channels.to_string())),
        (
            "x-callreel-sample-rate",
            Some(rendition.sample_rate.to_string()),
        ),
    ];
    let mut headers = HeaderMap::new();
    let mut size = 0;
    for (name, value) in told {
        let encoded = value.map(|value| utf8_percent_encode(&value, ENCODED).to_string());
        let fits = encoded.filter(|value| {
            let grown = size + name.len() + value.len();
            !value.is_empty() && value.len() <= LONGEST && grown <= LARGEST
        });
        if let Some(value) = fits.and_then(|value| HeaderValue::try_from(value).ok()) {
            size += name.len() + value.len();
            headers.insert(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use callreel_proto::EndReason;
    use serde_json::json;

    use super::*;
    use crate::testing;

    const RENDITION: RenditionInfo = RenditionInfo {
        bytes: 4,
        sha256: String::new(),
        duration_ms: 2520,
        sample_rate: 8000,
        channels: 2,
        report: None,
        sealed_bytes: None,
    };

    fn told(known: Value) -> Vec<(String, String)> {
        let mut ticket = testing::ticket(|_| {});
        *ticket.document_mut() = known.as_object().unwrap().clone();
        ticket.end(2_520_000_000, EndReason::TimeLimit).unwrap();
        let headers = metadata(&ticket, &RENDITION);
        let pairs = headers.iter().map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-callreel-").unwrap();
            (name.to_owned(), value.to_str().unwrap().to_owned())
        });
        pairs.collect()
    }

    #[test]
    fn what_is_known_is_told_and_can_be_read_back() {
        let told = told(json!({
            "owner_id": "u1", "direction": "inbound", "from": "1001@realm", "to": "",
            "caller_id_name": "J\u{f6}rg 100%\r\nX-Injected: yes", "caller_id_number": 1001,
            "cdr_id": "202402-c", "interaction_id": "63876470399-1",
        }));
        let expected = [
            ("account-id", "abcd0123456789abcdef0123456789ab"),
            ("call-id", "x@y"),
            ("started-at", "2024-02-29T23:59:59.999Z"),
            ("duration-ms", "2520"),
            ("end-reason", "time_limit"),
            ("owner-id", "u1"),
            ("direction", "inbound"),
            ("from", "1001@realm"),
            (
                "caller-id-name",
                "J%C3%B6rg%20100%25%0D%0AX-Injected:%20yes",
            ),
            ("cdr-id", "202402-c"),
            ("interaction-id", "63876470399-1"),
            ("channels", "2"),
            ("sample-rate", "8000"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sorted = |mut pairs: Vec<(String, String)>| {
            pairs.sort();
            pairs
        };
        assert_eq!(sorted(told), sorted(expected.into()));
    }

    #[test]
    fn what_a_phone_says_at_length_is_left_out() {
        let long = "x".repeat(LONGEST);
        let names = [
            "owner_id",
            "from",
            "to",
            "caller_id_name",
            "caller_id_number",
        ];
        let names = names
            .into_iter()
            .chain(["callee_id_name", "callee_id_number", "cdr_id"]);
        let mut known: serde_json::Map<_, _> =
            names.map(|name| (name.to_owned(), json!(long))).collect();
        let size = |told: &[(String, String)]| -> usize {
            let sizes = told.iter();
            sizes
                .map(|(n, v)| n.len() + "x-callreel-".len() + v.len())
                .sum()
        };
        let all = told(json!(known));
        assert!(
            size(&all) <= LARGEST && size(&all) > LARGEST - LONGEST,
            "{all:?}"
        );
        known.insert("from".to_owned(), json!(format!("{long}x")));
        let without = told(json!(known));
        assert!(
            without.iter().all(|(name, _)| name != "from"),
            "{without:?}"
        );
    }
}
