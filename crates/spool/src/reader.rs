//! Reads a journal from its start to its last whole record, with bounded memory; never changes it.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{
    CaptureHeader, Error, Keys, Record,
    error::At,
    journal::{Head, MAGIC, OPEN, PREAMBLE, SEALED, header_checksum},
    record::{self, Body, FRAME},
    segments::{JournalKey, Segments},
};

/// One system call fetches this much: thirteen seconds of a call with two G.711 legs.
const BLOCK: usize = 256 << 10;

/// The part of a journal behind its last whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Where it begins, bytes from the file's start.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Why nothing can be read from there on.
    pub reason: &'static str,
}

/// A journal being read. Records borrow from the reader: each must be used before the next is asked for.
pub struct JournalReader {
    source: Source,
    path: PathBuf,
    header: CaptureHeader,
    seed: u32,
    body: Vec<u8>,
    end: Option<End>,
    last_ns: Option<u64>,
    unknown: u64,
}

/// Where the records are read from.
enum Source {
    Open {
        file: BufReader<File>,
        first: u64,
        /// Where the record after the last understood one begins.
        next: u64,
    },
    Sealed(Box<Segments>),
}

impl Source {
    fn rewind(&mut self) -> std::io::Result<()> {
        match self {
            Self::Open { file, first, next } => {
                *next = *first;
                file.seek(SeekFrom::Start(*first)).map(drop)
            }
            Self::Sealed(segments) => segments.rewind(),
        }
    }

    /// Where in the file what was not used begins.
    fn offset(&self) -> u64 {
        match self {
            Self::Open { next, .. } => *next,
            Self::Sealed(segments) => segments.offset(),
        }
    }

    fn file(&self) -> &File {
        match self {
            Self::Open { file, .. } => file.get_ref(),
            Self::Sealed(segments) => segments.file(),
        }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Open { file, .. } => file.read(into),
            Self::Sealed(segments) => segments.read(into),
        }
    }
}

enum End {
    Sealed,
    Open,
    Torn(&'static str),
}

impl JournalReader {
    /// Opens a journal and reads its header.
    pub(crate) fn open(path: &Path, keys: &Keys) -> Result<Self, Error> {
        let file = File::open(path).at("open", path)?;
        let mut file = BufReader::with_capacity(BLOCK, file);
        let (head, bytes, seed) = read_head(&mut file, path)?;
        let source = match &head.sealed_key {
            None => Source::Open {
                file,
                first: bytes.len() as u64,
                next: bytes.len() as u64,
            },
            Some(wrapped) => {
                let key = JournalKey::unwrap(wrapped, keys);
                let key = key.map_err(|why| why.at(path, |reason| broken(path, reason)))?;
                Source::Sealed(Box::new(Segments::new(file, key, bytes)))
            }
        };
        Ok(Self {
            source,
            path: path.to_owned(),
            header: head.header,
            seed,
            body: Vec::new(),
            end: None,
            last_ns: None,
            unknown: 0,
        })
    }

    /// The age file with a journal's own key; none if the journal is not sealed.
    pub(crate) fn wrapped_key(path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let file = File::open(path).at("open", path)?;
        let (head, _, _) = read_head(&mut BufReader::new(file), path)?;
        Ok(head.sealed_key.as_deref().and_then(JournalKey::sealed))
    }

    /// Whose capture it is.
    pub fn header(&self) -> &CaptureHeader {
        &self.header
    }

