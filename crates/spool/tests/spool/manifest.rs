//! The manifest: what a chain of hashes shows, and what a crash may leave of it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use callreel_proto::{AccountId, EndReason, RecordingId, RecordingState, Utc};
use callreel_spool::{Entry, Line, Manifest, Verified, View, What};
use proptest::prelude::*;

use crate::{START, Spool, recorded, rendition, spool};

/// What tells a process of this test that it is one of several that append.
const APPENDER: &str = "CALLREEL_TEST_MANIFEST";

/// Entries that each of them appends.
const EACH: u64 = 40;

fn entry(rule: &str) -> Entry {
    Entry::new(
        AccountId::parse("0123456789abcdef0123456789abcdef").unwrap(),
        RecordingId::random(START),
        What::Discarded {
            rule: rule.to_owned(),
        },
    )
}

fn with_lines(count: u64) -> (tempfile::TempDir, Manifest) {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Manifest::open(dir.path());
    for number in 1..=count {
        let receipt = manifest.append_at(START, &entry("a \"rule\"\n")).unwrap();
        assert_eq!(receipt.seq, number);
    }
    (dir, manifest)
}

fn month(dir: &Path) -> PathBuf {
    dir.join("manifest/2024-03.jsonl")
}

fn verified(manifest: &Manifest) -> Verified {
    manifest.verify(|_, _, _| ()).unwrap()
}

/// What is found, without the folder.
fn findings(dir: &Path, manifest: &Manifest) -> Vec<String> {
    let dir = format!("{}/", dir.join("manifest").display());
    let found = verified(manifest).findings;
    found
        .iter()
        .map(|finding| finding.to_string().replace(&dir, ""))
        .collect()
}

#[test]
fn every_line_names_the_one_before_and_is_read_back_as_it_was_said() {
    let (_dir, manifest) = with_lines(0);
    assert_eq!(verified(&manifest), Verified::default());
    let said = [entry("one"), entry("two"), entry("three")];
    let receipts = said.each_ref().map(|entry| manifest.append(entry).unwrap());
    let mut read: Vec<Line> = Vec::new();
    let verified = manifest
        .verify(|_, _, line| read.push(line.clone()))
        .unwrap();
    assert_eq!((verified.lines, verified.first), (3, Some(1)));
    assert_eq!(verified.findings, []);
    assert_eq!(verified.head.as_ref(), receipts.last());
    assert_eq!(manifest.head().unwrap(), verified.head);
    for (index, line) in read.iter().enumerate() {
        assert_eq!(line.entry.as_ref(), Some(&said[index]));
        let before = index.checked_sub(1).map(|before| &receipts[before].hash);
        assert_eq!(line.prev, before.cloned().unwrap_or("0".repeat(64)));
    }
}

#[test]
fn a_line_can_be_checked_with_ordinary_tools() {
    let (dir, manifest) = with_lines(1);
    let text = fs::read_to_string(month(dir.path())).unwrap();
    let (facts, hash) = text.trim_end().rsplit_once(",\"hash\":\"").unwrap();
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    write!(input, "{facts}}}").unwrap();
    drop(input);
    let sum = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(hash, format!("{}\"}}", &sum[..64]));
    assert_eq!(manifest.head().unwrap().unwrap().hash, sum[..64]);
}

