//! Where in a trace something happens, as W3C Trace Context writes it (`traceparent`, §3.2).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::lenient::loose_by_serde;

/// The span something belongs to: trace, span, and whether the trace is kept. Written as `00-TRACE-SPAN-FLAGS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceParent {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

loose_by_serde!(TraceParent);

/// A text that names no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no traceparent (00-TRACE-SPAN-FLAGS, in hex, neither id zero)")]
pub struct MalformedTraceParent(String);

impl TraceParent {
    /// The span `span` of the trace `trace`; none if either is zero, which names nothing.
    pub fn new(trace: [u8; 16], span: [u8; 8], flags: u8) -> Option<Self> {
        let named = trace != [0; 16] && span != [0; 8];
        named.then_some(Self { trace, span, flags })
    }

    /// The trace.
    pub fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// The span within it.
    pub fn span(&self) -> [u8; 8] {
        self.span
    }

    /// The trace's flags; the lowest bit says that it is kept.
    pub fn flags(&self) -> u8 {
        self.flags
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (hex::encode(self.trace), hex::encode(self.span));
        write!(f, "00-{trace}-{span}-{:02x}", self.flags)
    }
}

impl FromStr for TraceParent {
    type Err = MalformedTraceParent;

    fn from_str(text: &str) -> Result<Self, MalformedTraceParent> {
        parse(text).ok_or_else(|| MalformedTraceParent(text.chars().take(64).collect()))
    }
}

fn parse(text: &str) -> Option<TraceParent> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // What a later version adds stands behind (§3.2.4); 00 has no more, and ff is none.
    let whole = version != "00" || parts.next().is_none();
    if !whole || text.bytes().any(|b| b.is_ascii_uppercase()) || byte(version)? == 0xff {
        return None;
    }
    let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
    hex::decode_to_slice(trace, &mut trace_id).ok()?;
    hex::decode_to_slice(span, &mut span_id).ok()?;
    TraceParent::new(trace_id, span_id, byte(flags)?)
}

fn byte(text: &str) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(text, &mut byte).ok()?;
    Some(byte[0])
}

impl TryFrom<String> for TraceParent {
    type Error = MalformedTraceParent;

    fn try_from(text: String) -> Result<Self, MalformedTraceParent> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(parent: TraceParent) -> Self {
        parent.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn it_is_written_as_it_is_read() {
        let parent: TraceParent = EXAMPLE.parse().unwrap();
        assert_eq!(parent.to_string(), EXAMPLE);
        assert_eq!(parent.flags(), 1);
        assert_eq!(parent.trace()[0], 0x4b);
        assert_eq!(parent.span()[7], 0xb7);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = EXAMPLE.replacen("00", "01", 1) + "-more";
        let parent: TraceParent = later.parse().unwrap();
        assert_eq!(parent.to_string(), EXAMPLE);
    }

    #[test]
    fn what_names_no_span_is_refused() {
        for wrong in [
            "",
            "00",
            &EXAMPLE.to_uppercase(),
            &format!("{EXAMPLE}-more"),
            &EXAMPLE.replacen("00", "ff", 1),
            &EXAMPLE[..EXAMPLE.len() - 1],
            &EXAMPLE.replace("00f067aa0ba902b7", "0000000000000000"),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            "00-ä-b-c",
        ] {
            assert!(wrong.parse::<TraceParent>().is_err(), "{wrong}");
        }
    }
}
