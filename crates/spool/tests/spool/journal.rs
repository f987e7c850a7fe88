//! A journal gives back what was appended, in order, and of a damaged one exactly a prefix.

use std::fs;

use callreel_proto::{CaptureId, EndReason, Leg, RecordingId, Utc};
use callreel_spool::{Error, JournalReader, Mark, PacketRecord, Record};
use proptest::prelude::*;

use crate::{Spool, header, mark, packet, recorded, sealed_spool, spool};

/// A new spool, with a key or without.
fn spool_of(with_key: bool) -> (tempfile::TempDir, Spool) {
    if with_key { sealed_spool() } else { spool() }
}

/// A record that owns its payload.
#[derive(Debug, Clone)]
enum Owned {
    Packet(Leg, u64, u8, bool, u16, u32, u32, Vec<u8>),
    Mark(u64, Mark),
}

impl Owned {
    fn lend(&self) -> Record<'_> {
        match self {
            Self::Packet(
                leg,
                arrival_ns,
                payload_type,
                marker,
                sequence,
                timestamp,
                ssrc,
                payload,
            ) => Record::Packet(PacketRecord {
                leg: *leg,
                arrival_ns: *arrival_ns,
                payload_type: *payload_type,
                marker: *marker,
                sequence: *sequence,
                timestamp: *timestamp,
                ssrc: *ssrc,
                payload,
            }),
            Self::Mark(at_ns, mark) => Record::Mark {
                at_ns: *at_ns,
                mark: mark.clone(),
            },
        }
    }
}

fn any_mark() -> impl Strategy<Value = Mark> {
    let id = || (0..4u32).prop_map(|n| RecordingId::parse(&format!("202403-{n:032x}")).unwrap());
    prop_oneof![
        id().prop_map(Mark::RecordingStarted),
        (
            id(),
            prop_oneof![Just(EndReason::Stopped), Just(EndReason::TimeLimit)]
        )
            .prop_map(|(id, reason)| Mark::RecordingEnded(id, reason)),
        Just(Mark::Answered),
        Just(Mark::Bridged),
        Just(Mark::Unbridged),
        id().prop_map(Mark::Masked),
        id().prop_map(Mark::Unmasked),
        Just(Mark::HungUp),
    ]
}

fn any_record() -> impl Strategy<Value = Owned> {
    let leg = prop_oneof![Just(Leg::A), Just(Leg::B)];
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        3 => (leg, any::<u64>(), any::<u8>(), any::<bool>(), any::<u16>(), any::<u32>(), any::<u32>(), payload)
            .prop_map(|(leg, at, pt, m, seq, ts, ssrc, p)| Owned::Packet(leg, at, pt, m, seq, ts, ssrc, p)),
        1 => (any::<u64>(), any_mark()).prop_map(|(at, mark)| Owned::Mark(at, mark)),
    ]
}

/// A journal of these records on disk, flushed after each batch; its bytes and its path.
fn write(spool: &Spool, batches: &[Vec<Owned>], sealed: bool) -> (CaptureId, Vec<u8>) {
    let (ticket, mut journal) = recorded(&spool.writer);
    let id = ticket.capture_id().unwrap().clone();
    for batch in batches {
        for record in batch {
            journal.append(&record.lend()).unwrap();
        }
        journal.flush().unwrap();
    }
    if sealed {
        journal.seal().unwrap();
    } else {
        drop(journal);
    }
    let bytes = fs::read(spool.view().journal_path(&id)).unwrap();
    (id, bytes)
}

