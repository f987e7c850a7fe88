//! Words about a recording that files, documents and bus messages share.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
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
    /// The other party alone, in one channel: the second file of a recording whose legs are kept separate.
    Callee,
}

/// Who wanted something done with a live call's recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingSource {
    /// A step of the callflow.
    Callflow,
    /// The account's `call_recording` settings.
    Account,
    /// The `call_recording` settings of a device and its user.
    Endpoint,
    /// A program, by the HTTP API or by a metaflow on the bus.
    Api,
    /// A party of the call, by keys (a metaflow of the account, user or device).
    FeatureCode,
    /// Another application, by a dialplan command of its own.
    Application,
}

impl RecordingSource {
    /// Whether the platform wants it: only the platform may end it before the call does.
    pub fn is_mandate(self) -> bool {
        matches!(self, Self::Account | Self::Endpoint)
    }
}

/// Who did something to a recording, and by what: kept as evidence.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedBy {
    /// What kind of hand it was.
    pub source: RecordingSource,
    /// The callflow's step as a JSON pointer into its document, or the keys of a feature code.
    #[serde(default)]
    pub step: Option<String>,
    /// Which one: a device's or user's id, an application's name, the leg that pressed the keys.
    #[serde(default)]
    pub who: Option<String>,
}

impl OrderedBy {
    /// By this hand, without particulars.
    pub fn new(source: RecordingSource) -> Self {
        Self {
            source,
            step: None,
            who: None,
        }
    }
}

loose_by_serde!(OrderedBy);

/// A legal hold: while a recording has one, nothing and nobody removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who put it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when, gregorian seconds as in all of Kazoo's documents.
    pub since: i64,
}

impl Hold {
    /// The field of a stored recording's document that holds it.
    pub const FIELD: &str = "hold";

    /// The hold in a recording's document, if it has one. One that cannot be read holds all the same.
    pub fn of(document: &serde_json::Map<String, serde_json::Value>) -> Option<Self> {
        let field = document.get(Self::FIELD).filter(|field| !field.is_null())?;
        let text = |key| field[key].as_str().unwrap_or("unknown").to_owned();
        Some(Self {
            by: text("by"),
            reason: text("reason"),
            since: field["since"].as_i64().unwrap_or_default(),
        })
    }
}

/// Which metadata of the call the delivery's URL carries as query parameters (Kazoo's attachment uploads).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum MetadataQuery {
    /// None: exactly `URL/call_recording_CALL_ID.EXT`.
    #[default]
    #[serde(rename = "none")]
    None,
    /// The eight parameters of Kazoo 4.0.
    #[serde(rename = "kazoo-4.0")]
    Kazoo40,
    /// The twelve parameters of Kazoo 4.2 and 4.3.
    #[serde(rename = "kazoo-4.3")]
    Kazoo43,
}

impl MetadataQuery {
    /// For serde: nothing to say.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
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
        /// The action's own request headers. They may hold secrets: never log them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// Which metadata goes into the query, when the recording has ended and all of it is known.
        #[serde(default, skip_serializing_if = "MetadataQuery::is_none")]
        metadata_query: MetadataQuery,
    },
    /// Into the account's month database, as an attachment of the recording's document.
    AccountDb,
}

impl Destination {
    /// To this URL, with nothing more than the file.
    pub fn http(url: Url, method: HttpMethod) -> Self {
        Self::Http {
            url,
            method,
            headers: BTreeMap::new(),
            metadata_query: MetadataQuery::None,
        }
    }

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

/// What one leg's audio went through, from the first second of the recording to its last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LegAudio {
    /// Audio packets that came, duplicates not counted.
    pub packets: u64,
    /// Packets whose audio was taken away before they were kept (masks, keys): silence of the length it had. Not among `packets`.
    pub redacted: u64,
    /// Packets that never came, by their sequence numbers. What a source sent elsewhere while another one had the leg is no loss.
    pub lost: u64,
    /// Packets that came after their place had been written.
    pub late: u64,
    /// Packets that came again.
    pub duplicate: u64,
    /// Audio packets that could not be decoded: silence of the length they claimed.
    pub invalid: u64,
    /// Where packets are missing, milliseconds from the start: from, until. When there are many, near ones are told as one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps_ms: Vec<(u64, u64)>,
    /// Lost audio that was covered up, milliseconds.
    pub concealed_ms: u64,
    /// Time without audio, milliseconds: before the first packet, after the last, loss, silence suppression, hold, masks.
    pub silence_ms: u64,
    /// How often another source took over.
    pub source_changes: u64,
    /// Audio inserted or dropped, sample by sample, to follow the sender's clock, milliseconds.
    pub drift_corrected_ms: u64,
    /// The farthest that audio lies from its place, microseconds.
    pub worst_misalignment_us: u64,
}

/// What a rendition has to tell about its audio: the gap report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AudioReport {
    /// The legs that are in the file, by name.
    pub legs: BTreeMap<Leg, LegAudio>,
    /// The farthest two legs can be apart from where they should be, microseconds.
    pub worst_misalignment_us: u64,
    /// Keys (tones and telephone events) taken out of the audio, milliseconds from its start: from, until.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redacted_ms: Vec<(u64, u64)>,
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
    /// The call was transferred, and it was not to follow.
    Transferred,
    /// Shorter than the minimum asked for.
    TooShort,
}

loose_by_serde!(EndReason);

impl EndReason {
    /// The reason's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::TimeLimit => "time_limit",
            Self::Hangup => "hangup",
            Self::Silence => "silence",
            Self::Interrupted => "interrupted",
            Self::Usurped => "usurped",
            Self::Transferred => "transferred",
            Self::TooShort => "too_short",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_serde_agree() {
        for reason in [
            EndReason::Stopped,
            EndReason::TimeLimit,
            EndReason::Hangup,
            EndReason::Silence,
            EndReason::Interrupted,
            EndReason::Usurped,
            EndReason::Transferred,
            EndReason::TooShort,
        ] {
            let written = serde_json::to_value(reason).unwrap();
            assert_eq!(written, reason.name());
        }
    }

    #[test]
    fn a_described_destination_keeps_secrets_to_itself() {
        let url = Url::parse("https://user:pw@h:8443/a?token=x#f").unwrap();
        let to = Destination::http(url, HttpMethod::Put);
        assert_eq!(to.describe(), "https://h:8443/a");
    }
}
