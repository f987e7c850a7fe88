//! Which documents a view shows and in which order: the rules of Kazoo's views, as pure functions of a document.

use callreel_proto::{lenient_u64, pvt_type};
use serde_json::Value;

use crate::document::is_soft_deleted;

/// A question a database can answer without reading all of its documents. Soft-deleted documents are in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// Callflows with this number (Kazoo's `callflows/listing_by_number`).
    CallflowsByNumber(String),
    /// Callflows with at least one pattern (`callflows/listing_by_pattern`).
    CallflowPatterns,
    /// Devices with this `owner_id`, by document id.
    DevicesByOwner(String),
    /// Devices with this `sip.username`, in any case (`devices/sip_credentials`).
    DeviceBySipUsername(String),
    /// In database `accounts`: accounts with this realm, in any case (`accounts/listing_by_realm`).
    AccountByRealm(String),
    /// In database `accounts`: accounts with this `pvt_api_key` (`accounts/listing_by_api`).
    AccountByApiKey(String),
    /// In database `accounts`: accounts of this name, of which only letters and digits count, in any case
    /// (`accounts/listing_by_name`).
    AccountByName(String),
    /// In database `webhooks`: webhooks of the account with this id (`webhooks/accounts_listing`).
    WebhooksOf(String),
    /// Documents with this `pvt_type`, by document id.
    OfType(String),
    /// In a month database: recordings, newest first (`recordings/crossbar_listing`, `recordings/listing_by_user`).
    Recordings(Recordings),
    /// In a month database: messages of a voicemail box, newest first (`mailbox_messages/count_per_folder`, not reduced).
    MailboxFolder(MailboxFolder),
    /// Voicemail boxes with this number, of which only the value counts: `0100` is `100` (`vmboxes/listing_by_mailbox`).
    VmboxesByNumber(u64),
    /// Voicemail boxes with this `owner_id`, by document id (`attributes/owned`).
    VmboxesByOwner(String),
    /// Entries of the list with this id, by document id (`lists/entries`).
    EntriesOfList(String),
    /// Users who are in the directory with this id, by document id (`directories/users_listing`).
    UsersInDirectory(String),
}

impl View {
    /// Where its documents are in [`entries`]: the index, and their key in it.
    pub(crate) fn place(&self) -> (Index, String) {
        match self {
            Self::CallflowsByNumber(number) => (Index::CallflowNumber, number.clone()),
            Self::CallflowPatterns => (Index::CallflowPattern, String::new()),
            Self::DevicesByOwner(owner) => (Index::DeviceOwner, owner.clone()),
            Self::DeviceBySipUsername(name) => (Index::DeviceUsername, fold(name)),
            Self::AccountByRealm(realm) => (Index::AccountRealm, fold(realm)),
            Self::AccountByApiKey(key) => (Index::AccountApiKey, key.clone()),
            Self::AccountByName(name) => (Index::AccountName, letters_and_digits(name)),
            Self::WebhooksOf(account) => (Index::WebhookAccount, account.clone()),
            Self::OfType(kind) => (Index::Type, kind.clone()),
            Self::MailboxFolder(which) => (
                Index::MailboxFolder,
                folder_key(&which.mailbox, &which.folder),
            ),
            Self::VmboxesByNumber(number) => (Index::VmboxNumber, number.to_string()),
            Self::VmboxesByOwner(owner) => (Index::VmboxOwner, owner.clone()),
            Self::EntriesOfList(list) => (Index::ListEntry, list.clone()),
            Self::UsersInDirectory(directory) => (Index::DirectoryUser, directory.clone()),
            Self::Recordings(which) => match &which.owner {
                Some(owner) => (Index::RecordingOwner, owner.clone()),
                None => (Index::Recording, String::new()),
            },
        }
    }

    /// Whether the view shows this document, when read within its bounds.
    pub(crate) fn shows(&self, doc: &Value) -> bool {
        let (index, key) = self.place();
        entries(doc)
            .iter()
            .any(|entry| entry.index == index && entry.key == key)
    }
}

