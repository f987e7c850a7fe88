//! The three messages that give a new call to a controller: `route_req`, `route_resp`, `route_win` (Kazoo `kapi_route`).

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_or_default, some_text};
use crate::{AccountId, CallId, encode_word, user_and_realm};

/// "Who wants this call?" From a switch, on exchange `callmgr`, category `dialplan`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteReq {
    /// The A leg.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// Caller, as `user@realm`.
    #[serde(rename = "From", deserialize_with = "some_text")]
    pub from: String,
    /// Callee of the To header, as `user@realm`.
    #[serde(rename = "To", deserialize_with = "some_text")]
    pub to: String,
    /// Dialled number, as `user@realm`.
    #[serde(rename = "Request", deserialize_with = "some_text")]
    pub request: String,
    /// Caller's number.
    #[serde(
        rename = "Caller-ID-Number",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub caller_id_number: String,
    /// Caller's display name.
    #[serde(
        rename = "Caller-ID-Name",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub caller_id_name: String,
    /// `audio`.
    #[serde(
        rename = "Resource-Type",
        default = "audio",
        deserialize_with = "audio_unless"
    )]
    pub resource_type: String,
    /// `inbound`: into the switch.
    #[serde(
        rename = "Call-Direction",
        default = "inbound",
        deserialize_with = "inbound_unless"
    )]
    pub call_direction: String,
    /// The switch's node name.
    #[serde(
        rename = "Switch-Nodename",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub switch_nodename: String,
    /// The switch's host.
    #[serde(rename = "Switch-Hostname", default, deserialize_with = "loose")]
    pub switch_hostname: Option<String>,
    /// Where the switch takes calls, `sip:IP:PORT`.
    #[serde(rename = "Switch-URI", default, deserialize_with = "loose")]
    pub switch_uri: Option<String>,
    /// Its own contact, `sip:USER@IP:PORT`.
    #[serde(rename = "Switch-URL", default, deserialize_with = "loose")]
    pub switch_url: Option<String>,
    /// The IP address the INVITE came from.
    #[serde(rename = "From-Network-Addr", default, deserialize_with = "loose")]
    pub from_network_addr: Option<String>,
    /// Its port.
    #[serde(rename = "From-Network-Port", default, deserialize_with = "loose")]
    pub from_network_port: Option<String>,
    /// Tag of the From header (RFC 3261 §19.3).
    #[serde(rename = "From-Tag", default, deserialize_with = "loose")]
    pub from_tag: Option<String>,
    /// Tag of the To header.
    #[serde(rename = "To-Tag", default, deserialize_with = "loose")]
    pub to_tag: Option<String>,
    /// The phone's own name.
    #[serde(rename = "User-Agent", default, deserialize_with = "loose")]
    pub user_agent: Option<String>,
    /// `X-` headers of the INVITE.
    #[serde(
        rename = "Custom-SIP-Headers",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_sip_headers: Map<String, Value>,
    /// The account, where it is not a channel variable.
    #[serde(rename = "Account-ID", default, deserialize_with = "loose")]
    pub account: Option<String>,
    /// Ours: this switch records by forking RTP to whoever asks (docs/fork.md). Absent on switches of others, which
    /// record into files.
    #[serde(rename = "Media-Fork", default, deserialize_with = "loose")]
    pub media_fork: Option<bool>,
    /// Variables of the channel; `Account-ID`, `Authorizing-ID`, `Authorizing-Type`, `Owner-ID`, `Fetch-ID` matter.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub custom_channel_vars: Map<String, Value>,
    /// Variables of the application, handed on untouched.
    #[serde(
        rename = "Custom-Application-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_application_vars: Map<String, Value>,
}

fn audio() -> String {
    "audio".to_owned()
}

fn inbound() -> String {
    "inbound".to_owned()
}

fn audio_unless<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    loose(from).map(|kind| kind.unwrap_or_else(audio))
}

fn inbound_unless<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    loose(from).map(|way| way.unwrap_or_else(inbound))
}

impl RouteReq {
    /// Whether the switch is a Kazoo's, at which we are a guest: only ours says that it forks. The one place that decides so.
    pub fn is_foreign(&self) -> bool {
        self.media_fork != Some(true)
    }

