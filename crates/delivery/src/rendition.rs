//! A recording's audio file as those read it who deliver it: how long it is, and its bytes in blocks. The one place that
//! knows how it lies on disk; keeps nothing open between two readings.

use std::{
    fs,
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use callreel_spool::{AtRest, Error as SpoolError, Keys, RenditionInfo, Ticket, View};
use futures::{Stream, stream};

use crate::render::BLOCK;

/// The audio file of a recording. It may be read any number of times, each time from where the reader likes: a redirect
/// begins anew, and a transfer in parts goes on where it was. A seal of the node's comes off as it is read; what was changed
/// under it is put aside, so that the file is made once more.
#[derive(Debug, Clone)]
pub(crate) struct Rendition {
    path: PathBuf,
    bytes: u64,
    /// What opens it, if it is sealed.
    keys: Option<Keys>,
    /// Whoever reads it only looks, and changes nothing.
    looks: bool,
}

impl Rendition {
    /// The file of this ticket, which it describes so. Touches no disk.
    pub(crate) fn of(spool: &View, ticket: &Ticket, info: &RenditionInfo) -> Self {
        Self {
            keys: info.sealed_bytes.map(|_| spool.keys().clone()),
            ..Self::new(spool.rendition_path(ticket), info.bytes)
        }
    }

    /// A file of so many bytes, which is not sealed.
    pub(crate) fn new(path: PathBuf, bytes: u64) -> Self {
        Self {
            path,
            bytes,
            keys: None,
            looks: false,
        }
    }

    /// The same for somebody who only looks: nothing is put aside.
    pub(crate) fn looked_at(self) -> Self {
        Self {
            looks: true,
            ..self
        }
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
        let (file, left) = (self.clone(), self.bytes.saturating_sub(from));
        let source = blocking(move || file.open(from)).await?;
        Ok(stream::try_unfold(
            (self.clone(), source, left),
            |(file, mut source, left)| async move {
                if left == 0 {
                    return Ok(None);
                }
                let (block, file, source) = blocking(move || {
                    let block = block(&mut source, left).map_err(|error| file.spoilt(error))?;
                    Ok((block, file, source))
                })
                .await?;
                let left = left - block.len() as u64;
                Ok(Some((block, (file, source, left))))
            },
        ))
    }

    fn open(&self, from: u64) -> io::Result<AtRest> {
        let opened = match &self.keys {
            None => AtRest::plain(&self.path),
            Some(keys) => AtRest::sealed(&self.path, keys),
        };
        let mut opened = opened.map_err(|error| match error {
            SpoolError::Io { source, .. } => naming(&self.path)(source),
            SpoolError::Damaged { reason, .. } => {
                self.spoilt(io::Error::new(ErrorKind::InvalidData, reason))
            }
            other => io::Error::other(other),
        })?;
        let (length, bytes) = (opened.length(), self.bytes);
        if length != bytes {
            let why = format!("it has {length} bytes where {bytes} were rendered");
            return Err(self.spoilt(io::Error::new(ErrorKind::InvalidData, why)));
        }
        let sought = opened.seek(SeekFrom::Start(from));
        sought.map_err(|error| self.spoilt(error))?;
        Ok(opened)
    }

    /// Names the file. One whose seal is proved broken is put aside: the next try finds it gone, and it is made again from
    /// what it was made of.
    fn spoilt(&self, error: io::Error) -> io::Error {
        let broken = self.keys.is_some() && error.kind() == ErrorKind::InvalidData;
        if broken && !self.looks {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".spoilt");
            match fs::rename(&self.path, &aside) {
                Ok(()) => {
                    tracing::error!(file = %self.path.display(), %error, "a sealed file is not what was written; it is put aside and made again");
                }
                Err(refused) => {
                    tracing::error!(file = %self.path.display(), %error, %refused, "a sealed file is not what was written, and cannot be put aside");
                }
            }
        }
        naming(&self.path)(error)
    }
}

/// The next block, of which at least one byte is left.
fn block(source: &mut AtRest, left: u64) -> io::Result<Bytes> {
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

    /// A file sealed by a node's key.
    fn sealed_file(contents: &[u8]) -> (tempfile::TempDir, Rendition) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let keys = crate::testing::keys();
        let file = fs::File::create(&path).unwrap();
        let mut sealing = callreel_spool::Sealing::begin(keys.seals_to().unwrap(), file).unwrap();
        io::Write::write_all(&mut sealing, contents).unwrap();
        sealing.finish().unwrap();
        let file = Rendition {
            keys: Some(keys),
            ..Rendition::new(path, contents.len() as u64)
        };
        (dir, file)
    }

    #[tokio::test]
    async fn a_sealed_file_is_read_as_if_it_were_not() {
        let contents: Vec<u8> = (0..2 * BLOCK + 17).map(|n| (n % 251) as u8).collect();
        let (_dir, file) = sealed_file(&contents);
        for from in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 16, 2 * BLOCK + 17, 0] {
            let rest = read(&file, from as u64).await.unwrap().concat();
            assert!(rest == contents[from..], "from {from}");
        }
    }

    #[tokio::test]
    async fn a_sealed_file_that_was_changed_is_put_aside_and_one_without_its_key_is_not() {
        let contents = vec![7; BLOCK];
        let (dir, file) = sealed_file(&contents);
        let path = dir.path().join("file");
        let keyless = Rendition {
            keys: Some(Keys::default()),
            ..file.clone()
        };
        let why = read(&keyless, 0).await.unwrap_err().to_string();
        assert!(
            why.contains("is sealed, and spool.key_file is not set"),
            "{why}"
        );
        let whole = fs::read(&path).unwrap();
        for place in [0, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            read(&file.clone().looked_at(), 0).await.unwrap_err();
            assert!(path.exists(), "who looks changes nothing");
            let why = read(&file, 0).await.unwrap_err();
            assert_eq!(why.kind(), ErrorKind::InvalidData);
            assert!(why.to_string().contains(path.to_str().unwrap()), "{why}");
            assert!(!path.exists());
            assert!(fs::read(dir.path().join("file.spoilt")).unwrap() == changed);
        }
    }
}
