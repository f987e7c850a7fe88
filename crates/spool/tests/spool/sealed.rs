//! What is sealed shows nothing, opens with its key alone, and is never taken for something else than what was written.

use std::{
    fs,
    io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use callreel_proto::{EndReason, RecordingState};
use callreel_spool::{
    AtRest, Error, JournalReader, Keys, Mark, Recipient, Scratch, Sealing, View, new_key,
};

use crate::{Spool, identity, key_file, mark, packet, recorded, rendition, sealed_spool, spool};

/// What is spoken, as it must not lie on a disk.
const SPOKEN: &[u8] = b"the number of my card is 4111 1111 1111 1111";

/// Whether these bytes lie in any file under this folder.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        let contents = fs::read(&path).unwrap();
        contents.windows(bytes.len()).any(|found| found == bytes)
    })
}

fn records(mut reader: JournalReader) -> usize {
    let mut count = 0;
    while reader.next_record().unwrap().is_some() {
        count += 1;
    }
    count
}

#[test]
fn what_was_spoken_lies_nowhere_in_a_sealed_spool() {
    for ((dir, spool), is_there) in [(spool(), true), (sealed_spool(), false)] {
        let (ticket, mut journal) = recorded(&spool.writer);
        for at in 0..3 {
            journal.append(&packet(at, SPOKEN)).unwrap();
            journal.flush().unwrap();
        }
        assert_eq!(holds(dir.path(), SPOKEN), is_there);
        journal.append(&mark(4, Mark::HungUp)).unwrap();
        let reader = spool.view().read_journal(ticket.capture_id().unwrap());
        journal.seal().unwrap();
        assert_eq!(holds(dir.path(), SPOKEN), is_there);
        let mut reader = reader.unwrap();
        assert_eq!(reader.next_record().unwrap(), Some(packet(0, SPOKEN)));
        assert_eq!(records(reader), 3);
    }
}

#[test]
fn a_journal_sealed_by_another_key_waits_for_its_own_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (identity(), identity());
    let file = key_file(&[&old]);
    let spool = Spool::open_with(dir.path(), Some(&file));
    let (growing, mut journal) = recorded(&spool.writer);
    let id = growing.capture_id().unwrap().clone();
    journal.append(&packet(7_000_000_000, SPOKEN)).unwrap();
    drop(journal);
    spool.crash();

    let path = View::open(dir.path()).journal_path(&id);
    let other = key_file(&[&new]);
    for (key_file, why) in [
        (None, "spool.key_file is not set".to_owned()),
        (
            Some(&*other),
            format!("its key is not among the 1 of {}", other.display()),
        ),
    ] {
        let spool = Spool::open_with(dir.path(), key_file);
        let said = spool.view().read_journal(&id).err().unwrap();
        let expected = format!(
            "{} is sealed, and {why}: put its key into spool.key_file and start again",
            path.display()
        );
        assert_eq!(said.to_string(), expected);
        assert_eq!(spool.writer.recover().unwrap(), [], "it waits");
        let found = spool.view().check().unwrap();
        let named = found.iter().any(|one| one.to_string().contains(&why));
        assert!(named, "{found:#?}");
    }
    let both = key_file(&[&new, &old]);
    let spool = Spool::open_with(dir.path(), Some(&both));
    assert_eq!(records(spool.view().read_journal(&id).unwrap()), 1);
    let ended = spool.writer.recover().unwrap();
    assert_eq!(ended[0].end_ns(), Some(7_000_000_000));
    assert_eq!(ended[0].end_reason(), Some(EndReason::Interrupted));
    assert_eq!(ended[0].state(), RecordingState::Ended);
}

