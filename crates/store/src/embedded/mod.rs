//! The store in one SQLite file: one writer thread that commits in groups, a few readers, and SQL. Several processes may
//! have the file open, such as a node and a command line beside it.

mod attachments;
mod documents;
mod reader;
mod schema;
mod upload;
mod writer;

use std::{ops::Range, path::Path};

use bytes::Bytes;
use futures::Stream;
use serde_json::Value;

use self::{documents::Over, reader::Readers, upload::Upload, writer::Writer};
use crate::{
    Attachment, Error, MessageCounts, Saving, View, attachment::Place, document::Draft,
    view::folder_key,
};

/// The database file.
#[derive(Clone, Debug)]
pub(crate) struct Embedded {
    writer: Writer,
    readers: Readers,
}

impl Embedded {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let conn = schema::open_writer(path)?;
        match attachments::sweep(&conn)? {
            0 => {}
            swept => tracing::info!(swept, "swept away uploads of a process that died"),
        }
        let writer = Writer::start(conn).map_err(|e| Error::Open {
            path: path.to_owned(),
            reason: format!("its writer thread cannot be started: {e}"),
        })?;
        Ok(Self {
            writer,
            readers: Readers::new(path),
        })
    }

    pub(crate) async fn get(&self, db: &str, id: &str) -> Result<Option<Value>, Error> {
        let (db, id) = (db.to_owned(), id.to_owned());
        self.readers
            .read(move |conn| documents::get(conn, &db, &id))
            .await
    }

    pub(crate) async fn put(&self, db: &str, draft: Draft) -> Result<String, Error> {
        let db = db.to_owned();
        self.writer
            .write(move |conn| documents::put(conn, &db, &draft, Over::Named))
            .await
    }

    pub(crate) async fn save(&self, db: &str, draft: Draft) -> Result<String, Error> {
        let db = db.to_owned();
        self.writer
            .write(move |conn| documents::put(conn, &db, &draft, Over::Any))
            .await
    }

    pub(crate) async fn save_all(&self, batch: Vec<Saving>) -> Result<(), Error> {
        let mut drafts = Vec::with_capacity(batch.len());
        for saving in batch {
            drafts.push((saving.db, Draft::parse(saving.doc)?, saving.attachment));
        }
        let save = move |conn: &rusqlite::Connection| {
            for (db, draft, file) in &drafts {
                documents::put(conn, db, draft, Over::Any)?;
                if let Some(file) = file {
                    let place = Place::new(db, &draft.id, &file.name);
                    documents::drop_attachments(conn, &place)?;
                    upload::attach_file(conn, &place, &file.content_type, &file.path)?;
                }
            }
            Ok(())
        };
        self.writer.write(save).await
    }

    pub(crate) async fn delete(&self, db: &str, id: &str) -> Result<bool, Error> {
        let (db, id) = (db.to_owned(), id.to_owned());
        self.writer
            .write(move |conn| documents::delete(conn, &db, &id))
            .await
    }

    pub(crate) async fn query(&self, db: &str, view: View) -> Result<Vec<Value>, Error> {
        let db = db.to_owned();
        self.readers
            .read(move |conn| documents::query(conn, &db, &view))
            .await
    }

    pub(crate) async fn message_counts(
        &self,
        db: &str,
        mailbox: &str,
    ) -> Result<MessageCounts, Error> {
        let (db, mailbox) = (db.to_owned(), mailbox.to_owned());
        self.readers
            .read(move |conn| {
                Ok(MessageCounts {
                    new: documents::count(conn, &db, &folder_key(&mailbox, "new"))?,
                    saved: documents::count(conn, &db, &folder_key(&mailbox, "saved"))?,
                })
            })
            .await
    }

    pub(crate) async fn page(
        &self,
        db: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Value>, Error> {
        let (db, after) = (db.to_owned(), after.to_owned());
        self.readers
            .read(move |conn| documents::page(conn, &db, &after, limit))
            .await
    }

    pub(crate) async fn databases(&self) -> Result<Vec<String>, Error> {
        self.readers.read(documents::databases).await
    }

    pub(crate) async fn put_attachment<S>(
        &self,
        place: Place,
        content_type: &str,
        length: u64,
        body: S,
    ) -> Result<String, Error>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send,
    {
        let Place { db, id, .. } = place.clone();
        let exists = {
            let (db, id) = (db.clone(), id.clone());
            self.readers
                .read(move |conn| Ok(documents::find(conn, &db, &id)?.is_some()))
                .await?
        };
        if !exists {
            return Err(Error::Missing { db, id });
        }
        Upload::new(self.writer.clone(), place, length)
            .run(content_type, body)
            .await
    }

    pub(crate) async fn attachment(
        &self,
        place: Place,
        range: Range<u64>,
    ) -> Result<Option<Attachment>, Error> {
        let found = self
            .readers
            .read(move |conn| attachments::locate(conn, &place))
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let end = range.end.min(found.length);
        let range = range.start.min(end)..end;
        Ok(Some(Attachment {
            content_type: found.content_type.clone(),
            length: found.length,
            digest: found.digest.clone(),
            body: upload::download(self.readers.clone(), found, range),
        }))
    }

    pub(crate) async fn check(&self) -> Result<Vec<String>, Error> {
        self.readers
            .read(|conn| {
                let mut findings: Vec<String> = conn
                    .prepare("PRAGMA quick_check")?
                    .query_map([], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                findings.retain(|line| line != "ok");
                findings.extend(attachments::check(conn)?);
                Ok(findings)
            })
            .await
    }
}
