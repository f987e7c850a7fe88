//! Words about a recording that files, documents and bus messages share.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::lenient::loose_by_serde;

/// Which stream of a call audio belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Leg {
    /// What the A leg's phone sends: the caller's voice. Left channel.
    A,
    /// What the A leg's phone is sent: the other party's voice, prompts, tones. Right channel.
    B,
}

/// The file formats a recording can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioFormat {
    /// MPEG-1/2/2.5 layer III.
    #[default]
    Mp3,
    /// RIFF WAVE, 16-bit PCM.
    Wav,
}

impl AudioFormat {
    /// The file name's extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
        }
    }

    /// The MIME type deliveries carry.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Wav => "audio/wav",
        }
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

impl FromStr for AudioFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mp3" => Ok(Self::Mp3),
            "wav" => Ok(Self::Wav),
            other => Err(format!("{other:?} is not a format; use \"mp3\" or \"wav\"")),
        }
    }
}

/// How the legs share a file's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// A leg left, other party right.
    #[default]
    Stereo,
    /// Both legs mixed into one channel.
    Mono,
    /// The A leg alone, in one channel: `record_caller` and voicemail.
    Caller,
}

/// The HTTP method of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpMethod {
    /// The default, and the mission's.
    #[default]
    Put,
    /// On request of the action.
    Post,
}

/// Where a recording must go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "to")]
pub enum Destination {
    /// To `url`, which is already the whole request URL: base and `call_recording_CALL_ID.EXT`.
    Http {
        /// The request URL, with its credentials if the action gave any: never log it, see [`Destination::describe`].
        url: Url,
        /// PUT or POST.
        method: HttpMethod,
    },
    /// Into the account's month database, as an attachment of the recording's document.
    AccountDb,
}

impl Destination {
    /// The destination for people: credentials and query are left out.
    pub fn describe(&self) -> String {
        match self {
            Self::Http { url, .. } => redacted(url),
            Self::AccountDb => "the account's database".to_owned(),
        }
    }
}

fn redacted(url: &Url) -> String {
    let mut plain = url.clone();
    // Both setters only refuse URLs without a host, which have no credentials to begin with.
    plain.set_username("").ok();
    plain.set_password(None).ok();
    plain.set_query(None);
    plain.set_fragment(None);
    plain.into()
}

/// Where a recording is on its way from the first byte to its end. The page is docs/recording-lifecycle.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    /// The call lives and the recording has not been stopped.
    Growing,
    /// Stopped; the journal holds all it will ever hold.
    Ended,
    /// The audio file is on disk.
    Rendered,
    /// At least one delivery has been tried or is under way.
    Delivering,
    /// The destination acknowledged it.
    Delivered,
    /// Given up on; kept on disk and visible.
    Undeliverable,
    /// Dropped by a rule that the ticket names.
    Discarded,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// By a stop action, an API call or a terminating digit.
    Stopped,
    /// Its time limit was reached.
    TimeLimit,
    /// The call ended.
    Hangup,
    /// The caller fell silent (`record_caller` and voicemail only).
    Silence,
    /// The process recording it died.
    Interrupted,
    /// Another controller took the call over.
    Usurped,
    /// Shorter than the minimum asked for.
    TooShort,
}

loose_by_serde!(EndReason);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_destination_keeps_secrets_to_itself() {
        let url = Url::parse("https://user:pw@h:8443/a?token=x#f").unwrap();
        let to = Destination::Http {
            url,
            method: HttpMethod::Put,
        };
        assert_eq!(to.describe(), "https://h:8443/a");
    }
}
