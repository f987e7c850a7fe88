//! Brings a folder of Kazoo documents into the store: all of it if all of it is good, else nothing and every problem at
//! once. Judges the shape of documents; what a callflow's actions mean is for the caller's lint.

mod clash;
mod media;
mod shape;
mod tree;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use callreel_proto::{AccountDb, AccountId, E164, Utc, pvt_type};
use serde_json::{Map, Value};

use crate::{
    ACCOUNTS, AttachmentFile, Error, SYSTEM_CONFIG, SYSTEM_DATA, Saving, Store, WEBHOOKS, stamp,
};

/// One thing that keeps a tree from being imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or folder, from the tree's root.
    pub file: PathBuf,
    /// JSON pointer to the spot (RFC 6901); empty for the whole file.
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if !self.pointer.is_empty() {
            write!(f, " at {}", self.pointer)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// What was imported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Account documents.
    pub accounts: usize,
    /// User documents.
    pub users: usize,
    /// Device documents.
    pub devices: usize,
    /// Callflow documents.
    pub callflows: usize,
    /// Voicemail boxes.
    pub vmboxes: usize,
    /// Webhooks.
    pub webhooks: usize,
    /// Menus.
    pub menus: usize,
    /// Directories.
    pub directories: usize,
    /// Rules of time, and sets of them.
    pub temporal_rules: usize,
    /// Lists of callers, and their entries.
    pub lists: usize,
    /// Groups of users and devices.
    pub groups: usize,
    /// Trunks: of accounts, and everybody's.
    pub resources: usize,
    /// Numbers of the public network.
    pub numbers: usize,
    /// Media documents.
    pub media: usize,
    /// Settings documents of `system_config`.
    pub settings: usize,
    /// Storage documents: of accounts, of the system, resellers' plans.
    pub storage: usize,
}

impl Report {
    fn count(&mut self, kind: Kind) {
        *match kind {
            Kind::Account => &mut self.accounts,
            Kind::User => &mut self.users,
            Kind::Device => &mut self.devices,
            Kind::Callflow => &mut self.callflows,
            Kind::Vmbox => &mut self.vmboxes,
            Kind::Webhook => &mut self.webhooks,
            Kind::Menu => &mut self.menus,
            Kind::Directory => &mut self.directories,
            Kind::TemporalRule | Kind::TemporalRuleSet => &mut self.temporal_rules,
            Kind::List | Kind::ListEntry => &mut self.lists,
            Kind::Group => &mut self.groups,
            Kind::Resource => &mut self.resources,
            Kind::Number => &mut self.numbers,
            Kind::Media => &mut self.media,
            Kind::Settings => &mut self.settings,
            Kind::Storage => &mut self.storage,
        } += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            (self.accounts, "account", "accounts"),
            (self.users, "user", "users"),
            (self.devices, "device", "devices"),
            (self.callflows, "callflow", "callflows"),
            (self.vmboxes, "voicemail box", "voicemail boxes"),
            (self.webhooks, "webhook", "webhooks"),
            (self.menus, "menu", "menus"),
            (self.directories, "directory", "directories"),
            (self.temporal_rules, "rule of time", "rules of time"),
            (self.lists, "list document", "list documents"),
            (self.groups, "group", "groups"),
            (self.resources, "trunk", "trunks"),
            (self.numbers, "number", "numbers"),
            (self.media, "media file", "media files"),
            (self.settings, "settings document", "settings documents"),
            (self.storage, "storage document", "storage documents"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
        if parts.is_empty() {
            return f.write_str("nothing");
        }
        f.write_str(&parts.join(", "))
    }
}

/// The database of everybody's trunks, as Kazoo names it.
const OFFNET: &str = "offnet";

/// Which kind of document a place in the tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Account,
    User,
    Device,
    Callflow,
    Vmbox,
    Webhook,
    Menu,
    Directory,
    TemporalRule,
    TemporalRuleSet,
    List,
    ListEntry,
    Group,
    Resource,
    Number,
    Media,
    Settings,
    Storage,
}

impl Kind {
    fn pvt_type(self) -> &'static str {
        match self {
            Self::Account => pvt_type::ACCOUNT,
            Self::User => pvt_type::USER,
            Self::Device => pvt_type::DEVICE,
            Self::Callflow => pvt_type::CALLFLOW,
            Self::Vmbox => pvt_type::VMBOX,
            Self::Webhook => pvt_type::WEBHOOK,
            Self::Menu => pvt_type::MENU,
            Self::Directory => pvt_type::DIRECTORY,
            Self::TemporalRule => pvt_type::TEMPORAL_RULE,
            Self::TemporalRuleSet => pvt_type::TEMPORAL_RULE_SET,
            Self::List => pvt_type::LIST,
            Self::ListEntry => pvt_type::LIST_ENTRY,
            Self::Group => pvt_type::GROUP,
            Self::Resource => pvt_type::RESOURCE,
            Self::Number => pvt_type::NUMBER,
            Self::Media => pvt_type::MEDIA,
            Self::Settings => "config",
            Self::Storage => pvt_type::STORAGE,
        }
    }
}

/// A document of the tree.
#[derive(Debug)]
struct Item {
    /// From the tree's root.
    file: PathBuf,
    kind: Kind,
    account: Option<AccountId>,
    id: String,
    /// Without reserved fields.
    doc: Map<String, Value>,
    audio: Option<AttachmentFile>,
}

