//! A ticket whose audio a foreign switch keeps: it needs no capture, and it ends all the same.

use callreel_proto::{AudioFormat, EndReason, RecordingState, Utc};
use callreel_spool::{DeliveryLog, Source, SwitchFile, Ticket};
use serde_json::{Map, Value, json};

use crate::{Spool, promise, spool, writer};

fn file() -> SwitchFile {
    SwitchFile {
        node: "freeswitch@fs1".to_owned(),
        media_name: "0f1e.wav".to_owned(),
        control_queue: "pid://<0.1.0>/control-3".to_owned(),
        ..SwitchFile::default()
    }
}

fn ticket(age_ms: i64) -> Ticket {
    let mut promise = promise(&callreel_proto::CaptureId::random());
    promise.source = Source::Switch(file());
    promise.start_ns = 0;
    promise.format = AudioFormat::Wav;
    promise.started_at = Utc::now().plus_ms(-age_ms);
    Ticket::new(promise, Map::new()).unwrap()
}

fn stored(age_ms: i64) -> (tempfile::TempDir, Spool, Ticket) {
    let (dir, spool) = spool();
    let ticket = ticket(age_ms);
    spool.writer.create_ticket(&ticket).unwrap();
    (dir, spool, ticket)
}

#[test]
fn the_file_stands_in_the_ticket_where_else_the_capture_stands() {
    let (_dir, spool, ticket) = stored(0);
    let path = spool.view().dir().join("recordings");
    let path = path
        .join(ticket.recording_id().as_str())
        .join("ticket.json");
    let written: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(written.get("capture_id"), None);
    assert_eq!(written["switch_file"]["media_name"], json!("0f1e.wav"));
    assert_eq!(spool.ticket_of(&ticket), Some(ticket));
}

#[test]
fn what_the_switch_tells_is_kept() {
    let mut ticket = ticket(0);
    let learn = |file: &mut SwitchFile| file.path = Some("/tmp/0f1e.wav".to_owned());
    ticket.switch_told(learn).unwrap();
    let told = ticket.switch_file().unwrap().path.as_deref();
    assert_eq!(told, Some("/tmp/0f1e.wav"));
    ticket.end(4_000_000_000, EndReason::Hangup).unwrap();
    assert!(ticket.switch_told(learn).is_err());
    assert_eq!(ticket.length_ms(), Some(4000));
}

#[test]
fn a_fetched_file_starts_the_count_of_failures_anew() {
    let mut ticket = ticket(0);
    assert!(ticket.fetched().is_err(), "it still grows");
    ticket.end(4_000_000_000, EndReason::Hangup).unwrap();
    let now = Utc::now();
    ticket.rendering_failed(now, "no answer", now).unwrap();
    ticket.fetched().unwrap();
    assert_eq!(*ticket.delivery(), DeliveryLog::default());
    assert_eq!(ticket.state(), RecordingState::Ended);
}

#[test]
fn recovery_leaves_it_to_those_who_can_stop_the_switch_until_its_limit_has_passed() {
    let (dir, spool, young) = stored(60_000);
    let old = ticket(361_000);
    spool.writer.create_ticket(&old).unwrap();
    assert_eq!(spool.writer.recover().unwrap(), [], "their writer lives");
    spool.crash();
    let spool = Spool::open(dir.path());
    let ended = spool.writer.recover().unwrap();
    let ended: Vec<_> = ended.iter().map(Ticket::recording_id).collect();
    assert_eq!(ended, [old.recording_id()]);
    let old = spool.ticket_of(&old).unwrap();
    assert_eq!(
        (old.end_reason(), old.length_ms()),
        (Some(EndReason::Interrupted), Some(360_000))
    );
    let young = spool.ticket_of(&young).unwrap();
    assert_eq!(young.state(), RecordingState::Growing);
}

#[test]
fn a_dead_writers_file_is_adopted_by_one_who_can_stop_the_switch_and_by_no_other() {
    let (dir, spool, ticket) = stored(60_000);
    assert_eq!(spool.writer.adopt().unwrap(), [], "its writer lives");
    spool.crash();
    let (first, second) = (writer(dir.path()), writer(dir.path()));
    assert_eq!(first.adopt().unwrap(), std::slice::from_ref(&ticket));
    assert_eq!(second.adopt().unwrap(), []);
    assert_eq!(second.recover().unwrap(), []);
    drop(first);
    assert_eq!(second.adopt().unwrap(), [ticket]);
}

#[test]
fn the_promise_of_one_that_never_began_can_be_taken_back() {
    let (_dir, spool, ticket) = stored(0);
    spool.writer.withdraw(&ticket).unwrap();
    assert_eq!(spool.view().tickets().unwrap(), []);
    assert_eq!(spool.view().check().unwrap(), []);
}

#[test]
fn an_interrupted_one_has_lasted_until_now() {
    let (_dir, spool, ticket) = stored(60_000);
    let ended = spool.writer.interrupt(ticket.recording_id()).unwrap();
    assert_eq!(ended.end_reason(), Some(EndReason::Interrupted));
    let length_ms = ended.length_ms().unwrap();
    assert!((60_000..90_000).contains(&length_ms), "{length_ms}");
}

#[test]
fn it_leaves_without_a_capture_to_remove_and_check_misses_none() {
    let (_dir, spool, mut ticket) = stored(0);
    ticket.end(1_000_000_000, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    assert_eq!(spool.view().check().unwrap(), []);
    ticket.discarded(Utc::now(), "dropped by an order").unwrap();
    spool.outbox.settle(&ticket).unwrap();
    assert!(spool.view().tickets().unwrap().is_empty());
}