#[test]
fn the_first_key_seals_and_a_journal_without_a_seal_is_read_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (identity(), identity());
    let kept = |key_file: Option<&Path>| {
        let spool = Spool::open_with(dir.path(), key_file);
        let (ticket, mut journal) = recorded(&spool.writer);
        journal.append(&packet(1, SPOKEN)).unwrap();
        journal.seal().unwrap();
        ticket.capture_id().unwrap().clone()
    };
    let ids = [
        kept(None),
        kept(Some(&key_file(&[&old]))),
        kept(Some(&key_file(&[&new, &old]))),
    ];
    let opens = |keys: &[&str]| {
        let keys = Keys::load(&key_file(keys)).unwrap();
        let view = View::open(dir.path()).with_keys(keys);
        ids.clone()
            .map(|id| view.read_journal(&id).is_ok_and(|it| records(it) == 1))
    };
    assert_eq!(opens(&[&new, &old]), [true; 3]);
    assert_eq!(opens(&[&old]), [true, true, false]);
    assert_eq!(opens(&[&new]), [true, false, true]);
}

#[test]
fn the_check_says_which_keys_are_needed_and_what_none_of_them_opens() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (identity(), identity());
    let old_file = key_file(&[&old]);
    let spool = Spool::open_with(dir.path(), Some(&old_file));
    let (mut ticket, mut journal) = recorded(&spool.writer);
    journal.append(&packet(1, SPOKEN)).unwrap();
    journal.seal().unwrap();
    ticket.end(2_000_000_000, EndReason::Hangup).unwrap();
    let path = spool.view().rendition_path(&ticket);
    assert!(path.to_str().unwrap().ends_with(".mp3.age"));
    let mut sealing = Sealing::begin(
        spool.view().keys().seals_to().unwrap(),
        fs::File::create(&path).unwrap(),
    )
    .unwrap();
    sealing.write_all(SPOKEN).unwrap();
    sealing.finish().unwrap();
    let mut info = rendition(SPOKEN.len() as u64);
    info.sealed_bytes = Some(path.metadata().unwrap().len());
    ticket.rendered(info).unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
    assert_eq!(spool.view().check().unwrap(), []);
    let mut opened = spool.view().open_rendition(&ticket).unwrap();
    let mut read = Vec::new();
    opened.read_to_end(&mut read).unwrap();
    assert_eq!(read, SPOKEN);
    drop(spool);

    let look = |keys: &[&str]| {
        let keys = Keys::load(&key_file(keys)).unwrap();
        View::open(dir.path()).with_keys(keys)
    };
    let both = look(&[&new, &old]);
    assert_eq!(both.check().unwrap(), []);
    let uses = both.key_use().unwrap();
    assert_eq!(uses.iter().map(|one| one.files).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(Some(&uses[0].key), both.keys().seals_to());

    let found = look(&[&new]).check().unwrap();
    assert_eq!(found.len(), 2, "{found:#?}");
    for (finding, name) in found.iter().zip([".mp3.age", "/journal"]) {
        let words = finding.to_string();
        assert!(
            words.contains(name) && words.contains("spool.key_file"),
            "{words}"
        );
    }
    assert_eq!(View::open(dir.path()).key_use().unwrap(), []);
}

/// A sealed journal of three segments, its bytes, and where its segments begin.
fn three_segments(spool: &Spool) -> (callreel_proto::CaptureId, Vec<u8>, [usize; 4]) {
    let (ticket, mut journal) = recorded(&spool.writer);
    let id = ticket.capture_id().unwrap().clone();
    let path = spool.view().journal_path(&id);
    let length = || path.metadata().unwrap().len() as usize;
    let mut at = [length(); 4];
    for end in &mut at[1..] {
        journal.append(&packet(*end as u64, SPOKEN)).unwrap();
        journal.flush().unwrap();
        *end = length();
    }
    drop(journal);
    (id, fs::read(&path).unwrap(), at)
}

