//! Takes one file off the network: bounded in size and patience, and safe on disk at its place before anybody is told that
//! it has arrived.

use std::{fmt::Display, fs::File, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::io::{AsyncWriteExt as _, BufWriter};

use super::{Arriving, Refusal};
use crate::part::{DiskError, Part};

/// Bytes per write: small writes through the blocking pool cost more than everything else here.
const BLOCK: usize = 256 * 1024;

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
    let part = Part::of(arriving.pass.place.clone());
    let (part, file) = blocking(move || part.create().map(|file| (part, file))).await?;
    let mut out = BufWriter::with_capacity(BLOCK, tokio::fs::File::from_std(file));
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
        written(&part, out.write_all(&chunk).await)?;
    }
    written(&part, out.flush().await)?;
    let file: File = out.into_inner().into_std().await;
    blocking(move || part.keep(&file)).await
}

fn written(part: &Part, result: std::io::Result<()>) -> Result<(), Refusal> {
    let result = result.map_err(DiskError::at("write", part.path()));
    result.map_err(|error| Refusal::Disk(error.to_string()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DiskError> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .expect("opening and syncing a file does not panic, and the runtime outlives its tasks")
        .map_err(|error| Refusal::Disk(error.to_string()))
}
