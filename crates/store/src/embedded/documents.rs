//! Documents, their revisions and the rows of their views, as SQL on one connection. Decides no transaction.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value, json};

use crate::{
    Error, View,
    attachment::Place,
    document::{Draft, next_revision},
    view::{Index, Recordings, entries},
};

/// Whose revision a write must build on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The one the document names; attachments without a stub go.
    Named,
    /// Whatever is stored; all attachments stay.
    Any,
}

/// A document's row.
pub(super) struct Stored {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) rev: String,
    body: String,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get("seq")?,
            id: row.get("id")?,
            rev: row.get("rev")?,
            body: row.get("body")?,
        })
    }

    /// The document as CouchDB would show it.
    fn into_document(self, conn: &Connection) -> Result<Value, Error> {
        let body: Map<String, Value> = serde_json::from_str(&self.body).map_err(|e| {
            Error::Storage(format!("document {:?} is damaged on disk: {e}", self.id))
        })?;
        let mut doc = Map::new();
        doc.insert("_id".into(), self.id.into());
        doc.insert("_rev".into(), self.rev.into());
        doc.extend(body);
        let stubs = stubs(conn, self.seq)?;
        if !stubs.is_empty() {
            doc.insert("_attachments".into(), Value::Object(stubs));
        }
        Ok(Value::Object(doc))
    }
}

pub(super) fn find(conn: &Connection, db: &str, id: &str) -> Result<Option<Stored>, Error> {
    let sql = "SELECT d.* FROM document d JOIN database b ON b.id = d.database WHERE b.name = ?1 AND d.id = ?2";
    let found = conn
        .prepare_cached(sql)?
        .query_row([db, id], Stored::read)
        .optional()?;
    Ok(found)
}

pub(super) fn get(conn: &Connection, db: &str, id: &str) -> Result<Option<Value>, Error> {
    find(conn, db, id)?
        .map(|stored| stored.into_document(conn))
        .transpose()
}

/// Writes a document and returns its new revision.
pub(super) fn put(conn: &Connection, db: &str, draft: &Draft, over: Over) -> Result<String, Error> {
    let stored = find(conn, db, &draft.id)?;
    let current = stored.as_ref().map(|s| s.rev.as_str());
    if over == Over::Named && draft.rev.as_deref() != current {
        return Err(Error::Conflict {
            db: db.to_owned(),
            id: draft.id.clone(),
        });
    }
    let rev = next_revision(current, draft.json.as_bytes());
    let database = database(conn, db)?;
    let seq = match stored {
        Some(stored) => {
            let sql = "UPDATE document SET rev = ?2, body = ?3 WHERE seq = ?1";
            conn.prepare_cached(sql)?
                .execute(params![stored.seq, rev, draft.json])?;
            stored.seq
        }
        None => {
            let sql = "INSERT INTO document (database, id, rev, body) VALUES (?1, ?2, ?3, ?4)";
            conn.prepare_cached(sql)?
                .insert(params![database, draft.id, rev, draft.json])?
        }
    };
    index(conn, database, seq, &draft.id, &draft.body)?;
    if over == Over::Named {
        keep_attachments(conn, seq, draft)?;
    }
    Ok(rev)
}

/// Gives a document whose attachments changed its next revision.
pub(super) fn touch(conn: &Connection, stored: &Stored, change: &str) -> Result<String, Error> {
    let rev = next_revision(Some(&stored.rev), change.as_bytes());
    conn.prepare_cached("UPDATE document SET rev = ?2 WHERE seq = ?1")?
        .execute(params![stored.seq, rev])?;
    Ok(rev)
}

pub(super) fn delete(conn: &Connection, db: &str, id: &str) -> Result<bool, Error> {
    let Some(stored) = find(conn, db, id)? else {
        return Ok(false);
    };
    conn.execute("DELETE FROM document WHERE seq = ?1", [stored.seq])?;
    Ok(true)
}

pub(super) fn databases(conn: &Connection) -> Result<Vec<String>, Error> {
    let mut statement = conn.prepare_cached("SELECT name FROM database ORDER BY name")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn database(conn: &Connection, name: &str) -> Result<i64, Error> {
    conn.prepare_cached("INSERT OR IGNORE INTO database (name) VALUES (?1)")?
        .execute([name])?;
    let sql = "SELECT id FROM database WHERE name = ?1";
    let id = conn
        .prepare_cached(sql)?
        .query_row([name], |row| row.get(0))?;
    Ok(id)
}

fn index(conn: &Connection, database: i64, seq: i64, id: &str, body: &Value) -> Result<(), Error> {
    conn.prepare_cached("DELETE FROM entry WHERE document = ?1")?
        .execute([seq])?;
    let sql = "INSERT OR IGNORE INTO entry (database, view, key, at, id, document) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut insert = conn.prepare_cached(sql)?;
    for row in entries(body) {
        insert.execute(params![
            database,
            row.index as i64,
            row.key,
            row.at,
            id,
            seq
        ])?;
    }
    Ok(())
}

/// Gives documents of a type the rows that views of a newer version read.
pub(super) fn index_again(conn: &Connection, kind: &str) -> Result<(), Error> {
    let sql = "SELECT d.database, d.seq, d.id, d.body FROM document d JOIN entry e ON e.document = d.seq WHERE e.view = ?1 AND e.key = ?2";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query(params![Index::Type as i64, kind])?;
    // Collected, because rows are written to the table that is read.
    let mut found: Vec<(i64, i64, String, String)> = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    }
    for (database, seq, id, body) in found {
        let body = serde_json::from_str(&body)
            .map_err(|e| Error::Storage(format!("document {id:?} is damaged: {e}")))?;
        index(conn, database, seq, &id, &body)?;
    }
    Ok(())
}

