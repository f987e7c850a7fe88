//! What can go wrong with the store, in words a person can act on. Owns no recovery.

use std::path::PathBuf;

/// A failure of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database file cannot be used.
    #[error("cannot open the store {path}: {reason}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Another revision is stored than the one the document was read at.
    #[error(
        "document {id:?} of {db:?} was changed by someone else; read it again and repeat the change"
    )]
    Conflict {
        /// The database.
        db: String,
        /// The document.
        id: String,
    },
    /// There is no such document.
    #[error("there is no document {id:?} in {db:?}")]
    Missing {
        /// The database.
        db: String,
        /// The document.
        id: String,
    },
    /// A name of a database, document or attachment that CouchDB would refuse.
    #[error("{kind} {value:?} is not valid: {reason}")]
    Name {
        /// What it names.
        kind: &'static str,
        /// The name.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value that is not a document.
    #[error("document {id:?} cannot be stored: {reason}")]
    Document {
        /// Its `_id`, if it has one.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An attachment's body was longer or shorter than promised.
    #[error(
        "attachment {name:?} was to be {promised} bytes long, but {got} bytes came; send it again"
    )]
    Length {
        /// The attachment.
        name: String,
        /// The promised length in bytes.
        promised: u64,
        /// The bytes seen before giving up.
        got: u64,
    },
    /// An attachment's body could not be read to its end.
    #[error("attachment {name:?} was interrupted: {reason}; send it again")]
    Upload {
        /// The attachment.
        name: String,
        /// Why.
        reason: String,
    },
    /// The database engine failed; a full disk and a locked file are told apart in the text.
    #[error("the store failed: {0}")]
    Storage(String),
    /// The thread that writes the embedded store's file has ended: the process is shutting down.
    #[error("the store is closed")]
    Closed,
    /// `store.url` names no place. The text of the URL is not repeated, because a password may be in it.
    #[error(
        "store.url cannot be used: {0}; write \"embedded:\" or http(s)://USER:PASSWORD@HOST:PORT"
    )]
    Address(String),
    /// The file of private authorities cannot be used.
    #[error("store.ca_file {path} cannot be used: {reason}", path = path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// CouchDB cannot be reached, takes too long or fails. The same request may succeed later, and none of it was lost
    /// here: whoever sent it sends it again.
    #[error(
        "the store {place} cannot be used now: {reason}; see that CouchDB runs there and is reached from here, then try again"
    )]
    Unavailable {
        /// Where it is, without credentials.
        place: String,
        /// What failed.
        reason: String,
    },
    /// CouchDB refuses who asks.
    #[error("the store {place} refuses the user or password of store.url ({reason})")]
    Denied {
        /// Where it is, without credentials.
        place: String,
        /// What it said.
        reason: String,
    },
    /// Some documents of a batch were not saved. Those that were are whole, and saving the batch again does no harm.
    #[error("{left} of {of} documents were not saved, {first}: {reason}; repeat the whole")]
    Batch {
        /// How many were not saved.
        left: usize,
        /// How many there were.
        of: usize,
        /// Which they are: database and id of each, the first few of many.
        first: String,
        /// What was wrong with the first.
        reason: Box<Error>,
    },
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let hint = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "; free space on the disk that holds the store",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "; another process holds the write lock, try again when it is done"
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                "; check the owner and mode of the store's file and folder"
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "; the file is damaged, restore it from a backup"
            }
            _ => "",
        };
        Self::Storage(format!("{error}{hint}"))
    }
}
