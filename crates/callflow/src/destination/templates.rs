//! `{ACCOUNT_ID}` and its like in an action's `url`: Kazoo's samples have them for their author to fill in, we can do it.

use callreel_proto::{CallId, RecordingId, Utc};
use url::Url;

use super::percent_encode;

/// What the names stand for. A name without a value is left alone.
#[derive(Debug, Clone)]
pub struct Templates<'a> {
    /// `{ACCOUNT_ID}`.
    pub account_id: &'a str,
    /// `{USER_ID}`: the user the calling device belongs to.
    pub user_id: Option<&'a str>,
    /// `{OWNER_ID}`: the recording's `owner_id`, as its document has it.
    pub owner_id: Option<&'a str>,
    /// `{CALL_ID}`: of the recorded leg.
    pub call_id: &'a CallId,
    /// `{RECORDING_ID}`.
    pub recording_id: &'a RecordingId,
    /// `{DATE}`: the day of the recording's start, as `2024-03-05`, in UTC.
    pub started_at: Utc,
}

/// Whether [`expand`] knows this name, which stands in braces.
pub(crate) fn is_template(braced: &str) -> bool {
    matches!(
        braced,
        "{ACCOUNT_ID}" | "{USER_ID}" | "{OWNER_ID}" | "{CALL_ID}" | "{RECORDING_ID}" | "{DATE}"
    )
}

impl Templates<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let value = match name {
            "ACCOUNT_ID" => Some(self.account_id),
            "USER_ID" => self.user_id,
            "OWNER_ID" => self.owner_id,
            "CALL_ID" => Some(self.call_id.as_str()),
            "RECORDING_ID" => Some(self.recording_id.as_str()),
            "DATE" => return Some(self.started_at.rfc3339().chars().take(10).collect()),
            _ => None,
        };
        value.filter(|v| !v.is_empty()).map(percent_encode)
    }
}

/// Fills the known names in, in the path and the query only: a document must not choose another host by them.
///
/// A value is percent-encoded, so that it stays within its segment or parameter; one that would make a dot segment (RFC 3986
/// §3.3) has its dots replaced by `_`. Unknown names and braces without a partner stay as they are.
pub fn expand(base: &Url, templates: &Templates<'_>) -> Url {
    let mut url = base.clone();
    let segments: Vec<_> = base
        .path()
        .split('/')
        .map(|segment| harmless(fill(segment, templates)))
        .collect();
    url.set_path(&segments.join("/"));
    if let Some(query) = base.query() {
        url.set_query(Some(&fill(query, templates)));
    }
    url
}

/// The parser that read the URL has encoded the braces of its path and left those of its query.
const OPEN: [&str; 3] = ["{", "%7B", "%7b"];
const CLOSE: [&str; 3] = ["}", "%7D", "%7d"];

fn fill(text: &str, templates: &Templates<'_>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = split_at_brace(rest) {
        let end = after.find(|c: char| !c.is_ascii_uppercase() && c != '_');
        let (name, tail) = after.split_at(end.unwrap_or(after.len()));
        let closed = CLOSE.iter().find_map(|brace| tail.strip_prefix(brace));
        match closed.and_then(|tail| Some((templates.value(name)?, tail))) {
            Some((value, tail)) => {
                filled += before.0;
                filled += &value;
                rest = tail;
            }
            None => {
                filled += before.0;
                filled += before.1;
                rest = after;
            }
        }
    }
    filled + rest
}

/// What is before the first opening brace and that brace itself, and what is after it.
fn split_at_brace(text: &str) -> Option<((&str, &str), &str)> {
    let found = OPEN
        .iter()
        .filter_map(|brace| Some((text.find(brace)?, brace.len())));
    let (at, length) = found.min()?;
    let (before, rest) = text.split_at(at);
    let (brace, after) = rest.split_at(length);
    Some(((before, brace), after))
}

