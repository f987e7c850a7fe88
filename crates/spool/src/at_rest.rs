//! Whole files at rest, plain or sealed: how they are written once and read from anywhere. A sealed one is an ordinary age
//! file, which other tools open too.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write},
    iter,
    path::Path,
};

use age::{
    Encryptor,
    stream::{StreamReader, StreamWriter},
    x25519,
};

use crate::{Error, Keys, Recipient, error::At};

/// What the name of a sealed file ends with.
pub(crate) const SEALED: &str = ".age";

/// One system call fetches this much.
const BLOCK: usize = 256 << 10;

/// Seals what is written into it. [`Sealing::finish`] ends it; without that, what was written does not open.
pub struct Sealing<W: Write>(StreamWriter<W>);

impl<W: Write> Sealing<W> {
    /// Begins, so that only the recipient's identity opens it.
    ///
    /// # Errors
    /// What `out` says.
    pub fn begin(to: &Recipient, out: W) -> io::Result<Self> {
        Self::to(to.as_age(), out)
    }

    fn to(recipient: &x25519::Recipient, out: W) -> io::Result<Self> {
        let recipients = iter::once(recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients)
            .expect("one recipient of age's own kind is what it takes");
        encryptor.wrap_output(out).map(Self)
    }

    /// Ends it and gives back what it was written into.
    ///
    /// # Errors
    /// What that says.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A file opened for reading. What comes out is what was sealed, proved piece by piece: a change anywhere in the file is an
/// error where it is read, of the kind [`ErrorKind::InvalidData`].
pub struct AtRest {
    bytes: Bytes,
    length: u64,
}

enum Bytes {
    Plain(File),
    Sealed(Box<StreamReader<BufReader<File>>>),
}

impl AtRest {
    /// Opens a file that was never sealed, or is to be read with its seal on.
    ///
    /// # Errors
    /// The disk refused.
    pub fn plain(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).at("open", path)?;
        let length = file.metadata().at("measure", path)?.len();
        Ok(Self {
            bytes: Bytes::Plain(file),
            length,
        })
    }

    /// Opens a file that is sealed to one of these keys.
    ///
    /// # Errors
    /// [`Error::Sealed`] without the key, [`Error::Damaged`] when its head or its end is not what was written, or the disk
    /// refused.
    pub fn sealed(path: &Path, keys: &Keys) -> Result<Self, Error> {
        let damaged = |reason| Error::Damaged {
            path: path.to_owned(),
            reason,
        };
        let file = File::open(path).at("open", path)?;
        let file = BufReader::with_capacity(BLOCK, file);
        let opened = keys.open(file).map_err(|why| why.at(path, damaged))?;
        Self::measured(opened).map_err(|error| match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => damaged("its end is not there"),
            _ => Error::Io {
                action: "read",
                path: path.to_owned(),
                source: error,
            },
        })
    }

    /// The length is proved by the last piece, so what is cut off is found out at once.
    fn measured(mut opened: StreamReader<BufReader<File>>) -> io::Result<Self> {
        let length = opened.seek(SeekFrom::End(0))?;
        opened.rewind()?;
        Ok(Self {
            bytes: Bytes::Sealed(Box::new(opened)),
            length,
        })
    }

    /// Bytes of what comes out.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it came out of a seal.
    pub fn is_sealed(&self) -> bool {
        matches!(self.bytes, Bytes::Sealed(_))
    }
}

impl Read for AtRest {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.bytes {
            Bytes::Plain(file) => file.read(into),
            // A decoder would take an early end for the end of the audio.
            Bytes::Sealed(opened) => opened.read(into).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => io::Error::new(ErrorKind::InvalidData, error),
                _ => error,
            }),
        }
    }
}

impl Seek for AtRest {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.bytes {
            Bytes::Plain(file) => file.seek(to),
            Bytes::Sealed(opened) => {
                let at = match to {
                    SeekFrom::Start(at) => Some(at),
                    SeekFrom::End(by) => self.length.checked_add_signed(by),
                    SeekFrom::Current(by) => opened.stream_position()?.checked_add_signed(by),
                };
                let at = at.ok_or(ErrorKind::InvalidInput)?;
                // Behind the end there is nothing, as in a plain file.
                opened.seek(SeekFrom::Start(at.min(self.length)))
            }
        }
    }
}

/// Something that is written now and read once, soon, by the same process, and which nobody else can read: its key is
/// nowhere but in memory.
pub struct Scratch {
    key: x25519::Identity,
    out: Sealing<File>,
}

impl Scratch {
    /// Begins in this file, which was opened for reading and writing.
    ///
    /// # Errors
    /// The disk refused.
    pub fn begin(file: File) -> io::Result<Self> {
        let key = x25519::Identity::generate();
        let out = Sealing::to(&key.to_public(), file)?;
        Ok(Self { key, out })
    }

    /// Ends the writing and gives what was written.
    ///
    /// # Errors
    /// The disk refused.
    pub fn read_back(self) -> io::Result<impl Read> {
        let mut file = self.out.finish()?;
        file.rewind()?;
        let file = BufReader::with_capacity(BLOCK, file);
        let opened = age::Decryptor::new_buffered(file)
            .and_then(|sealed| sealed.decrypt(iter::once(&self.key as &dyn age::Identity)));
        opened.map_err(io::Error::other)
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
