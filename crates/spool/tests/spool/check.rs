//! What `callreel check` says about a spool, in words.

use std::fs;

use callreel_proto::{CaptureId, EndReason, RecordingId};
use callreel_spool::{Mark, Spool};

use crate::{START, capture, mark, packet, rendition, spool, ticket};

/// Findings with the temporary folder left out.
fn findings(spool: &Spool) -> Vec<String> {
    let dir = format!("{}/", spool.view().dir().display());
    let found = spool.view().check().unwrap();
    found
        .iter()
        .map(|finding| finding.to_string().replace(&dir, ""))
        .collect()
}

#[test]
fn a_spool_in_order_has_no_findings() {
    let (_dir, spool) = spool();
    let (id, mut journal) = capture(&spool);
    let mut done = ticket(&id);
    spool.create_ticket(&done).unwrap();
    journal.append(&packet(1, b"audio")).unwrap();
    journal.append(&mark(2, Mark::HungUp)).unwrap();
    journal.seal().unwrap();
    done.end(2, EndReason::Hangup).unwrap();
    done.rendered(rendition(5)).unwrap();
    fs::write(spool.rendition_path(&done), b"audio").unwrap();
    spool.save_ticket(&done).unwrap();
    assert_eq!(findings(&spool), Vec::<String>::new());
}

#[test]
fn what_does_not_fit_together_is_said_in_words() {
    let (_dir, spool) = spool();
    let (orphan, journal) = capture(&spool);
    drop(journal);
    let (torn, mut journal) = capture(&spool);
    journal.append(&packet(1, b"audio")).unwrap();
    drop(journal);
    let path = spool.view().journal_path(&torn);
    let length = path.metadata().unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length - 1)
        .unwrap();
    let mut missing = ticket(&torn);
    missing.end(2, EndReason::Hangup).unwrap();
    missing.rendered(rendition(5)).unwrap();
    spool.create_ticket(&missing).unwrap();
    let mut short = ticket(&torn);
    short.end(2, EndReason::Hangup).unwrap();
    short.rendered(rendition(5)).unwrap();
    spool.create_ticket(&short).unwrap();
    fs::write(spool.rendition_path(&short), b"aud").unwrap();
    let lost = ticket(&CaptureId::random());
    spool.create_ticket(&lost).unwrap();
    let unreadable = RecordingId::random(START);
    let folder = spool
        .view()
        .dir()
        .join("recordings")
        .join(unreadable.as_str());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ticket.json"), b"[]").unwrap();

    let found = findings(&spool);
    let names = "call_recording_3e7f%4010.0.0.1.mp3";
    for expected in [
        format!("captures/{orphan}: no ticket needs it"),
        format!("captures/{torn}/journal: its last record is cut off: 31 bytes from byte"),
        format!(
            "recordings/{}/{names}: the audio file is missing",
            missing.recording_id()
        ),
        format!(
            "recordings/{}/{names}: it has 3 bytes, its ticket says 5",
            short.recording_id()
        ),
        format!(
            "recordings/{}: its capture {} is gone",
            lost.recording_id(),
            lost.capture_id().unwrap()
        ),
        format!("recordings/{unreadable}: its ticket cannot be read"),
    ] {
        assert!(
            found.iter().any(|finding| finding.starts_with(&expected)),
            "{expected}\nis not among\n{}",
            found.join("\n")
        );
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn what_was_set_aside_stays_visible() {
    let (dir, spool) = spool();
    drop(spool);
    let id = RecordingId::random(START);
    let folder = dir.path().join("recordings").join(id.as_str());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("x.mp3"), b"audio").unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let found = findings(&spool);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains(&format!("see {id}.reason.txt")),
        "{found:?}"
    );
}
