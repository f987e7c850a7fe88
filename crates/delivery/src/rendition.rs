//! A recording's audio file as those read it who deliver it: how long it is, and its bytes in blocks. The one place that
//! knows how it lies on disk; keeps nothing open between two readings.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use callreel_spool::{RenditionInfo, Ticket, View};
use futures::{Stream, stream};

use crate::render::BLOCK;

/// What is read: a file of its own, away from the async threads.
type Source = Box<dyn Read + Send>;

/// The audio file of a recording. It may be read any number of times, each time from where the reader likes: a redirect
/// begins anew, and a transfer in parts goes on where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendition {
    path: PathBuf,
    bytes: u64,
}

impl Rendition {
    /// The file of this ticket, which it describes so. Touches no disk.
    pub(crate) fn of(spool: &View, ticket: &Ticket, info: &RenditionInfo) -> Self {
        Self::new(spool.rendition_path(ticket), info.bytes)
    }

    /// A file of so many bytes.
    pub(crate) fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes }
    }

    /// Bytes of the audio file, as a receiver gets it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens it and gives what follows after `from` bytes, in blocks of 256 KiB. The file is as long as its ticket says, or
    /// it is not read; what a block could not be read for ends the stream.
    pub(crate) async fn blocks(
        &self,
        from: u64,
    ) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
        let (path, bytes) = (self.path.clone(), self.bytes);
        let opening = move || open(&path, bytes, from).map_err(naming(&path));
        let source = blocking(opening).await?;
        let left = bytes.saturating_sub(from);
        Ok(stream::try_unfold(
            (source, left, self.path.clone()),
            |(mut source, left, path)| async move {
                if left == 0 {
                    return Ok(None);
                }
                let (read, source) = blocking(move || {
                    let read = block(&mut source, left);
                    read.map(|read| (read, source))
                })
                .await
                .map_err(naming(&path))?;
                let left = left - read.len() as u64;
                Ok(Some((read, (source, left, path))))
            },
        ))
    }
}

fn open(path: &Path, bytes: u64, from: u64) -> io::Result<Source> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length != bytes {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("it has {length} bytes where {bytes} were rendered"),
        ));
    }
    file.seek(SeekFrom::Start(from))?;
    Ok(Box::new(file))
}

/// The next block, of which at least one byte is left.
fn block(source: &mut Source, left: u64) -> io::Result<Bytes> {
    let wanted = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
    let mut block = vec![0; wanted];
    source.read_exact(&mut block)?;
    Ok(block.into())
}

/// A person should know which file it is.
fn naming(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| {
        io::Error::new(
            error.kind(),
            format!("cannot read {}: {error}", path.display()),
        )
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .expect("reading a file does not panic, and the runtime outlives its tasks")
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    fn file(contents: &[u8]) -> (tempfile::TempDir, Rendition) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, contents).unwrap();
        (dir, Rendition::new(path, contents.len() as u64))
    }

    async fn read(file: &Rendition, from: u64) -> io::Result<Vec<Bytes>> {
        file.blocks(from).await?.try_collect().await
    }

    #[tokio::test]
    async fn a_file_is_read_in_blocks_from_anywhere_and_again() {
        let contents: Vec<u8> = (0..BLOCK + 17).map(|n| (n % 251) as u8).collect();
        let (_dir, file) = file(&contents);
        for _ in 0..2 {
            let blocks = read(&file, 0).await.unwrap();
            let lengths: Vec<usize> = blocks.iter().map(Bytes::len).collect();
            assert_eq!(lengths, [BLOCK, 17]);
            assert_eq!(blocks.concat(), contents);
        }
        for from in [1, 17, BLOCK, BLOCK + 16, BLOCK + 17, BLOCK + 18] {
            let rest = read(&file, from as u64).await.unwrap().concat();
            assert_eq!(rest, contents.get(from..).unwrap_or_default());
        }
    }

    #[tokio::test]
    async fn a_file_that_is_gone_or_of_another_length_is_named_and_not_read() {
        let (dir, file) = file(b"RIFF");
        let path = dir.path().join("file");
        let longer = Rendition::new(path.clone(), 5);
        let why = read(&longer, 0).await.unwrap_err().to_string();
        let expected = format!(
            "cannot read {}: it has 4 bytes where 5 were rendered",
            path.display()
        );
        assert_eq!(why, expected);
        std::fs::remove_file(&path).unwrap();
        let why = read(&file, 0).await.unwrap_err();
        assert_eq!(why.kind(), ErrorKind::NotFound);
        assert!(why.to_string().contains(path.to_str().unwrap()), "{why}");
    }
}
