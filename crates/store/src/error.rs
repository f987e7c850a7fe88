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
    /// The store's writer is gone: the process is shutting down.
    #[error("the store is closed")]
    Closed,
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
