//! What other versions wrote: a spool of every version that is promised is read and goes on, and what a newer one wrote stays.

use std::{fs, path::Path};

use callreel_proto::{CaptureId, Destination, EndReason, RecordingId, RecordingState};
use callreel_spool::{Error, Keys, Outbox, Record, SpoolConfig, Ticket, TicketKind, View, Writer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{START, Spool, recorded, spool};

mod making;

/// The spools of those versions, one folder each (docs/upgrades.md).
const FORMATS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/formats");
const MS: u64 = 1_000_000;
/// Packets of 20 ms that each leg sends in a capture.
const PACKETS: u16 = 4;
const GROWING: &str = "202403-00000000000000000000000000000001";
const MESSAGE: &str = "202403-00000000000000000000000000000002";
const TRIED: &str = "202403-00000000000000000000000000000003";
const GIVEN_UP: &str = "202403-00000000000000000000000000000004";
const FETCHED: &str = "202403-00000000000000000000000000000005";

/// A copy of the spool that a version left when it was killed.
fn left_by(version: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_all(&Path::new(FORMATS).join(version).join("spool"), copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy_all(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn keys_of(version: &str) -> Keys {
    let key = Path::new(FORMATS).join(version).join("spool.key");
    // Only its owner may read a key, which no repository knows of.
    Keys::load(&crate::key_file(&[&fs::read_to_string(key).unwrap()])).unwrap()
}

fn id(text: &str) -> RecordingId {
    RecordingId::parse(text).unwrap()
}

fn states(view: &View) -> Vec<(String, RecordingState)> {
    let tickets = view.tickets().unwrap();
    let state = |ticket: &Ticket| (ticket.recording_id().to_string(), ticket.state());
    tickets.iter().map(state).collect()
}

#[test]
fn the_spool_that_0_1_left_is_read_and_goes_on() {
    use RecordingState::{Delivering, Ended, Growing, Undeliverable};
    let dir = left_by("0.1");
    let view = View::open(dir.path()).with_keys(keys_of("0.1"));
    let expected = [
        (GROWING, Growing),
        (MESSAGE, Ended),
        (TRIED, Delivering),
        (GIVEN_UP, Undeliverable),
        (FETCHED, Ended),
    ];
    let expected = expected.map(|(id, state)| (id.to_owned(), state));
    assert_eq!(states(&view), expected);
    let found = view.check().unwrap();
    let words: Vec<&str> = found.iter().map(|finding| finding.words.as_str()).collect();
    assert!(
        matches!(&words[..], [a, b] if a.starts_with("the process") && b.starts_with("the process")),
        "only its death is seen: {found:#?}"
    );

    let outbox = Outbox::open_with(dir.path(), keys_of("0.1")).unwrap();
    let ended = Writer::open(dir.path(), &SpoolConfig::default())
        .unwrap()
        .recover()
        .unwrap();
    let [ended] = &ended[..] else {
        panic!("{ended:?}");
    };
    assert_eq!(ended.end_reason(), Some(EndReason::Interrupted));
    assert_eq!(ended.end_ns(), Some(60 * MS), "the last packet's time");
    assert_eq!(ended.closed_masks(), [(20 * MS, 40 * MS)]);
    assert_eq!(ended.announcements()[0].what, "beep");
    assert_eq!(view.check().unwrap(), [], "nothing was set aside");
    for (ticket, version) in [(GROWING, 1), (MESSAGE, 2)] {
        let ticket = view.ticket(&id(ticket)).unwrap().unwrap();
        assert_eq!(
            packets(&view, ticket.capture_id().unwrap()),
            (version, 2 * u64::from(PACKETS))
        );
    }
    details(&view);
    let before = view.manifest().verify(|_, _, _| {}).unwrap();
    let mut again = view.ticket(&id(GIVEN_UP)).unwrap().unwrap();
    again.retry().unwrap();
    outbox.save_ticket(&again).unwrap();
    let mut over = view.ticket(&id(GROWING)).unwrap().unwrap();
    over.discarded(START, "a rule of this test").unwrap();
    outbox.settle(&over).unwrap();
    let after = view.manifest().verify(|_, _, _| {}).unwrap();
    assert_eq!((&after.findings[..], after.first), (&[][..], Some(1)));
    assert!(after.lines > before.lines);
}

/// What was kept of those that wait.
fn details(view: &View) {
    let tried = view.ticket(&id(TRIED)).unwrap().unwrap();
    assert_eq!(tried.delivery().attempts, 1);
    assert_eq!(tried.document()["owner_id"], "u1");
    let given_up = view.ticket(&id(GIVEN_UP)).unwrap().unwrap();
    assert_eq!(given_up.hold().unwrap().reason, "a lawsuit");
    let Destination::Http { headers, .. } = &given_up.promise().destination else {
        panic!("{given_up:?}");
    };
    assert_eq!(headers["X-Case"], "7");
    let message = view.ticket(&id(MESSAGE)).unwrap().unwrap();
    assert_eq!(message.promise().kind, TicketKind::Voicemail);
    let fetched = view.ticket(&id(FETCHED)).unwrap().unwrap();
    let file = fetched.switch_file().unwrap();
    assert_eq!(file.path.as_deref(), Some("/tmp/0f1e.wav"));
    assert!(view.switch_file_path(&fetched).exists());
}

/// The version of a capture's journal, and how many packets it gives up to its seal or its end.
fn packets(view: &View, capture: &CaptureId) -> (u16, u64) {
    let head = fs::read(view.journal_path(capture)).unwrap();
    let mut reader = view.read_journal(capture).unwrap();
    let mut packets = 0;
    while let Some(record) = reader.next_record().unwrap() {
        packets += u64::from(matches!(record, Record::Packet(_)));
    }
    assert_eq!(reader.tail().unwrap(), None);
    assert_eq!(reader.unknown(), 0);
    (u16::from_le_bytes([head[8], head[9]]), packets)
}

#[test]
fn a_newer_ticket_stays_where_it_is_until_a_newer_version_comes() {
    let (dir, spool) = spool();
    let (ticket, journal) = recorded(&spool.writer);
    drop(journal);
    let capture = ticket.capture_id().unwrap().clone();
    let folder = dir.path().join("recordings");
    let path = folder
        .join(ticket.recording_id().as_str())
        .join("ticket.json");
    let mut newer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    newer["ticket"] = 2.into();
    newer["state"] = "transcribing".into();
    fs::write(&path, newer.to_string()).unwrap();
    let claim = dir
        .path()
        .join("captures")
        .join(capture.as_str())
        .join(format!("for-{}", ticket.recording_id()));
    fs::remove_file(&claim).unwrap();
    spool.crash();

    let spool = Spool::open(dir.path());
    assert_eq!(spool.writer.recover().unwrap(), []);
    let refused = spool.view().ticket(ticket.recording_id()).unwrap_err();
    let said = refused.to_string();
    assert!(matches!(refused, Error::Newer { .. }), "{said}");
    for words in [
        "ticket of version 2",
        "version 1",
        "run the callreel that wrote it",
    ] {
        assert!(said.contains(words), "{words} is not in: {said}");
    }
    let saved = spool.outbox.save_ticket(&ticket);
    assert!(matches!(saved, Err(Error::Newer { .. })), "{saved:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer.to_string());
    assert!(claim.exists(), "its audio stays, too");
    assert_eq!(spool.view().quarantined().unwrap(), Vec::<String>::new());
    let found = spool.view().check().unwrap();
    assert!(
        matches!(&found[..], [one] if one.words.contains("ticket of version 2")),
        "{found:#?}"
    );
}

#[test]
fn a_growing_recording_waits_for_a_version_that_reads_its_journal() {
    let (dir, spool) = spool();
    let (ticket, journal) = recorded(&spool.writer);
    drop(journal);
    let path = spool.view().journal_path(ticket.capture_id().unwrap());
    let now = fs::read(&path).unwrap();
    let bytes = as_version(3, &now);
    fs::write(&path, &bytes).unwrap();
    spool.crash();

    let spool = Spool::open(dir.path());
    assert_eq!(spool.writer.recover().unwrap(), []);
    assert_eq!(spool.ticket_of(&ticket).as_ref(), Some(&ticket));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let found = spool.view().check().unwrap();
    let said = |words| found.iter().any(|finding| finding.words.contains(words));
    assert!(said("journal of version 3"), "{found:#?}");
    fs::write(&path, &now).unwrap();
    assert_eq!(spool.writer.recover().unwrap().len(), 1, "by that version");
}

/// The same journal with another version in its head.
fn as_version(version: u8, journal: &[u8]) -> Vec<u8> {
    let mut bytes = journal.to_vec();
    bytes[8] = version;
    let json = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[..12]);
    sum.update(&bytes[16..16 + json]);
    bytes[12..16].copy_from_slice(&sum.finalize().to_le_bytes());
    bytes
}

#[test]
fn lines_of_a_newer_manifest_are_passed_over_and_told() {
    let (_dir, spool) = spool();
    let (ticket, journal) = recorded(&spool.writer);
    drop(journal);
    let manifest = spool.view().manifest();
    crate::settle(&spool.outbox, &ended(ticket));
    let folder = spool.view().dir().join("manifest");
    let month = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let month = month
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .unwrap();
    let last = manifest.head().unwrap().unwrap();
    let facts = json!({"seq": last.seq + 1, "at": "2027-01-01T00:00:00Z", "prev": last.hash, "what": "transcribed"});
    let hash = hex::encode(Sha256::digest(facts.to_string()));
    let facts = facts.to_string();
    let line = format!("{},\"hash\":\"{hash}\"}}\n", &facts[..facts.len() - 1]);
    let text = fs::read_to_string(&month).unwrap();
    fs::write(&month, format!("{text}{line}")).unwrap();

    let (other, journal) = recorded(&spool.writer);
    drop(journal);
    crate::settle(&spool.outbox, &ended(other));
    let found = manifest.verify(|_, _, _| {}).unwrap().findings;
    assert!(
        matches!(&found[..], [one] if one.words.contains("from here on 1 lines tell what this callreel does not understand")),
        "the chain goes on over it: {found:#?}"
    );
}

fn ended(mut ticket: Ticket) -> Ticket {
    ticket.end(2, EndReason::Hangup).unwrap();
    ticket
}