#[test]
fn segments_that_are_left_out_repeated_or_exchanged_end_the_journal() {
    let (_dir, spool) = sealed_spool();
    let (id, bytes, [a, b, c, end]) = three_segments(&spool);
    let path = spool.view().journal_path(&id);
    let (head, [one, two, three]) = (&bytes[..a], [&bytes[a..b], &bytes[b..c], &bytes[c..end]]);
    let (_, other, [from, to, ..]) = three_segments(&spool);
    let foreign = &other[from..to];
    for (segments, used) in [
        (vec![one, two, three], 3),
        (vec![two, three], 0),
        (vec![one, three], 1),
        (vec![one, one, two], 1),
        (vec![one, three, two], 1),
        (vec![foreign, two, three], 0),
        (vec![one, two, foreign], 2),
    ] {
        fs::write(&path, [head, &segments.concat()].concat()).unwrap();
        let mut reader = spool.view().read_journal(&id).unwrap();
        for _ in 0..used {
            assert!(reader.next_record().unwrap().is_some());
        }
        assert_eq!(reader.next_record().unwrap(), None);
        let unused: usize = segments[used..].iter().map(|it| it.len()).sum();
        let tail = reader.tail().unwrap();
        assert_eq!(tail.map_or(0, |tail| tail.bytes), unused as u64);
        if let Some(tail) = tail {
            assert_eq!(tail.reason, "a segment is not the one that was written");
        }
    }
}

#[test]
fn a_head_that_somebody_has_changed_goes_with_no_segment() {
    let (_dir, spool) = sealed_spool();
    let (id, bytes, _) = three_segments(&spool);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let json = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let place = text(&bytes[16..16 + json]).find("3e7f@").unwrap();
    let mut changed = bytes;
    changed[16 + place] = b'4';
    let mut crc = crc32fast::Hasher::new();
    crc.update(&changed[..12]);
    crc.update(&changed[16..16 + json]);
    changed[12..16].copy_from_slice(&crc.finalize().to_le_bytes());
    fs::write(spool.view().journal_path(&id), &changed).unwrap();
    let mut reader = spool.view().read_journal(&id).unwrap();
    assert!(reader.header().call_id.as_str().starts_with("4e7f@"));
    assert_eq!(reader.next_record().unwrap(), None);
    // Not only that the records' checksums are wrong, which somebody could make right.
    let tail = reader.tail().unwrap().unwrap();
    assert_eq!(tail.reason, "a segment is not the one that was written");
}

#[test]
fn a_key_file_that_cannot_be_used_is_named_and_never_quoted() {
    let refused = |text: &str, mode: u32| {
        let file = key_file(&[text]);
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let said = Keys::load(&file).err()?.to_string();
        let path = file.display().to_string();
        assert!(said.starts_with(&format!(
            "the key file {path} (spool.key_file) cannot be used: "
        )));
        assert!(!said.contains("SECRET-KEY-1Q"), "{said}");
        Some(said)
    };
    let good = identity();
    assert_eq!(refused(&good, 0o600), None);
    assert_eq!(refused(&good, 0o440), None, "as Kubernetes mounts a secret");
    for mode in [0o604, 0o620, 0o644] {
        assert!(refused(&good, mode).unwrap().ends_with("chmod 600"));
    }
    let spoilt = format!("{good}AGE-SECRET-KEY-1QQQQ\n");
    assert!(
        refused(&spoilt, 0o600)
            .unwrap()
            .contains("line 4 is no age identity")
    );
    assert!(
        refused("# nothing\n", 0o600)
            .unwrap()
            .contains("callreel keys new")
    );
    let missing = Keys::load(Path::new("/nonexistent/keys")).err().unwrap();
    assert!(missing.to_string().contains("No such file"), "{missing}");
}

#[test]
fn keys_show_what_is_public_and_nothing_else() {
    let (secret, recipient) = new_key();
    let file = key_file(&[secret.reveal(), &identity()]);
    let keys = Keys::load(&file).unwrap();
    assert_eq!(keys.seals_to(), Some(&recipient));
    assert_eq!(keys.recipients().count(), 2);
    let shown = format!("{keys:?}");
    assert!(
        shown.contains(&recipient.to_string()) && !shown.contains("SECRET"),
        "{shown}"
    );
    assert_eq!(recipient.to_string().parse::<Recipient>(), Ok(recipient));
    for wrong in ["", "age1", "AGE-SECRET-KEY-1", "ssh-ed25519 AAAA"] {
        let said = wrong.parse::<Recipient>().unwrap_err().to_string();
        assert!(
            said.starts_with(&format!("{wrong:?} is no age public key")),
            "{said}"
        );
    }
}

