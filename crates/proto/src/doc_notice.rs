//! Notices of documents that were written or deleted, by which those who remember documents forget them.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, some_text};
use crate::{Envelope, Headers, encode_word};

/// A document of the store was written or deleted (Kazoo's `kapi_conf`). Exchange and category `configuration`, name
/// `doc_created`, `doc_edited` or `doc_deleted`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocNotice {
    /// The document's id.
    #[serde(rename = "ID", deserialize_with = "some_text")]
    pub id: String,
    /// Its database, as CouchDB encodes it in a path: read it with [`DocNotice::database`].
    #[serde(rename = "Database", deserialize_with = "some_text")]
    database: String,
    /// Its `pvt_type`.
    #[serde(rename = "Type", default, deserialize_with = "loose")]
    pub kind: Option<String>,
    /// Whose it is.
    #[serde(rename = "Account-ID", default, deserialize_with = "loose")]
    pub account_id: Option<String>,
    /// Its revision.
    #[serde(rename = "Rev", default, deserialize_with = "loose")]
    pub rev: Option<String>,
}

impl DocNotice {
    /// What a document's category and exchange are called.
    pub const CATEGORY: &'static str = "configuration";
    /// The topic patterns that hear of every document.
    pub const PATTERNS: [&'static str; 3] = ["doc_created.#", "doc_edited.#", "doc_deleted.#"];

    /// A document of this id in this database, and no more known of it.
    pub fn new(database: &str, id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            database: database.replace('/', "%2F"),
            kind: None,
            account_id: None,
            rev: None,
        }
    }

    /// The database's name, such as `account/ab/cd/…`.
    pub fn database(&self) -> String {
        self.database.replace("%2F", "/").replace("%2f", "/")
    }

    /// `doc_edited.<database>.<type>.<id>`: only the id is encoded (Kazoo's `kapi_conf`).
    pub fn routing_key(&self, action: &str) -> String {
        let kind = self.kind.as_deref().unwrap_or("undefined");
        format!(
            "{action}.{}.{kind}.{}",
            self.database,
            encode_word(&self.id)
        )
    }

    /// This notice in its envelope: the document was written.
    pub fn edited(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new(Self::CATEGORY, "doc_edited"),
            body: self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_under_either_spelling() {
        let notice = DocNotice::new("account/00/11/22", "a.b");
        assert_eq!(notice.database(), "account/00/11/22");
        let key = notice.routing_key("doc_edited");
        assert_eq!(key, "doc_edited.account%2F00%2F11%2F22.undefined.a%2Eb");
        let plain = DocNotice::new("system_config", "media");
        assert_eq!(plain.database(), "system_config");
    }
}
