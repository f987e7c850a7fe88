//! Words of the command `record_call`: what it wants, whose the recording is, and how it is handed on to those who record.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient::{loose, some_text, spelled};
use crate::{Command, RouteReq, encode_word};

/// Where a switch of ours forks a recorded channel's audio: RTP as described in docs/fork.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFork {
    /// Receives what the phone sends.
    #[serde(rename = "A")]
    pub a: SocketAddr,
    /// Receives what the phone is sent.
    #[serde(rename = "B")]
    pub b: SocketAddr,
}

/// What a `record_call` command wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordAction {
    /// Begin.
    Start,
    /// End.
    Stop,
    /// Record silence from here.
    Mask,
    /// Record audio again.
    Unmask,
}

macro_rules! record_call {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $wire:literal;)*) => {
        /// How `record_call` shall record, and whose the recording is. All optional; a stop, mask or unmask needs at most
        /// the name or the id of what it means.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub struct RecordCall {
            $(
                $(#[$doc])*
                #[serde(rename = $wire, default, deserialize_with = "loose", skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
        }
    };
}

record_call! {
    /// The recording, echoed in events; a [`crate::RecordingId`] if it is ours.
    recording_id: String = "Media-Recording-ID";
    /// Who owns it: `callreel` if we do.
    recorder: String = "Media-Recorder";
    /// What started it.
    origin: String = "Media-Recording-Origin";
    /// The device or user it is about.
    endpoint_id: String = "Media-Recording-Endpoint-ID";
    /// Seconds; a string, as Kazoo's senders write it.
    #[serde(serialize_with = "spelled")]
    time_limit_s: u64 = "Time-Limit";
    /// Hz.
    sample_rate: u64 = "Record-Sample-Rate";
    /// Seconds a recording must last to be kept; a string, too.
    #[serde(serialize_with = "spelled")]
    min_s: u64 = "Record-Min-Sec";
    /// One party per channel; true when absent.
    stereo: bool = "Channels-As-Stereo";
    /// Go on when the call is transferred; true when absent.
    follow_transfer: bool = "Follow-Transfer";
    /// Kazoo 5: echoed in the `Recording` object of events.
    variables: Map<String, Value> = "Recording-Variables";
    /// `put` or `post`: where the file goes is not left to whoever hears `RECORD_STOP`.
    transfer_method: String = "Media-Transfer-Method";
    /// A URL.
    transfer_destination: String = "Media-Transfer-Destination";
}

/// A `record_call` of another application for a channel of our own switch, which cannot record by itself: it hands the
/// command on to those who record, with its headers, and with what they must know. Sent by the switch to the call's
/// controller (`targeted`) if that is a Callreel, else published on `kapps`. Whoever takes it orders a fork by a
/// `record_call` of its own; one with a [`MediaFork`] is never handed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordRequest {
    /// As it came.
    #[serde(flatten)]
    pub command: Command,
    /// Where commands for the channel go: routing key on exchange `callctl`.
    #[serde(rename = "Control-Queue", deserialize_with = "some_text")]
    pub control_queue: String,
    /// The channel, in the words of its `route_req`, with its variables as they are now.
    #[serde(rename = "Call")]
    pub call: RouteReq,
}

impl RecordRequest {
    /// The pattern on `kapps` of all requests that no controller takes.
    pub const PATTERN: &str = "callreel.record.*";

    /// `callreel.record.<account>`, or `callreel.record.none`: for a request about this call.
    pub fn routing_key(call: &RouteReq) -> String {
        let account = call.account_id();
        let account = account.as_ref().map_or("none", |id| id.as_str());
        format!("callreel.record.{}", encode_word(account))
    }
}
