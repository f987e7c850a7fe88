//! The lock, where things lie, what is removed when, and tickets that cannot be read.

use std::{fs, os::unix::fs::PermissionsExt};

use callreel_proto::{EndReason, RecordingId, RecordingState};
use callreel_spool::{Error, Mark, Spool};

use crate::{START, capture, mark, packet, spool, ticket};

#[test]
fn a_second_owner_is_told_which_process_holds_the_spool() {
    let (dir, spool) = spool();
    let refused = Spool::open(dir.path()).err().unwrap().to_string();
    assert!(
        refused.contains(&format!("process {}", std::process::id())),
        "{refused}"
    );
    drop(spool);
    Spool::open(dir.path()).unwrap();
}

#[test]
fn a_journal_keeps_the_spool_locked() {
    let (dir, spool) = spool();
    let (_, journal) = capture(&spool);
    drop(spool);
    assert!(matches!(Spool::open(dir.path()), Err(Error::InUse { .. })));
    drop(journal);
    Spool::open(dir.path()).unwrap();
}

#[test]
fn a_spool_in_use_can_be_looked_at() {
    let (dir, spool) = spool();
    let (id, mut journal) = capture(&spool);
    journal.append(&packet(1, b"audio")).unwrap();
    journal.flush().unwrap();
    spool.create_ticket(&ticket(&id)).unwrap();
    let view = Spool::inspect(dir.path()).unwrap();
    assert_eq!(view.tickets().unwrap().len(), 1);
    assert!(
        view.read_journal(&id)
            .unwrap()
            .next_record()
            .unwrap()
            .is_some()
    );
    let missing = Spool::inspect(dir.path().join("nowhere"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("nowhere"), "{missing}");
}

#[test]
fn only_the_owner_can_read_what_is_said_and_where_it_goes() {
    let (dir, spool) = spool();
    let (id, journal) = capture(&spool);
    let ticket = ticket(&id);
    spool.create_ticket(&ticket).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let recording = dir
        .path()
        .join("recordings")
        .join(ticket.recording_id().as_str());
    assert_eq!(mode(&recording.join("ticket.json")), 0o600);
    assert_eq!(mode(&recording), 0o700);
    assert_eq!(mode(&spool.view().journal_path(&id)), 0o600);
    drop(journal);
}

#[test]
fn a_recording_has_one_ticket_and_a_removed_one_does_not_come_back() {
    let (_dir, spool) = spool();
    let (id, journal) = capture(&spool);
    drop(journal);
    let ticket = ticket(&id);
    spool.create_ticket(&ticket).unwrap();
    assert!(matches!(
        spool.create_ticket(&ticket),
        Err(Error::TicketExists(_))
    ));
    fs::write(spool.rendition_path(&ticket), b"audio").unwrap();
    spool.remove_recording(ticket.recording_id()).unwrap();
    spool.remove_recording(ticket.recording_id()).unwrap();
    assert!(matches!(
        spool.save_ticket(&ticket),
        Err(Error::NoTicket(_))
    ));
    assert_eq!(spool.ticket(ticket.recording_id()).unwrap(), None);
    assert!(!spool.rendition_path(&ticket).parent().unwrap().exists());
}

#[test]
fn a_capture_lives_as_long_as_any_recording_needs_it() {
    let (dir, spool) = spool();
    let (id, journal) = capture(&spool);
    drop(journal);
    let (first, second) = (ticket(&id), ticket(&id));
    spool.create_ticket(&first).unwrap();
    spool.create_ticket(&second).unwrap();
    spool.remove_recording(first.recording_id()).unwrap();
    assert!(!spool.remove_capture_if_unused(&id).unwrap());
    drop(spool);
    let spool = Spool::open(dir.path()).unwrap();
    assert!(
        !spool.remove_capture_if_unused(&id).unwrap(),
        "known after a restart too"
    );
    spool.remove_recording(second.recording_id()).unwrap();
    assert!(spool.remove_capture_if_unused(&id).unwrap());
    assert!(matches!(spool.read_journal(&id), Err(Error::NoCapture(_))));
    assert!(
        spool.remove_capture_if_unused(&id).unwrap(),
        "gone already is gone"
    );
}

#[test]
fn a_capture_of_a_live_call_goes_when_its_journal_closes() {
    let (_dir, spool) = spool();
    let (id, mut journal) = capture(&spool);
    let early = ticket(&id);
    spool.create_ticket(&early).unwrap();
    spool.remove_recording(early.recording_id()).unwrap();
    assert!(!spool.remove_capture_if_unused(&id).unwrap());
    journal.append(&packet(1, b"audio")).unwrap();
    journal.seal().unwrap();
    assert!(matches!(spool.read_journal(&id), Err(Error::NoCapture(_))));
}

#[test]
fn a_capture_that_got_a_new_recording_meanwhile_stays() {
    let (_dir, spool) = spool();
    let (id, journal) = capture(&spool);
    let early = ticket(&id);
    spool.create_ticket(&early).unwrap();
    spool.remove_recording(early.recording_id()).unwrap();
    spool.remove_capture_if_unused(&id).unwrap();
    spool.create_ticket(&ticket(&id)).unwrap();
    journal.seal().unwrap();
    spool.read_journal(&id).unwrap();
}

#[test]
fn an_update_sees_the_ticket_as_it_is_and_writes_nothing_when_refused() {
    let (_dir, spool) = spool();
    let (id, _journal) = capture(&spool);
    let ticket = ticket(&id);
    spool.create_ticket(&ticket).unwrap();
    let end = |at_ns: u64| {
        spool.update_ticket(ticket.recording_id(), |ticket| {
            ticket
                .document_mut()
                .insert("seen".to_owned(), at_ns.into());
            ticket.end(at_ns, EndReason::Stopped).map_err(Error::from)
        })
    };
    let (ended, ()) = end(5_000_000_000).unwrap();
    assert_eq!(ended.state(), RecordingState::Ended);
    assert!(matches!(end(6_000_000_000), Err(Error::Transition(_))));
    assert_eq!(spool.ticket(ticket.recording_id()).unwrap(), Some(ended));
}

#[test]
fn updates_at_the_same_time_all_count() {
    let (_dir, spool) = spool();
    let (id, _journal) = capture(&spool);
    let mut ticket = ticket(&id);
    ticket.end(2_000_000_000, EndReason::Stopped).unwrap();
    spool.create_ticket(&ticket).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let failed = spool.update_ticket(ticket.recording_id(), |ticket| {
                        ticket
                            .rendering_failed(START, "again", START)
                            .map_err(Error::from)
                    });
                    failed.unwrap();
                }
            });
        }
    });
    let ticket = spool.ticket(ticket.recording_id()).unwrap().unwrap();
    assert_eq!(ticket.delivery().render_failures, 20);
}

