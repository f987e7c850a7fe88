//! What `callreel check` says about a spool, in words.

use std::fs;

use callreel_proto::{EndReason, RecordingId};
use callreel_spool::{Mark, View};

use crate::{START, Spool, capture, mark, packet, recorded, rendition, spool, ticket};

/// Findings with the temporary folder left out.
fn findings(view: &View) -> Vec<String> {
    let dir = format!("{}/", view.dir().display());
    let found = view.check().unwrap();
    found
        .iter()
        .map(|finding| finding.to_string().replace(&dir, ""))
        .collect()
}

#[test]
fn a_spool_in_order_has_no_findings() {
    let (_dir, spool) = spool();
    let (mut done, mut journal) = recorded(&spool.writer);
    journal.append(&packet(1, b"audio")).unwrap();
    journal.append(&mark(2, Mark::HungUp)).unwrap();
    journal.seal().unwrap();
    done.end(2, EndReason::Hangup).unwrap();
    done.rendered(rendition(5)).unwrap();
    fs::write(spool.view().rendition_path(&done), b"audio").unwrap();
    spool.outbox.save_ticket(&done).unwrap();
    assert_eq!(findings(spool.view()), Vec::<String>::new());
}

#[test]
fn a_spool_at_work_has_no_findings_and_says_who_works() {
    let (_dir, spool) = spool();
    let (_unpromised, _journal) = capture(&spool.writer);
    let (_growing, mut journal) = recorded(&spool.writer);
    journal.append(&packet(1, b"audio")).unwrap();
    journal.flush().unwrap();
    assert_eq!(findings(spool.view()), Vec::<String>::new());
    let writers = spool.view().writers().unwrap();
    assert_eq!(writers.len(), 1);
    assert!(writers[0].lives);
    assert_eq!(writers[0].process, Some(std::process::id()));
}

#[test]
fn what_a_dead_writer_left_is_said_in_words_and_recovery_leaves_no_finding() {
    let (dir, spool) = spool();
    let (growing, journal) = recorded(&spool.writer);
    drop(journal);
    let writer = spool.writer.describe().id;
    spool.crash();
    let view = View::open(dir.path());
    let found = findings(&view);
    let (recording, writer) = (
        format!("recordings/{}: the process", growing.recording_id()),
        format!("writers/{writer}: the process of this writer is gone"),
    );
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with(&recording), "{found:#?}");
    assert!(found[1].starts_with(&writer), "{found:#?}");
    let spool = Spool::open(dir.path());
    spool.writer.recover().unwrap();
    assert_eq!(findings(&view), Vec::<String>::new());
}

#[test]
fn claims_that_disagree_with_the_tickets_are_named_and_delivery_mends_them() {
    let (dir, spool) = spool();
    let (ticket, journal) = recorded(&spool.writer);
    drop(journal);
    drop(spool.outbox);
    let folder = dir
        .path()
        .join("captures")
        .join(ticket.capture_id().unwrap().as_str());
    let claim = |id: &RecordingId| folder.join(format!("for-{id}"));
    let (right, stale) = (
        claim(ticket.recording_id()),
        claim(&RecordingId::random(START)),
    );
    fs::rename(&right, &stale).unwrap();
    let found = findings(spool.writer.view());
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("has no claim here"), "{found:#?}");
    assert!(found[1].contains("has no ticket"), "{found:#?}");
    let _outbox = callreel_spool::Outbox::open(dir.path()).unwrap();
    assert_eq!(findings(spool.writer.view()), Vec::<String>::new());
    assert!(right.exists() && !stale.exists());
}

#[test]
fn what_does_not_fit_together_is_said_in_words() {
    let (_dir, spool) = spool();
    let (orphan, journal) = recorded(&spool.writer);
    drop(journal);
    let orphan_dir = spool
        .view()
        .rendition_path(&orphan)
        .parent()
        .unwrap()
        .to_owned();
    fs::remove_dir_all(orphan_dir).unwrap();
    let orphan = orphan.capture_id().unwrap();
    let (mut missing, mut journal) = recorded(&spool.writer);
    let torn = missing.capture_id().unwrap().clone();
    let mut short = ticket(&torn);
    spool.writer.create_ticket(&short).unwrap();
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
    for rendered in [&mut missing, &mut short] {
        rendered.end(2, EndReason::Hangup).unwrap();
        rendered.rendered(rendition(5)).unwrap();
        spool.outbox.save_ticket(rendered).unwrap();
    }
    fs::write(spool.view().rendition_path(&short), b"aud").unwrap();
    let (lost, journal) = recorded(&spool.writer);
    drop(journal);
    let folder = spool.view().journal_path(lost.capture_id().unwrap());
    fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    let unreadable = RecordingId::random(START);
    let folder = spool
        .view()
        .dir()
        .join("recordings")
        .join(unreadable.as_str());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ticket.json"), b"[]").unwrap();

    let found = findings(spool.view());
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
    // The claim of the orphan is the seventh.
    assert_eq!(found.len(), 7, "{found:#?}");
}

#[test]
fn what_was_set_aside_stays_visible() {
    let (dir, spool) = spool();
    drop(spool);
    let id = RecordingId::random(START);
    let folder = dir.path().join("recordings").join(id.as_str());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("x.mp3"), b"audio").unwrap();
    let spool = Spool::open(dir.path());
    let found = findings(spool.view());
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains(&format!("see {id}.reason.txt")),
        "{found:?}"
    );
}