proptest! {
    #[test]
    fn any_changed_byte_is_found(at in any::<prop::sample::Index>(), to in any::<u8>(), lines in 1_u64..5) {
        let (dir, manifest) = with_lines(lines);
        let mut bytes = fs::read(month(dir.path())).unwrap();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        fs::write(month(dir.path()), &bytes).unwrap();
        prop_assert!(!verified(&manifest).findings.is_empty(), "byte {at} became {to}");
    }

    #[test]
    fn any_removed_lines_are_found(from in 0_usize..6, count in 1_usize..6) {
        let (dir, manifest) = with_lines(6);
        prop_assume!(from + count <= 6);
        let text = fs::read_to_string(month(dir.path())).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.drain(from..from + count);
        fs::write(month(dir.path()), lines.join("\n") + "\n").unwrap();
        let found = verified(&manifest);
        // Lines at the beginning may be archived; where the chain begins is told.
        prop_assert!(!found.findings.is_empty() || found.first == Some(count as u64 + 1));
    }

    #[test]
    fn whatever_a_crash_leaves_of_the_last_line_the_chain_goes_on(keep in any::<prop::sample::Index>()) {
        let (dir, manifest) = with_lines(2);
        let (whole, head) = (fs::read(month(dir.path())).unwrap(), fs::read(dir.path().join("manifest/head.json")).unwrap());
        manifest.append_at(START, &entry("cut")).unwrap();
        let longer = fs::read(month(dir.path())).unwrap();
        let keep = whole.len() + keep.index(longer.len() - whole.len() + 1);
        fs::write(month(dir.path()), &longer[..keep]).unwrap();
        fs::write(dir.path().join("manifest/head.json"), head).unwrap();
        let torn = keep > whole.len() && keep < longer.len();
        prop_assert_eq!(verified(&manifest).findings.len(), usize::from(torn));
        let receipt = manifest.append_at(START, &entry("after")).unwrap();
        prop_assert_eq!(verified(&manifest).findings, []);
        let whole_lines = if keep == longer.len() { 3 } else { 2 };
        prop_assert_eq!(receipt.seq, whole_lines + u64::from(torn) + 1);
    }
}

#[test]
fn a_half_written_line_is_kept_in_the_entry_that_tells_of_it() {
    let (dir, manifest) = with_lines(1);
    let mut file = OpenOptions::new()
        .append(true)
        .open(month(dir.path()))
        .unwrap();
    file.write_all(b"{\"seq\":2,\"at").unwrap();
    assert_eq!(
        findings(dir.path(), &manifest),
        [
            "2024-03.jsonl: line 2: it was never finished: a crash left it, and the next entry cuts it away"
        ]
    );
    manifest.append_at(START, &entry("next")).unwrap();
    let mut details = Vec::new();
    let verified = manifest
        .verify(|_, _, line| {
            if let Some(What::Repaired { detail }) = line.entry.as_ref().map(|entry| &entry.what) {
                details.push(detail.clone());
            }
        })
        .unwrap();
    assert_eq!((verified.lines, verified.findings), (3, vec![]));
    assert_eq!(
        details,
        [
            "2024-03.jsonl ended with 12 bytes of a line that was never finished; they were cut away: {\"seq\":2,\"at"
        ]
    );
}

#[test]
fn lines_missing_at_the_end_are_told_and_stay_told() {
    let (dir, manifest) = with_lines(4);
    let text = fs::read_to_string(month(dir.path())).unwrap();
    let kept: Vec<&str> = text.lines().take(2).collect();
    fs::write(month(dir.path()), kept.join("\n") + "\n").unwrap();
    assert_eq!(
        findings(dir.path(), &manifest),
        ["head.json: it names line 4, and the last one is 2: lines are missing at the end"]
    );
    let next = manifest.append_at(START, &entry("next")).unwrap();
    assert_eq!(next.seq, 5);
    assert_eq!(
        findings(dir.path(), &manifest),
        ["2024-03.jsonl: line 3: lines 3 to 4 are missing before it"]
    );
}

#[test]
fn a_line_made_anew_with_its_hash_does_not_fit_its_neighbours() {
    let (dir, manifest) = with_lines(3);
    let (other, _) = with_lines(3);
    let (ours, theirs) = (
        fs::read_to_string(month(dir.path())).unwrap(),
        fs::read_to_string(month(other.path())).unwrap(),
    );
    let mut lines: Vec<&str> = ours.lines().collect();
    lines[1] = theirs.lines().nth(1).unwrap();
    fs::write(month(dir.path()), lines.join("\n") + "\n").unwrap();
    let words = "it does not follow the line before it: that one was replaced";
    assert_eq!(
        findings(dir.path(), &manifest),
        [2, 3].map(|line| format!("2024-03.jsonl: line {line}: {words}"))
    );
}

#[test]
fn a_head_that_is_gone_or_nonsense_is_told_and_mended_by_the_next_entry() {
    for nonsense in [None, Some("")] {
        let (dir, manifest) = with_lines(2);
        let head = dir.path().join("manifest/head.json");
        match nonsense {
            None => fs::remove_file(&head).unwrap(),
            Some(text) => fs::write(&head, text).unwrap(),
        }
        assert_eq!(verified(&manifest).findings.len(), 1);
        // One line tells of it.
        assert_eq!(manifest.append_at(START, &entry("next")).unwrap().seq, 4);
        assert_eq!(verified(&manifest).findings, []);
    }
}

