//! After a crash every growing recording gets its end, and doing it twice changes nothing more.

use std::{fs, os::unix::fs::PermissionsExt};

use callreel_proto::{CaptureId, EndReason, RecordingId, RecordingState};
use callreel_spool::{Error, Journal, Mark};

use crate::{Spool, capture, mark, packet, recorded, rendition, spool, ticket, writer};

const S: u64 = 1_000_000_000;

#[test]
fn a_growing_recording_ends_interrupted_at_the_last_record() {
    let (dir, spool) = spool();
    let (growing, mut journal) = recorded(&spool.writer);
    journal.append(&packet(2 * S, b"audio")).unwrap();
    journal.append(&packet(7 * S, b"audio")).unwrap();
    journal
        .append(&packet(6 * S, b"the other socket, read later"))
        .unwrap();
    journal.flush().unwrap();
    drop(journal);
    spool.crash();

    let spool = Spool::open(dir.path());
    let ended = spool.writer.recover().unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].state(), RecordingState::Ended);
    assert_eq!(ended[0].end_reason(), Some(EndReason::Interrupted));
    assert_eq!(ended[0].end_ns(), Some(7 * S));
    assert_eq!(spool.ticket_of(&growing).as_ref(), Some(&ended[0]));
    assert_eq!(
        spool.writer.recover().unwrap(),
        [],
        "a second time changes nothing"
    );
}

#[test]
fn a_recording_whose_end_reached_only_the_journal_keeps_its_reason() {
    let (dir, spool) = spool();
    let (stopped, mut journal) = recorded(&spool.writer);
    spool
        .writer
        .create_ticket(&ticket(stopped.capture_id().unwrap()))
        .unwrap();
    let end = Mark::RecordingEnded(stopped.recording_id().clone(), EndReason::TimeLimit);
    journal.append(&mark(5 * S, end)).unwrap();
    journal.append(&packet(9 * S, b"audio")).unwrap();
    drop(journal);
    spool.crash();
    let recovered = writer(dir.path()).recover().unwrap();
    assert_eq!(recovered.len(), 2);
    for ended in recovered {
        let expected = if ended.recording_id() == stopped.recording_id() {
            (Some(5 * S), Some(EndReason::TimeLimit))
        } else {
            (Some(9 * S), Some(EndReason::Interrupted))
        };
        assert_eq!((ended.end_ns(), ended.end_reason()), expected);
    }
}

#[test]
fn masks_are_recovered_from_the_journal() {
    let (dir, spool) = spool();
    let (mut growing, mut journal) = recorded(&spool.writer);
    growing.masked(2 * S, None).unwrap();
    spool.writer.save_ticket(&growing).unwrap();
    for (at, what) in [
        (2 * S, Mark::Masked(growing.recording_id().clone())),
        (3 * S, Mark::Unmasked(growing.recording_id().clone())),
        (4 * S, Mark::Masked(growing.recording_id().clone())),
    ] {
        journal.append(&mark(at, what)).unwrap();
    }
    journal.append(&packet(6 * S, b"")).unwrap();
    drop(journal);
    spool.crash();
    let ended = writer(dir.path()).recover().unwrap();
    assert_eq!(ended[0].closed_masks(), [(2 * S, 3 * S), (4 * S, 6 * S)]);
}

#[test]
fn one_recording_can_be_interrupted_while_the_others_go_on() {
    let (_dir, spool) = spool();
    let (dead, mut journal) = recorded(&spool.writer);
    let alive = ticket(dead.capture_id().unwrap());
    spool.writer.create_ticket(&alive).unwrap();
    journal.append(&packet(4 * S, b"audio")).unwrap();
    drop(journal);
    let interrupt = |id| spool.writer.interrupt(id);
    let ended = interrupt(dead.recording_id()).unwrap();
    assert_eq!(ended.end_ns(), Some(4 * S));
    assert_eq!(ended.end_reason(), Some(EndReason::Interrupted));
    assert_eq!(interrupt(dead.recording_id()).unwrap(), ended);
    assert_eq!(spool.ticket_of(&dead), Some(ended));
    assert_eq!(spool.ticket_of(&alive), Some(alive));
    let nobody = RecordingId::random(crate::START);
    assert!(matches!(interrupt(&nobody), Err(Error::NoTicket(_))));
}

#[test]
fn a_torn_tail_costs_only_itself() {
    let (dir, spool) = spool();
    let (ticket, mut journal) = recorded(&spool.writer);
    journal.append(&packet(3 * S, b"whole")).unwrap();
    journal.append(&packet(4 * S, b"torn")).unwrap();
    drop(journal);
    let path = spool.view().journal_path(ticket.capture_id().unwrap());
    let length = path.metadata().unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length - 1)
        .unwrap();
    spool.crash();
    let ended = writer(dir.path()).recover().unwrap();
    assert_eq!(ended[0].end_ns(), Some(3 * S));
}

