//! The store: account documents and stored recordings, in one embedded database file or in a CouchDB. Owns documents, their
//! views and their attachments; never decides what a document means to a call.
//!
//! The words are CouchDB's, because that is where a Kazoo cluster keeps the same documents: a database has documents,
//! a document has an `_id`, a `_rev` that every change renews, and attachments. [`conformance`] says what both backends
//! must do.

mod attachment;
mod batch;
mod change;
#[doc(hidden)]
pub mod conformance;
mod couch;
mod document;
mod embedded;
mod error;
pub mod import;
mod names;
mod timed;
mod view;

use std::{ops::Range, path::Path};

use bytes::Bytes;
use callreel_proto::{AccountDb, AccountId, Utc};
use futures::Stream;
use serde_json::Value;

pub use attachment::Attachment;
pub use batch::{AttachmentFile, Saving};
pub use couch::CouchConfig;
pub use document::{MAX_DOCUMENT_BYTES, is_soft_deleted, stamp};
pub use error::Error;
pub use view::{MailboxFolder, MessageCounts, RecordingKey, Recordings, View};

use couch::Couch;
use embedded::Embedded;
use timed::timed;

/// The database that holds one account document per account.
pub const ACCOUNTS: &str = "accounts";
/// The database of Kazoo's cluster-wide settings, one document per application.
pub const SYSTEM_CONFIG: &str = "system_config";
/// The database of Kazoo's storage documents: `system`, one per account under the account's id, and resellers' plans.
pub const SYSTEM_DATA: &str = "system_data";
/// The database of all accounts' webhooks.
pub const WEBHOOKS: &str = "webhooks";
/// The database of prompts, with ids such as `en-us/vm-record_message`.
pub const SYSTEM_MEDIA: &str = "system_media";

/// A handle on the store; clones share it. Needs a tokio runtime.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Backend,
}

/// Where the documents are.
#[derive(Clone, Debug)]
enum Backend {
    Embedded(Embedded),
    Couch(Couch),
}

/// Tries of a soft deletion that others overtake; each lost one means that another's change was made.
const TRIES: usize = 40;

