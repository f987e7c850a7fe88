//! What `callreel check --repair` does: what it promises to mend is mended, and nothing else is touched.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use callreel_proto::{EndReason, RecordingId, RecordingState};
use callreel_spool::{Error, Finding, Mark, Outbox, Ticket, View};

use crate::{START, Spool, mark, packet, recorded, rendition, spool};

/// What is wrong, and what a repair would do about it.
fn findings(dir: &Path) -> Vec<Finding> {
    View::open(dir).check().unwrap()
}

fn repair(dir: &Path) {
    repair_spoilt(dir, &HashSet::new());
}

fn repair_spoilt(dir: &Path, spoilt: &HashSet<RecordingId>) {
    Outbox::open(dir).unwrap().repair(spoilt).unwrap();
}

fn folder_of(spool: &Spool, ticket: &Ticket) -> PathBuf {
    let path = spool.view().rendition_path(ticket);
    path.parent().unwrap().to_owned()
}

/// A recording that has ended and has its audio file.
fn rendered(spool: &Spool) -> Ticket {
    let (mut ticket, mut journal) = recorded(&spool.writer);
    journal.append(&packet(1, b"audio")).unwrap();
    journal.append(&mark(2, Mark::HungUp)).unwrap();
    journal.seal().unwrap();
    ticket.end(2, EndReason::Hangup).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    ticket.rendered(rendition(5)).unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
    fs::write(spool.view().rendition_path(&ticket), b"audio").unwrap();
    ticket
}

fn month(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("manifest")).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    files
        .find(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .unwrap()
}

/// A spool in which each repair has something to do.
fn spoilt() -> (tempfile::TempDir, Vec<RecordingId>) {
    let (dir, spool) = spool();
    let (growing, mut journal) = recorded(&spool.writer);
    journal.append(&packet(7, b"audio")).unwrap();
    drop(journal);
    let (lost, short) = (rendered(&spool), rendered(&spool));
    fs::remove_file(spool.view().rendition_path(&lost)).unwrap();
    fs::write(spool.view().rendition_path(&short), b"aud").unwrap();
    let half = folder_of(&spool, &short).join("ticket.json.tmp");
    fs::write(half, "{").unwrap();
    let mut over = rendered(&spool);
    over.discarded(START, "a rule of this test").unwrap();
    spool.outbox.save_ticket(&over).unwrap();
    let leftover = dir.path().join("recordings");
    fs::create_dir(leftover.join(RecordingId::random(START).as_str())).unwrap();
    let mended = rendered(&spool);
    let claim = |ticket: &Ticket, by: &RecordingId| {
        let journal = spool.view().journal_path(ticket.capture_id().unwrap());
        journal.with_file_name(format!("for-{by}"))
    };
    let stale = claim(&short, &RecordingId::random(START));
    fs::rename(claim(&short, short.recording_id()), stale).unwrap();
    let away = dir.path().join("quarantine");
    let away = away.join(mended.recording_id().as_str());
    fs::rename(folder_of(&spool, &mended), &away).unwrap();
    fs::write(away.with_extension("reason.txt"), "a typing error").unwrap();
    spool.crash();
    let mut manifest = OpenOptions::new()
        .append(true)
        .open(month(dir.path()))
        .unwrap();
    std::io::Write::write_all(&mut manifest, b"{\"seq\":99,\"at\"").unwrap();
    let stay = [growing, lost, short, mended];
    let stay = stay.map(|ticket| ticket.recording_id().clone());
    (dir, stay.into())
}

#[test]
fn everything_that_can_be_mended_is_promised_then_mended_and_then_nothing_is_wrong() {
    let (dir, stay) = spoilt();
    let found = findings(dir.path());
    let would: Vec<&str> = found.iter().filter_map(|one| one.repair).collect();
    assert_eq!(would.len(), found.len(), "each: {found:#?}");
    for repair in [
        "end it where its journal ends",
        "have it rendered again",
        "mend the claim",
        "move it back to recordings/",
        "cut it away and say so",
        "remove it",
    ] {
        assert!(would.contains(&repair), "{repair}: {found:#?}");
    }
    assert_eq!(found, findings(dir.path()), "to look changes nothing");
    repair(dir.path());
    assert_eq!(findings(dir.path()), []);
    let view = View::open(dir.path());
    let mut tickets = view.tickets().unwrap();
    tickets.sort_by_key(|ticket| stay.iter().position(|id| id == ticket.recording_id()));
    let states: Vec<RecordingState> = tickets.iter().map(Ticket::state).collect();
    use RecordingState::{Ended, Rendered};
    assert_eq!(states, [Ended, Ended, Ended, Rendered]);
    assert_eq!(
        tickets[0].end_ns(),
        Some(1_000_000_000),
        "not before its start"
    );
    assert_eq!(tickets[0].end_reason(), Some(EndReason::Interrupted));
    let manifest = fs::read_to_string(month(dir.path())).unwrap();
    assert!(manifest.contains("\"what\":\"repaired\""), "{manifest}");
}