#[test]
fn a_recording_without_its_capture_ends_where_it_began() {
    let (dir, spool) = spool();
    let (ticket, journal) = recorded(&spool.writer);
    drop(journal);
    let path = spool.view().journal_path(ticket.capture_id().unwrap());
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    spool.crash();
    let ended = writer(dir.path()).recover().unwrap();
    assert_eq!(ended[0].length_ms(), Some(0));
    assert_eq!(ended[0].end_reason(), Some(EndReason::Interrupted));
}

#[test]
fn a_journal_that_cannot_be_opened_now_keeps_its_recording_growing() {
    let (dir, spool) = spool();
    let (ticket, mut journal) = recorded(&spool.writer);
    journal.append(&packet(3 * S, b"audio")).unwrap();
    drop(journal);
    let path = spool.view().journal_path(ticket.capture_id().unwrap());
    spool.crash();
    let away = path.with_file_name("away");
    fs::rename(&path, &away).unwrap();
    // A link to itself cannot be opened, not even by root, and says nothing about the audio.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let writer = writer(dir.path());
    assert_eq!(writer.recover().unwrap(), []);
    fs::rename(&away, &path).unwrap();
    assert_eq!(writer.recover().unwrap()[0].end_ns(), Some(3 * S));
}

#[test]
fn a_capture_nothing_was_promised_of_goes_and_one_that_names_a_recording_stays() {
    let (dir, spool) = spool();
    let bury = |id: &CaptureId, journal: Journal| {
        // Out of the way while it is closed: a process that is killed removes nothing.
        let folder = dir.path().join("captures").join(id.as_str());
        fs::rename(&folder, dir.path().join("away")).unwrap();
        drop(journal);
        fs::rename(dir.path().join("away"), &folder).unwrap();
        folder
    };
    let (unpromised, mut journal) = capture(&spool.writer);
    journal.append(&packet(S, b"audio")).unwrap();
    let unpromised = bury(&unpromised, journal);
    let (orphaned, mut journal) = capture(&spool.writer);
    let lost = Mark::RecordingStarted(RecordingId::random(crate::START));
    journal.append(&mark(S, lost)).unwrap();
    let orphaned = bury(&orphaned, journal);
    let empty = dir.path().join("captures").join("e".repeat(32));
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("journal"), "").unwrap();
    spool.writer.recover().unwrap();
    assert!(!unpromised.exists());
    assert!(!empty.exists());
    assert!(orphaned.join("journal").exists());
}

#[test]
fn a_crash_while_a_recording_is_settled_leaves_its_ticket_to_the_last() {
    let (dir, spool) = spool();
    let (mut done, journal) = recorded(&spool.writer);
    drop(journal);
    done.end(2 * S, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&done).unwrap();
    // The capture's folder refuses to go, as if the crash came there.
    let capture = spool.view().journal_path(done.capture_id().unwrap());
    let (folder, away) = (capture.parent().unwrap(), dir.path().join("away"));
    fs::rename(folder, &away).unwrap();
    fs::write(folder, "in the way").unwrap();
    done.discarded(crate::START, "dropped").unwrap();
    spool.outbox.settle(&done).unwrap_err();
    assert_eq!(spool.view().tickets().unwrap(), [done.clone()]);
    fs::remove_file(folder).unwrap();
    fs::rename(&away, folder).unwrap();
    drop(spool);

    let spool = Spool::open(dir.path());
    spool.outbox.settle(&done).unwrap();
    assert_eq!(spool.view().tickets().unwrap(), []);
    assert!(!folder.exists());
    assert_eq!(spool.view().check().unwrap(), []);
}

#[test]
fn recordings_that_have_ended_are_left_as_they_are() {
    let (dir, spool) = spool();
    let (mut done, mut journal) = recorded(&spool.writer);
    done.end(2 * S, EndReason::Stopped).unwrap();
    done.rendered(rendition(5)).unwrap();
    done.attempt_failed(crate::START, "HTTP 500", crate::START.plus_ms(5000))
        .unwrap();
    spool.outbox.save_ticket(&done).unwrap();
    journal.append(&packet(9 * S, b"audio")).unwrap();
    drop(journal);
    spool.crash();
    let writer = writer(dir.path());
    assert_eq!(writer.recover().unwrap(), []);
    let kept = writer.view().ticket(done.recording_id()).unwrap();
    assert_eq!(kept, Some(done));
}

#[test]
fn a_disk_that_refuses_the_ticket_is_named_and_the_next_try_succeeds() {
    let (dir, spool) = spool();
    let (growing, journal) = recorded(&spool.writer);
    drop(journal);
    let folder = spool
        .view()
        .rendition_path(&growing)
        .parent()
        .unwrap()
        .to_owned();
    spool.crash();
    let blocker = folder.join("ticket.json.tmp");
    fs::create_dir(&blocker).unwrap();
    fs::set_permissions(&blocker, fs::Permissions::from_mode(0o700)).unwrap();
    let writer = writer(dir.path());
    let refused = writer.recover().unwrap_err().to_string();
    assert!(refused.contains("ticket.json.tmp"), "{refused}");
    fs::remove_dir(&blocker).unwrap();
    assert_eq!(writer.recover().unwrap().len(), 1);
}