fn harmless(segment: String) -> String {
    let dots = segment.replace("%2E", ".").replace("%2e", ".");
    match dots.as_str() {
        "." | ".." => "_".repeat(dots.len()),
        _ => segment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(base: &str, call_id: &str, user: Option<&str>) -> String {
        let recording_id = RecordingId::parse("202403-0123456789abcdef0123456789abcdef").unwrap();
        let templates = Templates {
            account_id: "acc1",
            user_id: user,
            owner_id: None,
            call_id: &CallId::new(call_id),
            recording_id: &recording_id,
            started_at: Utc::from_unix_ms(1_709_683_199_999),
        };
        expand(&Url::parse(base).unwrap(), &templates).into()
    }

    #[test]
    fn known_names_are_filled_in_and_others_left_alone() {
        for (base, expected) in [
            ("http://h/{ACCOUNT_ID}/{USER_ID}", "http://h/acc1/bob"),
            (
                "http://h/%7BACCOUNT_ID%7D/%7bUSER_ID%7d/",
                "http://h/acc1/bob/",
            ),
            ("http://h/{DATE}/{CALL_ID}", "http://h/2024-03-05/a%40b"),
            (
                "http://h/x-{RECORDING_ID}.d",
                "http://h/x-202403-0123456789abcdef0123456789abcdef.d",
            ),
            (
                "http://h/p?a={ACCOUNT_ID}&c={CALL_ID}&n=",
                "http://h/p?a=acc1&c=a%40b&n=",
            ),
            ("http://h/{OWNER_ID}", "http://h/%7BOWNER_ID%7D"),
            (
                "http://h/{VMBOX_ID}?b={BOX_ID}",
                "http://h/%7BVMBOX_ID%7D?b={BOX_ID}",
            ),
            ("http://h/{account_id}", "http://h/%7Baccount_id%7D"),
            ("http://h/{{USER_ID}}", "http://h/%7Bbob%7D"),
            ("http://h/{USER_ID", "http://h/%7BUSER_ID"),
            ("http://h/USER_ID}/{", "http://h/USER_ID%7D/%7B"),
            ("http://h/plain", "http://h/plain"),
        ] {
            assert_eq!(expanded(base, "a@b", Some("bob")), expected, "{base}");
        }
        for name in [
            "{ACCOUNT_ID}",
            "{USER_ID}",
            "{CALL_ID}",
            "{RECORDING_ID}",
            "{DATE}",
        ] {
            let url = expanded(&format!("http://h/{name}"), "a", Some("bob"));
            assert!(is_template(name) && !url.contains("%7B"), "{url}");
        }
        assert_eq!(
            expanded("http://h/{USER_ID}", "a", None),
            "http://h/%7BUSER_ID%7D"
        );
        assert_eq!(
            expanded("http://h/{USER_ID}", "a", Some("")),
            "http://h/%7BUSER_ID%7D"
        );
    }

    #[test]
    fn names_are_filled_in_nowhere_but_in_path_and_query() {
        assert_eq!(
            expanded(
                "https://u:%7BUSER_ID%7D@h:8443/r#{USER_ID}",
                "a",
                Some("bob")
            ),
            "https://u:%7BUSER_ID%7D@h:8443/r#{USER_ID}"
        );
    }

    #[test]
    fn a_hostile_value_stays_within_its_segment_or_parameter() {
        for hostile in [
            "../..",
            "a/b",
            "..",
            ".",
            "%2e%2e",
            "x?y#z",
            "a&b=c",
            "{USER_ID}",
        ] {
            let url = Url::parse(&expanded(
                "http://h/r/{CALL_ID}/s?c={CALL_ID}&d=1",
                hostile,
                Some("bob"),
            ));
            let url = url.unwrap();
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            assert_eq!(
                (segments.len(), segments[0], segments[2]),
                (3, "r", "s"),
                "{url}"
            );
            let query: Vec<_> = url.query_pairs().collect();
            assert_eq!((query[0].1.as_ref(), query.len()), (hostile, 2), "{url}");
            assert_eq!(url.fragment(), None, "{url}");
        }
        let dots = expanded("http://h/r/{CALL_ID}{USER_ID}/s", ".", Some("."));
        assert_eq!(dots, "http://h/r/__/s");
    }
}
