//! Reads the folder: which files there are, which document each holds and under which id. Judges only what it needs to.

use std::{
    fs,
    path::{Path, PathBuf},
};

use callreel_proto::AccountId;
use serde_json::{Map, Value};

use super::{Item, Kind, Problem, media, problem, shape::kind_of};
use crate::{MAX_DOCUMENT_BYTES, names};

/// What a walk has found so far.
pub(super) struct Walk<'a> {
    root: &'a Path,
    pub(super) items: Vec<Item>,
    pub(super) problems: Vec<Problem>,
}

/// A file or folder of the tree.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// From the tree's root.
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) is_dir: bool,
}

impl Entry {
    /// The name without its extension, and the extension in lower case.
    pub(super) fn stem_and_extension(&self) -> (&str, String) {
        match self.name.rsplit_once('.') {
            Some((stem, extension)) => (stem, extension.to_ascii_lowercase()),
            None => (&self.name, String::new()),
        }
    }
}

const ACCOUNT_FOLDERS: &[(&str, Kind)] = &[
    ("users", Kind::User),
    ("devices", Kind::Device),
    ("callflows", Kind::Callflow),
    ("vmboxes", Kind::Vmbox),
    ("webhooks", Kind::Webhook),
    ("menus", Kind::Menu),
    ("directories", Kind::Directory),
    ("temporal_rules", Kind::TemporalRule),
    ("temporal_rules_sets", Kind::TemporalRuleSet),
    ("lists", Kind::List),
    ("list_entries", Kind::ListEntry),
    ("groups", Kind::Group),
    ("resources", Kind::Resource),
];

/// Reads the tree.
pub(super) fn read(root: &Path) -> (Vec<Item>, Vec<Problem>) {
    let mut walk = Walk {
        root,
        items: Vec::new(),
        problems: Vec::new(),
    };
    walk.top();
    (walk.items, walk.problems)
}