#[test]
fn months_follow_each_other_whatever_the_clock_says_and_old_ones_may_be_archived() {
    let day = 24 * 3600 * 1000;
    let (dir, manifest) = with_lines(2);
    let names = |dir: &Path| {
        let mut names: Vec<String> = fs::read_dir(dir.join("manifest"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".jsonl"))
            .collect();
        names.sort();
        names
    };
    manifest
        .append_at(START.plus_ms(40 * day), &entry("later"))
        .unwrap();
    manifest
        .append_at(START, &entry("the clock went back"))
        .unwrap();
    assert_eq!(names(dir.path()), ["2024-03.jsonl", "2024-04.jsonl"]);
    assert_eq!(verified(&manifest).findings, []);
    fs::remove_file(month(dir.path())).unwrap();
    let left = verified(&manifest);
    assert_eq!((left.lines, left.first), (2, Some(3)));
    assert_eq!(left.findings, []);
    assert_eq!(manifest.append_at(START, &entry("goes on")).unwrap().seq, 5);
}

#[test]
fn a_manifest_that_cannot_be_written_says_so_and_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("manifest"), "in the way").unwrap();
    let manifest = Manifest::open(dir.path());
    let error = manifest.append(&entry("lost")).unwrap_err().to_string();
    assert!(error.contains("manifest"), "{error}");
    assert!(!manifest.note(&entry("lost")));
}

#[test]
#[ignore = "the test below runs it as a process of its own"]
fn appender() {
    let manifest = Manifest::open(std::env::var(APPENDER).unwrap());
    for _ in 0..EACH {
        manifest
            .append_at(Utc::now(), &entry("of a process"))
            .unwrap();
    }
}

#[test]
fn two_processes_append_to_one_chain() {
    let (dir, manifest) = with_lines(0);
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "manifest::appender", "--ignored"])
            .env(APPENDER, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    for mut process in [start(), start(), start()] {
        assert!(process.wait().unwrap().success());
    }
    let verified = verified(&manifest);
    assert_eq!(verified.lines, 3 * EACH);
    assert_eq!(verified.findings, []);
}

/// What the manifest says of its recordings, in order.
fn said(view: &View) -> Vec<What> {
    let mut said = Vec::new();
    view.manifest()
        .verify(|_, _, line| said.extend(line.entry.clone().map(|entry| entry.what)))
        .unwrap();
    said
}

fn words(view: &View) -> Vec<String> {
    let words = said(view).into_iter().map(|what| {
        let json = serde_json::to_value(what).unwrap();
        json["what"].as_str().unwrap().to_owned()
    });
    words.collect()
}

#[test]
fn every_step_of_a_recording_is_said_once_and_before_its_ticket_goes() {
    let (_dir, spool) = spool();
    let (mut ticket, journal) = recorded(&spool.writer);
    drop(journal);
    assert_eq!(said(spool.view()), []);
    ticket.end(3_500_000_000, EndReason::Stopped).unwrap();
    for _ in 0..2 {
        spool.writer.save_ticket(&ticket).unwrap();
    }
    ticket.rendered(rendition(7)).unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
    ticket.undeliverable(START, "410 Gone").unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
    ticket.retry().unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
    ticket.attempt_failed(START, "503", START).unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
    ticket.delivered(START).unwrap();
    spool.outbox.settle(&ticket).unwrap();
    let said = said(spool.view());
    let What::Recorded {
        duration_ms,
        end_reason,
        ..
    } = &said[0]
    else {
        panic!("{said:?}");
    };
    assert_eq!((*duration_ms, *end_reason), (2500, EndReason::Stopped));
    assert_eq!(
        said[1..],
        [
            What::Rendered {
                sha256: "00".repeat(32),
                bytes: 7,
                duration_ms: 1000
            },
            What::Undeliverable {
                reason: "410 Gone".to_owned()
            },
            What::Delivered {
                to: "http://127.0.0.1/kzr/call_recording_3e7f%4010.0.0.1.mp3".to_owned(),
                attempt: 2,
                acknowledged_at: Some("2024-03-01T00:00:00.000Z".to_owned()),
                sha256: Some("00".repeat(32)),
            },
        ]
    );
}

