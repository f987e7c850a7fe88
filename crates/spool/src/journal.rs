//! Writes the journal of one capture: appends to memory, and to the file in one write per flush. Never reads it back.

use std::{fs::File, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use crate::{
    CaptureHeader, Error, MAX_BUFFERED, Record,
    error::At,
    locks,
    record::{self, MAX_RECORD},
    writer::Room,
};

/// The first bytes of every journal.
pub(crate) const MAGIC: [u8; 8] = *b"CALLREEL";

/// The version written into, and required of, every journal.
pub(crate) const VERSION: u16 = 1;

/// Magic, version, length and checksum in front of the header's JSON.
pub(crate) const PREAMBLE: usize = 16;

/// Memory kept for the next flush: what a call with two G.711 legs gathers in three seconds.
const KEPT_BUFFER: usize = 64 << 10;

/// The journal of a live capture; its file is locked for as long as it is open. Dropping it without [`Journal::seal`] flushes what it can and leaves it to be found
/// interrupted.
pub struct Journal {
    file: File,
    path: PathBuf,
    header: CaptureHeader,
    seed: u32,
    written: u64,
    buffer: Vec<u8>,
    room: Arc<Room>,
}

impl Journal {
    /// Locks a fresh file and writes the header into it.
    pub(crate) fn begin(
        file: File,
        path: PathBuf,
        header: CaptureHeader,
        room: Arc<Room>,
    ) -> Result<Self, Error> {
        let (buffer, seed) = encode_header(&header)?;
        file.lock().at("lock", &path)?;
        room.capture_opened();
        let mut journal = Self {
            file,
            path,
            header,
            seed,
            written: 0,
            buffer,
            room,
        };
        journal.flush()?;
        Ok(journal)
    }

    /// Whose capture it is.
    pub fn header(&self) -> &CaptureHeader {
        &self.header
    }

    /// Bytes that wait for the next flush.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Adds a record to what the next flush writes.
    ///
    /// # Errors
    /// [`Error::RecordTooLong`], or [`Error::BufferFull`] when the disk has refused writes for minutes; the journal
    /// is as it was before the call.
    pub fn append(&mut self, record: &Record<'_>) -> Result<(), Error> {
        if self.buffer.len() >= MAX_BUFFERED {
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
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.file
            .write_all_at(&self.buffer, self.written)
            .at("write", &self.path)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
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
                capture_id = %self.header.capture_id, %error, lost_bytes = self.buffer.len(),
                "the end of a capture could not be written"
            );
        }
        locks::release(&self.file);
        self.room.capture_closed(&self.header.capture_id);
    }
}

fn encode_header(header: &CaptureHeader) -> Result<(Vec<u8>, u32), Error> {
    let json = serde_json::to_vec(header).expect("a header is ids and a number");
    let length = u16::try_from(json.len())
        .ok()
        .filter(|length| usize::from(*length) < MAX_RECORD)
        .ok_or(Error::RecordTooLong { bytes: json.len() })?;
    let mut bytes = Vec::with_capacity(PREAMBLE + json.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
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
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path(), &SpoolConfig::default()).unwrap();
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
        let (_dir, writer, mut journal) = open();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let real = std::mem::replace(&mut journal.file, full);
        journal.append(&answered(1)).unwrap();
        let refused = journal.flush().unwrap_err().to_string();
        assert!(refused.contains("journal: No space left"), "{refused}");
        journal.append(&answered(2)).unwrap();
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
