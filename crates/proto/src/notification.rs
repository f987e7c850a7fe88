//! What a person may want to be told of, for whoever writes the mails (Kazoo `kapi_notifications`, exchange `notifications`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient::loose;
use crate::{AccountId, CallId, Envelope, Headers};

/// What happened. A calls node says so, except where it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationName {
    /// A caller from outside has gone, and nobody spoke with them.
    MissedCall,
    /// A caller left a message.
    VoicemailNew,
    /// A message was kept.
    VoicemailSaved,
    /// A message could not be left: the box is full.
    VoicemailFull,
}

impl NotificationName {
    /// The `Event-Name`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissedCall => "missed_call",
            Self::VoicemailNew => "voicemail_new",
            Self::VoicemailSaved => "voicemail_saved",
            Self::VoicemailFull => "voicemail_full",
        }
    }

    /// Kazoo's routing key; it names no account.
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::MissedCall => "notifications.sip.missed_call",
            Self::VoicemailNew => "notifications.voicemail.new",
            Self::VoicemailSaved => "notifications.voicemail.saved",
            Self::VoicemailFull => "notifications.voicemail.full",
        }
    }

    /// What goes by this `Event-Name`, if it is one of ours.
    pub fn of(name: &str) -> Option<Self> {
        let all = [
            Self::MissedCall,
            Self::VoicemailNew,
            Self::VoicemailSaved,
            Self::VoicemailFull,
        ];
        all.into_iter().find(|one| one.name() == name)
    }
}

macro_rules! notification {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $wire:literal;)*) => {
        /// A notification; which fields it has, its [`NotificationName`] decides. Exchange `notifications`, category
        /// `notification`.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Notification {
            /// Whose call it was.
            #[serde(rename = "Account-ID")]
            pub account_id: AccountId,
            $(
                $(#[$doc])*
                #[serde(rename = $wire, default, deserialize_with = "loose", skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
        }

        impl Notification {
            /// A notification that says nothing yet.
            pub fn new(account_id: AccountId) -> Self {
                Self { account_id, $($name: None),* }
            }
        }
    };
}

notification! {
    /// The call.
    call_id: CallId = "Call-ID";
    /// Caller's SIP user.
    from_user: String = "From-User";
    /// Caller's SIP realm.
    from_realm: String = "From-Realm";
    /// Callee's SIP user, as the caller wrote it.
    to_user: String = "To-User";
    /// Callee's SIP realm.
    to_realm: String = "To-Realm";
    /// Caller's name.
    caller_id_name: String = "Caller-ID-Name";
    /// Caller's number.
    caller_id_number: String = "Caller-ID-Number";
    /// Mail addresses to write to; those of the account's settings when absent.
    to: Vec<String> = "To";
    /// When it happened, gregorian seconds.
    timestamp: i64 = "Timestamp";
    /// The event that ended the call.
    notify: Map<String, Value> = "Notify";
    /// Whether somebody spoke with the caller.
    call_bridged: bool = "Call-Bridged";
    /// Whether the caller left a message.
    message_left: bool = "Message-Left";
    /// The voicemail box's document.
    voicemail_box: String = "Voicemail-Box";
    /// The message's document.
    voicemail_id: String = "Voicemail-ID";
    /// When the message was left, gregorian seconds.
    voicemail_timestamp: i64 = "Voicemail-Timestamp";
    /// Its length, milliseconds.
    voicemail_length_ms: u64 = "Voicemail-Length";
    /// What was said in it.
    voicemail_transcription: Map<String, Value> = "Voicemail-Transcription";
    /// How many messages the box may hold.
    max_message_count: u64 = "Max-Message-Count";
    /// How many it holds.
    message_count: u64 = "Message-Count";
}

impl Notification {
    /// The topic pattern that hears every notification, those of other applications too.
    pub const ALL: &str = "notifications.#";

    /// This notification in its envelope.
    pub fn into_envelope(self, name: NotificationName) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("notification", name.name()),
            body: self,
        }
    }
}