#[test]
fn a_recording_that_a_crash_ended_is_said_too_and_a_settled_one_not_again() {
    let (dir, before) = spool();
    let (_, journal) = recorded(&before.writer);
    drop(journal);
    before.crash();
    let spool = Spool::open(dir.path());
    let mut ticket = spool.writer.recover().unwrap().remove(0);
    ticket.discarded(START, "dropped by order").unwrap();
    // The crash came after the ticket said so, and before it went.
    spool.outbox.save_ticket(&ticket).unwrap();
    assert_eq!(ticket.state(), RecordingState::Discarded);
    spool.outbox.settle(&ticket).unwrap();
    assert_eq!(words(spool.view()), ["recorded", "discarded"]);
}

#[test]
fn a_manifest_that_cannot_be_written_keeps_no_recording() {
    let (dir, spool) = spool();
    fs::write(dir.path().join("manifest"), "in the way").unwrap();
    let (mut ticket, journal) = recorded(&spool.writer);
    drop(journal);
    ticket.end(3_500_000_000, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    ticket.discarded(START, "too short").unwrap();
    spool.outbox.settle(&ticket).unwrap();
    assert_eq!(spool.ticket_of(&ticket), None);
}

#[test]
fn a_recording_without_an_end_or_with_two_is_told() {
    let (dir, spool) = spool();
    let (mut ticket, journal) = recorded(&spool.writer);
    drop(journal);
    let id = ticket.recording_id().clone();
    ticket.end(3_500_000_000, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    let told = |words: &str| -> Vec<String> {
        let found = spool.view().check().unwrap();
        let told = found.iter().map(ToString::to_string);
        told.filter(|finding| finding.contains(words)).collect()
    };
    assert_eq!(told("line "), Vec::<String>::new());
    let ticket_dir = dir.path().join("recordings").join(id.as_str());
    fs::rename(&ticket_dir, dir.path().join("taken")).unwrap();
    assert_eq!(told(&format!("line 1: recording {id} has no end")).len(), 1);
    fs::rename(dir.path().join("taken"), &ticket_dir).unwrap();
    ticket.discarded(START, "an order").unwrap();
    spool.outbox.settle(&ticket).unwrap();
    assert_eq!(told("line "), Vec::<String>::new());
    let delivered = What::Delivered {
        to: "nowhere".to_owned(),
        attempt: 1,
        acknowledged_at: None,
        sha256: None,
    };
    spool
        .view()
        .manifest()
        .append(&Entry::of(&ticket, delivered))
        .unwrap();
    let two = format!("line 3: recording {id} is said to be delivered and to be discarded");
    assert_eq!(told(&two).len(), 1);
}

#[test]
fn what_was_removed_while_it_was_held_and_a_swapped_checksum_are_told() {
    let (_dir, spool) = spool();
    let (mut ticket, journal) = recorded(&spool.writer);
    drop(journal);
    ticket.end(3_500_000_000, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    ticket.rendered(rendition(7)).unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
    let manifest = spool.view().manifest();
    let (by, reason) = ("records@example.com".to_owned(), "court".to_owned());
    for what in [
        What::Rendered {
            sha256: "11".repeat(32),
            bytes: 7,
            duration_ms: 1000,
        },
        What::Held {
            by: by.clone(),
            reason: reason.clone(),
        },
        What::Deleted {
            by,
            reason,
            receipts: Vec::new(),
        },
    ] {
        manifest.append(&Entry::of(&ticket, what)).unwrap();
    }
    let found = spool.view().check().unwrap();
    let told: Vec<String> = found.iter().map(|finding| finding.words.clone()).collect();
    let id = ticket.recording_id();
    for words in [
        format!("line 5: recording {id} was removed while a legal hold was on it"),
        format!(
            "line 5: recording {id} was made into an audio file with another checksum than its ticket names"
        ),
    ] {
        assert!(told.contains(&words), "{told:?}");
    }
}