    /// A request for an audio call into a switch, with no further field. All parties are `user@realm`.
    pub fn new(
        call_id: CallId,
        from: impl Into<String>,
        to: impl Into<String>,
        request: impl Into<String>,
    ) -> Self {
        Self {
            call_id,
            from: from.into(),
            to: to.into(),
            request: request.into(),
            caller_id_number: String::new(),
            caller_id_name: String::new(),
            resource_type: audio(),
            call_direction: inbound(),
            switch_nodename: String::new(),
            switch_hostname: None,
            switch_uri: None,
            switch_url: None,
            from_network_addr: None,
            from_network_port: None,
            from_tag: None,
            to_tag: None,
            user_agent: None,
            custom_sip_headers: Map::new(),
            account: None,
            media_fork: None,
            custom_channel_vars: Map::new(),
            custom_application_vars: Map::new(),
        }
    }

    /// A channel variable that is a string.
    pub fn channel_var(&self, name: &str) -> Option<&str> {
        self.custom_channel_vars.get(name).and_then(Value::as_str)
    }

    /// The account the call belongs to, if the channel carries a well-formed one.
    pub fn account_id(&self) -> Option<AccountId> {
        let account = self.account.as_deref();
        AccountId::parse(account.or_else(|| self.channel_var("Account-ID"))?).ok()
    }

    /// The dialled user part.
    pub fn dialled(&self) -> &str {
        self.request.split('@').next().unwrap_or_default()
    }

    /// `route.req.audio.<account>`, or `route.req.audio.<realm>.<user>` of the caller when no account is known.
    pub fn routing_key(&self) -> String {
        let kind = encode_word(&self.resource_type);
        let account = self.account.as_deref();
        if let Some(account) = account.or_else(|| self.channel_var("Account-ID")) {
            return format!("route.req.{kind}.{}", encode_word(account));
        }
        let (user, realm) = user_and_realm(&self.from);
        format!(
            "route.req.{kind}.{}.{}",
            encode_word(realm),
            encode_word(user)
        )
    }
}

/// What the answering application offers to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteMethod {
    /// Park the channel and control it.
    Park,
    /// Refuse the call with `Route-Error-Code`.
    Error,
    /// What others may offer and our switch passes over: `bridge`, `sms`, `plan`, `application`. Never sent.
    #[serde(other)]
    Other,
}

/// "I do." To the asking switch's queue on exchange `targeted`; its `Msg-ID` is the request's.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteResp {
    /// Park or refuse.
    #[serde(rename = "Method")]
    pub method: RouteMethod,
    /// `none`, `ring_ready` or `answer`: what the switch does before parking.
    #[serde(rename = "Pre-Park", default, deserialize_with = "loose")]
    pub pre_park: Option<String>,
    /// Always empty for a park.
    #[serde(rename = "Routes", default, deserialize_with = "loose_or_default")]
    pub routes: Vec<Value>,
    /// SIP code of a refusal, such as `"404"`.
    #[serde(rename = "Route-Error-Code", default, deserialize_with = "loose")]
    pub route_error_code: Option<String>,
    /// SIP reason phrase of a refusal.
    #[serde(rename = "Route-Error-Message", default, deserialize_with = "loose")]
    pub route_error_message: Option<String>,
    /// The account's realm.
    #[serde(rename = "From-Realm", default, deserialize_with = "loose")]
    pub from_realm: Option<String>,
    /// Set on the channel before it is parked.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_channel_vars: Map<String, Value>,
    /// Variables of the application, set likewise.
    #[serde(
        rename = "Custom-Application-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_application_vars: Map<String, Value>,
}

impl RouteResp {
    /// An answer by this method, with no further field.
    pub fn new(method: RouteMethod) -> Self {
        Self {
            method,
            pre_park: None,
            routes: Vec::new(),
            route_error_code: None,
            route_error_message: None,
            from_realm: None,
            custom_channel_vars: Map::new(),
            custom_application_vars: Map::new(),
        }
    }
}

/// "It is yours." To the winner's queue on exchange `targeted`; its `Msg-ID` is the Call-ID.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteWin {
    /// The won call.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// Where commands for it go: routing key on exchange `callctl`.
    #[serde(rename = "Control-Queue", deserialize_with = "some_text")]
    pub control_queue: String,
    /// The host of the switch that has the call.
    #[serde(rename = "Switch-Hostname", default, deserialize_with = "loose")]
    pub switch_hostname: Option<String>,
    /// The channel's variables now.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub custom_channel_vars: Map<String, Value>,
}
