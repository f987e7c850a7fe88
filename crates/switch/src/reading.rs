//! Judges what arrives at the SIP port before the SIP library sees it, and words the refusal of what that cannot read. Pure.

use std::borrow::Cow;
use std::net::SocketAddr;

use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Method, SipMessage, Transport, Version};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::SipConnection;

/// Bytes of headers copied into a refusal: half the longest datagram, which leaves room for the rest of it.
const MAX_COPIED: usize = 32 * 1_024;
/// Headers every response repeats (RFC 3261 §8.2.6.2), in both spellings.
const COPIED: [&str; 9] = ["via", "v", "from", "f", "to", "t", "call-id", "i", "cseq"];

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading<'a> {
    /// The library will hand it on, in this form.
    Message(Cow<'a, [u8]>),
    /// A request that cannot be served as it stands, and the answer to it: it must not be met with silence.
    Refused(Vec<u8>),
    /// Nothing that could be answered.
    Garbage,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// More than we take.
    TooLong,
    /// Something in it.
    Content,
}

/// Reads one whole message; one longer than `room` bytes is refused.
pub(crate) fn read(
    message: &[u8],
    from: SocketAddr,
    transport: Transport,
    room: usize,
) -> Reading<'_> {
    let text = with_utf8_head(message);
    let fits = text.len() <= room;
    if fits && is_readable(&text, from, transport) {
        return Reading::Message(text);
    }
    let flaw = if fits { Flaw::Content } else { Flaw::TooLong };
    refusal(&text, flaw).map_or(Reading::Garbage, Reading::Refused)
}

/// Where the headers end, with the empty line.
pub(crate) fn head_length(message: &[u8]) -> Option<usize> {
    let end = message.windows(4).position(|w| w == b"\r\n\r\n")?;
    Some(end + 4)
}

/// Headers that are no UTF-8 are Latin-1: phones put a person's name as it is into From.
fn with_utf8_head(message: &[u8]) -> Cow<'_, [u8]> {
    let head = head_length(message).unwrap_or(message.len());
    let (head, body) = message.split_at(head);
    if std::str::from_utf8(head).is_ok() {
        return Cow::Borrowed(message);
    }
    let mut text: String = head.iter().copied().map(char::from).collect();
    text.retain(|c| !('\u{80}'..'\u{a0}').contains(&c));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    Cow::Owned(bytes)
}

/// Whether the library will hand the message on; it drops all else without a word or a number.
fn is_readable(message: &[u8], from: SocketAddr, transport: Transport) -> bool {
    let Ok(parsed) = SipMessage::try_from(message) else {
        return false;
    };
    match SipConnection::update_msg_received(parsed, from, transport) {
        Ok(SipMessage::Request(request)) => {
            request.version == Version::V2
                && request.to_header().is_ok_and(|to| to.typed().is_ok())
                && TransactionKey::from_request(&request, TransactionRole::Server).is_ok()
        }
        Ok(SipMessage::Response(response)) => {
            TransactionKey::from_response(&response, TransactionRole::Client).is_ok()
        }
        Err(_) => false,
    }
}

/// The answer to a request that is one by its first line and says by its Via who waits for the answer.
pub(crate) fn refusal(message: &[u8], flaw: Flaw) -> Option<Vec<u8>> {
    let head = head_length(message).unwrap_or(message.len());
    let text = String::from_utf8_lossy(&message[..head]);
    let (start, rest) = text.split_once("\r\n")?;
    let (method, line) = start.split_once(' ')?;
    let version = line.trim_end().rsplit(' ').next()?;
    if !is_token(method) || method == "ACK" || !version.starts_with("SIP/") {
        return None;
    }
    let known: Result<Method, _> = method.parse();
    let status = match () {
        () if flaw == Flaw::TooLong => "513 Message Too Large",
        () if version != "SIP/2.0" => "505 Version Not Supported",
        () if known.is_err() => "501 Not Implemented",
        () => "400 Bad Request",
    };
    let copied = copied_headers(rest)?;
    Some(format!("SIP/2.0 {status}\r\n{copied}Content-Length: 0\r\n\r\n").into_bytes())
}

/// RFC 3261 §25.1: a method is a token.
fn is_token(method: &str) -> bool {
    let is_mark = |b: u8| b"-.!%*_+`'~".contains(&b);
    (1..=32).contains(&method.len())
        && method
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || is_mark(b))
}

