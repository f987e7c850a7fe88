//! The spool's promises, tested through its public interface on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod check;
mod formats;
mod journal;
mod killed;
mod manifest;
mod places;
mod recovery;
mod repair;
mod sealed;
mod shared;
mod switch_files;
mod tickets;

use std::{fs, path::Path};

use callreel_proto::{
    AccountId, AudioFormat, CallId, CaptureId, Channels, Destination, HttpMethod, Leg, RecordingId,
    Utc,
};
use callreel_spool::{
    CaptureHeader, Journal, Keys, Mark, Outbox, PacketRecord, Promise, Record, RenditionInfo,
    Source, SpoolConfig, Ticket, TicketKind, View, Writer, new_key,
};
use serde_json::Map;

/// 2024-03-01T00:00:00Z.
const START: Utc = Utc::from_unix_ms(1_709_251_200_000);

/// A spool as a process with all roles has it.
struct Spool {
    writer: Writer,
    outbox: Outbox,
}

impl Spool {
    fn open(dir: &Path) -> Self {
        Self::open_with(dir, None)
    }

    /// The same with a key file.
    fn open_with(dir: &Path, key_file: Option<&Path>) -> Self {
        let keys = key_file.map_or_else(Keys::default, |file| Keys::load(file).unwrap());
        Self {
            outbox: Outbox::open_with(dir, keys).unwrap(),
            writer: writer_with(dir, key_file),
        }
    }

    fn view(&self) -> &View {
        self.outbox.view()
    }

    fn ticket_of(&self, ticket: &Ticket) -> Option<Ticket> {
        self.view().ticket(ticket.recording_id()).unwrap()
    }

    /// What a process that was killed leaves behind: its folder among the writers, without a lock.
    fn crash(self) {
        let dir = self.view().dir().join("writers");
        let place = dir.join(self.writer.describe().id.to_string());
        drop(self);
        assert!(!place.exists(), "something still holds the writer");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("lock"), "").unwrap();
    }
}

fn writer(dir: &Path) -> Writer {
    writer_with(dir, None)
}

fn writer_with(dir: &Path, key_file: Option<&Path>) -> Writer {
    let config = SpoolConfig {
        key_file: key_file.map(Path::to_owned),
        ..SpoolConfig::default()
    };
    Writer::open(dir, &config).unwrap()
}

/// A key file with these identities, the newest first.
fn key_file(keys: &[&str]) -> tempfile::TempPath {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    fs::write(&file, keys.concat()).unwrap();
    file
}

/// An identity as a key file has it.
fn identity() -> String {
    new_key().0.reveal().to_owned()
}

/// A spool whose files are sealed.
fn sealed_spool() -> (tempfile::TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let file = key_file(&[&identity()]);
    let spool = Spool::open_with(dir.path(), Some(&file));
    (dir, spool)
}

fn spool() -> (tempfile::TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path());
    (dir, spool)
}

fn header(capture_id: &CaptureId) -> CaptureHeader {
    CaptureHeader {
        capture_id: capture_id.clone(),
        call_id: CallId::new("3e7f@10.0.0.1"),
        account_id: AccountId::parse("0123456789abcdef0123456789abcdef").unwrap(),
        started_at: START,
    }
}

fn capture(writer: &Writer) -> (CaptureId, Journal) {
    let id = CaptureId::random();
    let journal = writer.create_capture(header(&id)).unwrap();
    (id, journal)
}

/// A capture that one recording needs.
fn recorded(writer: &Writer) -> (Ticket, Journal) {
    let (id, journal) = capture(writer);
    let ticket = ticket(&id);
    writer.create_ticket(&ticket).unwrap();
    (ticket, journal)
}

fn promise(capture_id: &CaptureId) -> Promise {
    Promise {
        recording_id: RecordingId::random(START),
        source: Source::Capture(capture_id.clone()),
        account_id: AccountId::parse("0123456789abcdef0123456789abcdef").unwrap(),
        call_id: CallId::new("3e7f@10.0.0.1"),
        kind: TicketKind::Recording,
        format: AudioFormat::Mp3,
        channels: Channels::Stereo,
        sample_rate: None,
        destination: Destination::http(
            "http://127.0.0.1/kzr/call_recording_3e7f%4010.0.0.1.mp3"
                .parse()
                .unwrap(),
            HttpMethod::Put,
        ),
        file_name: "call_recording_3e7f%4010.0.0.1.mp3".to_owned(),
        started_at: START,
        start_ns: 1_000_000_000,
        time_limit_s: 360,
        min_ms: 0,
        redact_dtmf: false,
        recipient: None,
        span: None,
        of_leg: callreel_proto::Leg::A,
    }
}

fn ticket(capture_id: &CaptureId) -> Ticket {
    Ticket::new(promise(capture_id), Map::new()).unwrap()
}

/// Ends a recording's stay by a rule that drops it.
fn settle(outbox: &Outbox, ticket: &Ticket) {
    let mut over = ticket.clone();
    over.discarded(START, "a rule of this test").unwrap();
    outbox.settle(&over).unwrap();
}

fn rendition(bytes: u64) -> RenditionInfo {
    RenditionInfo {
        bytes,
        sha256: "00".repeat(32),
        sealed_bytes: None,
        duration_ms: 1000,
        sample_rate: 8000,
        channels: 2,
        report: None,
    }
}

fn packet(arrival_ns: u64, payload: &[u8]) -> Record<'_> {
    Record::Packet(PacketRecord {
        leg: Leg::A,
        arrival_ns,
        payload_type: 0,
        marker: false,
        sequence: 7,
        timestamp: 160,
        ssrc: 0xdead_beef,
        payload,
    })
}

fn mark(at_ns: u64, mark: Mark) -> Record<'static> {
    Record::Mark { at_ns, mark }
}