/// Which messages of a month database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxFolder {
    /// The voicemail box's document id.
    pub mailbox: String,
    /// `new`, `saved` or `deleted`.
    pub folder: String,
    /// At most so many.
    pub limit: usize,
}

/// How many messages a voicemail box has, by folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageCounts {
    /// Not listened to yet.
    pub new: u64,
    /// Kept.
    pub saved: u64,
}

impl MessageCounts {
    /// Both folders'.
    pub fn total(self) -> u64 {
        self.new.saturating_add(self.saved)
    }
}

impl std::ops::AddAssign for MessageCounts {
    fn add_assign(&mut self, other: Self) {
        self.new = self.new.saturating_add(other.new);
        self.saved = self.saved.saturating_add(other.saved);
    }
}

/// The key under which a folder's messages are.
pub(crate) fn folder_key(mailbox: &str, folder: &str) -> String {
    format!("{mailbox}/{folder}")
}

/// Which recordings of a month database, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recordings {
    /// Only those of this user.
    pub owner: Option<String>,
    /// Created at or after, gregorian seconds.
    pub created_from: Option<i64>,
    /// Created at or before, gregorian seconds.
    pub created_to: Option<i64>,
    /// Begin with this one, as a page's next key said.
    pub start: Option<RecordingKey>,
    /// At most so many.
    pub limit: usize,
}

impl Default for Recordings {
    fn default() -> Self {
        Self {
            owner: None,
            created_from: None,
            created_to: None,
            start: None,
            limit: 50,
        }
    }
}

/// Where a recording stands in its listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordingKey {
    /// `pvt_created`, gregorian seconds.
    pub created: i64,
    /// The document's id.
    pub id: String,
}

impl RecordingKey {
    /// The key of a recording document.
    pub fn of(doc: &Value) -> Self {
        let id = doc.get("_id").and_then(Value::as_str).unwrap_or_default();
        Self {
            created: created(doc),
            id: id.to_owned(),
        }
    }
}

/// The index a view reads; the numbers are part of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    CallflowNumber = 1,
    CallflowPattern = 2,
    DeviceOwner = 3,
    DeviceUsername = 4,
    AccountRealm = 5,
    Type = 6,
    Recording = 7,
    RecordingOwner = 8,
    MailboxFolder = 13,
    WebhookAccount = 10,
    AccountApiKey = 11,
    AccountName = 12,
    VmboxNumber = 14,
    VmboxOwner = 15,
    ListEntry = 16,
    DirectoryUser = 17,
}

/// One row of an index: the document is found under `key`, ordered by `at` and then by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: Index,
    pub(crate) key: String,
    pub(crate) at: i64,
}

fn entry(index: Index, key: impl Into<String>, at: i64) -> Entry {
    Entry {
        index,
        key: key.into(),
        at,
    }
}

