//! Locks, where things lie, and tickets that cannot be read.

use std::{fs, os::unix::fs::PermissionsExt};

use callreel_proto::{CaptureId, EndReason, RecordingId, RecordingState};
use callreel_spool::{Error, Mark, Outbox, SpoolConfig, View, Writer};

use crate::{START, Spool, capture, header, mark, packet, recorded, spool, ticket, writer};

#[test]
fn a_second_delivery_is_told_which_process_has_the_first() {
    let (dir, spool) = spool();
    let refused = Outbox::open(dir.path()).err().unwrap().to_string();
    assert!(
        refused.contains(&format!("process {}", std::process::id())),
        "{refused}"
    );
    assert!(refused.contains(dir.path().to_str().unwrap()), "{refused}");
    drop(spool);
    Outbox::open(dir.path()).unwrap();
}

#[test]
fn a_process_of_the_version_before_keeps_everybody_out_and_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let open = || Writer::open(dir.path(), &SpoolConfig::default());
    let older = fs::File::create(&path).unwrap();
    older.try_lock().unwrap();
    fs::write(&path, "4711\n").unwrap();
    for refused in [
        open().err().unwrap(),
        Outbox::open(dir.path()).err().unwrap(),
    ] {
        assert!(matches!(refused, Error::InUse { .. }), "{refused}");
        assert!(refused.to_string().contains("process 4711"), "{refused}");
    }
    drop(older);
    let _writer = open().unwrap();
    let older = fs::File::open(&path).unwrap();
    assert!(older.try_lock().is_err(), "it would recover what is alive");
}

#[test]
fn a_journal_keeps_its_writer_alive() {
    let (dir, spool) = spool();
    let (_, journal) = capture(&spool.writer);
    let view = View::open(dir.path());
    drop(spool);
    assert!(view.writers().unwrap()[0].lives);
    drop(journal);
    assert_eq!(view.writers().unwrap(), []);
}

#[test]
fn a_spool_in_use_can_be_looked_at() {
    let (dir, spool) = spool();
    let (ticket, mut journal) = recorded(&spool.writer);
    journal.append(&packet(1, b"audio")).unwrap();
    journal.flush().unwrap();
    let view = View::open(dir.path());
    assert_eq!(view.tickets().unwrap().len(), 1);
    let mut reader = view.read_journal(ticket.capture_id().unwrap()).unwrap();
    assert!(reader.next_record().unwrap().is_some());
    let missing = View::open(dir.path().join("nowhere"));
    assert_eq!(missing.tickets().unwrap(), []);
    assert_eq!(missing.check().unwrap(), []);
}

#[test]
fn only_the_owner_can_read_what_is_said_and_where_it_goes() {
    let (dir, spool) = spool();
    let (ticket, _journal) = recorded(&spool.writer);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let recording = dir
        .path()
        .join("recordings")
        .join(ticket.recording_id().as_str());
    assert_eq!(mode(&recording.join("ticket.json")), 0o600);
    assert_eq!(mode(&recording), 0o700);
    let journal = spool.view().journal_path(ticket.capture_id().unwrap());
    assert_eq!(mode(&journal), 0o600);
    assert_eq!(mode(journal.parent().unwrap()), 0o700);
}

#[test]
fn a_recording_has_one_ticket_and_a_removed_one_does_not_come_back() {
    let (_dir, spool) = spool();
    let (mut ticket, journal) = recorded(&spool.writer);
    assert!(matches!(
        spool.writer.create_ticket(&ticket),
        Err(Error::TicketExists(_))
    ));
    drop(journal);
    spool
        .view()
        .read_journal(ticket.capture_id().unwrap())
        .unwrap();
    fs::write(spool.view().rendition_path(&ticket), b"audio").unwrap();
    ticket.end(2, EndReason::Stopped).unwrap();
    spool.outbox.settle(&ticket).unwrap();
    for refused in [
        spool.writer.save_ticket(&ticket),
        spool.outbox.save_ticket(&ticket),
        spool.outbox.settle(&ticket),
    ] {
        assert!(matches!(refused, Err(Error::NoTicket(_))), "{refused:?}");
    }
    assert_eq!(spool.ticket_of(&ticket), None);
    assert!(
        !spool
            .view()
            .rendition_path(&ticket)
            .parent()
            .unwrap()
            .exists()
    );
}

