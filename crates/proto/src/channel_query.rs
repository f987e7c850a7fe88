//! "Which channels are there?", asked of every switch in four ways (Kazoo `kapi_call`, exchange `callevt`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::encode_word;
use crate::lenient::{loose, loose_or_default};

/// By what channels are looked for: the request's `Event-Name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelQuery {
    /// `query_auth_id_req`: channels of one device.
    AuthId,
    /// `query_user_channels_req`: channels of SIP users of a realm, or of devices.
    User,
    /// `query_account_channels_req`: channels of an account.
    Account,
    /// `query_channels_req`: all channels, or one.
    All,
}

impl ChannelQuery {
    /// Every way to ask.
    pub const ALL: [Self; 4] = [Self::AuthId, Self::User, Self::Account, Self::All];

    /// The way this `Event-Name` asks.
    pub fn of(event_name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|way| way.request() == event_name)
    }

    /// The request's `Event-Name`.
    pub fn request(self) -> &'static str {
        match self {
            Self::AuthId => "query_auth_id_req",
            Self::User => "query_user_channels_req",
            Self::Account => "query_account_channels_req",
            Self::All => "query_channels_req",
        }
    }

    /// The answer's `Event-Name`.
    pub fn response(self) -> &'static str {
        match self {
            Self::AuthId => "query_auth_id_resp",
            Self::User => "query_user_channels_resp",
            Self::Account => "query_account_channels_resp",
            Self::All => "query_channels_resp",
        }
    }
}

macro_rules! channel_query_req {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $wire:literal;)*) => {
        /// A request for channels. Category `call_event`; only the fields that fit the way are there. To every switch; each
        /// answers for itself.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        pub struct ChannelQueryReq {
            $(
                $(#[$doc])*
                #[serde(rename = $wire, default, deserialize_with = "loose", skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
            /// SIP users, where there is no single one.
            #[serde(rename = "Usernames", default, deserialize_with = "loose_or_default", skip_serializing_if = "Vec::is_empty")]
            pub usernames: Vec<String>,
            /// Devices.
            #[serde(rename = "Authorizing-IDs", default, deserialize_with = "loose_or_default", skip_serializing_if = "Vec::is_empty")]
            pub authorizing_ids: Vec<String>,
        }
    };
}

channel_query_req! {
    /// The device.
    auth_id: String = "Auth-ID";
    /// The account.
    account_id: String = "Account-ID";
    /// SIP realm of the users.
    realm: String = "Realm";
    /// SIP user.
    username: String = "Username";
    /// The one channel wanted.
    call_id: String = "Call-ID";
    /// `"all"`, or the names of the fields wanted; none when absent.
    fields: Value = "Fields";
    /// A switch that finds nothing stays silent. When absent, true for users, false otherwise.
    active_only: bool = "Active-Only";
}

impl ChannelQueryReq {
    /// `call.status_req.<what is asked for>`.
    pub fn routing_key(&self, way: ChannelQuery) -> String {
        let word = match way {
            ChannelQuery::AuthId => self.auth_id.clone(),
            ChannelQuery::Account => self.account_id.clone(),
            ChannelQuery::All => Some("channels".to_owned()),
            ChannelQuery::User => self
                .username
                .as_ref()
                .or_else(|| self.usernames.first())
                .map(|user| format!("{user}:{}", self.realm.as_deref().unwrap_or_default())),
        };
        format!("call.status_req.{}", encode_word(&word.unwrap_or_default()))
    }
}

/// The channels found: to [`ChannelQuery::All`] by Call-ID, to the other ways as a list. Each is an object with the keys of
/// Kazoo's channel table, such as `Call-ID`, `Account-ID`, `Answered`, `Other-Leg-Call-ID`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FoundChannels {
    /// One after the other.
    List(Vec<Map<String, Value>>),
    /// By Call-ID.
    ByCallId(BTreeMap<String, Map<String, Value>>),
}

/// The answer, on `targeted`: the request's `Msg-ID`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelQueryResp {
    /// What was found on this switch.
    #[serde(rename = "Channels")]
    pub channels: FoundChannels,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_heard_where_kazoo_asks() {
        let asked = ChannelQueryReq {
            username: Some("204".into()),
            realm: Some("north.example.com".into()),
            ..ChannelQueryReq::default()
        };
        for (way, key) in [
            (
                ChannelQuery::User,
                "call.status_req.204%3Anorth%2Eexample%2Ecom",
            ),
            (ChannelQuery::All, "call.status_req.channels"),
            (ChannelQuery::Account, "call.status_req."),
        ] {
            assert_eq!(asked.routing_key(way), key);
            assert!(crate::topic_matches(crate::ChannelStatusReq::PATTERN, key));
            assert_eq!(ChannelQuery::of(way.request()), Some(way));
        }
    }
}
