//! Who controls a call and how it is: `usurp_control`, `channel_status_req` and its answer (Kazoo `kapi_call`, exchange
//! `callevt`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_or_default, some_text};
use crate::{CallId, encode_word};

/// "This call has another controller now." Category `call_event`, name `usurp_control`. Every controller of the call whose
/// own `Fetch-ID` differs stops, without hanging up.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsurpControl {
    /// The call.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// The new control session.
    #[serde(rename = "Fetch-ID", deserialize_with = "some_text")]
    pub fetch_id: String,
    /// Why: `Route-Win` or `redirect`.
    #[serde(rename = "Reason", default, deserialize_with = "loose")]
    pub reason: Option<String>,
    /// The switch.
    #[serde(rename = "Media-Node", default, deserialize_with = "loose")]
    pub media_node: Option<String>,
}

impl UsurpControl {
    /// The `Event-Name`.
    pub const NAME: &str = "usurp_control";

    /// `call.usurp_control.<call id>`: heard by [`crate::CallEvent::pattern`] too.
    pub fn routing_key(&self) -> String {
        format!("call.{}.{}", Self::NAME, encode_word(self.call_id.as_str()))
    }
}

/// "Is this channel alive?" Category `call_event`, name `channel_status_req`; to every switch.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStatusReq {
    /// The channel.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// A switch that does not have it stays silent; false when absent: it answers `terminated`.
    #[serde(rename = "Active-Only", default, deserialize_with = "loose")]
    pub active_only: Option<bool>,
}

impl ChannelStatusReq {
    /// The `Event-Name`.
    pub const NAME: &str = "channel_status_req";
    /// What a switch binds on `callevt` to be asked.
    pub const PATTERN: &str = "call.status_req.*";

    /// `call.status_req.<call id>`: also heard by [`crate::CallEvent::pattern`], where it is nobody's event.
    pub fn routing_key(&self) -> String {
        format!("call.status_req.{}", encode_word(self.call_id.as_str()))
    }
}

/// How a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelStatus {
    /// It lives.
    Active,
    /// Its switch is away.
    Tmpdown,
    /// This switch does not have it; another may.
    Terminated,
}

/// The answer, on `targeted`: name `channel_status_resp`, the request's `Msg-ID`. Every switch answers: `active` from one
/// outweighs `terminated` from the others.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStatusResp {
    /// The channel.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// How it is.
    #[serde(rename = "Status")]
    pub status: ChannelStatus,
    /// The leg it is bridged to.
    #[serde(rename = "Other-Leg-Call-ID", default, deserialize_with = "loose")]
    pub other_leg_call_id: Option<CallId>,
    /// The switch's node name.
    #[serde(rename = "Switch-Nodename", default, deserialize_with = "loose")]
    pub switch_nodename: Option<String>,
    /// The switch's host.
    #[serde(rename = "Switch-Hostname", default, deserialize_with = "loose")]
    pub switch_hostname: Option<String>,
    /// The switch's own contact.
    #[serde(rename = "Switch-URL", default, deserialize_with = "loose")]
    pub switch_url: Option<String>,
    /// Tag of the From header (RFC 3261 §19.3).
    #[serde(rename = "From-Tag", default, deserialize_with = "loose")]
    pub from_tag: Option<String>,
    /// Tag of the To header.
    #[serde(rename = "To-Tag", default, deserialize_with = "loose")]
    pub to_tag: Option<String>,
    /// SIP realm of the phone.
    #[serde(rename = "Realm", default, deserialize_with = "loose")]
    pub realm: Option<String>,
    /// SIP user of the phone.
    #[serde(rename = "Username", default, deserialize_with = "loose")]
    pub username: Option<String>,
    /// What went wrong; the switch of others says.
    #[serde(rename = "Error-Msg", default, deserialize_with = "loose")]
    pub error_msg: Option<String>,
    /// Variables of the channel.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_channel_vars: Map<String, Value>,
    /// Variables of the application.
    #[serde(
        rename = "Custom-Application-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_application_vars: Map<String, Value>,
}

impl ChannelStatusResp {
    /// An answer with no further field.
    pub fn new(call_id: CallId, status: ChannelStatus) -> Self {
        Self {
            call_id,
            status,
            other_leg_call_id: None,
            switch_nodename: None,
            switch_hostname: None,
            switch_url: None,
            from_tag: None,
            to_tag: None,
            realm: None,
            username: None,
            error_msg: None,
            custom_channel_vars: Map::new(),
            custom_application_vars: Map::new(),
        }
    }

    /// The `Event-Name`.
    pub const NAME: &str = "channel_status_resp";
}