/// The rows a document has in the indexes.
pub(crate) fn entries(doc: &Value) -> Vec<Entry> {
    let Some(kind) = doc.get("pvt_type").and_then(Value::as_str) else {
        return Vec::new();
    };
    if is_soft_deleted(doc) {
        return Vec::new();
    }
    let mut rows = vec![entry(Index::Type, kind, 0)];
    let text = |pointer: &str| doc.pointer(pointer).and_then(Value::as_str);
    match kind {
        pvt_type::CALLFLOW => {
            rows.extend(strings(doc, "numbers").map(|n| entry(Index::CallflowNumber, n, 0)));
            if strings(doc, "patterns").next().is_some() {
                rows.push(entry(Index::CallflowPattern, "", 0));
            }
        }
        pvt_type::DEVICE => {
            rows.extend(text("/owner_id").map(|o| entry(Index::DeviceOwner, o, 0)));
            rows.extend(text("/sip/username").map(|u| entry(Index::DeviceUsername, fold(u), 0)));
        }
        pvt_type::ACCOUNT => {
            rows.extend(text("/realm").map(|r| entry(Index::AccountRealm, fold(r), 0)));
            rows.extend(text("/pvt_api_key").map(|k| entry(Index::AccountApiKey, k, 0)));
            let name = text("/name").map(letters_and_digits);
            rows.extend(name.map(|n| entry(Index::AccountName, n, 0)));
        }
        pvt_type::WEBHOOK => {
            rows.extend(text("/pvt_account_id").map(|a| entry(Index::WebhookAccount, a, 0)));
        }
        pvt_type::CALL_RECORDING => {
            rows.push(entry(Index::Recording, "", created(doc)));
            rows.extend(text("/owner_id").map(|o| entry(Index::RecordingOwner, o, created(doc))));
        }
        pvt_type::MAILBOX_MESSAGE => {
            let at = number(doc.pointer("/metadata/timestamp")).unwrap_or_else(|| created(doc));
            let folder = text("/metadata/folder").unwrap_or("new");
            let key = text("/source_id").map(|mailbox| folder_key(mailbox, folder));
            rows.extend(key.map(|key| entry(Index::MailboxFolder, key, at)));
        }
        pvt_type::VMBOX => {
            let number = doc.get("mailbox").and_then(lenient_u64);
            rows.extend(number.map(|n| entry(Index::VmboxNumber, n.to_string(), 0)));
            rows.extend(text("/owner_id").map(|o| entry(Index::VmboxOwner, o, 0)));
        }
        pvt_type::LIST_ENTRY => {
            rows.extend(text("/list_id").map(|list| entry(Index::ListEntry, list, 0)));
        }
        pvt_type::USER => {
            let directories = doc.get("directories").and_then(Value::as_object);
            let ids = directories.into_iter().flat_map(|all| all.keys());
            rows.extend(ids.map(|id| entry(Index::DirectoryUser, id, 0)));
        }
        _ => {}
    }
    rows
}

/// Names that are the same in any case are the same key.
pub(crate) fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// An account's name as Kazoo compares it.
fn letters_and_digits(name: &str) -> String {
    let kept = fold(name).into_bytes().into_iter();
    kept.filter(u8::is_ascii_alphanumeric)
        .map(char::from)
        .collect()
}

fn strings<'a>(doc: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    let list = doc.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// `pvt_created`, or else the recording's `start`.
fn created(doc: &Value) -> i64 {
    number(doc.get("pvt_created"))
        .or_else(|| number(doc.get("start")))
        .unwrap_or(0)
}

fn number(value: Option<&Value>) -> Option<i64> {
    i64::try_from(lenient_u64(value?)?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(doc: Value) -> Vec<(Index, String, i64)> {
        let rows = entries(&doc);
        rows.into_iter().map(|e| (e.index, e.key, e.at)).collect()
    }

    #[test]
    fn a_device_is_found_by_owner_and_by_username_in_any_case() {
        let doc = json!({"pvt_type": "device", "owner_id": "U", "sip": {"username": "Alice"}});
        assert_eq!(
            keys(doc),
            [
                (Index::Type, "device".into(), 0),
                (Index::DeviceOwner, "U".into(), 0),
                (Index::DeviceUsername, "alice".into(), 0),
            ]
        );
    }

    #[test]
    fn a_recording_is_ordered_by_creation_or_else_by_start() {
        let doc = json!({"pvt_type": "call_recording", "pvt_created": "7", "start": 5});
        assert_eq!(keys(doc)[1], (Index::Recording, String::new(), 7));
        let doc = json!({"pvt_type": "call_recording", "start": 5});
        assert_eq!(keys(doc)[1], (Index::Recording, String::new(), 5));
    }

    #[test]
    fn documents_without_type_deleted_ones_and_odd_shapes_are_in_no_view() {
        assert!(keys(json!({"numbers": ["1"]})).is_empty());
        assert!(keys(json!({"pvt_type": "device", "pvt_deleted": "true"})).is_empty());
        let odd = json!({"pvt_type": "callflow", "numbers": {"a": 1}, "patterns": [3]});
        assert_eq!(keys(odd), [(Index::Type, "callflow".into(), 0)]);
    }
}