impl Item {
    fn db(&self) -> String {
        match (self.kind, &self.account) {
            (Kind::Webhook, _) => WEBHOOKS.to_owned(),
            (Kind::Storage, _) => SYSTEM_DATA.to_owned(),
            (Kind::Resource, None) => OFFNET.to_owned(),
            (Kind::Number, _) => E164::of(&self.id).map_or_else(String::new, |n| n.database()),
            (_, Some(account)) => AccountDb::name(account),
            (_, None) => SYSTEM_CONFIG.to_owned(),
        }
    }

    fn problem(&self, pointer: &str, message: impl Into<String>) -> Problem {
        problem(&self.file, pointer, message)
    }
}

fn problem(file: &Path, pointer: &str, message: impl Into<String>) -> Problem {
    Problem {
        file: file.to_owned(),
        pointer: pointer.to_owned(),
        message: message.into(),
    }
}

/// Imports the tree at `dir`: `accounts/<account id>/{account.json, storage.json, users/*.json, devices/*.json, callflows/*.json,
/// vmboxes/*.json, webhooks/*.json, menus/*.json, directories/*.json, temporal_rules/*.json, temporal_rules_sets/*.json,
/// lists/*.json, list_entries/*.json, groups/*.json, resources/*.json,
/// media/*}`, `system_config/*.json`, `system_data/*.json`, `offnet/resources/*.json` and `numbers/*.json`. A document's id is its `id`, its `_id` or its file's stem.
/// Documents already in the store are replaced, but for their private fields; others of the same account stay. `lint` is shown every callflow document
/// and answers with JSON pointers into it and what is wrong there; anything it says stops the import.
///
/// Files are read on the calling thread: this is for a command line.
///
/// # Errors
/// Every problem of the tree, in the order of its files. Nothing has been written then.
pub async fn import(
    store: &Store,
    dir: &Path,
    lint: impl Fn(&Value) -> Vec<(String, String)>,
) -> Result<Report, Vec<Problem>> {
    let (items, mut problems) = tree::read(dir);
    for item in &items {
        problems.extend(judge(item, &lint));
    }
    let failed = |error: Error| vec![problem(dir, "", error.to_string())];
    problems.extend(clash::find(&items, store).await.map_err(failed)?);
    if !problems.is_empty() {
        problems.sort_by(|a, b| (&a.file, &a.pointer).cmp(&(&b.file, &b.pointer)));
        return Err(problems);
    }
    save(items, store).await.map_err(failed)
}

fn judge(item: &Item, lint: &impl Fn(&Value) -> Vec<(String, String)>) -> Vec<Problem> {
    let doc = Value::Object(item.doc.clone());
    let mut found = shape::check(item.kind, &doc);
    if item.kind == Kind::Number && E164::of(&item.id).is_none_or(|n| n.as_str() != item.id) {
        let message = "a number's document is named like +14155550100";
        found.push(("/id".to_owned(), message.to_owned()));
    }
    if item.kind == Kind::Callflow {
        let known: Vec<String> = found.iter().map(|(pointer, _)| pointer.clone()).collect();
        found.extend(lint(&doc).into_iter().filter(|(at, _)| !known.contains(at)));
    }
    found
        .into_iter()
        .map(|(pointer, message)| item.problem(&pointer, message))
        .collect()
}

async fn save(items: Vec<Item>, store: &Store) -> Result<Report, Error> {
    let now = Utc::now();
    let mut report = Report::default();
    let mut batch = Vec::new();
    for mut item in items {
        let db = item.db();
        if let Some(Value::Object(stored)) = store.get(&db, &item.id).await? {
            keep_private(&mut item.doc, stored);
        }
        stamp(
            &mut item.doc,
            item.kind.pvt_type(),
            &db,
            item.account.as_ref(),
            now,
        );
        item.doc.insert("_id".into(), item.id.into());
        let doc = Value::Object(item.doc);
        report.count(item.kind);
        if item.kind == Kind::Account {
            batch.push(Saving {
                db: ACCOUNTS.to_owned(),
                doc: doc.clone(),
                attachment: None,
            });
        }
        batch.push(Saving {
            db,
            doc,
            attachment: item.audio,
        });
    }
    store.save_all(batch).await?;
    Ok(report)
}

/// Private fields are the platform's, not the tree's: a Kazoo that shares the store finds an account by its `pvt_tree`. A
/// document that was deleted comes back.
fn keep_private(doc: &mut Map<String, Value>, stored: Map<String, Value>) {
    for (field, value) in stored {
        let kept = field == "pvt_created" || !doc.contains_key(&field);
        if kept && field.starts_with("pvt_") && field != "pvt_deleted" {
            doc.insert(field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_in_words() {
        assert_eq!(Report::default().to_string(), "nothing");
        let report = Report {
            accounts: 1,
            vmboxes: 2,
            ..Report::default()
        };
        assert_eq!(report.to_string(), "1 account, 2 voicemail boxes");
    }

    #[test]
    fn a_problem_names_file_spot_and_reason() {
        let one = problem(Path::new("a/b.json"), "/sip/username", "must be a string");
        assert_eq!(
            one.to_string(),
            "a/b.json at /sip/username: must be a string"
        );
        let whole = problem(Path::new("a/b.json"), "", "is empty");
        assert_eq!(whole.to_string(), "a/b.json: is empty");
    }
}
