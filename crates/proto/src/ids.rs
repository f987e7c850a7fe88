//! Names of calls, accounts, captures and recordings: parsed once at the edge, plain text ever after.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lenient::loose_by_serde;
use crate::{Utc, random_hex};

/// An id that does not have the shape its kind requires.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} is not valid: {reason}")]
pub struct MalformedId {
    /// Which kind of id was expected.
    pub kind: &'static str,
    /// The text that was offered.
    pub value: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedId;

            fn try_from(text: String) -> Result<Self, MalformedId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id! {
    /// The Call-ID of a leg, as the SIP peer chose it (RFC 3261 §8.1.1.4). Any text: encode it before using it in a
    /// file name, a URL or a routing key.
    CallId
}

impl CallId {
    /// Takes the text as it came.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Takes the text as it came, within reason.
    ///
    /// # Errors
    /// The text is longer than [`CallId::MAX_BYTES`].
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        if text.len() <= Self::MAX_BYTES {
            return Ok(Self(text.to_owned()));
        }
        Err(MalformedId {
            kind: "call id",
            value: text.chars().take(64).collect(),
            reason: "it is too long",
        })
    }

    /// Longest Call-ID taken: no phone makes one this long, and percent-encoded it still fits into the 8 kB that HTTP servers
    /// take as a URL.
    pub const MAX_BYTES: usize = 2048;
}

text_id! {
    /// A Kazoo account: 32 lower-case hex digits.
    AccountId
}

loose_by_serde!(AccountId);

impl AccountId {
    /// Parses an account id.
    ///
    /// # Errors
    /// The text is not 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        if is_hex(text, 32) {
            return Ok(Self(text.to_owned()));
        }
        Err(MalformedId {
            kind: "account id",
            value: text.to_owned(),
            reason: "it must be 32 lower-case hex digits",
        })
    }

    /// A new random account id.
    pub fn random() -> Self {
        Self(random_hex(32))
    }
}

text_id! {
    /// A recording: `YYYYMM-` and 32 lower-case hex digits, the month being that of its start in UTC.
    /// It is also the id of its `call_recording` document, so the document's month database follows from it.
    RecordingId
}

impl RecordingId {
    /// A new id for a recording that starts at `start`.
    pub fn random(start: Utc) -> Self {
        Self(format!("{}-{}", start.year_month(), random_hex(32)))
    }

    /// Parses a recording id.
    ///
    /// # Errors
    /// The text is not `YYYYMM-` followed by 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        let well_formed = text.split_once('-').is_some_and(|(month, hex)| {
            month.len() == 6 && month.bytes().all(|b| b.is_ascii_digit()) && is_hex(hex, 32)
        });
        if well_formed {
            return Ok(Self(text.to_owned()));
        }
        Err(MalformedId {
            kind: "recording id",
            value: text.to_owned(),
            reason: "it must be YYYYMM- and 32 lower-case hex digits",
        })
    }

    /// The `YYYYMM` of the recording's start.
    pub fn month(&self) -> &str {
        &self.0[..6]
    }
}

text_id! {
    /// One capture of one call: 32 lower-case hex digits, the name of its folder in the spool.
    CaptureId
}

impl CaptureId {
    /// A new random id.
    pub fn random() -> Self {
        Self(random_hex(32))
    }

    /// Parses a capture id.
    ///
    /// # Errors
    /// The text is not 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        if is_hex(text, 32) {
            return Ok(Self(text.to_owned()));
        }
        Err(MalformedId {
            kind: "capture id",
            value: text.to_owned(),
            reason: "it must be 32 lower-case hex digits",
        })
    }
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_id_carries_the_utc_month_of_its_start() {
        let id = RecordingId::random(Utc::from_unix_ms(1_709_251_199_999));
        assert_eq!(id.month(), "202402");
        assert_eq!(RecordingId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn malformed_ids_are_refused_in_json_too() {
        assert!(serde_json::from_str::<AccountId>("\"ab\"").is_err());
        assert!(serde_json::from_str::<RecordingId>("\"../x\"").is_err());
    }

    #[test]
    fn malformed_ids_are_refused() {
        for bad in ["", "202402", "2024-02", "202402-xyz", "../../etc/passwd"] {
            assert!(RecordingId::parse(bad).is_err(), "{bad}");
            assert!(AccountId::parse(bad).is_err(), "{bad}");
            assert!(CaptureId::parse(bad).is_err(), "{bad}");
        }
    }
}