    /// The next record; `None` after the last whole one, for good.
    ///
    /// # Errors
    /// The disk refused. Damage is no error: it ends the journal, and [`JournalReader::tail`] tells of it.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Error> {
        loop {
            if !self.read_frame()? {
                return Ok(None);
            }
            match record::parse(&self.body) {
                Body::Record(record) => {
                    self.last_ns = self.last_ns.max(Some(record.at_ns()));
                    break;
                }
                Body::Unknown => self.unknown += 1,
                Body::Seal => {
                    self.accept();
                    self.end = Some(End::Sealed);
                    return Ok(None);
                }
                Body::Malformed(reason) => {
                    self.end = Some(End::Torn(reason));
                    return Ok(None);
                }
            }
            self.accept();
        }
        self.accept();
        // Read once more because no borrow of the body can leave the loop above.
        match record::parse(&self.body) {
            Body::Record(record) => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    /// The latest time of any record read so far, nanoseconds of the capture's clock.
    pub fn last_ns(&self) -> Option<u64> {
        self.last_ns
    }

    /// Whether the journal was closed in order; known after its last record.
    pub fn sealed(&self) -> bool {
        matches!(self.end, Some(End::Sealed))
    }

    /// Records of a newer version that were passed over so far.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// What lies behind the last whole record, if anything does; known after that record.
    ///
    /// # Errors
    /// The disk refused.
    pub fn tail(&self) -> Result<Option<Tail>, Error> {
        let reason = match self.end {
            None | Some(End::Open) => return Ok(None),
            Some(End::Torn(reason)) => reason,
            Some(End::Sealed) => "it follows the seal",
        };
        let file = self.source.file().metadata().at("measure", &self.path)?;
        let offset = self.source.offset();
        let bytes = file.len().saturating_sub(offset);
        Ok((bytes > 0).then_some(Tail {
            offset,
            bytes,
            reason,
        }))
    }

    /// Goes back to the first record.
    ///
    /// # Errors
    /// The disk refused.
    pub fn rewind(&mut self) -> Result<(), Error> {
        self.source.rewind().at("read", &self.path)?;
        self.end = None;
        self.last_ns = None;
        self.unknown = 0;
        Ok(())
    }

    /// The frame in `body` has been understood: what follows is the next one.
    fn accept(&mut self) {
        if let Source::Open { next, .. } = &mut self.source {
            *next += (FRAME + self.body.len()) as u64;
        }
    }

    /// Reads one frame into `body` and checks it; `false` ends the journal.
    fn read_frame(&mut self) -> Result<bool, Error> {
        if self.end.is_some() {
            return Ok(false);
        }
        let mut frame = [0; FRAME];
        let got = fill(&mut self.source, &mut frame).at("read", &self.path)?;
        if got == 0 {
            let torn = match &self.source {
                Source::Open { .. } => None,
                Source::Sealed(segments) => segments.torn(),
            };
            self.end = Some(torn.map_or(End::Open, End::Torn));
            return Ok(false);
        }
        let [l0, l1, c0, c1, c2, c3] = frame;
        let length = [l0, l1];
        self.body.resize(usize::from(u16::from_le_bytes(length)), 0);
        let whole = got == FRAME
            && fill(&mut self.source, &mut self.body).at("read", &self.path)? == self.body.len();
        let damage = if !whole {
            Some("its last record is cut off")
        } else if record::checksum(self.seed, length, &self.body)
            != u32::from_le_bytes([c0, c1, c2, c3])
        {
            Some("a record's checksum is wrong")
        } else {
            None
        };
        self.end = damage.map(End::Torn);
        Ok(self.end.is_none())
    }
}

fn broken(path: &Path, reason: impl Into<String>) -> Error {
    Error::NotAJournal {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// The head, its bytes, and the checksum at which those of the records start.
fn read_head(file: &mut BufReader<File>, path: &Path) -> Result<(Head, Vec<u8>, u32), Error> {
    let broken = |reason: &str| broken(path, reason);
    let mut preamble = [0; PREAMBLE];
    if fill(file, &mut preamble).at("read", path)? < PREAMBLE {
        return Err(broken("its header is cut off"));
    }
    let [front @ .., c0, c1, c2, c3] = &preamble;
    let [magic @ .., v0, v1, l0, l1] = front;
    if *magic != MAGIC {
        return Err(broken("it does not begin as one"));
    }
    let version = u16::from_le_bytes([*v0, *v1]);
    let mut json = vec![0; usize::from(u16::from_le_bytes([*l0, *l1]))];
    if fill(file, &mut json).at("read", path)? < json.len() {
        return Err(broken("its header is cut off"));
    }
    let seed = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
    if header_checksum(front, &json) != seed {
        return Err(broken("its header's checksum is wrong"));
    }
    // Only now: a bit that has turned must not be taken for a newer version.
    if version > SEALED {
        return Err(Error::Newer {
            path: path.to_owned(),
            what: "journal",
            found: version.into(),
            reads: SEALED.into(),
        });
    }
    if version < OPEN {
        return Err(broken(&format!("there is no version {version} of one")));
    }
    let head: Head = serde_json::from_slice(&json).map_err(|error| broken(&error.to_string()))?;
    if head.sealed_key.is_some() != (version == SEALED) {
        return Err(broken("its version does not go with its key"));
    }
    Ok((head, [&preamble, &json[..]].concat(), seed))
}

/// Reads until `buffer` is full or the file ends; how many bytes it got.
pub(crate) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match source.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