#[test]
fn unreadable_tickets_are_set_aside_with_the_reason_and_stop_no_start() {
    let (dir, spool) = spool();
    let (id, mut journal) = capture(&spool);
    let (good, bad) = (ticket(&id), ticket(&id));
    for ticket in [&good, &bad] {
        spool.create_ticket(ticket).unwrap();
        let started = Mark::RecordingStarted(ticket.recording_id().clone());
        journal.append(&mark(0, started)).unwrap();
    }
    journal.seal().unwrap();
    drop(spool);
    let name = bad.recording_id().as_str();
    let folder = dir.path().join("recordings").join(name);
    fs::write(folder.join("ticket.json"), b"{\"ticket\": 1, oops").unwrap();
    fs::write(folder.join("x.mp3"), b"audio").unwrap();

    let spool = Spool::open(dir.path()).unwrap();
    assert_eq!(spool.tickets().unwrap(), std::slice::from_ref(&good));
    assert_eq!(spool.describe().quarantined, 1);
    assert_eq!(spool.view().quarantined().unwrap(), [name]);
    let aside = dir.path().join("quarantine").join(name);
    assert_eq!(fs::read(aside.join("x.mp3")).unwrap(), b"audio");
    let reason = fs::read_to_string(aside.with_extension("reason.txt")).unwrap();
    assert!(reason.contains("key must be a string"), "{reason}");

    spool.remove_recording(good.recording_id()).unwrap();
    assert!(
        !spool.remove_capture_if_unused(&id).unwrap(),
        "the recording in quarantine needs the audio"
    );
}

#[test]
fn a_ticket_in_the_wrong_folder_is_set_aside_and_strangers_are_left_alone() {
    let (dir, spool) = spool();
    let (id, _) = capture(&spool);
    let ticket = ticket(&id);
    spool.create_ticket(&ticket).unwrap();
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

    let spool = Spool::open(dir.path()).unwrap();
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
    let refused = Spool::open(&file).err().unwrap().to_string();
    assert!(refused.contains("not-a-folder"), "{refused}");
}

#[test]
fn the_spool_describes_itself() {
    let (_dir, spool) = spool();
    let (id, journal) = capture(&spool);
    spool.create_ticket(&ticket(&id)).unwrap();
    spool.create_ticket(&ticket(&id)).unwrap();
    let picture = spool.describe();
    assert_eq!(
        (picture.recordings, picture.captures, picture.open_captures),
        (2, 1, 1)
    );
    drop(journal);
    assert_eq!(spool.describe().open_captures, 0);
}