/// Reads to the end; how many records came, each compared with the one that was appended.
fn prefix_of(reader: &mut JournalReader, appended: &[&Owned]) -> Result<usize, TestCaseError> {
    let mut count = 0;
    while let Some(record) = reader.next_record().unwrap() {
        prop_assert!(
            count < appended.len(),
            "a record nobody appended: {record:?}"
        );
        prop_assert_eq!(&record, &appended[count].lend());
        count += 1;
    }
    prop_assert!(
        reader.next_record().unwrap().is_none(),
        "the end is for good"
    );
    Ok(count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_was_appended_is_read_back_and_every_cut_gives_a_prefix(
        batches in prop::collection::vec(prop::collection::vec(any_record(), 0..6), 0..4),
        sealed in any::<bool>(),
        with_key in any::<bool>(),
    ) {
        let (_dir, spool) = spool_of(with_key);
        let (id, bytes) = write(&spool, &batches, sealed);
        let appended: Vec<&Owned> = batches.iter().flatten().collect();
        let path = spool.view().journal_path(&id);
        let mut reader = spool.view().read_journal(&id).unwrap();
        prop_assert_eq!(prefix_of(&mut reader, &appended)?, appended.len());
        prop_assert_eq!(reader.sealed(), sealed);
        prop_assert_eq!(reader.tail().unwrap(), None);
        prop_assert_eq!(reader.last_ns(), appended.iter().map(|r| r.lend().at_ns()).max());

        let mut before = appended.len();
        for length in (0..bytes.len()).rev() {
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length as u64).unwrap();
            match spool.view().read_journal(&id) {
                Err(Error::NotAJournal { .. }) => prop_assert_eq!(before, 0),
                Err(other) => prop_assert!(false, "{other}"),
                Ok(mut reader) => {
                    let count = prefix_of(&mut reader, &appended)?;
                    // What was sealed together is lost together.
                    let most = if with_key { 6 } else { 1 };
                    prop_assert!((before.saturating_sub(most)..=before).contains(&count), "{before} records, then {count}");
                    prop_assert!(!reader.sealed());
                    before = count;
                    let dropped = reader.tail().unwrap().map_or(0, |tail| tail.bytes);
                    prop_assert!(dropped < 200 * most as u64, "one write at most is torn: {dropped} bytes");
                }
            }
        }
        prop_assert_eq!(before, 0);
    }

    #[test]
    fn flipped_bits_never_pass_for_a_record(
        batches in prop::collection::vec(prop::collection::vec(any_record(), 0..6), 1..4),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..6),
        with_key in any::<bool>(),
    ) {
        let (_dir, spool) = spool_of(with_key);
        let (id, mut bytes) = write(&spool, &batches, true);
        let appended: Vec<&Owned> = batches.iter().flatten().collect();
        let whole = bytes.clone();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        fs::write(spool.view().journal_path(&id), &bytes).unwrap();
        match spool.view().read_journal(&id) {
            Err(Error::NotAJournal { .. }) => prop_assert_ne!(&bytes, &whole),
            Err(other) => prop_assert!(false, "{other}"),
            Ok(mut reader) => {
                prefix_of(&mut reader, &appended)?;
                prop_assert_eq!(reader.sealed(), bytes == whole);
            }
        }
    }

    #[test]
    fn a_file_of_noise_is_no_journal(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_dir, spool) = spool();
        let (id, _) = write(&spool, &[], true);
        fs::write(spool.view().journal_path(&id), &noise).unwrap();
        let refused = matches!(spool.view().read_journal(&id), Err(Error::NotAJournal { .. }));
        prop_assert!(refused);
    }
}

#[test]
fn records_behind_a_torn_one_are_not_read() {
    let (_dir, spool) = spool();
    let (ticket, mut journal) = recorded(&spool.writer);
    let id = ticket.capture_id().unwrap().clone();
    for at in 0..3 {
        journal.append(&packet(at, b"audio")).unwrap();
    }
    journal.flush().unwrap();
    let path = spool.view().journal_path(&id);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() - 32 - 10;
    bytes[middle] ^= 0xff;
    fs::write(&path, &bytes).unwrap();
    let mut reader = spool.view().read_journal(&id).unwrap();
    assert_eq!(reader.next_record().unwrap(), Some(packet(0, b"audio")));
    assert_eq!(reader.next_record().unwrap(), None);
    let tail = reader.tail().unwrap().unwrap();
    assert_eq!(
        (tail.bytes, tail.reason),
        (64, "a record's checksum is wrong")
    );
}

#[test]
fn blocks_of_another_journal_do_not_pass_for_ours() {
    let (_dir, spool) = spool();
    let (ticket, mut journal) = recorded(&spool.writer);
    let ours = ticket.capture_id().unwrap().clone();
    journal.append(&packet(1, b"ours")).unwrap();
    journal.seal().unwrap();
    let (ticket, mut journal) = recorded(&spool.writer);
    let theirs = ticket.capture_id().unwrap().clone();
    journal.append(&packet(1, b"them")).unwrap();
    journal.seal().unwrap();
    let path = |id| spool.view().journal_path(id);
    let (mut mixed, other) = (
        fs::read(path(&ours)).unwrap(),
        fs::read(path(&theirs)).unwrap(),
    );
    assert_eq!(mixed.len(), other.len());
    let records = mixed.len() - (6 + 21 + 4) - 7;
    mixed[records..].copy_from_slice(&other[records..]);
    fs::write(path(&ours), &mixed).unwrap();
    let mut reader = spool.view().read_journal(&ours).unwrap();
    assert_eq!(reader.next_record().unwrap(), None);
    assert!(!reader.sealed());
}

#[test]
fn zeros_left_by_a_power_loss_end_the_journal() {
    for with_key in [false, true] {
        zeros_end_the_journal_of(&spool_of(with_key).1);
    }
}

