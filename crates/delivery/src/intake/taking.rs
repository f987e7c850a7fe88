//! Takes one file off the network: bounded in size and patience, and safe on disk at its place before anybody is told that
//! it has arrived.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Write as _},
    time::Duration,
};

use bytes::Bytes;
use callreel_spool::{Recipient, Sealing};
use futures::{Stream, StreamExt as _};

use super::{Arriving, Refusal};
use crate::part::{DiskError, Part};

/// Bytes per write: small writes through the blocking pool cost more than everything else here.
pub(super) const BLOCK: usize = 256 * 1024;

/// What the head of a request says about the body's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// `Content-Length`.
    Told(u64),
    /// It ends with its last chunk.
    Chunked,
    Untold,
}

/// Takes the body. When this returns `Ok`, the file is safe; otherwise nothing of it is left.
pub(super) async fn take<E: Display>(
    arriving: &mut Arriving,
    length: Length,
    body: impl Stream<Item = Result<Bytes, E>>,
    patience: Duration,
) -> Result<(), Refusal> {
    let limit = arriving.pass.limit;
    match length {
        Length::Untold => return Err(Refusal::NoLength),
        Length::Told(bytes) if bytes > limit => return Err(Refusal::TooLarge(limit)),
        Length::Told(_) | Length::Chunked => {}
    }
    let part = Part::of(arriving.pass.place.path.clone());
    let seal_to = arriving.pass.place.seal_to.clone();
    let mut sink = blocking(move || Sink::create(part, seal_to)).await?;
    let mut block = Vec::with_capacity(BLOCK);
    let mut body = std::pin::pin!(body);
    let withdrawn = arriving.pass.withdrawn.clone();
    loop {
        let next = tokio::select! {
            biased;
            () = withdrawn.cancelled() => return Err(Refusal::Expired),
            next = tokio::time::timeout(patience, body.next()) => next,
        };
        let bytes = arriving.bytes;
        let chunk = match next {
            Err(_) => return Err(Refusal::Stalled { bytes, patience }),
            Ok(Some(Err(_))) => return Err(Refusal::CutShort(bytes)),
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => break,
        };
        arriving.bytes += chunk.len() as u64;
        if arriving.bytes > limit {
            return Err(Refusal::TooLarge(limit));
        }
        block.extend_from_slice(&chunk);
        if block.len() >= BLOCK {
            (sink, block) = blocking(move || sink.take(block)).await?;
        }
    }
    blocking(move || sink.take(block)?.0.keep()).await
}

/// The file while it arrives, away from the async threads.
struct Sink {
    part: Part,
    out: Out,
}

enum Out {
    Plain(File),
    Sealed(Sealing<File>),
}

impl Sink {
    fn create(part: Part, seal_to: Option<Recipient>) -> Result<Self, DiskError> {
        let file = part.create()?;
        let out = match seal_to {
            None => Out::Plain(file),
            Some(to) => {
                let sealing = Sealing::begin(&to, file);
                Out::Sealed(sealing.map_err(DiskError::at("write", part.path()))?)
            }
        };
        Ok(Self { part, out })
    }

    /// Writes a block, and gives it back empty.
    fn take(mut self, mut block: Vec<u8>) -> Result<(Self, Vec<u8>), DiskError> {
        let written = match &mut self.out {
            Out::Plain(file) => file.write_all(&block),
            Out::Sealed(sealing) => sealing.write_all(&block),
        };
        written.map_err(DiskError::at("write", self.part.path()))?;
        block.clear();
        Ok((self, block))
    }

    fn keep(self) -> Result<(), DiskError> {
        let file = match self.out {
            Out::Plain(file) => io::Result::Ok(file),
            Out::Sealed(sealing) => sealing.finish(),
        };
        let file = file.map_err(DiskError::at("write", self.part.path()))?;
        self.part.keep(&file)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DiskError> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .expect("opening and syncing a file does not panic, and the runtime outlives its tasks")
        .map_err(|error| Refusal::Disk(error.to_string()))
}
