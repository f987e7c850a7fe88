//! Writes the journal of one capture: appends to memory, and to the file in one write per flush. Never reads it back.

use std::{fs::File, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    CaptureHeader, Error, MAX_BUFFERED, Recipient, Record,
    error::At,
    locks,
    record::{self, MAX_RECORD},
    segments::{JournalKey, Segmenter},
    writer::Room,
};

/// The first bytes of every journal.
pub(crate) const MAGIC: [u8; 8] = *b"CALLREEL";

/// The version of a journal whose records lie open behind its head.
pub(crate) const OPEN: u16 = 1;
/// The version of one whose records lie in sealed segments.
pub(crate) const SEALED: u16 = 2;

/// Magic, version, length and checksum in front of the header's JSON.
pub(crate) const PREAMBLE: usize = 16;

/// Memory kept for the next flush: what a call with two G.711 legs gathers in three seconds.
const KEPT_BUFFER: usize = 64 << 10;

/// The JSON of a head.
#[derive(Serialize, Deserialize)]
pub(crate) struct Head {
    #[serde(flatten)]
    pub(crate) header: CaptureHeader,
    /// The journal's own key, sealed; in a sealed journal only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed_key: Option<String>,
}

/// The journal of a live capture; its file is locked for as long as it is open. Dropping it without [`Journal::seal`] flushes what it can and leaves it to be found
/// interrupted.
pub struct Journal {
    file: File,
    path: PathBuf,
    header: CaptureHeader,
    seed: u32,
    written: u64,
    /// Records that wait for the next flush, as they are.
    buffer: Vec<u8>,
    segmenter: Option<Segmenter>,
    room: Arc<Room>,
}

impl Journal {
    /// Locks a fresh file and writes the header into it. What follows is sealed if there is somebody to seal to.
    pub(crate) fn begin(
        file: File,
        path: PathBuf,
        header: CaptureHeader,
        seal_to: Option<&Recipient>,
        room: Arc<Room>,
    ) -> Result<Self, Error> {
        let key = seal_to.map(|to| (JournalKey::random(), to));
        let head = Head {
            sealed_key: key.as_ref().map(|(key, to)| key.wrapped(to)),
            header,
        };
        let (bytes, seed) = encode_head(&head)?;
        file.lock().at("lock", &path)?;
        file.write_all_at(&bytes, 0).at("write", &path)?;
        room.capture_opened();
        room.wrote();
        Ok(Self {
            file,
            path,
            header: head.header,
            seed,
            written: bytes.len() as u64,
            buffer: Vec::new(),
            segmenter: key.map(|(key, _)| Segmenter::new(&key, bytes)),
            room,
        })
    }

    /// Whose capture it is.
    pub fn header(&self) -> &CaptureHeader {
        &self.header
    }

    /// Bytes that wait for the next flush.
    pub fn buffered(&self) -> usize {
        let sealed = self.segmenter.as_ref().map_or(0, Segmenter::waits);
        self.buffer.len() + sealed
    }

    /// Adds a record to what the next flush writes.
    ///
    /// # Errors
    /// [`Error::RecordTooLong`], or [`Error::BufferFull`] when the disk has refused writes for minutes; the journal
    /// is as it was before the call.
    pub fn append(&mut self, record: &Record<'_>) -> Result<(), Error> {
        if self.buffered() >= MAX_BUFFERED {
            return Err(Error::BufferFull {
                path: self.path.clone(),
            });
        }
        record::frame(record, self.seed, &mut self.buffer)
            .map_err(|bytes| Error::RecordTooLong { bytes })
    }

    /// Writes everything appended so far, in one write. Afterwards it survives the end of this process, and about a
    /// second later the loss of power.
    ///
    /// # Errors
    /// The disk refused. Everything stays in memory, and the next flush writes it to the same place, so a passing
    /// shortage leaves no hole.
    pub fn flush(&mut self) -> Result<(), Error> {
        let bytes = match &mut self.segmenter {
            None => &mut self.buffer,
            Some(segmenter) => {
                segmenter.close(&mut self.buffer);
                self.buffer.shrink_to(KEPT_BUFFER);
                segmenter.waiting()
            }
        };
        if bytes.is_empty() {
            return Ok(());
        }
        self.file
            .write_all_at(bytes, self.written)
            .at("write", &self.path)?;
        self.written += bytes.len() as u64;
        bytes.clear();
        bytes.shrink_to(KEPT_BUFFER);
        self.room.wrote();
        Ok(())
    }

    /// Closes the journal in order. Flush first, and again while that fails: sealing is then only one byte more.
    ///
    /// # Errors
    /// The disk refused: the journal is left without its seal, as after a crash.
    pub fn seal(mut self) -> Result<(), Error> {
        record::frame_seal(self.seed, &mut self.buffer);
        self.flush()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::error!(
                capture_id = %self.header.capture_id, %error, lost_bytes = self.buffered(),
                "the end of a capture could not be written"
            );
        }
        locks::release(&self.file);
        self.room.capture_closed(&self.header.capture_id);
    }
}

