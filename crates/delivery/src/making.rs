//! The audio file of a recording while it is made: plain or sealed, whole or not there. Knows no audio. Blocks.

use std::{
    fs::File,
    io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write},
};

use callreel_spool::{Recipient, Scratch, Sealing, Ticket, View};
use sha2::{Digest as _, Sha256};

use crate::{
    part::{DiskError, Part},
    render::{BLOCK, Failure, digest},
};

#[cfg(test)]
mod tests;

/// How much of a file's beginning may be written again at its end, bytes: the head of a WAV has 44, and LAME's tag is a
/// frame of at most 1441.
const HEAD: usize = 4096;

/// What was made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// Bytes of what a receiver gets, and their SHA-256.
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Bytes on disk, if the node's seal is around it there.
    pub(crate) sealed_bytes: Option<u64>,
}

/// An audio file being made: an encoder writes into it, and [`Making::keep`] puts it at its place. Dropped before, nothing
/// of it is left.
pub(crate) struct Making {
    part: Part,
    out: Out,
}

enum Out {
    Plain(BufWriter<File>),
    Sealed(Draft, Seal),
}

/// Who opens it.
enum Seal {
    /// This node, on the way out: the receiver gets what is inside.
    Node(Recipient),
    /// The account: the receiver gets it as it is.
    Account(Recipient),
}

impl Making {
    /// Begins the file of this recording, over whatever an earlier try left.
    pub(crate) fn begin(spool: &View, ticket: &Ticket) -> Result<Self, Failure> {
        let seal = seal(spool, ticket)?;
        let part = Part::of(spool.rendition_path(ticket));
        let out = match seal {
            None => Out::Plain(BufWriter::with_capacity(BLOCK, part.create()?)),
            Some(seal) => {
                let draft = Draft::begin(part.scratch()?);
                Out::Sealed(draft.map_err(DiskError::at("write", part.path()))?, seal)
            }
        };
        Ok(Self { part, out })
    }

    /// It is whole: when this returns, it lies at its place and is safe on disk.
    pub(crate) fn keep(self) -> Result<Made, DiskError> {
        let Self { part, out } = self;
        let at = |error| DiskError::at("write", part.path())(error);
        let (file, made) = match out {
            Out::Plain(out) => {
                let file = out.into_inner().map_err(io::IntoInnerError::into_error);
                let file = file.map_err(at)?;
                let (bytes, sha256) = digest(part.path())?;
                let made = Made {
                    bytes,
                    sha256,
                    sealed_bytes: None,
                };
                (file, made)
            }
            Out::Sealed(draft, seal) => sealed(draft, &seal, part.create()?).map_err(at)?,
        };
        part.keep(&file)?;
        Ok(made)
    }

    fn out(&mut self) -> &mut dyn WriteSeek {
        match &mut self.out {
            Out::Plain(out) => out,
            Out::Sealed(draft, _) => draft,
        }
    }
}

/// To whom the file of this recording is sealed; to nobody if neither the node nor the account has a key.
fn seal(spool: &View, ticket: &Ticket) -> Result<Option<Seal>, Failure> {
    let promise = ticket.promise();
    let Some(asked) = &promise.recipient else {
        return Ok(spool.keys().seals_to().cloned().map(Seal::Node));
    };
    let key = asked.parse().map_err(|error| {
        Failure::Passing(format!(
            "call_recording.public_key of account {} cannot be used: {error}; nothing of it is sent until that is mended",
            promise.account_id
        ))
    })?;
    Ok(Some(Seal::Account(key)))
}

trait WriteSeek: Write + Seek {}
impl<T: Write + Seek> WriteSeek for T {}

impl Write for Making {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out().flush()
    }
}

impl Seek for Making {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.out().seek(to)
    }
}

/// A file of which only the beginning can be written again. Encoders know what belongs there when all else is written, and a
/// seal wants it first: so it is kept in memory, and the rest in a scratch that only this process can read.
struct Draft {
    scratch: Scratch,
    head: Vec<u8>,
    at: u64,
    length: u64,
}

impl Draft {
    fn begin(file: File) -> io::Result<Self> {
        Ok(Self {
            scratch: Scratch::begin(file)?,
            head: Vec::new(),
            at: 0,
            length: 0,
        })
    }

    /// Everything, as it is now.
    fn pour(self, to: &mut impl Write) -> io::Result<()> {
        let mut from = self.scratch.read_back()?;
        to.write_all(&self.head)?;
        io::copy(
            &mut (&mut from).take(self.head.len() as u64),
            &mut io::sink(),
        )?;
        let rest = io::copy(&mut from, to)?;
        if rest + self.head.len() as u64 == self.length {
            return Ok(());
        }
        Err(ErrorKind::UnexpectedEof.into())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = if self.at == self.length {
            let written = self.scratch.write(bytes)?;
            let room = HEAD - self.head.len();
            if self.length == self.head.len() as u64 {
                self.head.extend_from_slice(&bytes[..written.min(room)]);
            }
            self.length += written as u64;
            written
        } else {
            let again = usize::try_from(self.at).ok();
            let again = again.and_then(|at| self.head.get_mut(at..));
            let again = again.filter(|again| !again.is_empty()).ok_or_else(|| {
                io::Error::new(
                    ErrorKind::Unsupported,
                    format!("only the first {HEAD} bytes of a sealed file can be written again"),
                )
            })?;
            let written = again.len().min(bytes.len());
            again[..written].copy_from_slice(&bytes[..written]);
            written
        };
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        let at = at.filter(|at| *at <= self.length);
        self.at = at.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Seals a draft into its file.
fn sealed(draft: Draft, seal: &Seal, file: File) -> io::Result<(File, Made)> {
    match seal {
        Seal::Node(to) => {
            let mut told = Told::new(Sealing::begin(to, file)?);
            draft.pour(&mut told)?;
            let (sealing, bytes, sha256) = told.over();
            let file = sealing.finish()?;
            let sealed_bytes = Some(file.metadata()?.len());
            let made = Made {
                bytes,
                sha256,
                sealed_bytes,
            };
            Ok((file, made))
        }
        Seal::Account(to) => {
            let mut sealing = Sealing::begin(to, Told::new(file))?;
            draft.pour(&mut sealing)?;
            let (file, bytes, sha256) = sealing.finish()?.over();
            let made = Made {
                bytes,
                sha256,
                sealed_bytes: None,
            };
            Ok((file, made))
        }
    }
}

/// Counts and hashes what goes through.
struct Told<W> {
    to: W,
    bytes: u64,
    hash: Sha256,
}

impl<W> Told<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            bytes: 0,
            hash: Sha256::new(),
        }
    }

    fn over(self) -> (W, u64, String) {
        (self.to, self.bytes, hex::encode(self.hash.finalize()))
    }
}

impl<W: Write> Write for Told<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
