//! Kazoo's account documents, as far as Callreel reads them. Unknown fields are kept by the store, not here.

use serde_json::{Map, Value, json};

use crate::{AccountId, lenient_bool, lenient_u64};

/// Values of `pvt_type`.
pub mod pvt_type {
    /// A user.
    pub const USER: &str = "user";
    /// A device.
    pub const DEVICE: &str = "device";
    /// A callflow.
    pub const CALLFLOW: &str = "callflow";
    /// A voicemail box.
    pub const VMBOX: &str = "vmbox";
    /// An account.
    pub const ACCOUNT: &str = "account";
    /// A media file.
    pub const MEDIA: &str = "media";
    /// A parking slot.
    pub const PARKED_CALL: &str = "parked_call";
    /// An auto-attendant.
    pub const MENU: &str = "menu";
    /// Users who can be called by name.
    pub const DIRECTORY: &str = "directory";
    /// When something holds.
    pub const TEMPORAL_RULE: &str = "temporal_rule";
    /// Several of them.
    pub const TEMPORAL_RULE_SET: &str = "temporal_rule_set";
    /// A list of callers.
    pub const LIST: &str = "list";
    /// One of them.
    pub const LIST_ENTRY: &str = "list_entry";
    /// Users and devices that are rung together.
    pub const GROUP: &str = "group";
    /// A trunk to the public network.
    pub const RESOURCE: &str = "resource";
    /// A number of the public network, and whose it is.
    pub const NUMBER: &str = "number";
    /// Where an account wants to be told of events.
    pub const WEBHOOK: &str = "webhook";
    /// A recording's metadata.
    pub const CALL_RECORDING: &str = "call_recording";
    /// Where recordings and other attachments go.
    pub const STORAGE: &str = "storage";
    /// A voicemail message's metadata.
    pub const MAILBOX_MESSAGE: &str = "mailbox_message";
    /// A request to a Pivot server, or what it answered.
    pub const PIVOT_DEBUG: &str = "pivot_debug";
}

/// Names of an account's databases (Kazoo's "unencoded" form, `account/ab/cd/…`).
pub struct AccountDb;

impl AccountDb {
    /// The account's own database.
    pub fn name(account: &AccountId) -> String {
        let id = account.as_str();
        format!("account/{}/{}/{}", &id[..2], &id[2..4], &id[4..])
    }
}

/// The account's database of one month, `YYYYMM`.
pub fn month_db(account: &AccountId, month: &str) -> String {
    format!("{}-{month}", AccountDb::name(account))
}

pub(crate) fn text(doc: &Value, pointer: &str) -> Option<String> {
    doc.pointer(pointer)
        .and_then(Value::as_str)
        .filter(|s| !s.is_empty())
        .map(str::to_owned)
}

pub(crate) fn flag(doc: &Value, pointer: &str, default: bool) -> bool {
    doc.pointer(pointer)
        .and_then(lenient_bool)
        .unwrap_or(default)
}

fn map(doc: &Value, pointer: &str) -> Map<String, Value> {
    let found = doc.pointer(pointer).and_then(Value::as_object);
    found.cloned().unwrap_or_default()
}

/// A user's or device's `call_recording`. Where there is none, Kazoo's older `record_call` is read: `true`, or an object that
/// says so, means every call.
fn endpoint_recording(doc: &Value) -> Value {
    if let Some(tree) = doc.get("call_recording").filter(|tree| !tree.is_null()) {
        return tree.clone();
    }
    let mut settings = match doc.get("record_call") {
        Some(Value::Object(settings)) => settings.clone(),
        Some(all) if lenient_bool(all) == Some(true) => {
            Map::from_iter([("record_call".to_owned(), json!(true))])
        }
        _ => return Value::Null,
    };
    let said = settings.remove("record_call");
    let starts = settings.remove("action").is_some_and(|a| a == "start");
    if said.as_ref().and_then(lenient_bool).unwrap_or(starts) {
        settings.insert("enabled".to_owned(), json!(true));
        return json!({"any": {"any": settings}});
    }
    Value::Null
}

/// An account document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its SIP realm.
    pub realm: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Disabled accounts get no service.
    pub enabled: bool,
    /// What the account wants recorded, as the document has it; null if it says nothing.
    pub call_recording: Value,
    /// How its phones ring: `internal` and `external`, an `Alert-Info` each.
    pub ringtones: Map<String, Value>,
    /// What those hear whom its phones hold: `music_on_hold.media_id`.
    pub hold_media: Option<String>,
}

