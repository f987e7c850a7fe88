//! The segments of a sealed journal: each flush is one, sealed by a key of the journal's own that lies in its head, sealed
//! in turn to the node's key. Knows bytes only, no records.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    ChaCha20Poly1305,
    aead::{
        OsRng,
        rand_core::RngCore as _,
        stream::{DecryptorBE32, EncryptorBE32},
    },
};

use crate::{
    Keys, MAX_BUFFERED, Recipient,
    keys::Unopened,
    reader::fill,
    record::{FRAME, MAX_RECORD},
};

/// Length of a segment's seal, in front of it.
const LENGTH: usize = 4;
/// What sealing adds to a segment: the proof that it is the one that was written.
const TAG: usize = 16;
/// The longest segment: a full buffer. A length beyond is damage, and not worth the memory.
const MAX_SEGMENT: usize = MAX_BUFFERED + FRAME + MAX_RECORD + TAG;

const KEY: usize = 32;
/// The rest of a nonce is the segment's number, and STREAM's mark of the last one, which a journal does not use: it may end
/// anywhere.
const NONCE_PREFIX: usize = 7;

/// The secret of one journal: made at random, and used for no other.
pub(crate) struct JournalKey([u8; KEY + NONCE_PREFIX]);

impl JournalKey {
    pub(crate) fn random() -> Self {
        let mut secret = [0; KEY + NONCE_PREFIX];
        OsRng.fill_bytes(&mut secret);
        Self(secret)
    }

    /// As a journal's head carries it: an age file in Base64.
    pub(crate) fn wrapped(&self, to: &Recipient) -> String {
        let sealed = age::encrypt(to.as_age(), &self.0)
            .expect("sealing a few bytes in memory to one recipient of age's own kind");
        BASE64_STANDARD.encode(sealed)
    }

    pub(crate) fn unwrap(wrapped: &str, keys: &Keys) -> Result<Self, Unopened> {
        let damaged = || Unopened::Damaged("the seal of its key was changed");
        let sealed = Self::sealed(wrapped).ok_or_else(damaged)?;
        let mut opened = keys.open(&sealed[..])?;
        let mut secret = [0; KEY + NONCE_PREFIX];
        let read = fill(&mut opened, &mut secret).map_err(|_| damaged())?;
        let whole = read == secret.len();
        whole.then_some(Self(secret)).ok_or_else(damaged)
    }

    /// The age file of a wrapped key.
    pub(crate) fn sealed(wrapped: &str) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(wrapped).ok()
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.0.split_at(KEY)
    }
}

/// The writing side. A segment's number is used once, whatever becomes of the write: what the disk refused is written again
/// as it is, never sealed again with more in it.
pub(crate) struct Segmenter {
    sealing: EncryptorBE32<ChaCha20Poly1305>,
    /// The journal's head: proved with every segment, so that none opens under another.
    head: Vec<u8>,
    /// Sealed, and not yet on disk.
    waiting: Vec<u8>,
}

impl Segmenter {
    pub(crate) fn new(key: &JournalKey, head: Vec<u8>) -> Self {
        let (key, prefix) = key.parts();
        Self {
            sealing: EncryptorBE32::new(key.into(), prefix.into()),
            waiting: Vec::new(),
            head,
        }
    }

    /// Makes a segment of these bytes, if there are any, and takes them.
    pub(crate) fn close(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.sealing
            .encrypt_next_in_place(&self.head, bytes)
            .expect("four billion flushes are ten years of one call");
        let length = u32::try_from(bytes.len()).expect("a buffer has a few megabytes");
        self.waiting.extend_from_slice(&length.to_le_bytes());
        self.waiting.extend_from_slice(bytes);
        bytes.clear();
    }

    pub(crate) fn waiting(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    pub(crate) fn waits(&self) -> usize {
        self.waiting.len()
    }
}

/// The reading side: what was sealed, up to the first segment that is not whole or not proved. It ends there.
pub(crate) struct Segments {
    file: BufReader<File>,
    key: JournalKey,
    head: Vec<u8>,
    opening: DecryptorBE32<ChaCha20Poly1305>,
    opened: Vec<u8>,
    read: usize,
    /// Where the opened segment begins, and the next one.
    at: u64,
    next: u64,
    torn: Option<&'static str>,
}

impl Segments {
    /// What follows the head in this file.
    pub(crate) fn new(file: BufReader<File>, key: JournalKey, head: Vec<u8>) -> Self {
        let first = head.len() as u64;
        Self {
            opening: opening(&key),
            file,
            key,
            head,
            opened: Vec::new(),
            read: 0,
            at: first,
            next: first,
            torn: None,
        }
    }

    /// Where what has not been read begins, in the file: a segment is used as a whole or counts as unused.
    pub(crate) fn offset(&self) -> u64 {
        if self.read == self.opened.len() {
            self.next
        } else {
            self.at
        }
    }

    /// Why nothing follows, if the file has not just ended.
    pub(crate) fn torn(&self) -> Option<&'static str> {
        self.torn
    }

    pub(crate) fn file(&self) -> &File {
        self.file.get_ref()
    }

    pub(crate) fn rewind(&mut self) -> io::Result<()> {
        let first = self.head.len() as u64;
        self.file.seek(SeekFrom::Start(first))?;
        self.opening = opening(&self.key);
        self.opened.clear();
        (self.read, self.at, self.next, self.torn) = (0, first, first, None);
        Ok(())
    }

    /// Opens the next segment; says whether there is one.
    fn advance(&mut self) -> io::Result<bool> {
        self.opened.clear();
        (self.read, self.at) = (0, self.next);
        if self.torn.is_some() {
            return Ok(false);
        }
        let mut length = [0; LENGTH];
        let got = fill(&mut self.file, &mut length)?;
        if got == 0 {
            return Ok(false);
        }
        self.torn = self.take(got, u32::from_le_bytes(length) as usize)?;
        if self.torn.is_some() {
            self.opened.clear();
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads and opens one; why it cannot be used, if so.
    fn take(&mut self, head: usize, length: usize) -> io::Result<Option<&'static str>> {
        if head == LENGTH && length > MAX_SEGMENT {
            return Ok(Some("a segment is longer than any is"));
        }
        if head == LENGTH {
            self.opened.resize(length, 0);
        }
        if head < LENGTH || fill(&mut self.file, &mut self.opened)? < length {
            return Ok(Some("its last segment is cut off"));
        }
        let opened = self
            .opening
            .decrypt_next_in_place(&self.head, &mut self.opened);
        if opened.is_err() {
            return Ok(Some("a segment is not the one that was written"));
        }
        self.next = self.at + (LENGTH + length) as u64;
        Ok(None)
    }
}

impl Read for Segments {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read == self.opened.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let left = &self.opened[self.read..];
        let taken = left.len().min(into.len());
        into[..taken].copy_from_slice(&left[..taken]);
        self.read += taken;
        Ok(taken)
    }
}

fn opening(key: &JournalKey) -> DecryptorBE32<ChaCha20Poly1305> {
    let (key, prefix) = key.parts();
    DecryptorBE32::new(key.into(), prefix.into())
}
