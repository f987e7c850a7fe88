//! Finds the SIP messages in a stream of bytes (RFC 3261 §18.3). Pure.

use std::ops::Range;

use crate::reading::{Flaw, head_length};

/// Longest message taken from a stream, as long as the longest datagram.
pub(crate) const MAX_MESSAGE: usize = 65_535;

/// What a stream's next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Not yet a whole message.
    Partial,
    /// A keep-alive or an empty line between messages (RFC 5626 §3.5.1, RFC 3261 §7.5), this many bytes.
    Blank(usize),
    /// A message of this many bytes. Blanks between the name of its Content-Length and the colon, if any, are to be taken
    /// out: the SIP library would not see the header.
    Message(usize, Option<Range<usize>>),
    /// The message's end cannot be known, or is too far: the stream is lost.
    Endless(Flaw),
}

/// Looks at the bytes received so far.
pub(crate) fn frame(bytes: &[u8]) -> Frame {
    if bytes.starts_with(b"\r\n\r\n") {
        return Frame::Blank(4);
    }
    if bytes.starts_with(b"\r\n") {
        return Frame::Blank(2);
    }
    let Some(head) = head_length(bytes) else {
        return match bytes.len() {
            0..=MAX_MESSAGE => Frame::Partial,
            _ => Frame::Endless(Flaw::TooLong),
        };
    };
    let Some((body, odd)) = body_length(&bytes[..head]) else {
        return Frame::Endless(Flaw::Content);
    };
    match head.saturating_add(body) {
        whole if whole > MAX_MESSAGE => Frame::Endless(Flaw::TooLong),
        whole if whole > bytes.len() => Frame::Partial,
        whole => Frame::Message(whole, odd),
    }
}

/// The value of Content-Length and the blanks before its colon; a message without the header has no body. `None` if it is
/// no number.
fn body_length(head: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    let mut start = 0;
    for line in head.split_inclusive(|b| *b == b'\n') {
        if let Some(colon) = line.iter().position(|b| *b == b':') {
            let name = line[..colon].trim_ascii_end();
            if name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l") {
                let value = std::str::from_utf8(line[colon + 1..].trim_ascii()).ok()?;
                let blanks = start + name.len()..start + colon;
                return Some((value.parse().ok()?, (!blanks.is_empty()).then_some(blanks)));
            }
        }
        start += line.len();
    }
    Some((0, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_blanks_and_lost_streams_are_told_apart() {
        for (text, expected) in [
            ("", Frame::Partial),
            ("\r", Frame::Partial),
            ("\r\n", Frame::Blank(2)),
            ("\r\n\r\nA", Frame::Blank(4)),
            ("\r\nA", Frame::Blank(2)),
            ("A b\r\nl: 2\r\n\r", Frame::Partial),
            ("A b\r\nl: 2\r\n\r\nx", Frame::Partial),
            ("A b\r\nl: 2\r\n\r\nxyz", Frame::Message(15, None)),
            ("A b\r\nFrom: a\r\n\r\nxyz", Frame::Message(16, None)),
            (
                "A b\r\nCONTENT-length \t: 2 \r\n\r\nxy",
                Frame::Message(31, Some(19..21)),
            ),
            ("A b\r\nl: two\r\n\r\n", Frame::Endless(Flaw::Content)),
            ("A b\r\nl: -1\r\n\r\n", Frame::Endless(Flaw::Content)),
            (
                "A b\r\nl: 18446744073709551615\r\n\r\n",
                Frame::Endless(Flaw::TooLong),
            ),
            ("A b\r\nl: 65535\r\n\r\n", Frame::Endless(Flaw::TooLong)),
        ] {
            assert_eq!(frame(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(frame(&[b'x'; MAX_MESSAGE]), Frame::Partial);
        assert_eq!(
            frame(&[b'x'; MAX_MESSAGE + 1]),
            Frame::Endless(Flaw::TooLong)
        );
    }
}