impl Account {
    /// Reads the fields Callreel needs.
    pub fn read(doc: &Value) -> Self {
        Self {
            realm: text(doc, "/realm"),
            name: text(doc, "/name"),
            enabled: flag(doc, "/enabled", true),
            call_recording: doc.get("call_recording").cloned().unwrap_or_default(),
            ringtones: map(doc, "/ringtones"),
            hold_media: text(doc, "/music_on_hold/media_id"),
        }
    }

    /// `call_recording.public_key`: to whom the account's recordings are sealed. What is no text is given as it stands, so that
    /// whoever uses it says that it is no key.
    pub fn public_key(&self) -> Option<String> {
        match self.call_recording.get("public_key")? {
            Value::Null => None,
            Value::String(key) => Some(key.trim().to_owned()).filter(|key| !key.is_empty()),
            other => Some(other.to_string()),
        }
    }
}

/// A user document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Document id.
    pub id: String,
    /// First and last name, or the username.
    pub name: Option<String>,
    /// Disabled users are not rung.
    pub enabled: bool,
    /// Do not disturb.
    pub do_not_disturb: bool,
    /// Which calls of the user's devices are recorded, as the document has it; null if it says nothing.
    pub call_recording: Value,
    /// Where the user's calls are forwarded, as the document has it.
    pub call_forward: Map<String, Value>,
    /// How phones ring for the user: `internal` and `external`, an `Alert-Info` each.
    pub ringtones: Map<String, Value>,
    /// What those hear whom the user's phones hold: `music_on_hold.media_id`.
    pub hold_media: Option<String>,
}

impl User {
    /// Reads the fields Callreel needs.
    pub fn read(doc: &Value) -> Self {
        let full = [text(doc, "/first_name"), text(doc, "/last_name")]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
        Self {
            id: text(doc, "/_id").unwrap_or_default(),
            name: Some(full)
                .filter(|n| !n.is_empty())
                .or_else(|| text(doc, "/username")),
            enabled: flag(doc, "/enabled", true),
            do_not_disturb: flag(doc, "/do_not_disturb/enabled", false),
            call_recording: endpoint_recording(doc),
            call_forward: map(doc, "/call_forward"),
            ringtones: map(doc, "/ringtones"),
            hold_media: text(doc, "/music_on_hold/media_id"),
        }
    }
}

/// A device document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Document id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// The user it belongs to.
    pub owner_id: Option<String>,
    /// Disabled devices neither call nor ring.
    pub enabled: bool,
    /// Do not disturb.
    pub do_not_disturb: bool,
    /// Whether the phone is told of waiting messages without having asked (`mwi_unsolicited_updates`); true unless it says otherwise.
    pub mwi_unsolicited: bool,
    /// SIP username.
    pub username: Option<String>,
    /// SIP password.
    pub password: Option<String>,
    /// SIP realm, when it is not the account's.
    pub realm: Option<String>,
    /// `username`, `route`, …
    pub invite_format: String,
    /// SIP URI for `route`.
    pub route: Option<String>,
    /// Codec names in order of preference, such as `PCMU`.
    pub codecs: Vec<String>,
    /// Headers of INVITEs to it.
    pub custom_sip_headers: Map<String, Value>,
    /// Which of its calls are recorded, as the document has it; null if it says nothing.
    pub call_recording: Value,
    /// Where its calls are forwarded, as the document has it.
    pub call_forward: Map<String, Value>,
    /// How it rings: `internal` and `external`, an `Alert-Info` each.
    pub ringtones: Map<String, Value>,
    /// What those hear whom it holds: `music_on_hold.media_id`.
    pub hold_media: Option<String>,
    /// What it sends before it answers is not passed on.
    pub ignore_early_media: bool,
    /// Seconds it may take until it rings.
    pub progress_timeout_s: Option<u64>,
}