#[test]
fn a_ticket_needs_a_capture_and_one_that_is_refused_leaves_nothing() {
    let (dir, spool) = spool();
    let nowhere = ticket(&CaptureId::random());
    assert!(matches!(
        spool.writer.create_ticket(&nowhere),
        Err(Error::NoCapture(_))
    ));
    let (id, journal) = capture(&spool.writer);
    let recordings = dir.path().join("recordings");
    fs::remove_dir(&recordings).unwrap();
    spool.writer.create_ticket(&ticket(&id)).unwrap_err();
    fs::create_dir(&recordings).unwrap();
    assert_eq!(spool.view().tickets().unwrap(), []);
    drop(journal);
    assert_eq!(
        fs::read_dir(dir.path().join("captures")).unwrap().count(),
        0
    );
    assert_eq!(spool.view().check().unwrap(), []);
}

#[test]
fn an_end_that_is_on_disk_is_not_written_again() {
    let (_dir, spool) = spool();
    let (mut ticket, _journal) = recorded(&spool.writer);
    ticket.end(2, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    let mut given_up = ticket.clone();
    given_up.undeliverable(START, "nobody wants it").unwrap();
    spool.outbox.save_ticket(&given_up).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    assert_eq!(spool.ticket_of(&ticket), Some(given_up));
}

#[test]
fn an_update_sees_the_ticket_as_it_is_and_writes_nothing_when_refused() {
    let (_dir, spool) = spool();
    let (ticket, _journal) = recorded(&spool.writer);
    let end = |at_ns: u64| {
        spool.outbox.update_ticket(ticket.recording_id(), |ticket| {
            ticket
                .document_mut()
                .insert("seen".to_owned(), at_ns.into());
            ticket.end(at_ns, EndReason::Stopped).map_err(Error::from)
        })
    };
    let (ended, ()) = end(5_000_000_000).unwrap();
    assert_eq!(ended.state(), RecordingState::Ended);
    assert!(matches!(end(6_000_000_000), Err(Error::Transition(_))));
    assert_eq!(spool.ticket_of(&ticket), Some(ended));
}

#[test]
fn updates_at_the_same_time_all_count() {
    let (_dir, spool) = spool();
    let (mut ticket, _journal) = recorded(&spool.writer);
    ticket.end(2_000_000_000, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let failed = spool.outbox.update_ticket(ticket.recording_id(), |ticket| {
                        ticket
                            .rendering_failed(START, "again", START)
                            .map_err(Error::from)
                    });
                    failed.unwrap();
                }
            });
        }
    });
    let ticket = spool.ticket_of(&ticket).unwrap();
    assert_eq!(ticket.delivery().render_failures, 20);
}

#[test]
fn unreadable_tickets_are_set_aside_with_the_reason_and_stop_no_start() {
    let (dir, spool) = spool();
    let (good, mut journal) = recorded(&spool.writer);
    let bad = ticket(good.capture_id().unwrap());
    spool.writer.create_ticket(&bad).unwrap();
    for ticket in [&good, &bad] {
        let started = Mark::RecordingStarted(ticket.recording_id().clone());
        journal.append(&mark(0, started)).unwrap();
    }
    journal.seal().unwrap();
    drop(spool);
    let name = bad.recording_id().as_str();
    let folder = dir.path().join("recordings").join(name);
    fs::write(folder.join("ticket.json"), b"{\"ticket\": 1, oops").unwrap();
    fs::write(folder.join("x.mp3"), b"audio").unwrap();

    let capture = dir
        .path()
        .join("captures")
        .join(good.capture_id().unwrap().as_str());
    // As an older version left it: without a claim, only the journal says that it is needed.
    fs::remove_file(capture.join(format!("for-{name}"))).unwrap();
    let spool = Spool::open(dir.path());
    assert_eq!(spool.view().tickets().unwrap(), std::slice::from_ref(&good));
    assert_eq!(spool.view().quarantined().unwrap(), [name]);
    let aside = dir.path().join("quarantine").join(name);
    assert_eq!(fs::read(aside.join("x.mp3")).unwrap(), b"audio");
    let reason = fs::read_to_string(aside.with_extension("reason.txt")).unwrap();
    assert!(reason.contains("key must be a string"), "{reason}");

    spool.outbox.settle(&good).unwrap();
    assert!(
        capture.join("journal").exists(),
        "the recording in quarantine needs the audio"
    );
}

