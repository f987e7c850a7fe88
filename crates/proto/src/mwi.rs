//! Message waiting: how many voicemail messages somebody has, for the lamps of phones (Kazoo `kapi_presence`, exchange
//! `presence`).

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_or_default, some_text};
use crate::{Envelope, Headers};
use crate::{encode_word, user_and_realm};

/// "So many messages wait there." Category `presence`, name `mwi_update` to those who asked to be told, or
/// `mwi_unsolicited_update` to a phone that never asked.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MwiUpdate {
    /// `user@realm`: a voicemail box's number or a phone's SIP user.
    #[serde(rename = "To", deserialize_with = "some_text")]
    pub to: String,
    /// Messages not listened to yet.
    #[serde(
        rename = "Messages-New",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub new: u64,
    /// Messages kept.
    #[serde(
        rename = "Messages-Saved",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub saved: u64,
    /// `yes` if any are new, else `no`.
    #[serde(rename = "Messages-Waiting", default, deserialize_with = "loose")]
    pub waiting: Option<String>,
    /// Whose messages they are: a SIP URI.
    #[serde(rename = "Message-Account", default, deserialize_with = "loose")]
    pub message_account: Option<String>,
}

impl MwiUpdate {
    /// The topic pattern of updates for those who asked.
    pub const ASKED: &str = "mwi_updates.*.*";
    /// The topic pattern of updates nobody asked for.
    pub const UNASKED: &str = "mwi_unsolicited_updates.*";

    /// So many messages for `user@realm`.
    pub fn new(user: &str, realm: &str, new: u64, saved: u64) -> Self {
        let to = format!("{user}@{realm}");
        Self {
            waiting: Some(if new > 0 { "yes" } else { "no" }.to_owned()),
            message_account: Some(format!("sip:{to}")),
            to,
            new,
            saved,
        }
    }

    /// User and realm.
    pub fn address(&self) -> (&str, &str) {
        user_and_realm(&self.to)
    }

    /// As an answer to those who asked: the routing key, and the update in its envelope.
    pub fn asked(self) -> (String, Envelope<Self>) {
        let (user, realm) = self.address();
        let key = format!("mwi_updates.{}.{}", encode_word(realm), encode_word(user));
        (key, self.named("mwi_update"))
    }

    /// As an update that nobody asked for: the routing key, and the update in its envelope.
    pub fn unasked(self) -> (String, Envelope<Self>) {
        let key = format!("mwi_unsolicited_updates.{}", encode_word(self.address().1));
        (key, self.named("mwi_unsolicited_update"))
    }

    fn named(self, name: &str) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("presence", name),
            body: self,
        }
    }
}

/// "How many messages wait there?" Answered by an [`MwiUpdate`] to everybody. Category `presence`, name `mwi_query`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MwiQuery {
    /// A voicemail box's number or a phone's SIP user.
    #[serde(rename = "Username", deserialize_with = "some_text")]
    pub username: String,
    /// SIP realm.
    #[serde(rename = "Realm", deserialize_with = "some_text")]
    pub realm: String,
}

impl MwiQuery {
    /// The topic pattern of all queries.
    pub const ALL: &str = "mwi_queries.*";

    /// `mwi_queries.<realm>`.
    pub fn routing_key(&self) -> String {
        format!("mwi_queries.{}", encode_word(&self.realm))
    }

    /// This query in its envelope.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("presence", "mwi_query"),
            body: self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_the_realm_first_as_kazoo_does() {
        let update = || MwiUpdate::new("1001", "acme.test", 2, 1);
        assert_eq!(update().asked().0, "mwi_updates.acme%2Etest.1001");
        assert_eq!(update().unasked().0, "mwi_unsolicited_updates.acme%2Etest");
        assert_eq!(update().waiting.as_deref(), Some("yes"));
        let none = MwiUpdate::new("1001", "acme.test", 0, 1);
        assert_eq!(none.waiting.as_deref(), Some("no"));
        assert_eq!(none.address(), ("1001", "acme.test"));
        let query = MwiQuery {
            username: "1001".to_owned(),
            realm: "acme.test".to_owned(),
        };
        assert_eq!(query.routing_key(), "mwi_queries.acme%2Etest");
    }
}
