//! "Which calls do you have?", asked of every calls role: where each stands in its callflow, and what is recorded of it.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_by_serde, readable};
use crate::{AccountId, CallId, Envelope, Headers, LiveRecording};

/// A question for the live calls of an account, to every calls role; each answers for those it controls or records. Exchange
/// `kapps`, category `callflow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveReq {
    /// Whose calls.
    #[serde(rename = "Account-ID")]
    pub account_id: AccountId,
}

impl LiveReq {
    /// The `Event-Category`.
    pub const CATEGORY: &str = "callflow";
    /// The `Event-Name`.
    pub const NAME: &str = "live_req";
    /// Its routing key.
    pub const KEY: &str = "callreel.live";

    /// This question in its envelope.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new(Self::CATEGORY, Self::NAME),
            body: self,
        }
    }
}

/// The answer of one calls role, on `targeted`: the request's `Msg-ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LiveResp {
    /// The account's calls that it controls or records.
    #[serde(rename = "Calls", default, deserialize_with = "readable")]
    pub calls: Vec<LiveCall>,
}

impl LiveResp {
    /// The `Event-Name`.
    pub const NAME: &str = "live_resp";

    /// This answer in its envelope, to the question with this `Msg-ID`.
    pub fn into_envelope(self, msg_id: &str) -> Envelope<Self> {
        Envelope {
            headers: Headers::new(LiveReq::CATEGORY, Self::NAME).msg_id(msg_id),
            body: self,
        }
    }
}

/// A live call, as its controller or its recorder tells of it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCall {
    /// Which one.
    pub call_id: CallId,
    /// Where it stands in its callflow; nothing if the flow is over, or another application controls the call.
    #[serde(default, deserialize_with = "loose")]
    pub flow: Option<FlowPosition>,
    /// What is being recorded of it, oldest first.
    #[serde(default, deserialize_with = "readable")]
    pub recordings: Vec<LiveRecording>,
}

/// Where a call stands in its callflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPosition {
    /// The action's place in its document; in a branched-to document, the document's id and `#` stand before it.
    pub pointer: String,
    /// Its module.
    pub module: String,
    /// What it waits for, for people.
    pub waiting_for: String,
}

loose_by_serde!(LiveCall);
loose_by_serde!(FlowPosition);
