//! What a ticket tells of the way from its end to its delivery: the audio file, and what has been tried. Never decides a step.

use callreel_proto::{AudioReport, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The audio file that was made of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionInfo {
    /// Its size, as a receiver gets it.
    pub bytes: u64,
    /// SHA-256 of the bytes a receiver gets, lower-case hex.
    pub sha256: String,
    /// Its size on disk, if it is sealed there by the node's key, which comes off on its way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_bytes: Option<u64>,
    /// Its duration, milliseconds.
    pub duration_ms: u64,
    /// Hz.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u16,
    /// What the audio went through; none if a switch of others recorded it, or an older version rendered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<AudioReport>,
}

impl RenditionInfo {
    /// The size of its file.
    pub fn bytes_on_disk(&self) -> u64 {
        self.sealed_bytes.unwrap_or(self.bytes)
    }
}

/// What has been tried to keep the promise, and what is next. On disk, so that a restart goes on where it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryLog {
    /// Failed tries to render the file, or to fetch a switch's.
    pub render_failures: u32,
    /// When the first of them happened.
    pub render_failing_since: Option<Utc>,
    /// Finished tries to deliver it.
    pub attempts: u32,
    /// When the first delivery ended.
    pub first_attempt_at: Option<Utc>,
    /// How many of the last tries in a row the destination refused with an answer that seldom changes.
    pub refusals: u32,
    /// How long what is owed now has been failing, milliseconds: counted from its first failure, only while delivery runs,
    /// by a clock that nobody can set.
    pub failing_ms: u64,
    /// When to try again; `None` is "as soon as possible".
    pub next_attempt_at: Option<Utc>,
    /// Why the last try failed, or why the recording was given up or dropped: a sentence for people.
    pub last_error: Option<String>,
    /// When the destination acknowledged the file.
    pub uploaded_at: Option<Utc>,
    /// Where it acknowledged the file, when a storage plan chose the destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placed: Option<PlacedInfo>,
    /// When the recording reached its final state.
    pub finished_at: Option<Utc>,
}

/// Where a storage plan's handler has a file. Holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedInfo {
    /// The place for people, such as `s3 bucket/name`.
    pub told: String,
    /// What the document says under `pvt_attachments.<file name>`.
    pub attachment: Value,
    /// Other fields that the handler's settings want in the document.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}