#[test]
fn a_manifest_without_its_head_gets_one() {
    let (dir, spool) = spool();
    rendered(&spool);
    drop(spool);
    let head = dir.path().join("manifest/head.json");
    for spoil in [None, Some("{")] {
        match spoil {
            None => fs::remove_file(&head).unwrap(),
            Some(text) => fs::write(&head, text).unwrap(),
        }
        let found = findings(dir.path());
        let would: Vec<_> = found.iter().map(|one| one.repair).collect();
        assert_eq!(would, [Some("go on after the last line and say so")]);
        repair(dir.path());
        assert_eq!(findings(dir.path()), []);
    }
}

#[test]
fn what_only_a_person_can_judge_stays_as_it_is() {
    let (dir, spool) = spool();
    let lost = rendered(&spool);
    let journal = spool.view().journal_path(lost.capture_id().unwrap());
    fs::write(&journal, b"no journal").unwrap();
    fs::remove_file(spool.view().rendition_path(&lost)).unwrap();
    let given_up = rendered(&spool);
    fs::remove_file(spool.view().rendition_path(&given_up)).unwrap();
    let mut over = given_up.clone();
    over.undeliverable(START, "nobody is there").unwrap();
    spool.outbox.save_ticket(&over).unwrap();
    fs::create_dir(dir.path().join("recordings/notes")).unwrap();
    drop(spool);
    let manifest = month(dir.path());
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("hangup", "hangXp", 1)).unwrap();
    let before = findings(dir.path());
    assert!(before.len() >= 5, "{before:#?}");
    assert!(before.iter().all(|one| one.repair.is_none()), "{before:#?}");
    for way_out in [
        format!("deliveries drop {}", lost.recording_id()),
        format!("deliveries retry {}", over.recording_id()),
        "move it away".to_owned(),
    ] {
        let told = before.iter().any(|one| one.words.contains(&way_out));
        assert!(told, "{way_out}: {before:#?}");
    }
    repair(dir.path());
    assert_eq!(findings(dir.path()), before);
}

#[test]
fn a_spoilt_audio_file_is_made_again_if_its_journal_is_there() {
    let (dir, spool) = spool();
    let (spoilt, alone) = (rendered(&spool), rendered(&spool));
    fs::remove_file(spool.view().journal_path(alone.capture_id().unwrap())).unwrap();
    drop(spool);
    let ids = [&spoilt, &alone].map(|ticket| ticket.recording_id().clone());
    repair_spoilt(dir.path(), &ids.into());
    let view = View::open(dir.path());
    for (ticket, state) in [
        (spoilt, RecordingState::Ended),
        (alone, RecordingState::Rendered),
    ] {
        let now = view.ticket(ticket.recording_id()).unwrap().unwrap();
        assert_eq!(now.state(), state);
    }
}

#[test]
fn a_spool_that_somebody_delivers_from_mends_itself() {
    let (dir, _spool) = spool();
    let refused = Outbox::open(dir.path()).err().unwrap();
    assert!(matches!(refused, Error::HasDelivery { .. }), "{refused}");
}

#[test]
fn what_a_living_writer_records_goes_on() {
    let (dir, spool) = spool();
    let (growing, mut journal) = recorded(&spool.writer);
    journal.append(&packet(1, b"audio")).unwrap();
    let half = folder_of(&spool, &growing).join("ticket.json.tmp");
    fs::write(&half, "{").unwrap();
    spool.outbox.repair(&HashSet::new()).unwrap();
    assert_eq!(spool.ticket_of(&growing).as_ref(), Some(&growing));
    assert!(half.exists(), "it may be writing it just now");
    drop(dir);
}