/// CouchDB drops what the new revision has no stub for, and refuses stubs of what is not there.
fn keep_attachments(conn: &Connection, seq: i64, draft: &Draft) -> Result<(), Error> {
    let present = stubs(conn, seq)?;
    if let Some(name) = draft.stubs.keys().find(|name| !present.contains_key(*name)) {
        return Err(Error::Document {
            id: draft.id.clone(),
            reason: format!("it has a stub for {name:?}, which is not attached"),
        });
    }
    for name in present
        .keys()
        .filter(|name| !draft.stubs.contains_key(*name))
    {
        conn.prepare_cached("DELETE FROM attachment WHERE document = ?1 AND name = ?2")?
            .execute(params![seq, name])?;
    }
    Ok(())
}

/// Takes all attachments from a document.
pub(super) fn drop_attachments(conn: &Connection, place: &Place) -> Result<(), Error> {
    if let Some(stored) = find(conn, &place.db, &place.id)? {
        conn.prepare_cached("DELETE FROM attachment WHERE document = ?1")?
            .execute([stored.seq])?;
    }
    Ok(())
}

fn stubs(conn: &Connection, seq: i64) -> Result<Map<String, Value>, Error> {
    let sql = "SELECT name, content_type, revpos, digest, length FROM attachment WHERE document = ?1 ORDER BY name";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([seq], |row| {
        let stub = json!({
            "content_type": row.get::<_, String>(1)?,
            "revpos": row.get::<_, i64>(2)?,
            "digest": row.get::<_, String>(3)?,
            "length": row.get::<_, i64>(4)?,
            "stub": true,
        });
        Ok((row.get::<_, String>(0)?, stub))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Documents in order of their ids.
pub(super) fn page(
    conn: &Connection,
    db: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Value>, Error> {
    let sql = "SELECT d.* FROM document d JOIN database b ON b.id = d.database
        WHERE b.name = ?1 AND d.id > ?2 ORDER BY d.id LIMIT ?3";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![db, after, limit], Stored::read)?;
    let found = rows.collect::<Result<Vec<_>, _>>()?;
    found
        .into_iter()
        .map(|stored| stored.into_document(conn))
        .collect()
}

pub(super) fn query(conn: &Connection, db: &str, view: &View) -> Result<Vec<Value>, Error> {
    let (index, key) = view.place();
    let found = match view {
        View::Recordings(which) => recordings(conn, db, index, &key, which),
        View::MailboxFolder(which) => {
            let newest = Recordings {
                limit: which.limit,
                ..Recordings::default()
            };
            recordings(conn, db, index, &key, &newest)
        }
        _ => listing(conn, db, index, &key),
    }?;
    found
        .into_iter()
        .map(|stored| stored.into_document(conn))
        .collect()
}

/// How many messages are in a folder.
pub(super) fn count(conn: &Connection, db: &str, key: &str) -> Result<u64, Error> {
    let sql = "SELECT COUNT(*) FROM database b JOIN entry e ON e.database = b.id
        WHERE b.name = ?1 AND e.view = ?2 AND e.key = ?3";
    let folder = params![db, Index::MailboxFolder as i64, key];
    let counted: i64 = conn
        .prepare_cached(sql)?
        .query_row(folder, |row| row.get(0))?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

fn listing(conn: &Connection, db: &str, index: Index, key: &str) -> Result<Vec<Stored>, Error> {
    let sql = "SELECT d.* FROM database b JOIN entry e ON e.database = b.id JOIN document d ON d.seq = e.document
        WHERE b.name = ?1 AND e.view = ?2 AND e.key = ?3 ORDER BY e.at, e.id";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![db, index as i64, key], Stored::read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn recordings(
    conn: &Connection,
    db: &str,
    index: Index,
    key: &str,
    which: &Recordings,
) -> Result<Vec<Stored>, Error> {
    let start = which.start.as_ref();
    let sql = "SELECT d.* FROM database b JOIN entry e ON e.database = b.id JOIN document d ON d.seq = e.document
        WHERE b.name = ?1 AND e.view = ?2 AND e.key = ?3 AND e.at >= ?4 AND e.at <= ?5
        AND (e.at < ?6 OR (e.at = ?6 AND e.id <= ?7))
        ORDER BY e.at DESC, e.id DESC LIMIT ?8";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(
        params![
            db,
            index as i64,
            key,
            which.created_from.unwrap_or(i64::MIN),
            which.created_to.unwrap_or(i64::MAX),
            // Without a start every row is smaller than the greatest key there can be.
            start.map_or(i64::MAX, |key| key.created),
            start.map_or("", |key| &key.id),
            i64::try_from(which.limit).unwrap_or(i64::MAX),
        ],
        Stored::read,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}