fn zeros_end_the_journal_of(spool: &Spool) {
    let (ticket, mut journal) = recorded(&spool.writer);
    let id = ticket.capture_id().unwrap().clone();
    journal.append(&packet(1, b"audio")).unwrap();
    drop(journal);
    let path = spool.view().journal_path(&id);
    let mut bytes = fs::read(&path).unwrap();
    bytes.resize(bytes.len() + 4096, 0);
    fs::write(&path, &bytes).unwrap();
    let mut reader = spool.view().read_journal(&id).unwrap();
    assert!(reader.next_record().unwrap().is_some());
    assert_eq!(reader.next_record().unwrap(), None);
    assert_eq!(reader.tail().unwrap().unwrap().bytes, 4096);
}

#[test]
fn nothing_appended_is_visible_before_a_flush_and_everything_after_it() {
    for with_key in [false, true] {
        a_flush_shows_what_was_appended_to(&spool_of(with_key).1);
    }
}

fn a_flush_shows_what_was_appended_to(spool: &Spool) {
    let (ticket, mut journal) = recorded(&spool.writer);
    let id = ticket.capture_id().unwrap().clone();
    journal.append(&packet(1, b"audio")).unwrap();
    let mut reader = spool.view().read_journal(&id).unwrap();
    assert_eq!(reader.next_record().unwrap(), None);
    journal.flush().unwrap();
    let mut reader = spool.view().read_journal(&id).unwrap();
    assert_eq!(reader.next_record().unwrap(), Some(packet(1, b"audio")));
    assert_eq!(reader.next_record().unwrap(), None);
    assert!(!reader.sealed());
}

#[test]
fn a_reader_can_go_through_a_journal_twice() {
    for with_key in [false, true] {
        twice_through_a_journal_of(&spool_of(with_key).1);
    }
}

fn twice_through_a_journal_of(spool: &Spool) {
    let (ticket, mut journal) = recorded(&spool.writer);
    let id = ticket.capture_id().unwrap().clone();
    journal.append(&packet(9, b"audio")).unwrap();
    journal.append(&mark(5, Mark::HungUp)).unwrap();
    journal.seal().unwrap();
    let mut reader = spool.view().read_journal(&id).unwrap();
    for _pass in 0..2 {
        assert_eq!(reader.next_record().unwrap(), Some(packet(9, b"audio")));
        assert_eq!(reader.next_record().unwrap(), Some(mark(5, Mark::HungUp)));
        assert_eq!(reader.next_record().unwrap(), None);
        assert_eq!((reader.last_ns(), reader.sealed()), (Some(9), true));
        reader.rewind().unwrap();
    }
}

#[test]
fn records_of_a_newer_version_are_passed_over() {
    let (_dir, spool) = spool();
    let (ticket, mut journal) = recorded(&spool.writer);
    let id = ticket.capture_id().unwrap().clone();
    journal.append(&packet(1, b"audio")).unwrap();
    drop(journal);
    let path = spool.view().journal_path(&id);
    let mut bytes = fs::read(&path).unwrap();
    let header_length = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let seed = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
    let first = bytes[16 + header_length..].to_vec();
    let body = [200, 1, 2, 3];
    let mut crc = crc32fast::Hasher::new_with_initial(seed);
    crc.update(&4u16.to_le_bytes());
    crc.update(&body);
    bytes.extend_from_slice(&4u16.to_le_bytes());
    bytes.extend_from_slice(&crc.finalize().to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&first);
    fs::write(&path, &bytes).unwrap();
    let mut reader = spool.view().read_journal(&id).unwrap();
    assert!(reader.next_record().unwrap().is_some());
    assert!(reader.next_record().unwrap().is_some());
    assert_eq!(reader.next_record().unwrap(), None);
    assert_eq!(reader.unknown(), 1);
}

#[test]
fn a_journal_says_whose_it_is() {
    let (_dir, spool) = spool();
    let (ticket, journal) = recorded(&spool.writer);
    let id = ticket.capture_id().unwrap().clone();
    drop(journal);
    let reader = spool.view().read_journal(&id).unwrap();
    assert_eq!(*reader.header(), header(&id));
    assert_eq!(
        reader.header().started_at.rfc3339(),
        "2024-03-01T00:00:00.000Z"
    );
    let other = CaptureId::random();
    let path = |id| spool.view().journal_path(id);
    fs::create_dir(path(&other).parent().unwrap()).unwrap();
    fs::copy(path(&id), path(&other)).unwrap();
    let error = spool.view().read_journal(&other).err().unwrap().to_string();
    assert!(error.contains("belongs to capture"), "{error}");
    assert_eq!(header(&id).started_at, Utc::from_unix_ms(1_709_251_200_000));
}
