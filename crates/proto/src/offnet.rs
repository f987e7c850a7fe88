//! Calls to the public network that Kazoo's stepswitch is asked to make: the request and its answer (Kazoo
//! `kapi_offnet_resource`, exchange `resources`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_or_default, some_text};
use crate::{CallId, Envelope, Headers};

/// "Bridge this call to that number, over whatever trunk takes it." Category `resource`, name `offnet_req`. Sent by the call's
/// controller; stepswitch sends the `bridge` to the call's control queue itself, and answers with an [`OffnetResp`].
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OffnetReq {
    /// What is to be done: [`OffnetReq::BRIDGE`].
    #[serde(rename = "Application-Name", deserialize_with = "some_text")]
    pub application_name: String,
    /// What is carried: [`OffnetReq::AUDIO`].
    #[serde(rename = "Resource-Type", deserialize_with = "some_text")]
    pub resource_type: String,
    /// The number, as it was dialled: stepswitch puts it in the form of E.164.
    #[serde(rename = "To-DID", deserialize_with = "some_text")]
    pub to_did: String,
    /// The account that calls.
    #[serde(rename = "Account-ID", default, deserialize_with = "loose")]
    pub account_id: Option<String>,
    /// Its SIP realm.
    #[serde(rename = "Account-Realm", default, deserialize_with = "loose")]
    pub account_realm: Option<String>,
    /// The account whose own trunks are meant; everybody's when absent.
    #[serde(rename = "Hunt-Account-ID", default, deserialize_with = "loose")]
    pub hunt_account_id: Option<String>,
    /// The A leg.
    #[serde(rename = "Call-ID", default, deserialize_with = "loose")]
    pub call_id: Option<CallId>,
    /// Where the A leg's commands go; filled in by who sends it.
    #[serde(rename = "Control-Queue", default, deserialize_with = "loose")]
    pub control_queue: Option<String>,
    /// The number is left as it is.
    #[serde(rename = "Bypass-E164", default, deserialize_with = "loose")]
    pub bypass_e164: Option<bool>,
    /// Words that a trunk must have.
    #[serde(
        rename = "Flags",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub flags: Vec<String>,
    /// The caller as the callee sees them: the name.
    #[serde(
        rename = "Outbound-Caller-ID-Name",
        default,
        deserialize_with = "loose"
    )]
    pub caller_id_name: Option<String>,
    /// The caller as the callee sees them: the number.
    #[serde(
        rename = "Outbound-Caller-ID-Number",
        default,
        deserialize_with = "loose"
    )]
    pub caller_id_number: Option<String>,
    /// The caller as who can help sees them: the name.
    #[serde(
        rename = "Emergency-Caller-ID-Name",
        default,
        deserialize_with = "loose"
    )]
    pub emergency_caller_id_name: Option<String>,
    /// The caller as who can help sees them: the number.
    #[serde(
        rename = "Emergency-Caller-ID-Number",
        default,
        deserialize_with = "loose"
    )]
    pub emergency_caller_id_number: Option<String>,
    /// From has the caller's number, at `From-URI-Realm`.
    #[serde(rename = "Format-From-URI", default, deserialize_with = "loose")]
    pub format_from_uri: Option<bool>,
    /// The realm of From.
    #[serde(rename = "From-URI-Realm", default, deserialize_with = "loose")]
    pub from_uri_realm: Option<String>,
    /// The caller hears ringing, whatever the far end sends before it answers.
    #[serde(rename = "Ignore-Early-Media", default, deserialize_with = "loose")]
    pub ignore_early_media: Option<bool>,
    /// Where the call came in, if it came from outside.
    #[serde(rename = "Inception", default, deserialize_with = "loose")]
    pub inception: Option<String>,
    /// What the caller hears while it rings.
    #[serde(rename = "Ringback", default, deserialize_with = "loose")]
    pub ringback: Option<String>,
    /// Seconds each trunk is rung.
    #[serde(rename = "Timeout", default, deserialize_with = "loose")]
    pub timeout_s: Option<u64>,
    /// Events of the far leg that are wanted.
    #[serde(
        rename = "B-Leg-Events",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub b_leg_events: Vec<String>,
    /// Variables of the far leg.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_channel_vars: Map<String, Value>,
    /// Variables of the A leg.
    #[serde(
        rename = "Requestor-Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub requestor_custom_channel_vars: Map<String, Value>,
    /// Headers of the INVITE.
    #[serde(
        rename = "Custom-SIP-Headers",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_sip_headers: Map<String, Value>,
}

