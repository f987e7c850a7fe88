//! Small facts about SIP messages: header lists the switch sends, bodies it reads, statuses it understands. Pure.

use callreel_proto::HangupCause;
use rsipstack::dialog::dialog::TerminatedReason;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{ContentType, Header, Method, Request, StatusCode};

use crate::vars::Vars;

/// Methods the switch answers, for `Allow`.
pub(crate) const METHODS: [Method; 9] = [
    Method::Invite,
    Method::Ack,
    Method::Bye,
    Method::Cancel,
    Method::Options,
    Method::Register,
    Method::Info,
    Method::Update,
    Method::Refer,
];

/// `Allow`, with all of [`METHODS`].
pub(crate) fn allow() -> Header {
    let names: Vec<_> = METHODS.iter().map(ToString::to_string).collect();
    Header::Allow(names.join(", ").into())
}

/// The headers of a description of a session.
pub(crate) fn sdp_headers() -> Vec<Header> {
    vec![Header::ContentType(ContentType::new("application/sdp"))]
}

/// The headers of an answer to OPTIONS.
pub(crate) fn capabilities() -> Vec<Header> {
    vec![
        allow(),
        Header::Accept("application/sdp, application/dtmf-relay".into()),
        Header::Supported("timer".into()),
    ]
}

/// A request's session description: `Ok(None)` without a body, `Err` if the body is something else.
pub(crate) fn sdp_of(request: &Request) -> Result<Option<&[u8]>, ()> {
    if request.body.is_empty() {
        return Ok(None);
    }
    match media_type(request).as_deref() {
        Some("application/sdp") => Ok(Some(&request.body)),
        _ => Err(()),
    }
}

fn media_type(request: &Request) -> Option<String> {
    let value = request
        .header_value("Content-Type")
        .or_else(|| request.header_value("c"))?;
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// Longest name of a phone that events carry, characters.
const MAX_AGENT: usize = 256;

/// What the phone calls itself: `User-Agent` of a request, `Server` of many a response (RFC 3261 §20.35, §20.41).
pub(crate) fn user_agent(message: &impl HeadersExt) -> Option<String> {
    let name = message
        .header_value("User-Agent")
        .or_else(|| message.header_value("Server"))?;
    Some(name.chars().take(MAX_AGENT).collect())
}

/// The headers that others hand on with a call: those that begin with `X-`.
pub(crate) fn custom_headers(request: &Request) -> Vars {
    let others = request.headers.iter().filter_map(|header| match header {
        Header::Other(name, value) => Some((name, value)),
        _ => None,
    });
    let is_custom = |name: &str| {
        let start = name.get(..2);
        start.is_some_and(|start| start.eq_ignore_ascii_case("X-"))
    };
    others
        .filter(|(name, _)| is_custom(name) && !crate::loopback::is_header(name))
        .map(|(name, value)| (name.clone(), value.trim().to_owned()))
        .collect()
}

/// The key pressed, and its length in milliseconds, of an INFO that carries one.
pub(crate) fn info_digit(request: &Request) -> Option<(char, u64)> {
    let body = std::str::from_utf8(&request.body).ok()?;
    let (signal, duration) = match media_type(request)?.as_str() {
        "application/dtmf-relay" => {
            let find = |wanted: &str| {
                body.lines()
                    .filter_map(|line| line.split_once('='))
                    .find(|(key, _)| key.trim().eq_ignore_ascii_case(wanted))
                    .map(|(_, value)| value.trim())
            };
            let duration = find("duration").and_then(|ms| ms.parse().ok());
            (find("signal")?, duration)
        }
        "application/dtmf" => (body.trim(), None),
        _ => return None,
    };
    let digit = match signal {
        "10" => '*',
        "11" => '#',
        one => one.chars().next()?.to_ascii_uppercase(),
    };
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D').then_some((digit, duration.unwrap_or(160)))
}

/// Why a dialog ended at its far end: the cause, and the SIP status if there was one.
pub(crate) fn cause_of(reason: &TerminatedReason) -> (HangupCause, u16) {
    let of = |status: &StatusCode| {
        let code = status.code();
        (HangupCause::from_sip_status(code), code)
    };
    match reason {
        TerminatedReason::Timeout => (HangupCause::NoUserResponse, 408),
        TerminatedReason::UacCancel => (HangupCause::OriginatorCancel, 487),
        TerminatedReason::UacBye | TerminatedReason::UasBye => (HangupCause::NormalClearing, 200),
        TerminatedReason::UacBusy | TerminatedReason::UasBusy => (HangupCause::UserBusy, 486),
        TerminatedReason::UasDecline => (HangupCause::CallRejected, 603),
        TerminatedReason::ProxyAuthRequired => (HangupCause::CallRejected, 407),
        TerminatedReason::ProxyError(status)
        | TerminatedReason::UacOther(status)
        | TerminatedReason::UasOther(status) => of(status),
    }
}

/// Headers of an INVITE that a controller may set: no line breaks, none that the dialog owns.
pub(crate) fn custom_header(name: &str, value: &str) -> Option<Header> {
    const OWNED: [&str; 17] = [
        "via",
        "v",
        "from",
        "f",
        "to",
        "t",
        "call-id",
        "i",
        "cseq",
        "contact",
        "m",
        "route",
        "record-route",
        "max-forwards",
        "content-length",
        "l",
        "content-type",
    ];
    let token = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.!%*+`'~".contains(&b));
    let plain = !value.contains(['\r', '\n', '\0']);
    let free = !OWNED.contains(&name.to_ascii_lowercase().as_str());
    (token && plain && free).then(|| Header::Other(name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(content_type: &str, body: &str) -> Request {
        let text = format!(
            "INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n\
             Call-ID: x\r\nCSeq: 2 INFO\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        text.as_str().try_into().unwrap()
    }

    #[test]
    fn digits_in_info_are_read_in_both_spellings() {
        for (content_type, body, expected) in [
            (
                "application/dtmf-relay",
                "Signal=5\r\nDuration=240\r\n",
                Some(('5', 240)),
            ),
            ("application/dtmf-relay", "Signal= *\r\n", Some(('*', 160))),
            ("application/dtmf-relay", "Signal=11\r\n", Some(('#', 160))),
            ("application/dtmf", "9", Some(('9', 160))),
            ("application/dtmf", "", None),
            ("application/dtmf", "x", None),
            ("text/plain", "5", None),
        ] {
            assert_eq!(
                info_digit(&info(content_type, body)),
                expected,
                "{content_type} {body:?}"
            );
        }
    }

    #[test]
    fn a_controllers_header_cannot_break_the_message() {
        assert!(custom_header("X-Account", "a").is_some());
        for (name, value) in [
            ("X A", "a"),
            ("", "a"),
            ("X-A", "a\r\nVia: b"),
            ("Via", "a"),
            ("CSEQ", "1"),
        ] {
            assert!(custom_header(name, value).is_none(), "{name}");
        }
    }
}
