//! Reads a journal from its start to its last whole record, with bounded memory; never changes it.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{
    CaptureHeader, Error, Record,
    error::At,
    journal::{MAGIC, PREAMBLE, VERSION, header_checksum},
    record::{self, Body, FRAME},
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
    source: BufReader<File>,
    path: PathBuf,
    header: CaptureHeader,
    seed: u32,
    first: u64,
    next: u64,
    body: Vec<u8>,
    end: Option<End>,
    last_ns: Option<u64>,
    unknown: u64,
}

enum End {
    Sealed,
    Open,
    Torn(&'static str),
}

impl JournalReader {
    /// Opens a journal and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).at("open", path)?;
        let mut source = BufReader::with_capacity(BLOCK, file);
        let (header, seed, first) = read_header(&mut source, path)?;
        Ok(Self {
            source,
            path: path.to_owned(),
            header,
            seed,
            first,
            next: first,
            body: Vec::new(),
            end: None,
            last_ns: None,
            unknown: 0,
        })
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
        let length = self
            .source
            .get_ref()
            .metadata()
            .at("measure", &self.path)?
            .len();
        let bytes = length.saturating_sub(self.next);
        Ok((bytes > 0).then_some(Tail {
            offset: self.next,
            bytes,
            reason,
        }))
    }

    /// Goes back to the first record.
    ///
    /// # Errors
    /// The disk refused.
    pub fn rewind(&mut self) -> Result<(), Error> {
        self.source
            .seek(SeekFrom::Start(self.first))
            .at("read", &self.path)?;
        self.next = self.first;
        self.end = None;
        self.last_ns = None;
        self.unknown = 0;
        Ok(())
    }

    /// The frame in `body` has been understood: what follows is the next one.
    fn accept(&mut self) {
        self.next += (FRAME + self.body.len()) as u64;
    }

    /// Reads one frame into `body` and checks it; `false` ends the journal.
    fn read_frame(&mut self) -> Result<bool, Error> {
        if self.end.is_some() {
            return Ok(false);
        }
        let mut frame = [0; FRAME];
        let got = fill(&mut self.source, &mut frame).at("read", &self.path)?;
        if got == 0 {
            self.end = Some(End::Open);
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

fn read_header(
    source: &mut BufReader<File>,
    path: &Path,
) -> Result<(CaptureHeader, u32, u64), Error> {
    let broken = |reason: String| Error::NotAJournal {
        path: path.to_owned(),
        reason,
    };
    let mut preamble = [0; PREAMBLE];
    if fill(source, &mut preamble).at("read", path)? < PREAMBLE {
        return Err(broken("its header is cut off".to_owned()));
    }
    let [front @ .., c0, c1, c2, c3] = &preamble;
    let [magic @ .., v0, v1, l0, l1] = front;
    if *magic != MAGIC {
        return Err(broken("it does not begin as one".to_owned()));
    }
    let version = u16::from_le_bytes([*v0, *v1]);
    if version != VERSION {
        return Err(broken(format!(
            "its version is {version}, this program reads version {VERSION}"
        )));
    }
    let mut json = vec![0; usize::from(u16::from_le_bytes([*l0, *l1]))];
    if fill(source, &mut json).at("read", path)? < json.len() {
        return Err(broken("its header is cut off".to_owned()));
    }
    let seed = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
    if header_checksum(front, &json) != seed {
        return Err(broken("its header's checksum is wrong".to_owned()));
    }
    let header = serde_json::from_slice(&json).map_err(|error| broken(error.to_string()))?;
    Ok((header, seed, (PREAMBLE + json.len()) as u64))
}

/// Reads until `buffer` is full or the file ends; how many bytes it got.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
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
