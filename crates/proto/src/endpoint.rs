//! One place a bridge may ring (Kazoo's endpoint object).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_by_serde, loose_or_default, some_text, spelled};
use crate::{CallId, Secret};

/// One place a bridge may ring.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// `username`: resolve `To-Username`@`To-Realm` by registration. `route`: use `Route` as the request URI. `loopback`: run the
    /// callflow that the account in `Account-ID` of its variables has for the number in `Route`; so does `route` with
    /// `loopback/NUMBER`.
    #[serde(rename = "Invite-Format", deserialize_with = "some_text")]
    pub invite_format: String,
    /// User part of the request URI, when it differs from the registration's.
    #[serde(rename = "To-User", default, deserialize_with = "loose")]
    pub to_user: Option<String>,
    /// SIP username of the device.
    #[serde(rename = "To-Username", default, deserialize_with = "loose")]
    pub to_username: Option<String>,
    /// SIP realm of the device.
    #[serde(rename = "To-Realm", default, deserialize_with = "loose")]
    pub to_realm: Option<String>,
    /// A SIP URI, for `route`; a number, for `loopback`.
    #[serde(rename = "Route", default, deserialize_with = "loose")]
    pub route: Option<String>,
    /// Seconds before this endpoint is rung; a string, as Kazoo's senders write it.
    #[serde(
        rename = "Endpoint-Delay",
        default,
        deserialize_with = "loose",
        serialize_with = "spelled"
    )]
    pub delay_s: Option<u64>,
    /// Seconds this endpoint is rung; a string, too.
    #[serde(
        rename = "Endpoint-Timeout",
        default,
        deserialize_with = "loose",
        serialize_with = "spelled"
    )]
    pub timeout_s: Option<u64>,
    /// Seconds it may take until this endpoint rings or can be heard; a string, too.
    #[serde(
        rename = "Endpoint-Progress-Timeout",
        default,
        deserialize_with = "loose",
        serialize_with = "spelled"
    )]
    pub progress_timeout_s: Option<u64>,
    /// The caller hears ringing, whatever this endpoint sends before it answers.
    #[serde(rename = "Ignore-Early-Media", default, deserialize_with = "loose")]
    pub ignore_early_media: Option<bool>,
    /// Caller's name as this endpoint sees it.
    #[serde(
        rename = "Outbound-Caller-ID-Name",
        default,
        deserialize_with = "loose"
    )]
    pub caller_id_name: Option<String>,
    /// Caller's number as this endpoint sees it.
    #[serde(
        rename = "Outbound-Caller-ID-Number",
        default,
        deserialize_with = "loose"
    )]
    pub caller_id_number: Option<String>,
    /// The number that was dialled to get here.
    #[serde(rename = "To-DID", default, deserialize_with = "loose")]
    pub to_did: Option<String>,
    /// Codecs to offer it, by Kazoo's names; those of its registration or of the switch when empty.
    #[serde(
        rename = "Codecs",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub codecs: Vec<String>,
    /// Whom the B leg's INVITE says to be, when it is asked (a trunk's `username`).
    #[serde(rename = "Auth-User", default, deserialize_with = "loose")]
    pub auth_user: Option<String>,
    /// And the password.
    #[serde(rename = "Auth-Password", default, deserialize_with = "loose")]
    pub auth_password: Option<Secret>,
    /// The B leg's Call-ID, so that its orderer knows it by its events; the switch's own choice when absent. Where several
    /// phones are registered, the second has it with `-2` at its end, and so on.
    #[serde(rename = "Outbound-Call-ID", default, deserialize_with = "loose")]
    pub outbound_call_id: Option<CallId>,
    /// Variables of the B leg.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_channel_vars: Map<String, Value>,
    /// Headers of the B leg's INVITE.
    #[serde(
        rename = "Custom-SIP-Headers",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_sip_headers: Map<String, Value>,
}

loose_by_serde!(Endpoint);
