//! What a registrar tells others of its phones (Kazoo `kapi_registration`, exchange `registrar`).

use serde::{Deserialize, Serialize};

use crate::encode_word;
use crate::lenient::{loose, loose_or_default, some_text};

macro_rules! reg_success {
    ($($(#[$doc:meta])* $name:ident = $wire:literal;)*) => {
        /// "This phone is here now", for registrars and caches beside ours. Category `directory`, name `reg_success`.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub struct RegSuccess {
            /// SIP realm.
            #[serde(rename = "Realm", deserialize_with = "some_text")]
            pub realm: String,
            /// SIP user.
            #[serde(rename = "Username", deserialize_with = "some_text")]
            pub username: String,
            /// Where it is reached: a SIP URI.
            #[serde(rename = "Contact", deserialize_with = "some_text")]
            pub contact: String,
            /// Seconds it is good for.
            #[serde(rename = "Expires", default, deserialize_with = "loose_or_default")]
            pub expires_s: u64,
            /// When it registered, in gregorian seconds.
            #[serde(rename = "Event-Timestamp", default, deserialize_with = "loose_or_default")]
            pub timestamp: i64,
            $(
                $(#[$doc])*
                #[serde(rename = $wire, default, deserialize_with = "loose", skip_serializing_if = "Option::is_none")]
                pub $name: Option<String>,
            )*
        }
    };
}

reg_success! {
    /// The contact as it came.
    original_contact = "Original-Contact";
    /// The request URI that reaches it.
    bridge_ruri = "Bridge-RURI";
    /// `user@realm`.
    aor = "AOR";
    /// Its account.
    account_id = "Account-ID";
    /// The account's database.
    account_db = "Account-DB";
    /// The device.
    authorizing_id = "Authorizing-ID";
    /// The IP address it registered from.
    source_ip = "Source-IP";
    /// Its port.
    source_port = "Source-Port";
    /// Node name of the registrar that has it.
    registrar_node = "Registrar-Node";
    /// `Registered`.
    status = "Status";
}

impl RegSuccess {
    /// `registration.success.<realm>.<user>`.
    pub fn routing_key(&self) -> String {
        format!(
            "registration.success.{}.{}",
            encode_word(&self.realm),
            encode_word(&self.username)
        )
    }
}