fn encode_head(head: &Head) -> Result<(Vec<u8>, u32), Error> {
    let json = serde_json::to_vec(head).expect("a head is ids, a number and a text");
    let version = if head.sealed_key.is_some() {
        SEALED
    } else {
        OPEN
    };
    let length = u16::try_from(json.len())
        .ok()
        .filter(|length| usize::from(*length) < MAX_RECORD)
        .ok_or(Error::RecordTooLong { bytes: json.len() })?;
    let mut bytes = Vec::with_capacity(PREAMBLE + json.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let seed = header_checksum(&bytes, &json);
    bytes.extend_from_slice(&seed.to_le_bytes());
    bytes.extend_from_slice(&json);
    Ok((bytes, seed))
}

/// CRC-32 over everything in front of the checksum, and the JSON behind it.
pub(crate) fn header_checksum(front: &[u8], json: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(front);
    crc.update(json);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use callreel_proto::{AccountId, CallId, CaptureId, Leg, Utc};

    use super::*;
    use crate::{JournalReader, Mark, PacketRecord, SpoolConfig, Writer};

    fn open() -> (tempfile::TempDir, Writer, Journal) {
        open_with(None)
    }

    /// With this key file.
    fn open_with(key_file: Option<PathBuf>) -> (tempfile::TempDir, Writer, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let config = SpoolConfig {
            key_file,
            ..SpoolConfig::default()
        };
        let writer = Writer::open(dir.path(), &config).unwrap();
        let journal = writer
            .create_capture(CaptureHeader {
                capture_id: CaptureId::random(),
                call_id: CallId::new("a@b"),
                account_id: AccountId::random(),
                started_at: Utc::from_unix_ms(0),
            })
            .unwrap();
        (dir, writer, journal)
    }

    /// Seals it and reads it; it is opened first, because nobody needs it once it is closed.
    fn seal_and_read(writer: &Writer, journal: Journal) -> JournalReader {
        let reader = writer.view().read_journal(&journal.header().capture_id);
        journal.seal().unwrap();
        reader.unwrap()
    }

    fn answered(at_ns: u64) -> Record<'static> {
        Record::Mark {
            at_ns,
            mark: Mark::Answered,
        }
    }

    #[test]
    fn a_full_disk_names_the_file_and_loses_nothing_once_there_is_room() {
        let keys = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&keys, crate::new_key().0.reveal()).unwrap();
        for key_file in [None, Some(keys.path().to_owned())] {
            a_shortage_passes(open_with(key_file));
        }
    }

    fn a_shortage_passes((_dir, writer, mut journal): (tempfile::TempDir, Writer, Journal)) {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let real = std::mem::replace(&mut journal.file, full);
        journal.append(&answered(1)).unwrap();
        let refused = journal.flush().unwrap_err().to_string();
        assert!(refused.contains("journal: No space left"), "{refused}");
        // What was sealed once is never sealed anew with more in it: that would show what both have in common.
        let refused = journal.segmenter.as_mut().map(|it| it.waiting().clone());
        journal.append(&answered(2)).unwrap();
        journal.flush().unwrap_err();
        if let (Some(before), Some(now)) = (refused, &mut journal.segmenter) {
            assert!(now.waiting().starts_with(&before) && now.waiting().len() > before.len());
        }
        journal.file = real;
        journal.flush().unwrap();
        let mut reader = seal_and_read(&writer, journal);
        assert_eq!(reader.next_record().unwrap(), Some(answered(1)));
        assert_eq!(reader.next_record().unwrap(), Some(answered(2)));
        assert_eq!(reader.next_record().unwrap(), None);
        assert!(reader.sealed());
    }

    #[test]
    fn a_disk_that_stays_full_bounds_the_memory_and_says_so() {
        let (_dir, _writer, mut journal) = open();
        journal.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let payload = [0; 60_000];
        let packet = Record::Packet(PacketRecord {
            leg: Leg::A,
            arrival_ns: 0,
            payload_type: 0,
            marker: false,
            sequence: 0,
            timestamp: 0,
            ssrc: 0,
            payload: &payload,
        });
        let refused = loop {
            if let Err(error) = journal.append(&packet) {
                break error;
            }
        };
        assert!(matches!(refused, Error::BufferFull { .. }));
        assert!(journal.buffered() < MAX_BUFFERED + MAX_RECORD);
    }

    #[test]
    fn a_record_too_long_for_a_journal_is_refused_and_leaves_no_trace() {
        let (_dir, writer, mut journal) = open();
        let payload = vec![0; MAX_RECORD];
        let packet = Record::Packet(PacketRecord {
            leg: Leg::B,
            arrival_ns: 0,
            payload_type: 0,
            marker: true,
            sequence: 0,
            timestamp: 0,
            ssrc: 0,
            payload: &payload,
        });
        assert!(matches!(
            journal.append(&packet),
            Err(Error::RecordTooLong { bytes }) if bytes > MAX_RECORD
        ));
        journal.append(&answered(7)).unwrap();
        let mut reader = seal_and_read(&writer, journal);
        assert_eq!(reader.next_record().unwrap(), Some(answered(7)));
    }
}
