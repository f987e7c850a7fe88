//! The call's metadata as query parameters of the delivery's URL, as Kazoo's uploads have them. Never decides whether.

use std::fmt::Write;

use callreel_proto::MetadataQuery;
use url::Url;

/// What Kazoo tells a receiver of a recording. What is not known is sent as an empty value.
#[derive(Debug, Clone, Default)]
pub struct Metadata<'a> {
    /// The caller, `user@realm`.
    pub from: Option<&'a str>,
    /// The callee, `user@realm`.
    pub to: Option<&'a str>,
    /// The caller's name.
    pub caller_id_name: Option<&'a str>,
    /// The caller's number.
    pub caller_id_number: Option<&'a str>,
    /// The recorded leg.
    pub call_id: Option<&'a str>,
    /// The call's detail record: `YYYYMM-CALL_ID`.
    pub cdr_id: Option<&'a str>,
    /// What joins the legs of one interaction.
    pub interaction_id: Option<&'a str>,
    /// The user whose call it is.
    pub owner_id: Option<&'a str>,
    /// The account.
    pub account_id: Option<&'a str>,
    /// When it began, gregorian seconds.
    pub start: Option<i64>,
    /// How long the file is, milliseconds.
    pub duration_ms: Option<u64>,
    /// The recording.
    pub recording_id: Option<&'a str>,
}

/// The request URL with these metadata behind its query, in Kazoo's fixed order and encoding.
pub fn complete(url: &Url, query: MetadataQuery, metadata: &Metadata<'_>) -> Url {
    let parameters = match query {
        MetadataQuery::None => return url.clone(),
        MetadataQuery::Kazoo40 => metadata.of_4_0(),
        MetadataQuery::Kazoo43 => metadata.of_4_3(),
    };
    let mut all = url.query().unwrap_or_default().to_owned();
    for (name, value) in parameters {
        if !all.is_empty() {
            all.push('&');
        }
        all += name;
        all.push('=');
        all += &encoded(&value.unwrap_or_default());
    }
    let mut url = url.clone();
    url.set_query(Some(&all));
    url
}

type Parameter = (&'static str, Option<String>);

impl Metadata<'_> {
    fn common(&self) -> Vec<Parameter> {
        let parameter = |name, value: Option<&str>| (name, value.map(str::to_owned));
        vec![
            parameter("from", self.from),
            parameter("to", self.to),
            parameter("caller_id_name", self.caller_id_name),
            parameter("caller_id_number", self.caller_id_number),
            parameter("call_id", self.call_id),
            parameter("cdr_id", self.cdr_id),
            parameter("interaction_id", self.interaction_id),
        ]
    }

    fn of_4_0(&self) -> Vec<Parameter> {
        let mut all = self.common();
        all.push(("account_id", self.account_id.map(str::to_owned)));
        all
    }

    fn of_4_3(&self) -> Vec<Parameter> {
        let mut all = self.common();
        all.push(("owner_id", self.owner_id.map(str::to_owned)));
        all.push(("account_id", self.account_id.map(str::to_owned)));
        all.push(("start", self.start.map(|s| s.to_string())));
        all.push(("duration_ms", self.duration_ms.map(|ms| ms.to_string())));
        all.push(("recording_id", self.recording_id.map(str::to_owned)));
        all
    }
}

/// Kazoo 4's own encoding: `+` for a space, `%XX` for all but letters, digits and `.-_~`.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b' ' => out.push('+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => write!(out, "%{other:02X}").expect("writing to a string cannot fail"),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use callreel_proto::CallId;

    use super::super::request_url;
    use super::*;

    const ALL: Metadata<'_> = Metadata {
        from: Some("1000@acme.example"),
        to: Some("2000@acme.example"),
        caller_id_name: Some("Alice & B\u{fc}ro"),
        caller_id_number: Some("+1415 5550100"),
        call_id: Some("ab12@10.0.0.5"),
        cdr_id: Some("202403-ab12@10.0.0.5"),
        interaction_id: None,
        owner_id: Some("b0b"),
        account_id: Some("acc1"),
        start: Some(63_876_906_000),
        duration_ms: Some(12_340),
        recording_id: Some("202403-0123456789abcdef0123456789abcdef"),
    };
    const COMMON: &str = "from=1000%40acme.example&to=2000%40acme.example&caller_id_name=Alice+%26+B%C3%BCro\
                          &caller_id_number=%2B1415+5550100&call_id=ab12%4010.0.0.5&cdr_id=202403-ab12%4010.0.0.5&interaction_id=";

    fn sent(base: &str, query: MetadataQuery, metadata: &Metadata<'_>) -> String {
        let call = CallId::new("ab12@10.0.0.5");
        let url = request_url(&Url::parse(base).unwrap(), &call, "mp3", 1);
        complete(&url, query, metadata).into()
    }

    /// The worked examples: every shape of a `url`, with its joiner.
    #[test]
    fn metadata_follow_the_name_with_the_joiner_its_url_needs() {
        let name = "call_recording_ab12%4010.0.0.5.mp3";
        let rest = format!(
            "{COMMON}&owner_id=b0b&account_id=acc1&start=63876906000&duration_ms=12340\
             &recording_id=202403-0123456789abcdef0123456789abcdef"
        );
        for (base, before) in [
            (
                "http://your.server.com/recordings",
                "http://your.server.com/recordings/NAME?",
            ),
            ("http://h/r/", "http://h/r/NAME?"),
            ("http://h/r///", "http://h/r/NAME?"),
            ("http://h", "http://h/NAME?"),
            (
                "https://user:pw@h:8443/a/b",
                "https://user:pw@h:8443/a/b/NAME?",
            ),
            (
                "http://h/put.php?recording=",
                "http://h/put.php?recording=NAME&",
            ),
            (
                "http://h/put.php?recording",
                "http://h/put.php?recording=NAME&",
            ),
            (
                "http://h/put.php?acct=5",
                "http://h/put.php?acct=5&recording=NAME&",
            ),
            (
                "http://h/put.php?a=1&recording=",
                "http://h/put.php?a=1&recording=NAME&",
            ),
            ("http://h/r?a=b/", "http://h/r?a=b&recording=NAME&"),
            ("http://h/r?", "http://h/r/NAME?"),
            ("http://h/r#frag", "http://h/r/NAME?"),
        ] {
            let expected = before.replace("NAME", name) + &rest;
            assert_eq!(sent(base, MetadataQuery::Kazoo43, &ALL), expected, "{base}");
        }
    }

    #[test]
    fn the_older_list_is_shorter_and_without_metadata_the_url_is_the_missions() {
        assert_eq!(
            sent("http://h/r", MetadataQuery::Kazoo40, &ALL),
            format!("http://h/r/call_recording_ab12%4010.0.0.5.mp3?{COMMON}&account_id=acc1")
        );
        assert_eq!(
            sent("http://h/r", MetadataQuery::None, &ALL),
            "http://h/r/call_recording_ab12%4010.0.0.5.mp3"
        );
    }

    #[test]
    fn what_is_not_known_keeps_its_place() {
        assert_eq!(
            sent("http://h/r", MetadataQuery::Kazoo43, &Metadata::default()),
            "http://h/r/call_recording_ab12%4010.0.0.5.mp3?from=&to=&caller_id_name=&caller_id_number=&call_id=&cdr_id=\
             &interaction_id=&owner_id=&account_id=&start=&duration_ms=&recording_id="
        );
    }
}
