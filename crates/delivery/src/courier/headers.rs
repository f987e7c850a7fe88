//! The action's own request headers: which of them go along. What is wrong with one is told by its name, never by its value.

use std::collections::BTreeMap;

use callreel_callflow::is_of_delivery;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use tracing::warn;
use url::Url;

/// The headers that go along to `url` and to no other origin. Credentials in the URL are the receiver's: they stay.
pub(super) fn extra(asked: &BTreeMap<String, String>, url: &Url) -> HeaderMap {
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let mut headers = HeaderMap::new();
    for (name, value) in asked {
        let (Ok(name), Ok(mut value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value))
        else {
            warn!(
                name,
                "a header of the action is none HTTP has; it is left out"
            );
            continue;
        };
        let is_barred = is_of_delivery(name.as_str()) || has_credentials && name == AUTHORIZATION;
        if is_barred {
            warn!(%name, "a header of the action is not the action's to set; it is left out");
            continue;
        }
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}

/// Shortest word of a value that is taken out of what a receiver says: what is shorter is no secret, and may be any word.
const SECRET: usize = 6;

/// What a receiver said, without what it repeats of the headers' values: it is logged and shown.
pub(super) fn without_values(mut said: String, headers: &BTreeMap<String, String>) -> String {
    let words = headers.values().flat_map(|value| value.split_whitespace());
    for word in words.filter(|word| word.len() >= SECRET) {
        said = said.replace(word, "…");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(url: &str, asked: &[(&str, &str)]) -> Vec<String> {
        let asked = asked
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let headers = extra(&asked.collect(), &url.parse().unwrap());
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn what_frames_a_request_or_is_ours_is_left_out() {
        for name in [
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
            "proxy-authorization",
            "proxy-connection",
            "repr-digest",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "x-callreel-attempt",
            "x-callreel-delivery",
            "x-callreel-recording-id",
        ] {
            assert!(names("http://h/", &[(name, "1")]).is_empty(), "{name}");
            assert!(names("http://h/", &[(&name.to_uppercase(), "1")]).is_empty());
        }
    }

    #[test]
    fn what_http_cannot_carry_is_left_out() {
        let asked = [
            ("a b", "1"),
            ("", "1"),
            ("x-fine", "1"),
            ("x-odd", "a\r\nb: c"),
        ];
        assert_eq!(names("http://h/", &asked), ["x-fine"]);
    }

    #[test]
    fn credentials_of_the_url_are_not_overridden() {
        let asked = [("Authorization", "Bearer x"), ("Cookie", "a=b")];
        assert_eq!(names("http://h/", &asked), ["authorization", "cookie"]);
        assert_eq!(names("http://u:p@h/", &asked), ["cookie"]);
    }

    #[test]
    fn a_value_is_not_shown_to_debuggers() {
        let asked = BTreeMap::from([("X-Key".to_owned(), "secret".to_owned())]);
        let shown = format!("{:?}", extra(&asked, &"http://h/".parse().unwrap()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
