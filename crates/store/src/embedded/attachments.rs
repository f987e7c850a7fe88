//! Attachments as rows of half a mebibyte: uploads that become visible in one step, and reads of any part. SQL only.

use std::ops::Range;

use callreel_proto::{Utc, random_hex};
use rusqlite::{Connection, OptionalExtension, params};

use super::documents::{find, touch};
use crate::{Error, attachment::Place, document::generation};

/// Bytes per row. Large enough that a recording of three minutes takes two rows, small enough that a hundred uploads
/// at once hold 50 MB.
pub(super) const CHUNK_BYTES: usize = 512 << 10;
/// An upload nobody has added to for so long is of a process that died.
const ABANDONED_MS: i64 = 6 * 60 * 60 * 1000;

/// An upload's row in `attachment`. Drawn by the uploader, who can thus give up a row it has not yet heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UploadId(i64);

impl UploadId {
    pub(super) fn random() -> Self {
        let digits = random_hex(15);
        Self(i64::from_str_radix(&digits, 16).expect("15 hex digits are below 2^60"))
    }
}

/// What is known once an upload is complete.
#[derive(Debug, Clone)]
pub(super) struct Complete {
    pub(super) content_type: String,
    pub(super) length: u64,
    pub(super) digest: String,
}

/// An attachment that can be read.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) content_type: String,
    pub(super) length: u64,
    pub(super) digest: String,
    pub(super) chunk_bytes: u64,
}

/// Opens an upload.
pub(super) fn begin(conn: &Connection, upload: UploadId, name: &str) -> Result<(), Error> {
    let sql = "INSERT INTO attachment (id, name, content_type, length, digest, revpos, chunk_bytes, touched)
        VALUES (?1, ?2, '', 0, '', 0, ?3, ?4)";
    conn.prepare_cached(sql)?.execute(params![
        upload.0,
        name,
        CHUNK_BYTES as i64,
        Utc::now().unix_ms()
    ])?;
    Ok(())
}

/// Adds a block; every block but the last has `CHUNK_BYTES`.
pub(super) fn append(
    conn: &Connection,
    upload: UploadId,
    name: &str,
    number: i64,
    data: &[u8],
) -> Result<(), Error> {
    let sql = "UPDATE attachment SET touched = ?2 WHERE id = ?1 AND document IS NULL";
    let open = conn
        .prepare_cached(sql)?
        .execute(params![upload.0, Utc::now().unix_ms()])?;
    if open == 0 {
        return Err(Error::Upload {
            name: name.to_owned(),
            reason: "it stood still for hours and was swept away".to_owned(),
        });
    }
    conn.prepare_cached("INSERT INTO chunk (attachment, number, data) VALUES (?1, ?2, ?3)")?
        .execute(params![upload.0, number, data])?;
    Ok(())
}

/// Makes an upload the document's attachment, in place of one of that name, and returns the document's new revision.
pub(super) fn attach(
    conn: &Connection,
    upload: UploadId,
    place: &Place,
    complete: &Complete,
) -> Result<String, Error> {
    let Some(stored) = find(conn, &place.db, &place.id)? else {
        return Err(Error::Missing {
            db: place.db.clone(),
            id: place.id.clone(),
        });
    };
    let rev = touch(
        conn,
        &stored,
        &format!("{} {}", place.name, complete.digest),
    )?;
    conn.prepare_cached("DELETE FROM attachment WHERE document = ?1 AND name = ?2")?
        .execute(params![stored.seq, place.name])?;
    let sql = "UPDATE attachment SET document = ?2, content_type = ?3, length = ?4, digest = ?5, revpos = ?6
        WHERE id = ?1";
    conn.prepare_cached(sql)?.execute(params![
        upload.0,
        stored.seq,
        complete.content_type,
        complete.length as i64,
        complete.digest,
        generation(&rev) as i64,
    ])?;
    Ok(rev)
}

/// Forgets an upload.
pub(super) fn abandon(conn: &Connection, upload: UploadId) -> Result<(), Error> {
    let sql = "DELETE FROM attachment WHERE id = ?1 AND document IS NULL";
    conn.prepare_cached(sql)?.execute([upload.0])?;
    Ok(())
}

/// Forgets the uploads of processes that died; returns how many. Uploads of another living process are younger.
pub(super) fn sweep(conn: &Connection) -> Result<usize, Error> {
    let before = Utc::now().unix_ms() - ABANDONED_MS;
    let sql = "DELETE FROM attachment WHERE document IS NULL AND touched < ?1";
    Ok(conn.execute(sql, [before])?)
}

/// Looks an attachment up.
pub(super) fn locate(conn: &Connection, place: &Place) -> Result<Option<Found>, Error> {
    let sql = "SELECT a.id, a.content_type, a.length, a.digest, a.chunk_bytes
        FROM database b JOIN document d ON d.database = b.id JOIN attachment a ON a.document = d.seq
        WHERE b.name = ?1 AND d.id = ?2 AND a.name = ?3";
    let found = conn
        .prepare_cached(sql)?
        .query_row([&place.db, &place.id, &place.name], |row| {
            Ok(Found {
                id: row.get(0)?,
                content_type: row.get(1)?,
                length: row.get::<_, i64>(2)? as u64,
                digest: row.get(3)?,
                chunk_bytes: row.get::<_, i64>(4)? as u64,
            })
        })
        .optional()?;
    Ok(found)
}

/// The part of `range` that lies in the range's first chunk; `None` if the attachment is gone.
pub(super) fn read(
    conn: &Connection,
    found: &Found,
    range: &Range<u64>,
) -> Result<Option<Vec<u8>>, Error> {
    let number = range.start / found.chunk_bytes;
    let skip = range.start % found.chunk_bytes;
    let take = (range.end - range.start).min(found.chunk_bytes - skip);
    let sql = "SELECT substr(data, ?3 + 1, ?4) FROM chunk WHERE attachment = ?1 AND number = ?2";
    let data: Option<Vec<u8>> = conn
        .prepare_cached(sql)?
        .query_row(
            params![found.id, number as i64, skip as i64, take as i64],
            |row| row.get(0),
        )
        .optional()?;
    Ok(data.filter(|data| data.len() as u64 == take))
}

/// Attachments whose chunks do not add up to their length, in words.
pub(super) fn check(conn: &Connection) -> Result<Vec<String>, Error> {
    let sql = "SELECT b.name, d.id, a.name, a.length, coalesce(sum(length(c.data)), 0) AS got
        FROM attachment a JOIN document d ON d.seq = a.document JOIN database b ON b.id = d.database
        LEFT JOIN chunk c ON c.attachment = a.id GROUP BY a.id HAVING got != a.length";
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(format!(
            "attachment {:?} of document {:?} in {:?} should have {} bytes and has {}",
            row.get::<_, String>(2)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(0)?,
            row.get::<_, i64>(3)?,
            row.get::<_, i64>(4)?
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
