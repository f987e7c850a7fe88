//! Live control of a call: what a program wants done with it, and what came of it (Kazoo `kapi_metaflow`, exchange
//! `metaflow`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_by_serde, loose_or_default, some_text};
use crate::{
    AccountId, CallId, Envelope, Headers, OrderedBy, RecordingId, RecordingSource, encode_word,
};

/// "Do this with that call." Category `metaflow`, name `action`. Whoever controls the call acts; the others stay silent. If
/// the headers name a `Server-ID`, a controller of ours answers with a [`MetaflowActionResp`].
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetaflowAction {
    /// What to do, a module's name: [`MetaflowAction::RECORD_CALL`], `hangup`, `hold`, `transfer`, ….
    #[serde(rename = "Action", deserialize_with = "some_text")]
    pub action: String,
    /// The call: the Call-ID of its A leg.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// The module's data, as a callflow's step has it. To a `record_call`, `recording_id` names the one recording meant.
    #[serde(
        rename = "Data",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub data: Map<String, Value>,
    /// Ours: the account the call must be of; a call of another one is as good as unknown.
    #[serde(rename = "Account-ID", default, deserialize_with = "loose")]
    pub account_id: Option<AccountId>,
    /// Ours: who asks. When absent, the sending application.
    #[serde(rename = "Ordered-By", default, deserialize_with = "loose")]
    pub ordered_by: Option<OrderedBy>,
}

impl MetaflowAction {
    /// The category of all messages about metaflows.
    pub const CATEGORY: &str = "metaflow";
    /// The `Event-Name`.
    pub const NAME: &str = "action";
    /// The action that starts, stops, masks and unmasks recordings.
    pub const RECORD_CALL: &str = "record_call";
    /// The topic pattern that hears what any call's recordings are asked for.
    pub const RECORDS: &str = "metaflow.action.*.record_call";
    /// The topic pattern that hears whatever any call is asked for.
    pub const ACTIONS: &str = "metaflow.action.*.*";

    /// A `record_call` with this data.
    pub fn record_call(call_id: CallId, data: Map<String, Value>) -> Self {
        Self {
            action: Self::RECORD_CALL.to_owned(),
            call_id,
            data,
            account_id: None,
            ordered_by: None,
        }
    }

    /// The routing key of what one call's recordings are asked for, and the pattern that hears it.
    pub fn records_of(call_id: &CallId) -> String {
        routing_key(call_id, Self::RECORD_CALL)
    }

    /// `metaflow.action.<call id>.<action>`.
    pub fn routing_key(&self) -> String {
        routing_key(&self.call_id, &self.action)
    }

    /// This action in its envelope; add the `Server-ID` the answer shall go to.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new(Self::CATEGORY, Self::NAME),
            body: self,
        }
    }
}

/// "Do these things with that call, one after the other." Category `metaflow`, name `flow`. Sent by whoever wants it (Kazoo's
/// Crossbar); heard by whoever controls the call, and answered by nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetaflowFlow {
    /// The call: the Call-ID of either leg; that leg's party is who wants it.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// The first step, as in a document's `metaflows`: `module`, `data` and `children`.
    #[serde(rename = "Flow")]
    pub flow: Map<String, Value>,
}

impl MetaflowFlow {
    /// The `Event-Name`.
    pub const NAME: &str = "flow";
    /// The topic pattern that hears the flows of all calls.
    pub const FLOWS: &str = "metaflow.flow.*";

    /// `metaflow.flow.<call id>`.
    pub fn routing_key(&self) -> String {
        format!("metaflow.flow.{}", encode_word(self.call_id.as_str()))
    }

    /// This flow in its envelope.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new(MetaflowAction::CATEGORY, Self::NAME),
            body: self,
        }
    }
}

fn routing_key(call_id: &CallId, action: &str) -> String {
    // Kazoo does not encode the action; its names need none.
    let (call, action) = (encode_word(call_id.as_str()), encode_word(action));
    format!("metaflow.action.{call}.{action}")
}

/// Whether an action was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionStatus {
    /// Done. Sent by the call's controller.
    Done,
    /// Not done, for the reason named in `Detail`. Sent by the call's controller.
    Refused,
}

/// How a live call's recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LiveState {
    /// It records. Told by the call's controller.
    Recording,
    /// It records silence. Told by the call's controller.
    Masked,
    /// It was ended. Told by the call's controller.
    Stopped,
}

/// A recording of a live call.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRecording {
    /// Which one.
    pub id: RecordingId,
    /// How it is, after the action.
    pub state: LiveState,
    /// The name it was given, by which a later action may mean it.
    #[serde(default, deserialize_with = "loose")]
    pub name: Option<String>,
    /// What kind of hand started it.
    pub source: RecordingSource,
}

loose_by_serde!(LiveRecording);

/// Ours: what came of a [`MetaflowAction`]. Category `metaflow`, name `action_resp`; to the request's `Server-ID` on
/// `targeted`, with its `Msg-ID`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaflowActionResp {
    /// The call.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// Whether it was done.
    #[serde(rename = "Status")]
    pub status: ActionStatus,
    /// A sentence for people: why it was refused, or what is still awaited.
    #[serde(rename = "Detail", default, deserialize_with = "loose")]
    pub detail: Option<String>,
    /// The recordings it was done with; when it was refused, those the call has.
    #[serde(rename = "Recordings", default, deserialize_with = "loose_or_default")]
    pub recordings: Vec<LiveRecording>,
}

impl MetaflowActionResp {
    /// The `Event-Name`.
    pub const NAME: &str = "action_resp";

    /// This answer in its envelope, to the request with this `Msg-ID`.
    pub fn into_envelope(self, msg_id: &str) -> Envelope<Self> {
        Envelope {
            headers: Headers::new(MetaflowAction::CATEGORY, Self::NAME).msg_id(msg_id),
            body: self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic_matches;

    #[test]
    fn an_action_is_heard_where_kazoo_sends_it() {
        let call_id = CallId::new("zT4k.1@192.0.2.44");
        let action = MetaflowAction::record_call(call_id.clone(), Map::new());
        let key = "metaflow.action.zT4k%2E1%40192%2E0%2E2%2E44.record_call";
        assert_eq!(action.routing_key(), key);
        assert_eq!(MetaflowAction::records_of(&call_id), key);
        assert!(topic_matches(MetaflowAction::RECORDS, key));
        let other = MetaflowAction {
            action: "hangup".to_owned(),
            ..action
        };
        assert!(!topic_matches(
            MetaflowAction::RECORDS,
            &other.routing_key()
        ));
    }
}
