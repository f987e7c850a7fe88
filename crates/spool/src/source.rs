//! Where a recording's audio lies before it is rendered: in a capture of ours, or in a file on a foreign switch.

use callreel_proto::CaptureId;
use serde::{Deserialize, Serialize};

/// Where a recording's audio comes from. In the ticket file it is one key beside the promise's others: `capture_id` or
/// `switch_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The capture it is cut from.
    #[serde(rename = "capture_id")]
    Capture(CaptureId),
    /// A file that a foreign switch records: it has to be fetched before anything else. There is no capture of ours;
    /// the recording's clock starts at 0 when the switch begins.
    #[serde(rename = "switch_file")]
    Switch(SwitchFile),
}

impl Source {
    /// The capture, if it is one.
    pub fn capture_id(&self) -> Option<&CaptureId> {
        match self {
            Self::Capture(id) => Some(id),
            Self::Switch(_) => None,
        }
    }

    /// The switch's file, if it is one.
    pub fn switch_file(&self) -> Option<&SwitchFile> {
        match self {
            Self::Capture(_) => None,
            Self::Switch(file) => Some(file),
        }
    }
}

/// A recording that a foreign switch keeps in a file of its own, and what is needed to end it and to fetch it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchFile {
    /// The switch's node name, `freeswitch@HOST`; empty until one is known.
    pub node: String,
    /// The `Media-Name` it was ordered under, unique, with the extension of the format it is recorded in.
    pub media_name: String,
    /// It is recorded in its turn, as the channel's running command (a message), not beside others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_turn: bool,
    /// Where the call's commands go: exchange `callctl`.
    pub control_queue: String,
    /// The file's full path on the switch, as the switch named it; none until it did.
    pub path: Option<String>,
    /// The file's size in bytes, as the switch announced it.
    pub bytes: Option<u64>,
}