/// A sealed file of these bytes, and the keys to it.
fn sealed_file(contents: &[u8]) -> (tempfile::TempPath, Keys) {
    let keys = Keys::load(&key_file(&[&identity()])).unwrap();
    let (file, path) = tempfile::NamedTempFile::new().unwrap().into_parts();
    let mut sealing = Sealing::begin(keys.seals_to().unwrap(), file).unwrap();
    sealing.write_all(contents).unwrap();
    sealing.finish().unwrap();
    (path, keys)
}

fn contents(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8).collect()
}

#[test]
fn a_sealed_file_gives_back_what_was_written_from_anywhere() {
    // The pieces of an age file have 64 KiB.
    for bytes in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let contents = contents(bytes);
        let (path, keys) = sealed_file(&contents);
        let mut file = AtRest::sealed(&path, &keys).unwrap();
        assert_eq!(file.length(), bytes as u64);
        let mut read = Vec::new();
        for from in [0, 1, 65_535, 65_536, 70_000, 131_072, 0, 200_000, 300_000] {
            read.clear();
            let at = file.seek(SeekFrom::Start(from as u64)).unwrap();
            assert_eq!(at, from.min(bytes) as u64);
            file.read_to_end(&mut read).unwrap();
            assert!(
                read == contents.get(from..).unwrap_or_default(),
                "{from} of {bytes}"
            );
        }
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), bytes as u64);
        assert_eq!(file.read(&mut [0; 9]).unwrap(), 0);
    }
}

#[test]
fn a_sealed_file_that_was_cut_or_changed_is_an_error_and_never_other_bytes() {
    let contents = contents(200_000);
    let (path, keys) = sealed_file(&contents);
    let whole = fs::read(&path).unwrap();
    let head = whole.len() - 200_000 - 4 * 16;
    let piece = 65_536 + 16;
    for length in [
        0,
        10,
        head,
        head + 5,
        head + piece,
        head + 3 * piece,
        whole.len() - 1,
    ] {
        fs::write(&path, &whole[..length]).unwrap();
        let refused = AtRest::sealed(&path, &keys).err().unwrap();
        assert!(
            matches!(refused, Error::Damaged { .. }),
            "{length}: {refused}"
        );
        assert!(refused.to_string().contains(path.to_str().unwrap()));
    }
    for place in [
        head + 1,
        head + piece - 1,
        head + piece + 1,
        head + 2 * piece,
    ] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        let mut file = AtRest::sealed(&path, &keys).unwrap();
        let mut read = Vec::new();
        let refused = file.read_to_end(&mut read).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
        assert!(contents.starts_with(&read), "what came before is right");
    }
    for place in [0, head / 2, head - 17, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert!(AtRest::sealed(&path, &keys).is_err(), "{place}");
    }
    fs::write(&path, &whole).unwrap();
    let other = Keys::load(&key_file(&[&identity()])).unwrap();
    for keys in [other, Keys::default()] {
        let refused = AtRest::sealed(&path, &keys).err().unwrap();
        assert!(matches!(refused, Error::Sealed { .. }), "{refused}");
    }
}

#[test]
fn a_scratch_is_read_back_by_whoever_wrote_it_and_shows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scratch");
    let file = fs::File::options();
    let file = file
        .clone()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    let mut scratch = Scratch::begin(file.unwrap()).unwrap();
    let spoken = SPOKEN.repeat(5000);
    scratch.write_all(&spoken).unwrap();
    let mut read = Vec::new();
    scratch.read_back().unwrap().read_to_end(&mut read).unwrap();
    assert!(read == spoken);
    assert!(!holds(dir.path(), SPOKEN));
}