impl OffnetReq {
    /// The category of request and answer.
    pub const CATEGORY: &str = "resource";
    /// The `Event-Name`.
    pub const NAME: &str = "offnet_req";
    /// The `Application-Name` of calls.
    pub const BRIDGE: &str = "bridge";
    /// The `Resource-Type` of calls.
    pub const AUDIO: &str = "audio";

    /// A call to this number.
    pub fn bridge(to_did: String) -> Self {
        Self {
            application_name: Self::BRIDGE.to_owned(),
            resource_type: Self::AUDIO.to_owned(),
            to_did,
            ..Self::default()
        }
    }

    /// `offnet.resource.req.<resource type>`.
    pub fn routing_key(&self) -> String {
        format!("offnet.resource.req.{}", self.resource_type)
    }

    /// This request in its envelope; add the `Server-ID` the answer shall go to.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new(Self::CATEGORY, Self::NAME),
            body: self,
        }
    }
}

/// "So ended the call you asked for." With the request's `Msg-ID`. Category `resource`, name `offnet_resp`. Sent by stepswitch.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OffnetResp {
    /// [`OffnetResp::SUCCESS`] once an answered call is over, else the hangup cause.
    #[serde(rename = "Response-Message", deserialize_with = "some_text")]
    pub message: String,
    /// The SIP code, as `sip:486`.
    #[serde(rename = "Response-Code", default, deserialize_with = "loose")]
    pub code: Option<String>,
    /// Why it could not be done, for people.
    #[serde(rename = "Error-Message", default, deserialize_with = "loose")]
    pub error: Option<String>,
    /// The A leg, as the request named it.
    #[serde(rename = "Call-ID", default, deserialize_with = "loose")]
    pub call_id: Option<CallId>,
}

impl OffnetResp {
    /// The `Event-Name`.
    pub const NAME: &str = "offnet_resp";
    /// The `Response-Message` of a call that was answered.
    pub const SUCCESS: &str = "SUCCESS";

    /// Whether somebody answered (Kazoo's `cf_resources`).
    pub fn answered(&self) -> bool {
        let cleared = self.message == "NORMAL_CLEARING";
        self.message == Self::SUCCESS
            || cleared && matches!(self.code.as_deref(), None | Some("sip:200"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answered_is_told_by_message_and_code_as_in_kazoo() {
        let ended = |message: &str, code: Option<&str>| {
            let (message, code) = (message.to_owned(), code.map(str::to_owned));
            let resp = OffnetResp {
                message,
                code,
                ..OffnetResp::default()
            };
            resp.answered()
        };
        assert!(ended("SUCCESS", None) && ended("SUCCESS", Some("sip:503")));
        assert!(ended("NORMAL_CLEARING", None) && ended("NORMAL_CLEARING", Some("sip:200")));
        assert!(!ended("NORMAL_CLEARING", Some("sip:480")));
        assert!(!ended("USER_BUSY", Some("sip:486")) && !ended("NO_ANSWER", None));
    }

    #[test]
    fn a_request_for_audio_goes_where_stepswitch_listens() {
        let request = OffnetReq::bridge("+4687012345".to_owned());
        assert_eq!(request.routing_key(), "offnet.resource.req.audio");
    }
}
