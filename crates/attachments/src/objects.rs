//! Writes, reads and removes one object. Streams: what is in memory at once does not depend on the file.

use std::io;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload, path::Path,
};
use sha2::{Digest as _, Sha256};
use tokio::{runtime::Handle, task::JoinSet};

use crate::handler::Facts;

/// Bytes of a part of a large file; a smaller file goes in one request. All parts but the last must have one size (R2), of at
/// least 5 MiB (S3), and S3 takes 10,000 of them: 80 GB.
pub(crate) const PART: usize = 8 * 1024 * 1024;
/// Parts of one file under way at once: one is read while another travels, and one more hides the answer's way back.
const PARTS_AT_ONCE: usize = 2;
/// What a large file may have in memory, in parts.
pub(crate) const PARTS_IN_MEMORY: usize = PARTS_AT_ONCE + 1;

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The file here could not be read, or is not the one that was promised.
    #[error(transparent)]
    Source(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// Writes the object, all of it or none.
pub(crate) async fn put(
    store: &dyn ObjectStore,
    path: &Path,
    facts: &Facts<'_>,
    plain: bool,
    body: BoxStream<'static, io::Result<Bytes>>,
) -> Result<(), Failure> {
    let attributes = if plain {
        Attributes::new()
    } else {
        attributes(facts)
    };
    let mut body = Checked::new(body, facts);
    if facts.bytes <= PART as u64 {
        let file = body.part().await?;
        body.finish()?;
        let options = PutOptions::from(attributes);
        store.put_opts(path, file, options).await?;
        return Ok(());
    }
    let options = PutMultipartOptions::from(attributes);
    let mut upload = Upload(Some(store.put_multipart_opts(path, options).await?));
    match parts(&mut upload, &mut body).await {
        Ok(()) => Ok(()),
        Err(failure) => {
            upload.abort().await;
            Err(failure)
        }
    }
}

async fn parts(upload: &mut Upload, body: &mut Checked) -> Result<(), Failure> {
    let mut under_way = JoinSet::new();
    loop {
        let part = body.part().await?;
        if part.content_length() == 0 {
            break;
        }
        if under_way.len() == PARTS_AT_ONCE {
            joined(&mut under_way).await?;
        }
        under_way.spawn(upload.get().put_part(part));
    }
    while !under_way.is_empty() {
        joined(&mut under_way).await?;
    }
    body.finish()?;
    upload.get().complete().await?;
    upload.0 = None;
    Ok(())
}

async fn joined(under_way: &mut JoinSet<object_store::Result<()>>) -> Result<(), Failure> {
    match under_way.join_next().await {
        Some(joined) => Ok(joined.map_err(io::Error::other)??),
        None => Ok(()),
    }
}

fn attributes(facts: &Facts<'_>) -> Attributes {
    Attributes::from_iter([
        (Attribute::ContentType, facts.content_type.to_owned()),
        (
            Attribute::Metadata("sha256".into()),
            facts.sha256.to_owned(),
        ),
    ])
}

/// A multipart upload that is not left lying about: what was sent of it is given up if it is not completed, also when the try
/// is cut off.
struct Upload(Option<Box<dyn MultipartUpload>>);

impl Upload {
    fn get(&mut self) -> &mut dyn MultipartUpload {
        self.0
            .as_deref_mut()
            .expect("it is taken only when it is over")
    }

    async fn abort(&mut self) {
        if let Some(upload) = self.0.take() {
            give_up(upload).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(give_up(upload));
        }
    }
}

async fn give_up(mut upload: Box<dyn MultipartUpload>) {
    if upload.abort().await.is_err() {
        tracing::warn!(
            "parts of a file could not be taken back; they are left to the bucket's lifecycle rule for incomplete uploads"
        );
    }
}

/// The file, cut into parts, counted and hashed.
struct Checked {
    body: BoxStream<'static, io::Result<Bytes>>,
    /// Read and not yet in a part.
    rest: Bytes,
    hash: Sha256,
    read: u64,
    bytes: u64,
    sha256: String,
}

impl Checked {
    fn new(body: BoxStream<'static, io::Result<Bytes>>, facts: &Facts<'_>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            hash: Sha256::new(),
            read: 0,
            bytes: facts.bytes,
            sha256: facts.sha256.to_owned(),
        }
    }

    /// The next part; empty at the end.
    async fn part(&mut self) -> io::Result<PutPayload> {
        let mut blocks = Vec::new();
        let mut room = PART;
        while room > 0 {
            if self.rest.is_empty() {
                match self.body.try_next().await? {
                    Some(block) => self.rest = block,
                    None => break,
                }
            }
            let block = self.rest.split_to(room.min(self.rest.len()));
            self.hash.update(&block);
            self.read += block.len() as u64;
            room -= block.len();
            blocks.push(block);
        }
        Ok(PutPayload::from_iter(blocks))
    }

    /// That all came which was promised, before anybody is told that it did.
    fn finish(&mut self) -> io::Result<()> {
        let hash = hex::encode(std::mem::take(&mut self.hash).finalize());
        let more = !self.rest.is_empty();
        if self.read != self.bytes || more || !hash.eq_ignore_ascii_case(&self.sha256) {
            let message = format!(
                "the file is not the one that was rendered: {} of {} bytes, sha-256 {hash} for {}",
                self.read, self.bytes, self.sha256
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

/// Bytes of an object; `None` if it is not there.
pub(crate) async fn get(
    store: &dyn ObjectStore,
    path: &Path,
    range: std::ops::Range<u64>,
) -> object_store::Result<Option<BoxStream<'static, io::Result<Bytes>>>> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(range)),
        ..GetOptions::default()
    };
    match store.get_opts(path, options).await {
        Ok(found) => Ok(Some(found.into_stream().map_err(io::Error::other).boxed())),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes an object; false if there was none.
pub(crate) async fn delete(store: &dyn ObjectStore, path: &Path) -> object_store::Result<bool> {
    match store.delete(path).await {
        Ok(()) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