impl Device {
    /// Reads the fields Callreel needs.
    pub fn read(doc: &Value) -> Self {
        let codecs = doc
            .pointer("/media/audio/codecs")
            .and_then(Value::as_array)
            .map(|names| {
                names
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default();
        Self {
            id: text(doc, "/_id").unwrap_or_default(),
            name: text(doc, "/name"),
            owner_id: text(doc, "/owner_id"),
            enabled: flag(doc, "/enabled", true),
            do_not_disturb: flag(doc, "/do_not_disturb/enabled", false),
            mwi_unsolicited: flag(doc, "/mwi_unsolicited_updates", true),
            username: text(doc, "/sip/username"),
            password: text(doc, "/sip/password"),
            realm: text(doc, "/sip/realm"),
            invite_format: text(doc, "/sip/invite_format").unwrap_or_else(|| "username".into()),
            route: text(doc, "/sip/route"),
            codecs,
            custom_sip_headers: map(doc, "/sip/custom_sip_headers"),
            call_recording: endpoint_recording(doc),
            call_forward: map(doc, "/call_forward"),
            ringtones: map(doc, "/ringtones"),
            hold_media: text(doc, "/music_on_hold/media_id"),
            ignore_early_media: flag(doc, "/media/ignore_early_media", false),
            progress_timeout_s: doc
                .pointer("/media/progress_timeout")
                .and_then(lenient_u64)
                .filter(|s| *s > 0),
        }
    }
}

/// Kazoo's `system_config/media`, with Kazoo's defaults. A key is looked up in the document's `default` section, then
/// at its top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaConfig {
    /// Longest recording, seconds; 10800 by default.
    pub max_recording_time_limit: u64,
    /// Whether recordings without a `url` go into the account's database, or where its storage plan says; false by default.
    pub store_recordings: bool,
    /// Shorter recordings are discarded, seconds; 0 by default.
    pub record_min_sec: u64,
    /// Format when an action names none; `mp3` by default.
    pub call_recording_extension: String,
    /// Language of prompts where neither the call nor its account has one; `en-us` by default.
    pub default_language: String,
    /// Whether an account's own media documents stand in for the system's prompts; true by default.
    pub support_account_overrides: bool,
}

impl MediaConfig {
    /// Reads the document; `Value::Null` gives the defaults.
    pub fn read(doc: &Value) -> Self {
        let find = |path: &str| {
            doc.pointer(&format!("/default{path}"))
                .or_else(|| doc.pointer(path))
        };
        Self {
            max_recording_time_limit: find("/max_recording_time_limit")
                .and_then(lenient_u64)
                .filter(|s| *s > 0)
                .unwrap_or(10_800),
            store_recordings: find("/store_recordings")
                .and_then(lenient_bool)
                .unwrap_or(false),
            record_min_sec: find("/record_min_sec").and_then(lenient_u64).unwrap_or(0),
            call_recording_extension: find("/call_recording/extension")
                .or_else(|| find("/call_recording.extension"))
                .and_then(Value::as_str)
                .unwrap_or("mp3")
                .to_owned(),
            default_language: find("/default_language")
                .and_then(Value::as_str)
                .unwrap_or("en-us")
                .to_lowercase(),
            support_account_overrides: find("/support_account_overrides")
                .and_then(lenient_bool)
                .unwrap_or(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_of_any_kind_is_told_and_only_no_key_is_none() {
        let of = |key: Value| {
            let doc = json!({"call_recording": {"public_key": key}});
            Account::read(&doc).public_key()
        };
        assert_eq!(of(json!(" age1x\n")).as_deref(), Some("age1x"));
        assert_eq!(of(json!(["age1x"])).as_deref(), Some("[\"age1x\"]"));
        assert_eq!(of(json!(false)).as_deref(), Some("false"));
        for none in [json!(""), json!(" "), Value::Null] {
            assert_eq!(of(none), None);
        }
        assert_eq!(Account::read(&json!({})).public_key(), None);
    }

    #[test]
    fn the_older_word_for_recording_every_call_is_still_read() {
        let of = |doc: Value| Device::read(&doc).call_recording;
        let all = json!({"any": {"any": {"enabled": true}}});
        assert_eq!(of(json!({"record_call": true})), all);
        assert_eq!(of(json!({"record_call": {"action": "start"}})), all);
        assert_eq!(
            of(json!({"record_call": {"record_call": "true", "format": "wav"}})),
            json!({"any": {"any": {"enabled": true, "format": "wav"}}})
        );
        for nothing in [
            json!(false),
            json!({}),
            json!({"record_call": false, "action": "start"}),
        ] {
            assert_eq!(of(json!({"record_call": nothing})), Value::Null);
        }
        let newer = json!({"call_recording": {}, "record_call": true});
        assert_eq!(User::read(&newer).call_recording, json!({}));
    }

    #[test]
    fn databases_are_named_as_kazoo_names_them() {
        let account = AccountId::parse("abcd0123456789abcdef0123456789ab").unwrap();
        assert_eq!(
            AccountDb::name(&account),
            "account/ab/cd/0123456789abcdef0123456789ab"
        );
        assert_eq!(
            month_db(&account, "202403"),
            "account/ab/cd/0123456789abcdef0123456789ab-202403"
        );
    }

    #[test]
    fn media_settings_are_found_in_the_default_section_and_at_the_top() {
        let config = MediaConfig::read(
            &json!({"default": {"store_recordings": "true"}, "max_recording_time_limit": 60}),
        );
        assert!(config.store_recordings);
        assert_eq!(config.max_recording_time_limit, 60);
        assert_eq!(
            MediaConfig::read(&Value::Null).max_recording_time_limit,
            10_800
        );
    }
}