/// The headers a response repeats, with their continuation lines; `None` without a Via.
fn copied_headers(head: &str) -> Option<String> {
    let mut copied = String::new();
    let (mut copying, mut has_via) = (false, false);
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap_or_default().trim();
            let name = name.to_ascii_lowercase();
            copying = COPIED.contains(&name.as_str());
            has_via |= name == "via" || name == "v";
        }
        if copying {
            copied.push_str(line);
            copied.push_str("\r\n");
        }
    }
    (has_via && copied.len() <= MAX_COPIED).then_some(copied)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: usize = 8_192;

    fn judged(message: &[u8]) -> Reading<'_> {
        read(
            message,
            "192.0.2.1:5060".parse().unwrap(),
            Transport::Udp,
            ROOM,
        )
    }

    fn request(start: &str, cseq: &str, more: &str) -> String {
        format!(
            "{start}\r\nVia: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\
             Call-ID: x\r\nCSeq: {cseq}\r\n{more}\r\nbody"
        )
    }

    fn status(message: &[u8]) -> String {
        match judged(message) {
            Reading::Message(_) => "read".to_owned(),
            Reading::Garbage => "garbage".to_owned(),
            Reading::Refused(answer) => {
                let text = String::from_utf8(answer).unwrap();
                assert!(text.contains("\r\nVia: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\n"));
                assert!(text.ends_with("\r\nContent-Length: 0\r\n\r\n") && !text.contains("X-"));
                text.split(' ').nth(1).unwrap().to_owned()
            }
        }
    }

    #[test]
    fn a_request_that_cannot_be_served_is_answered_and_garbage_is_not() {
        let long = format!("X-A: {}\r\n", "a".repeat(ROOM));
        for (message, expected) in [
            (request("INVITE sip:c@d SIP/2.0", "1 INVITE", ""), "read"),
            (request("DANCE sip:c@d SIP/2.0", "1 DANCE", ""), "501"),
            (request("dan.ce~ sip:c@d SIP/2.0", "1 dan.ce~", ""), "501"),
            (request("INVITE sip:c@d SIP/3.0", "1 INVITE", ""), "505"),
            (request("INVITE sip:c@d SIP/2.0", "1 INVITE", &long), "513"),
            (
                request("INVITE sip:c@d SIP/2.0", "1 INVITE", "")
                    .replace("c@d", &"c".repeat(9_000)),
                "513",
            ),
            (request("INVITE sip:c@d; lr SIP/2.0", "1 INVITE", ""), "400"),
            (
                request("INVITE sip:c@d SIP/2.0", "99999999999 INVITE", "X-B: 1\r\n"),
                "400",
            ),
            (
                request("INVITE sip:c@d SIP/2.0", "1 INVITE", "").replace(";tag=1", ""),
                "400",
            ),
            (
                request("INVITE sip:c@d SIP/2.0", "1 INVITE", "").replace("CSeq", "X-Seq"),
                "400",
            ),
            (
                request("INVITE sip:c@d SIP/2.0", "1 INVITE", "").replace("To:", "X-To:"),
                "400",
            ),
            (
                request("ACK sip:c@d SIP/2.0", "99999999999 ACK", ""),
                "garbage",
            ),
            (
                request("INVITE sip:c@d SIP/2.0", "1 INVITE", "").replace("Via", "X-V"),
                "garbage",
            ),
            (
                request("SIP/2.0 200 OK", "99999999999 INVITE", ""),
                "garbage",
            ),
            (request("GET / HTTP/1.1", "1 GET", ""), "garbage"),
            ("hello".to_owned(), "garbage"),
        ] {
            assert_eq!(status(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn a_name_in_latin_1_is_read() {
        let text = request("INVITE sip:c@d SIP/2.0", "1 INVITE", "");
        let (before, after) = text.split_once("From: ").unwrap();
        let message = [before.as_bytes(), b"From: \"Jos\xe9\" ", after.as_bytes()].concat();
        let Reading::Message(read) = judged(&message) else {
            panic!("not read");
        };
        assert!(String::from_utf8_lossy(&read).contains("From: \"José\" <sip:a@b>;tag=1\r\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            judged(&bytes);
            judged(&[b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n".as_slice(), &bytes].concat());
        }
    }
}
