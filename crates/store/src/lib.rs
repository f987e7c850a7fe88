//! The store: account documents and stored recordings, in one embedded database file. Owns documents, their views and
//! their attachments; never decides what a document means to a call.
//!
//! The words are CouchDB's, because that is where a Kazoo cluster keeps the same documents: a database has documents,
//! a document has an `_id`, a `_rev` that every change renews, and attachments. [`conformance`] says what every backend
//! must do.

mod attachment;
#[doc(hidden)]
pub mod conformance;
mod document;
mod embedded;
mod error;
pub mod import;
mod names;
mod view;

use std::{ops::Range, path::Path};

use bytes::Bytes;
use callreel_proto::{AccountDb, AccountId, Utc};
use futures::Stream;
use serde_json::Value;

pub use attachment::Attachment;
pub use document::{MAX_DOCUMENT_BYTES, is_soft_deleted, stamp};
pub use embedded::{AttachmentFile, Saving};
pub use error::Error;
pub use view::{RecordingKey, Recordings, View};

use embedded::Embedded;

/// The database that holds one account document per account.
pub const ACCOUNTS: &str = "accounts";
/// The database of Kazoo's cluster-wide settings, one document per application.
pub const SYSTEM_CONFIG: &str = "system_config";
/// The database of all accounts' webhooks.
pub const WEBHOOKS: &str = "webhooks";
/// The database of prompts, with ids such as `en-us/vm-record_message`.
pub const SYSTEM_MEDIA: &str = "system_media";

/// A handle on the store; clones share it. Needs a tokio runtime.
#[derive(Clone, Debug)]
pub struct Store {
    embedded: Embedded,
}

impl Store {
    /// Opens the database file, creating it and its folder if need be. Another process may have it open too.
    ///
    /// # Errors
    /// [`Error::Open`]: the file cannot be created or read, is no database, or was made by a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            embedded: Embedded::open(path)?,
        })
    }

    /// The document with its `_id`, `_rev` and `_attachments` stubs. A soft-deleted document is still found here.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be read.
    pub async fn get(&self, db: &str, id: &str) -> Result<Option<Value>, Error> {
        names::database(db)?;
        names::document(id)?;
        self.embedded.get(db, id).await
    }

    /// Writes a document whose `_rev` is that of the stored one, or absent if there is none, and returns the new
    /// revision. The database is created on demand. As in CouchDB, attachments without a stub in `_attachments` go.
    ///
    /// # Errors
    /// [`Error::Conflict`]: another revision is stored. [`Error::Document`]: it is no document.
    pub async fn put(&self, db: &str, doc: Value) -> Result<String, Error> {
        names::database(db)?;
        self.embedded.put(db, document::Draft::parse(doc)?).await
    }

    /// Writes a document over whatever revision is stored, keeping its attachments; returns the new revision.
    ///
    /// # Errors
    /// [`Error::Document`]: it is no document.
    pub async fn save(&self, db: &str, doc: Value) -> Result<String, Error> {
        names::database(db)?;
        self.embedded.save(db, document::Draft::parse(doc)?).await
    }

    /// Saves many documents, some with a file as attachment: all of them or none.
    ///
    /// # Errors
    /// As [`Store::save`]; [`Error::Upload`] if a file cannot be read.
    pub async fn save_all(&self, batch: Vec<Saving>) -> Result<(), Error> {
        for saving in &batch {
            names::database(&saving.db)?;
            if let Some(file) = &saving.attachment {
                names::attachment(&file.name)?;
            }
        }
        self.embedded.save_all(batch).await
    }

    /// Removes a document and its attachments; false if there was none.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be written.
    pub async fn delete(&self, db: &str, id: &str) -> Result<bool, Error> {
        names::database(db)?;
        names::document(id)?;
        self.embedded.delete(db, id).await
    }

    /// Marks a document `pvt_deleted`, which hides it from every view; false if there was none.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be written.
    pub async fn soft_delete(&self, db: &str, id: &str) -> Result<bool, Error> {
        loop {
            let Some(mut doc) = self.get(db, id).await? else {
                return Ok(false);
            };
            doc["pvt_deleted"] = Value::Bool(true);
            doc["pvt_modified"] = Utc::now().gregorian_seconds().into();
            match self.put(db, doc).await {
                Ok(_) => return Ok(true),
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The documents of a view, with `_id`, `_rev` and `_attachments` stubs. A database that does not exist has none.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be read.
    pub async fn query(&self, db: &str, view: View) -> Result<Vec<Value>, Error> {
        names::database(db)?;
        self.embedded.query(db, view).await
    }

    /// The names of all databases, sorted.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn databases(&self) -> Result<Vec<String>, Error> {
        self.embedded.databases().await
    }

    /// The account's month databases that exist, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn month_databases(&self, account: &AccountId) -> Result<Vec<String>, Error> {
        let prefix = format!("{}-", AccountDb::name(account));
        let mut months = self.databases().await?;
        months.retain(|name| name.starts_with(&prefix));
        months.reverse();
        Ok(months)
    }

    /// Attaches `length` bytes to an existing document under `name`, replacing an attachment of that name, and returns
    /// the document's new revision. Memory stays bounded. All or nothing: until the last byte is committed, readers
    /// see what was there before, also if the body fails, this future is dropped or the process dies.
    ///
    /// # Errors
    /// [`Error::Missing`]: no such document. [`Error::Length`]: the body was not `length` bytes. [`Error::Upload`]: it
    /// failed.
    pub async fn put_attachment<S>(
        &self,
        db: &str,
        id: &str,
        name: &str,
        content_type: &str,
        length: u64,
        body: S,
    ) -> Result<String, Error>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send,
    {
        names::database(db)?;
        names::document(id)?;
        names::attachment(name)?;
        let place = attachment::Place::new(db, id, name);
        self.embedded
            .put_attachment(place, content_type, length, body)
            .await
    }

    /// An attachment and its bytes as a stream.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be read.
    pub async fn attachment(
        &self,
        db: &str,
        id: &str,
        name: &str,
    ) -> Result<Option<Attachment>, Error> {
        self.attachment_range(db, id, name, 0..u64::MAX).await
    }

    /// An attachment and some of its bytes; the range is cut to what there is. `length` is that of the whole.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be read.
    pub async fn attachment_range(
        &self,
        db: &str,
        id: &str,
        name: &str,
        range: Range<u64>,
    ) -> Result<Option<Attachment>, Error> {
        names::database(db)?;
        names::document(id)?;
        names::attachment(name)?;
        let place = attachment::Place::new(db, id, name);
        self.embedded.attachment(place, range).await
    }

    /// What is wrong with the database file, in words; empty if all is well. Reads the whole file.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, Error> {
        self.embedded.check().await
    }
}
