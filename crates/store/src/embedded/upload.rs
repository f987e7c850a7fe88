//! Bytes on their way between a stream or a file and the attachment tables, one block at a time. Owns the promise that
//! memory stays bounded and that an interrupted upload leaves nothing.

use std::{fs::File, io::Read, ops::Range, path::PathBuf};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use md5::{Digest, Md5};
use rusqlite::Connection;

use super::{
    attachments::{self, CHUNK_BYTES, Complete, Found, UploadId},
    reader::Readers,
    writer::Writer,
};
use crate::{
    Error,
    attachment::{Place, digest},
};

/// An upload that is given up unless it is finished.
pub(super) struct Upload {
    writer: Writer,
    place: Place,
    row: UploadId,
    /// Blocks handed to the writer.
    sent: i64,
    attached: bool,
    promised: u64,
    got: u64,
    hash: Md5,
    block: BytesMut,
}

impl Upload {
    pub(super) fn new(writer: Writer, place: Place, promised: u64) -> Self {
        Self {
            writer,
            place,
            row: UploadId::random(),
            sent: 0,
            attached: false,
            promised,
            got: 0,
            hash: Md5::new(),
            block: BytesMut::new(),
        }
    }

    /// Takes the whole body and attaches it.
    pub(super) async fn run<S>(mut self, content_type: &str, body: S) -> Result<String, Error>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send,
    {
        let mut body = std::pin::pin!(body);
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|e| Error::Upload {
                name: self.place.name.clone(),
                reason: e.to_string(),
            })?;
            self.push(bytes).await?;
        }
        self.finish(content_type).await
    }

    async fn push(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.got += bytes.len() as u64;
        if self.got > self.promised {
            return Err(self.wrong_length());
        }
        self.hash.update(&bytes);
        while !bytes.is_empty() {
            if self.block.len() == CHUNK_BYTES {
                self.send_block().await?;
            }
            let room = CHUNK_BYTES - self.block.len();
            let part = bytes.split_to(room.min(bytes.len()));
            self.block.extend_from_slice(&part);
        }
        Ok(())
    }

    async fn send_block(&mut self) -> Result<(), Error> {
        let write = self.next_block();
        self.writer.write(write).await
    }

    fn next_block(&mut self) -> impl FnOnce(&Connection) -> Result<(), Error> + Send + use<> {
        let block = self.block.split().freeze();
        let (row, number, name) = (self.row, self.sent, self.place.name.clone());
        self.sent += 1;
        move |conn| {
            if number == 0 {
                attachments::begin(conn, row, &name)?;
            }
            attachments::append(conn, row, &name, number, &block)
        }
    }

    /// The last block and the attaching are one change, so a small attachment costs one commit.
    async fn finish(mut self, content_type: &str) -> Result<String, Error> {
        if self.got != self.promised {
            return Err(self.wrong_length());
        }
        let complete = Complete {
            content_type: content_type.to_owned(),
            length: self.got,
            digest: digest(&std::mem::take(&mut self.hash).finalize()),
        };
        let last = self.next_block();
        let (row, place) = (self.row, self.place.clone());
        let write = self.writer.write(move |conn| {
            last(conn)?;
            attachments::attach(conn, row, &place, &complete)
        });
        let rev = write.await?;
        self.attached = true;
        Ok(rev)
    }

    fn wrong_length(&self) -> Error {
        Error::Length {
            name: self.place.name.clone(),
            promised: self.promised,
            got: self.got,
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.attached || self.sent == 0 {
            return;
        }
        let row = self.row;
        let queued = self
            .writer
            .try_write(move |conn| attachments::abandon(conn, row));
        if !queued {
            tracing::debug!(name = %self.place.name, "an abandoned upload waits for the sweep");
        }
    }
}

/// Attaches a whole file within the caller's transaction.
pub(super) fn attach_file(
    conn: &Connection,
    place: &Place,
    content_type: &str,
    path: &PathBuf,
) -> Result<(), Error> {
    let failed = |e: std::io::Error| Error::Upload {
        name: place.name.clone(),
        reason: format!("{}: {e}", path.display()),
    };
    let mut file = File::open(path).map_err(failed)?;
    let row = UploadId::random();
    attachments::begin(conn, row, &place.name)?;
    let (mut hash, mut length) = (Md5::new(), 0);
    for number in 0.. {
        let mut block = Vec::with_capacity(CHUNK_BYTES);
        let got = (&mut file)
            .take(CHUNK_BYTES as u64)
            .read_to_end(&mut block)
            .map_err(failed)?;
        if got == 0 {
            break;
        }
        hash.update(&block);
        length += got as u64;
        attachments::append(conn, row, &place.name, number, &block)?;
    }
    let complete = Complete {
        content_type: content_type.to_owned(),
        length,
        digest: digest(&hash.finalize()),
    };
    attachments::attach(conn, row, place, &complete)?;
    Ok(())
}

/// The bytes of a range, block by block.
pub(super) fn download(
    readers: Readers,
    found: Found,
    range: Range<u64>,
) -> BoxStream<'static, std::io::Result<Bytes>> {
    let next = move |range: Range<u64>| {
        let (readers, found) = (readers.clone(), found.clone());
        async move {
            if range.is_empty() {
                return Ok(None);
            }
            let part = range.clone();
            let block = readers
                .read(move |conn| attachments::read(conn, &found, &part))
                .await
                .map_err(std::io::Error::other)?
                .ok_or_else(|| {
                    std::io::Error::other(
                        "the attachment was replaced or removed while it was read",
                    )
                })?;
            let rest = range.start + block.len() as u64..range.end;
            Ok(Some((Bytes::from(block), rest)))
        }
    };
    futures::stream::try_unfold(range, next).boxed()
}