impl Walk<'_> {
    fn top(&mut self) {
        let mut found = false;
        for entry in self.list(Path::new("")) {
            match entry.name.as_str() {
                "accounts" if entry.is_dir => self.accounts(&entry.path),
                "system_config" if entry.is_dir => {
                    self.documents(&entry.path, Kind::Settings, None);
                }
                "system_data" if entry.is_dir => {
                    self.documents(&entry.path, Kind::Storage, None);
                }
                "numbers" if entry.is_dir => self.documents(&entry.path, Kind::Number, None),
                "offnet" if entry.is_dir => self.offnet(&entry.path),
                _ => {
                    self.unexpected(
                        &entry,
                        "the folders accounts, system_config, system_data, offnet and numbers",
                    );
                    continue;
                }
            }
            found = true;
        }
        if !found && self.problems.is_empty() {
            let message =
                "holds neither accounts nor system_config nor system_data: nothing to import";
            self.report(Path::new("."), "", message);
        }
    }

    /// What is everybody's.
    fn offnet(&mut self, folder: &Path) {
        for entry in self.list(folder) {
            match entry.name.as_str() {
                "resources" if entry.is_dir => {
                    self.documents(&entry.path, Kind::Resource, None);
                }
                _ => self.unexpected(&entry, "the folder resources"),
            }
        }
    }

    fn accounts(&mut self, folder: &Path) {
        for entry in self.list(folder) {
            match AccountId::parse(&entry.name) {
                Ok(account) if entry.is_dir => self.account(&entry.path, &account),
                Err(malformed) if entry.is_dir => {
                    self.report(&entry.path, "", malformed.to_string());
                }
                _ => self.unexpected(&entry, "one folder per account"),
            }
        }
    }

    fn account(&mut self, folder: &Path, account: &AccountId) {
        let mut has_account = false;
        for entry in self.list(folder) {
            let kind = ACCOUNT_FOLDERS.iter().find(|(name, _)| *name == entry.name);
            match (kind, entry.name.as_str()) {
                (Some((_, kind)), _) if entry.is_dir => {
                    self.documents(&entry.path, *kind, Some(account));
                }
                (_, "media") if entry.is_dir => media::read(self, &entry.path, account),
                (_, "account.json") if !entry.is_dir => {
                    has_account = true;
                    self.account_document(&entry, Kind::Account, account);
                }
                (_, "storage.json") if !entry.is_dir => {
                    self.account_document(&entry, Kind::Storage, account);
                }
                _ => {
                    let folders: Vec<_> = ACCOUNT_FOLDERS.iter().map(|(name, _)| *name).collect();
                    let folders = folders.join(", ");
                    let holds =
                        format!("account.json, storage.json and the folders {folders} and media");
                    self.unexpected(&entry, &holds);
                }
            }
        }
        if !has_account {
            self.report(&folder.join("account.json"), "", "is missing");
        }
    }

    /// A document under the account's own id.
    fn account_document(&mut self, entry: &Entry, kind: Kind, account: &AccountId) {
        let Some(item) = self.document(entry, account.as_str(), kind, Some(account)) else {
            return;
        };
        if item.id != account.as_str() {
            let message = format!("must be the name of the folder, {account}");
            self.report(&entry.path, "/id", message);
        }
        self.items.push(item);
    }

    fn documents(&mut self, folder: &Path, kind: Kind, account: Option<&AccountId>) {
        for entry in self.list(folder) {
            let (stem, extension) = entry.stem_and_extension();
            if entry.is_dir || extension != "json" {
                self.unexpected(&entry, "JSON documents");
                continue;
            }
            let item = self.document(&entry, stem, kind, account);
            self.items.extend(item);
        }
    }

    /// Reads one document; its problems are reported.
    pub(super) fn document(
        &mut self,
        entry: &Entry,
        stem: &str,
        kind: Kind,
        account: Option<&AccountId>,
    ) -> Option<Item> {
        let mut doc = match self.json(&entry.path) {
            Ok(doc) => doc,
            Err(message) => {
                self.report(&entry.path, "", message);
                return None;
            }
        };
        for (pointer, message) in reserved(&doc, kind) {
            self.report(&entry.path, &pointer, message);
        }
        let id = self.identify(entry, &mut doc, stem)?;
        doc.retain(|key, _| !key.starts_with('_'));
        Some(Item {
            file: entry.path.clone(),
            kind,
            account: account.cloned(),
            id,
            doc,
            audio: None,
        })
    }

    fn json(&self, path: &Path) -> Result<Map<String, Value>, String> {
        let path = self.root.join(path);
        let size = fs::metadata(&path).map_err(|e| e.to_string())?.len();
        if size > MAX_DOCUMENT_BYTES as u64 {
            return Err(format!("is larger than {MAX_DOCUMENT_BYTES} bytes"));
        }
        let bytes = fs::read(&path).map_err(|e| e.to_string())?;
        match serde_json::from_slice(without_mark(&bytes)) {
            Ok(Value::Object(doc)) => Ok(doc),
            Ok(other) => Err(format!("must be a JSON object, is {}", kind_of(&other))),
            Err(error) => Err(format!("is not JSON: {error}")),
        }
    }

    fn identify(
        &mut self,
        entry: &Entry,
        doc: &mut Map<String, Value>,
        stem: &str,
    ) -> Option<String> {
        let mut id: Option<String> = None;
        for (key, pointer) in [("_id", "/_id"), ("id", "/id")] {
            match doc.shift_remove(key) {
                None => {}
                Some(Value::String(text)) if id.as_ref().is_none_or(|id| *id == text) => {
                    id = Some(text);
                }
                Some(Value::String(_)) => {
                    self.report(&entry.path, pointer, "differs from _id");
                }
                Some(other) => {
                    let message = format!("must be a string, is {}", kind_of(&other));
                    self.report(&entry.path, pointer, message);
                }
            }
        }
        let id = id.unwrap_or_else(|| stem.to_owned());
        if let Err(error) = names::document(&id) {
            self.report(&entry.path, "/id", error.to_string());
            return None;
        }
        Some(id)
    }

    /// What is in a folder, by name; hidden files and notes for people are not.
    pub(super) fn list(&mut self, folder: &Path) -> Vec<Entry> {
        match self.try_list(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let shown = if folder.as_os_str().is_empty() {
                    self.root
                } else {
                    folder
                };
                let message = format!("cannot be read: {error}");
                self.problems.push(problem(shown, "", message));
                Vec::new()
            }
        }
    }

    fn try_list(&mut self, folder: &Path) -> std::io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(self.root.join(folder))? {
            let found = found?;
            let name = found.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name.ends_with('~') || name.ends_with(".md") {
                continue;
            }
            let path = folder.join(found.file_name());
            match fs::metadata(found.path()) {
                Ok(target) if target.is_dir() || target.is_file() => entries.push(Entry {
                    path,
                    name,
                    is_dir: target.is_dir(),
                }),
                // Reading a pipe or a device might never end.
                Ok(_) => self.report(&path, "", "is neither a file nor a folder"),
                Err(error) => self.report(&path, "", format!("cannot be read: {error}")),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(super) fn unexpected(&mut self, entry: &Entry, expected: &str) {
        let message = format!("is not expected here; this folder holds {expected}");
        self.report(&entry.path, "", message);
    }

    pub(super) fn report(&mut self, file: &Path, pointer: &str, message: impl Into<String>) {
        self.problems.push(problem(file, pointer, message));
    }

    /// A path of the tree as the file system knows it.
    pub(super) fn full(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }
}

/// The text without the byte order mark some editors begin a file with; RFC 8259 §8.1 lets readers ignore it.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Fields that speak against the place the document is in. Crossbar's own (`_read_only`) and CouchDB's (`_rev`,
/// `_attachments`) may be there and are left out.
fn reserved(doc: &Map<String, Value>, kind: Kind) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let allowed = ["_id", "_rev", "_attachments", "_read_only"];
    for key in doc.keys() {
        if key.starts_with('_') && !allowed.contains(&key.as_str()) {
            let message = "is a reserved name: no field of a document begins with an underscore";
            wrong.push((format!("/{key}"), message.to_owned()));
        }
    }
    if let Some(named) = doc.get("pvt_type")
        && named != kind.pvt_type()
    {
        let message = format!(
            "must be {:?} in this folder, or be left out",
            kind.pvt_type()
        );
        wrong.push(("/pvt_type".to_owned(), message));
    }
    wrong
}