impl Store {
    /// Opens the database file, creating it and its folder if need be. Another process may have it open too.
    ///
    /// # Errors
    /// [`Error::Open`]: the file cannot be created or read, is no database, or was made by a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            backend: Backend::Embedded(Embedded::open(path)?),
        })
    }

    /// Speaks to the CouchDB at `http(s)://USER:PASSWORD@HOST:PORT/PREFIX`. It need not be there yet: what is asked of it
    /// meanwhile fails with [`Error::Unavailable`].
    ///
    /// # Errors
    /// [`Error::Address`]: the URL is not one of a CouchDB. [`Error::CaFile`]: the authorities cannot be read.
    pub fn connect(url: &str, config: &CouchConfig) -> Result<Self, Error> {
        Ok(Self {
            backend: Backend::Couch(Couch::new(url, config)?),
        })
    }

    /// The document with its `_id`, `_rev` and `_attachments` stubs. A soft-deleted document is still found here.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be read.
    pub async fn get(&self, db: &str, id: &str) -> Result<Option<Value>, Error> {
        names::database(db)?;
        names::document(id)?;
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.get(db, id).await,
                Backend::Couch(couch) => couch.get(db, id).await,
            }
        };
        timed("get", asked).await
    }

    /// Writes a document whose `_rev` is that of the stored one, or absent if there is none, and returns the new
    /// revision. The database is created on demand. As in CouchDB, attachments without a stub in `_attachments` go.
    ///
    /// # Errors
    /// [`Error::Conflict`]: another revision is stored. [`Error::Document`]: it is no document.
    pub async fn put(&self, db: &str, doc: Value) -> Result<String, Error> {
        names::database(db)?;
        let draft = document::Draft::parse(doc)?;
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.put(db, draft).await,
                Backend::Couch(couch) => couch.put(db, &draft).await,
            }
        };
        timed("put", asked).await
    }

    /// Writes a document over whatever revision is stored, keeping its attachments; returns the new revision.
    ///
    /// # Errors
    /// [`Error::Document`]: it is no document.
    pub async fn save(&self, db: &str, doc: Value) -> Result<String, Error> {
        names::database(db)?;
        let draft = document::Draft::parse(doc)?;
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.save(db, draft).await,
                Backend::Couch(couch) => couch.save(db, draft).await,
            }
        };
        timed("save", asked).await
    }

    /// Saves many documents, some with a file as attachment. If a file cannot be read, none is saved. Else the embedded store
    /// saves all of them or none; CouchDB has no transactions, so that each document is saved whole, those that are not are
    /// named, and saving the batch again is safe.
    ///
    /// # Errors
    /// As [`Store::save`]; [`Error::Upload`] if a file cannot be read; [`Error::Batch`] if CouchDB took only some.
    pub async fn save_all(&self, batch: Vec<Saving>) -> Result<(), Error> {
        for saving in &batch {
            names::database(&saving.db)?;
            if let Some(file) = &saving.attachment {
                names::attachment(&file.name)?;
            }
        }
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.save_all(batch).await,
                Backend::Couch(couch) => couch.save_all(batch).await,
            }
        };
        timed("save_all", asked).await
    }

    /// Removes a document and its attachments; false if there was none.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be written.
    pub async fn delete(&self, db: &str, id: &str) -> Result<bool, Error> {
        names::database(db)?;
        names::document(id)?;
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.delete(db, id).await,
                Backend::Couch(couch) => couch.delete(db, id).await,
            }
        };
        timed("delete", asked).await
    }

    /// Marks a document `pvt_deleted`, which hides it from every view; false if there was none.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be written.
    pub async fn soft_delete(&self, db: &str, id: &str) -> Result<bool, Error> {
        let mut overtaken = None;
        for _ in 0..TRIES {
            let Some(mut doc) = self.get(db, id).await? else {
                return Ok(false);
            };
            doc["pvt_deleted"] = Value::Bool(true);
            doc["pvt_modified"] = Utc::now().gregorian_seconds().into();
            match self.put(db, doc).await {
                Ok(_) => return Ok(true),
                Err(conflict @ Error::Conflict { .. }) => overtaken = Some(conflict),
                Err(error) => return Err(error),
            }
        }
        Err(overtaken.expect("a try that neither succeeds nor fails was overtaken"))
    }

    /// The documents of a view, with `_id`, `_rev` and `_attachments` stubs. A database that does not exist has none.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be read.
    pub async fn query(&self, db: &str, view: View) -> Result<Vec<Value>, Error> {
        names::database(db)?;
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.query(db, view).await,
                Backend::Couch(couch) => couch.query(db, &view).await,
            }
        };
        timed("query", asked).await
    }

    /// How many messages of a voicemail box a month database holds, counted where they are. One that does not exist holds
    /// none.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be read.
    pub async fn message_counts(&self, db: &str, mailbox: &str) -> Result<MessageCounts, Error> {
        names::database(db)?;
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.message_counts(db, mailbox).await,
                Backend::Couch(couch) => couch.message_counts(db, mailbox).await,
            }
        };
        timed("message_counts", asked).await
    }

    /// Up to `limit` documents of a database in order of their ids, from the one after `after` on (which need not exist);
    /// soft-deleted ones too, and no design documents. There are no more when there is none. A database that does not exist
    /// has none.
    ///
    /// # Errors
    /// The name is not valid, or the database cannot be read.
    pub async fn page(&self, db: &str, after: &str, limit: usize) -> Result<Vec<Value>, Error> {
        names::database(db)?;
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.page(db, after, limit).await,
                Backend::Couch(couch) => couch.page(db, after, limit).await,
            }
        };
        timed("page", asked).await
    }

    /// The names of all databases, sorted.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn databases(&self) -> Result<Vec<String>, Error> {
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.databases().await,
                Backend::Couch(couch) => couch.databases().await,
            }
        };
        timed("databases", asked).await
    }

    /// The account's month databases that exist, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn month_databases(&self, account: &AccountId) -> Result<Vec<String>, Error> {
        let prefix = format!("{}-", AccountDb::name(account));
        let mut months = match &self.backend {
            Backend::Embedded(file) => file.databases().await?,
            Backend::Couch(couch) => couch.databases_after(&prefix).await?,
        };
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
    /// failed. [`Error::Conflict`]: someone else changed the document in a CouchDB meanwhile.
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
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => {
                    file.put_attachment(place, content_type, length, body).await
                }
                Backend::Couch(couch) => {
                    couch
                        .put_attachment(place, content_type, length, body)
                        .await
                }
            }
        };
        timed("put_attachment", asked).await
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
        let asked = async move {
            match &self.backend {
                Backend::Embedded(file) => file.attachment(place, range).await,
                Backend::Couch(couch) => couch.attachment(place, range).await,
            }
        };
        timed("attachment_range", asked).await
    }

    /// Brings up to date what an older version of ours has written, and says what: the views of a CouchDB. A database file needs
    /// nothing: that is done, and what a process that died left in it is swept away, whenever it is opened.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn repair(&self) -> Result<Vec<String>, Error> {
        match &self.backend {
            Backend::Embedded(_) => Ok(Vec::new()),
            Backend::Couch(couch) => couch.repair().await,
        }
    }

    /// What is wrong with the store, in words; empty if all is well. Reads the whole database file; of a CouchDB, whether it
    /// answers, knows us, and has the views we ask for.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, Error> {
        match &self.backend {
            Backend::Embedded(file) => file.check().await,
            Backend::Couch(couch) => couch.check().await,
        }
    }
}
