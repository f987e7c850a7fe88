//! The URL a recording is sent to: `URL/call_recording_CALL_ID.EXT`. Pure; never resolves or opens it.

mod metadata;
mod templates;

use callreel_proto::CallId;
use url::Url;

pub use metadata::{Metadata, complete};
pub(crate) use templates::is_template;
pub use templates::{Templates, expand};

/// Which of a call's files a name is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nth {
    /// The how-manieth recording of the call, from 1.
    pub number: u32,
    /// The second file of a recording whose parties are kept apart: the other party's.
    pub other_party: bool,
}

impl From<u32> for Nth {
    fn from(number: u32) -> Self {
        Self {
            number,
            other_party: false,
        }
    }
}

/// The name of a call's `nth` recording: `call_recording_CALL_ID.EXT`, from the second on with `_N` before the dot, and for
/// the other party's file with `_b` after that. Every byte of the Call-ID but letters, digits and `.-_~` is percent-encoded
/// (RFC 3986 §2.3).
pub fn file_name(call_id: &CallId, extension: &str, nth: impl Into<Nth>) -> String {
    let Nth {
        number,
        other_party,
    } = nth.into();
    let mut name = format!("call_recording_{}", percent_encode(call_id.as_str()));
    if number > 1 {
        name += &format!("_{number}");
    }
    if other_party {
        name += "_b";
    }
    format!("{name}.{extension}")
}

/// The request URL of a call's `nth` recording below the action's `url`.
///
/// Without a query the name becomes the last path segment. With one it becomes the value of a trailing parameter that has
/// none, else of a new parameter `recording`: the rules of Kazoo 4.3, without its metadata parameters. A bare `?` counts as
/// no query; a fragment, which no server ever sees, is dropped. [`complete`] adds the metadata, where that is wanted.
pub fn request_url(base: &Url, call_id: &CallId, extension: &str, nth: impl Into<Nth>) -> Url {
    let name = file_name(call_id, extension, nth);
    let mut url = base.clone();
    url.set_fragment(None);
    let query = base.query().unwrap_or("").trim_end_matches(['/', '&']);
    if query.is_empty() {
        url.set_query(None);
        url.set_path(&format!("{}/{name}", base.path().trim_end_matches('/')));
        return url;
    }
    let last = query.rsplit('&').next().unwrap_or(query);
    let joiner = match last.split_once('=') {
        None => "=",
        Some((_, "")) => "",
        Some(_) => "&recording=",
    };
    url.set_query(Some(&format!("{query}{joiner}{name}")));
    url
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(base: &str, nth: impl Into<Nth>) -> String {
        let call = CallId::new("ab12@10.0.0.5");
        request_url(&Url::parse(base).unwrap(), &call, "mp3", nth).into()
    }

    #[test]
    fn the_name_goes_below_the_url_as_the_mission_says() {
        let name = "call_recording_ab12%4010.0.0.5.mp3";
        for (base, expected) in [
            (
                "http://your.server.com/recordings",
                "http://your.server.com/recordings/NAME",
            ),
            ("http://h/r/", "http://h/r/NAME"),
            ("http://h/r///", "http://h/r/NAME"),
            ("http://h", "http://h/NAME"),
            (
                "https://user:pw@h:8443/a/b",
                "https://user:pw@h:8443/a/b/NAME",
            ),
            (
                "http://h/put.php?recording=",
                "http://h/put.php?recording=NAME",
            ),
            (
                "http://h/put.php?recording",
                "http://h/put.php?recording=NAME",
            ),
            (
                "http://h/put.php?acct=5",
                "http://h/put.php?acct=5&recording=NAME",
            ),
            (
                "http://h/put.php?a=1&recording=",
                "http://h/put.php?a=1&recording=NAME",
            ),
            ("http://h/r?a=b/", "http://h/r?a=b&recording=NAME"),
            ("http://h/r?", "http://h/r/NAME"),
            ("http://h/r?&", "http://h/r/NAME"),
            ("http://h/r#frag", "http://h/r/NAME"),
            ("http://h/r/?#frag", "http://h/r/NAME"),
            (
                "http://h/put.php?recording=#frag",
                "http://h/put.php?recording=NAME",
            ),
        ] {
            assert_eq!(made(base, 1), expected.replace("NAME", name), "{base}");
        }
    }

    #[test]
    fn the_other_partys_file_is_told_by_its_name() {
        let other = |number| Nth {
            number,
            other_party: true,
        };
        assert_eq!(
            made("http://h/r", other(1)),
            "http://h/r/call_recording_ab12%4010.0.0.5_b.mp3"
        );
        assert_eq!(
            made("http://h/r", other(2)),
            "http://h/r/call_recording_ab12%4010.0.0.5_2_b.mp3"
        );
    }

    #[test]
    fn from_the_second_recording_on_the_name_is_numbered() {
        assert_eq!(made("http://h/r", 0), made("http://h/r", 1));
        assert_eq!(
            made("http://h/r", 2),
            "http://h/r/call_recording_ab12%4010.0.0.5_2.mp3"
        );
        assert_eq!(
            made("http://h/r?recording=", 3),
            "http://h/r?recording=call_recording_ab12%4010.0.0.5_3.mp3"
        );
    }

    #[test]
    fn a_hostile_call_id_stays_one_path_segment() {
        let base = Url::parse("http://h/r").unwrap();
        for id in ["../../x", "a/b?c#d", "a b+ü", "%2e%2e", ""] {
            let url = request_url(&base, &CallId::new(id), "wav", 1);
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            assert_eq!(segments.len(), 2, "{url}");
            assert_eq!((url.query(), url.fragment()), (None, None), "{url}");
        }
        assert_eq!(
            file_name(&CallId::new("a/b c"), "wav", 1),
            "call_recording_a%2Fb%20c.wav"
        );
    }
}
