//! Voicemail boxes and their messages, as far as Callreel reads their documents.

use serde::Serialize;
use serde_json::Value;

use crate::{
    Secret,
    document::{flag, text},
    lenient_bool, lenient_u64,
};

/// A voicemail box document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vmbox {
    /// Document id.
    pub id: String,
    /// Its number.
    pub mailbox: Option<String>,
    /// The user it belongs to.
    pub owner_id: Option<String>,
    /// Media document of the greeting, if one was recorded.
    pub unavailable: Option<String>,
    /// Media document of the greeting for the time being, which comes before every other.
    pub temporary: Option<String>,
    /// Media document of the owner's spoken name.
    pub name: Option<String>,
    /// Callers hear the greeting and leave no message.
    pub announcement_only: bool,
    /// No greeting at all.
    pub skip_greeting: bool,
    /// No instructions after the greeting.
    pub skip_instructions: bool,
    /// When a message came in is not said.
    pub skip_envelope: bool,
    /// A prompt before the greeting says that it is one.
    pub play_greeting_intro: bool,
    /// Without a greeting, one prompt for all boxes instead of the box's number.
    pub use_person_not_available: bool,
    /// Messages it may hold; 0 is no limit, none is as many as the system says.
    pub max_message_count: Option<u64>,
    /// Longest message, seconds.
    pub max_message_length: Option<u64>,
    /// File format of messages.
    pub media_extension: Option<String>,
    /// The code that opens it.
    pub pin: Option<Secret>,
    /// The owner's own phones need it too.
    pub require_pin: bool,
    /// An owner who would leave a message hears those that are there; none if the box does not say.
    pub check_if_owner: Option<bool>,
    /// The owner has been through the first settings.
    pub is_setup: bool,
    /// There are no settings by phone.
    pub not_configurable: bool,
    /// Messages are played in the order they came.
    pub oldest_message_first: bool,
    /// Where the owner is, an IANA name.
    pub timezone: Option<String>,
    /// Between two keys of the caller, milliseconds.
    pub interdigit_timeout: Option<u64>,
    /// What becomes of a message that somebody was told of.
    pub after_notify: AfterNotify,
}

/// What becomes of a message of which somebody was told, with the message itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterNotify {
    /// It stays new.
    #[default]
    Nothing,
    /// It is kept among the saved ones.
    Save,
    /// It is deleted.
    Delete,
}

impl Vmbox {
    /// Reads the fields Callreel needs.
    pub fn read(doc: &Value) -> Self {
        let whole = |pointer: &str| doc.pointer(pointer).and_then(lenient_u64);
        Self {
            id: text(doc, "/_id").unwrap_or_default(),
            mailbox: words(doc, "/mailbox"),
            owner_id: text(doc, "/owner_id"),
            unavailable: text(doc, "/media/unavailable"),
            temporary: text(doc, "/media/temporary_unavailable"),
            name: text(doc, "/media/name"),
            announcement_only: flag(doc, "/announcement_only", false),
            skip_greeting: flag(doc, "/skip_greeting", false),
            skip_instructions: flag(doc, "/skip_instructions", false),
            skip_envelope: flag(doc, "/skip_envelope", false),
            play_greeting_intro: flag(doc, "/play_greeting_intro", false),
            use_person_not_available: flag(doc, "/use_person_not_available", false),
            max_message_count: whole("/max_message_count"),
            max_message_length: whole("/max_message_length").filter(|s| *s > 0),
            media_extension: text(doc, "/media_extension"),
            pin: words(doc, "/pin").map(Secret::new),
            require_pin: flag(doc, "/require_pin", false),
            check_if_owner: doc.get("check_if_owner").and_then(lenient_bool),
            is_setup: flag(doc, "/is_setup", false),
            not_configurable: flag(doc, "/not_configurable", false),
            oldest_message_first: flag(doc, "/oldest_message_first", false),
            timezone: text(doc, "/timezone"),
            interdigit_timeout: whole("/interdigit_timeout"),
            after_notify: AfterNotify::read(doc),
        }
    }

    /// Media document of what callers hear.
    pub fn greeting(&self) -> Option<&str> {
        self.temporary.as_deref().or(self.unavailable.as_deref())
    }
}

impl AfterNotify {
    /// `save_after_notify` comes before `delete_after_notify`.
    fn read(doc: &Value) -> Self {
        if flag(doc, "/save_after_notify", false) {
            return Self::Save;
        }
        match flag(doc, "/delete_after_notify", false) {
            true => Self::Delete,
            false => Self::Nothing,
        }
    }
}

/// A text, or a number's digits: people write both.
fn words(doc: &Value, pointer: &str) -> Option<String> {
    let number = || doc.pointer(pointer).and_then(Value::as_u64);
    text(doc, pointer).or_else(|| number().map(|n| n.to_string()))
}

/// Where a message of a box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Folder {
    /// Not listened to yet.
    New,
    /// Listened to and kept.
    Saved,
    /// Deleted, and still there for whoever can list it.
    Deleted,
}

impl Folder {
    /// As documents have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Saved => "saved",
            Self::Deleted => "deleted",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_temporary_greeting_comes_before_the_usual_one() {
        let greeting = |media: Value| {
            let vmbox = Vmbox::read(&json!({"_id": "b", "media": media}));
            vmbox.greeting().map(str::to_owned)
        };
        assert_eq!(greeting(json!({})), None);
        assert_eq!(greeting(json!({"unavailable": "u"})).as_deref(), Some("u"));
        let both = json!({"unavailable": "u", "temporary_unavailable": "t"});
        assert_eq!(greeting(both).as_deref(), Some("t"));
    }

    #[test]
    fn saving_after_a_notification_comes_before_deleting() {
        let after = |doc: Value| Vmbox::read(&doc).after_notify;
        assert_eq!(after(json!({})), AfterNotify::Nothing);
        let delete = json!({"delete_after_notify": "true"});
        assert_eq!(after(delete), AfterNotify::Delete);
        let both = json!({"delete_after_notify": true, "save_after_notify": true});
        assert_eq!(after(both), AfterNotify::Save);
    }

    #[test]
    fn numbers_and_pins_may_be_written_as_numbers_and_pins_are_shown_to_nobody() {
        let vmbox = Vmbox::read(&json!({"mailbox": 1001, "pin": 4711}));
        assert_eq!(vmbox.mailbox.as_deref(), Some("1001"));
        assert_eq!(vmbox.pin, Some(Secret::new("4711")));
        assert!(!format!("{vmbox:?}").contains("4711"), "{vmbox:?}");
    }
}
