//! "What do you owe?", asked of every delivery role: the tickets of its spool, and the receivers it leaves alone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_by_serde, loose_or_default, readable};
use crate::{AccountId, Envelope, Headers, Hold, RecordingId, RecordingState};

/// A question for what is owed, to every delivery role; each answers for its own spool. Exchange `kapps`, category
/// `delivery`. Fields that are there all hold at once; a question with one that cannot be read is not answered, because that would
/// tell of what nobody asked for.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwedReq {
    /// The one recording wanted; who does not have it says so by an empty answer.
    #[serde(rename = "Recording-ID", default)]
    pub recording_id: Option<RecordingId>,
    /// Only what this account is owed.
    #[serde(rename = "Account-ID", default)]
    pub account_id: Option<AccountId>,
    /// Only what is in this state.
    #[serde(rename = "State", default)]
    pub state: Option<RecordingState>,
    /// Only what stands at this key or after it.
    #[serde(rename = "Start-Key", default, deserialize_with = "loose")]
    pub start_key: Option<String>,
    /// Most tickets of the answer, the oldest; none when 0.
    #[serde(rename = "Page-Size", default, deserialize_with = "loose_or_default")]
    pub page_size: u64,
    /// Whether the receivers that are left alone are wanted.
    #[serde(rename = "Receivers", default, deserialize_with = "loose")]
    pub receivers: Option<bool>,
}

impl OwedReq {
    /// Its routing key.
    pub const KEY: &str = "callreel.owed";

    /// This question in its envelope.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("delivery", "owed_req"),
            body: self,
        }
    }
}

/// The answer of one delivery role, on `targeted`: the request's `Msg-ID`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OwedResp {
    /// The tickets, the oldest first.
    #[serde(rename = "Tickets", default, deserialize_with = "readable")]
    pub tickets: Vec<Owed>,
    /// The key of the first ticket that had no room.
    #[serde(rename = "Next-Start-Key", default, deserialize_with = "loose")]
    pub next: Option<String>,
    /// The receivers that are left alone at the moment.
    #[serde(rename = "Receivers", default, deserialize_with = "readable")]
    pub receivers: Vec<Map<String, Value>>,
}

impl OwedResp {
    /// This answer in its envelope, to the question with this `Msg-ID`.
    pub fn into_envelope(self, msg_id: &str) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("delivery", "owed_resp").msg_id(msg_id),
            body: self,
        }
    }
}

/// A ticket as it is shown: without the secrets of its destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Owed {
    /// Where it stands among all tickets of all spools: by its start, then its id.
    pub key: String,
    /// Which recording.
    pub id: RecordingId,
    /// Whose.
    pub account_id: AccountId,
    /// How far it is.
    pub state: RecordingState,
    /// The legal hold on it.
    pub hold: Option<Hold>,
    /// What else is told of it.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

loose_by_serde!(Owed);
