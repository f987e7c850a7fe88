//! The database file: its tables and how a connection to it is set up. Owns the file format's version.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use callreel_proto::pvt_type;
use rusqlite::{Connection, OpenFlags};

use super::documents;
use crate::Error;

/// Version of the tables and of the index rules in `view`; raise it with any change to either.
const VERSION: i64 = 4;
/// How long a connection waits for another process's write lock. An import of a whole tree holds it longest.
const BUSY: Duration = Duration::from_secs(30);
/// The write-ahead log shrinks back to this many bytes after a burst of attachments.
const LOG_BYTES: i64 = 64 << 20;

/// An attachment without a document is an upload in progress. A document's `body` is its JSON without the fields that
/// begin with an underscore. `entry` holds the rows of the views, ready in their order.
const TABLES: &str = "
CREATE TABLE database (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE document (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    database INTEGER NOT NULL REFERENCES database (id),
    id TEXT NOT NULL,
    rev TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (database, id)
) STRICT;
CREATE TABLE entry (
    database INTEGER NOT NULL,
    view INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    id TEXT NOT NULL,
    document INTEGER NOT NULL REFERENCES document (seq) ON DELETE CASCADE,
    PRIMARY KEY (database, view, key, at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_of_document ON entry (document);
CREATE TABLE attachment (
    id INTEGER PRIMARY KEY,
    document INTEGER REFERENCES document (seq) ON DELETE CASCADE,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    length INTEGER NOT NULL,
    digest TEXT NOT NULL,
    revpos INTEGER NOT NULL,
    chunk_bytes INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    UNIQUE (document, name)
) STRICT;
CREATE TABLE chunk (
    attachment INTEGER NOT NULL REFERENCES attachment (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (attachment, number)
) STRICT;
";

/// Opens the file for writing, creating what is missing.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|e| refuse(path, e))?;
    }
    create(path).map_err(|e| refuse(path, e))?;
    let mut conn = Connection::open(path).map_err(|e| refuse(path, Error::from(e)))?;
    prepare(&mut conn).map_err(|e| refuse(path, e))?;
    match version(&conn).map_err(|e| refuse(path, Error::from(e)))? {
        VERSION => Ok(conn),
        other => Err(refuse(
            path,
            format!(
                "its format is version {other}, this Callreel knows {VERSION}; use the Callreel that made it"
            ),
        )),
    }
}

/// Opens the file for reading; `open_writer` has been there before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    Ok(conn)
}

/// The file holds the passwords of phones: it is its owner's alone. The log beside it gets the same mode from SQLite.
fn create(path: &Path) -> std::io::Result<()> {
    let mut new = OpenOptions::new();
    new.create(true).append(true).mode(0o600).open(path)?;
    Ok(())
}

/// Write-ahead logging, so that readers never wait; a full sync per commit, so that what is acknowledged survives a
/// power cut. Commits come in groups, which pays for it.
fn prepare(conn: &mut Connection) -> Result<(), Error> {
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    match version(&tx)? {
        0 => tx.execute_batch(TABLES)?,
        // Version 2 finds accounts by name and by API key, version 3 voicemail boxes by number and owner, and their messages
        // by folder, version 4 entries by list and users by directory.
        older @ 1..VERSION => {
            if older < 2 {
                documents::index_again(&tx, pvt_type::ACCOUNT)?;
            }
            if older < 3 {
                documents::index_again(&tx, pvt_type::VMBOX)?;
                documents::index_again(&tx, pvt_type::MAILBOX_MESSAGE)?;
            }
            documents::index_again(&tx, pvt_type::LIST_ENTRY)?;
            documents::index_again(&tx, pvt_type::USER)?;
        }
        _ => return Ok(()),
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    Ok(tx.commit()?)
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn refuse(path: &Path, reason: impl ToString) -> Error {
    Error::Open {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