#[test]
fn a_recording_in_quarantine_keeps_its_claim_until_it_is_back_and_settled() {
    let (dir, spool) = spool();
    let (mut ticket, journal) = recorded(&spool.writer);
    drop(journal);
    drop(spool);
    let name = ticket.recording_id().as_str();
    let folder = dir.path().join("recordings").join(name);
    let whole = fs::read(folder.join("ticket.json")).unwrap();
    fs::write(folder.join("ticket.json"), "oops").unwrap();
    drop(Spool::open(dir.path()));
    let spool = Spool::open(dir.path());
    let aside = dir.path().join("quarantine").join(name);
    fs::write(aside.join("ticket.json"), whole).unwrap();
    fs::rename(&aside, &folder).unwrap();
    let capture = dir
        .path()
        .join("captures")
        .join(ticket.capture_id().unwrap().as_str());
    assert!(capture.join(format!("for-{name}")).exists());
    ticket.end(2, EndReason::Interrupted).unwrap();
    spool.outbox.settle(&ticket).unwrap();
    assert!(!capture.exists());
}

#[test]
fn a_ticket_in_the_wrong_folder_is_set_aside_and_strangers_are_left_alone() {
    let (dir, spool) = spool();
    let (ticket, journal) = recorded(&spool.writer);
    drop(journal);
    drop(spool);
    let recordings = dir.path().join("recordings");
    let wrong = RecordingId::random(START);
    fs::rename(
        recordings.join(ticket.recording_id().as_str()),
        recordings.join(wrong.as_str()),
    )
    .unwrap();
    fs::create_dir(recordings.join("lost+found")).unwrap();
    let empty = RecordingId::random(START);
    fs::create_dir(recordings.join(empty.as_str())).unwrap();
    fs::write(
        recordings.join(empty.as_str()).join("ticket.json.tmp"),
        b"{",
    )
    .unwrap();

    let spool = Spool::open(dir.path());
    assert_eq!(spool.view().quarantined().unwrap(), [wrong.as_str()]);
    assert!(recordings.join("lost+found").exists());
    assert!(
        !recordings.join(empty.as_str()).exists(),
        "nothing was promised there"
    );
}

#[test]
fn errors_name_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("not-a-folder");
    fs::write(&file, b"").unwrap();
    let refused = Outbox::open(&file).err().unwrap().to_string();
    assert!(refused.contains("not-a-folder"), "{refused}");
}

#[test]
fn a_writer_describes_itself() {
    let (_dir, spool) = spool();
    let (_, journal) = capture(&spool.writer);
    let (_, _second) = recorded(&spool.writer);
    assert_eq!(spool.writer.describe().open_captures, 2);
    drop(journal);
    assert_eq!(spool.writer.describe().open_captures, 1);
}

#[test]
fn a_disk_that_is_almost_full_takes_no_new_recording_and_lets_those_that_run_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut running, mut journal) = recorded(&writer(dir.path()));
    let short = SpoolConfig {
        refuse_recordings_percent: 100,
        refuse_recordings_mb: u64::MAX,
        ..SpoolConfig::default()
    };
    let full = Writer::open(dir.path(), &short).unwrap();
    for refused in [
        full.create_capture(header(&CaptureId::random())).map(drop),
        full.create_ticket(&ticket(running.capture_id().unwrap())),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
    }
    assert!(full.describe().disk.refuses_recordings);
    journal.append(&packet(2_000_000_000, b"audio")).unwrap();
    journal.flush().unwrap();
    running.end(2_500_000_000, EndReason::Stopped).unwrap();
    full.save_ticket(&running).unwrap();
}
