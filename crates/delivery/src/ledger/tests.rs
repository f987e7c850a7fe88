//! Stories of single recordings, told outcome by outcome against a real spool.

use std::time::Duration;

use callreel_proto::EndReason;
use callreel_spool::{SpoolConfig, Writer};

use super::*;
use crate::testing::{self, STARTED_MS};

const POLICY: Policy = Policy {
    first: Duration::from_secs(5),
    max: Duration::from_secs(900),
    give_up_after: Duration::from_hours(72),
};
const SEED: u64 = 1;

struct Story {
    dir: tempfile::TempDir,
    writer: Writer,
    ledger: Ledger,
    id: RecordingId,
}

fn ledger(dir: &tempfile::TempDir) -> Ledger {
    Ledger {
        spool: Outbox::open(dir.path()).unwrap(),
        policy: POLICY,
        keep_undeliverable: true,
    }
}

/// Milliseconds after the recording's start.
fn at(ms: i64) -> Utc {
    Utc::from_unix_ms(STARTED_MS + ms)
}

impl Story {
    /// An ended recording, as calls leave it.
    fn begin(change: impl FnOnce(&mut callreel_spool::Promise)) -> Self {
        Self::of(|writer| testing::ended(writer, change))
    }

    /// An ended recording whose audio is still on a switch.
    fn on_switch() -> Self {
        Self::of(|writer| testing::ended_on_switch(writer, |_| {}))
    }

    fn of(ended: impl FnOnce(&Writer) -> Box<Ticket>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(&dir);
        let writer = Writer::open(dir.path(), &SpoolConfig::default()).unwrap();
        let ticket = ended(&writer);
        Self {
            dir,
            writer,
            ledger,
            id: ticket.recording_id().clone(),
        }
    }

    /// The same, rendered.
    fn rendered(change: impl FnOnce(&mut callreel_spool::Promise)) -> Self {
        let story = Self::begin(change);
        let rendition = testing::rendition(story.writer.view(), &story.ticket());
        story.render(Ok(Rendered::File(rendition)), 3000);
        story
    }

    fn ticket(&self) -> Ticket {
        self.ledger.spool.view().ticket(&self.id).unwrap().unwrap()
    }

    fn is_gone(&self) -> bool {
        let capture = callreel_proto::CaptureId::parse("fedcba9876543210fedcba9876543210").unwrap();
        self.ledger.spool.view().ticket(&self.id).unwrap().is_none()
            && self.ledger.spool.view().read_journal(&capture).is_err()
    }

    fn fetch(&self, outcome: Result<(), Failure>, ms: i64) -> Step {
        self.ledger
            .fetched(&self.id, outcome, at(ms), SEED)
            .unwrap()
    }

    fn render(&self, outcome: Result<Rendered, Failure>, ms: i64) -> Step {
        self.ledger
            .rendered(&self.id, outcome, at(ms), SEED)
            .unwrap()
    }

    fn file(&self, verdict: Verdict, ms: i64) -> Step {
        let tried = Tried::File(verdict);
        self.ledger.tried(&self.id, tried, at(ms), SEED).unwrap()
    }

    fn document(&self, verdict: Verdict, ms: i64) -> Step {
        let tried = Tried::Document(verdict);
        self.ledger.tried(&self.id, tried, at(ms), SEED).unwrap()
    }
}

fn told(step: &Step) -> Option<(RecordingFact, &str)> {
    let notice = step.notice.as_ref()?;
    Some((notice.fact, notice.detail.as_deref().unwrap_or_default()))
}

#[test]
fn an_ended_recording_is_owed_at_once_a_growing_one_not_yet() {
    let story = Story::begin(|_| {});
    let growing = testing::ticket(|promise| promise.recording_id = RecordingId::random(at(0)));
    story.writer.create_ticket(&growing).unwrap();
    let found = story.ledger.scan(at(5000)).unwrap();
    assert_eq!(
        (found.owed, found.notices),
        (vec![(story.id.clone(), Stage::Render, at(5000))], vec![])
    );
    let look = |id| story.ledger.look(id, at(5000)).unwrap();
    assert_eq!(look(&story.id), Some((Stage::Render, at(5000))));
    assert_eq!(look(growing.recording_id()), None);
    assert_eq!(look(&RecordingId::random(at(0))), None);
}

#[test]
fn what_a_dead_process_left_growing_is_ended_told_once_and_owed() {
    let story = Story::begin(|_| {});
    let growing = testing::ticket(|promise| promise.recording_id = RecordingId::random(at(0)));
    story.writer.create_ticket(&growing).unwrap();
    drop(story.writer);
    let found = story.ledger.scan(at(5000)).unwrap();
    let owed = |id: &RecordingId| (id.clone(), Stage::Render, at(5000));
    assert_eq!(found.owed, [owed(&story.id), owed(growing.recording_id())]);
    assert_eq!(found.notices.len(), 1);
    let notice = &found.notices[0];
    assert_eq!(notice.fact, RecordingFact::Ended);
    assert_eq!(notice.recording_id.as_ref(), Some(growing.recording_id()));
    assert_eq!(notice.end_reason, Some(EndReason::Interrupted));
    assert_eq!(notice.detail.as_deref(), Some(DIED));
    assert_eq!(story.ledger.scan(at(6000)).unwrap().notices, []);
}

#[test]
fn a_failure_a_restart_an_upload_its_document_and_nothing_is_left() {
    let mut story = Story::rendered(|_| {});
    let failed = story.file(Verdict::retry("the receiver answered 500"), 10_000);
    let (Stage::Deliver, next) = failed.owed.unwrap() else {
        panic!("{failed:?}");
    };
    assert!(next > at(10_000) && next < at(15_000));
    let (fact, detail) = told(&failed).unwrap();
    assert_eq!(fact, RecordingFact::Retrying);
    assert_eq!(
        detail,
        format!("the receiver answered 500; next try at {}", next.rfc3339())
    );

    let Story {
        dir, ledger: old, ..
    } = story;
    drop(old);
    story.ledger = ledger(&dir);
    story.dir = dir;
    assert_eq!(
        story.ledger.scan(at(11_000)).unwrap().owed,
        [(story.id.clone(), Stage::Deliver, next)],
        "the restart goes on where it was"
    );
    assert_eq!(story.ticket().delivery().attempts, 1);

    let uploaded = story.file(Verdict::Delivered, 16_000);
    assert_eq!(uploaded.owed, Some((Stage::Deliver, at(16_000))));
    assert_eq!(uploaded.notice, None);
    assert_eq!(story.ticket().delivery().uploaded_at, Some(at(16_000)));

    let done = story.document(Verdict::Delivered, 17_000);
    assert_eq!(done.owed, None);
    assert_eq!(
        told(&done),
        Some((
            RecordingFact::Delivered,
            "http://h/r/call_recording_x%40y.wav"
        ))
    );
    assert!(story.is_gone());
}

#[test]
fn a_document_that_cannot_be_saved_never_brings_the_upload_back() {
    let story = Story::rendered(|_| {});
    story.file(Verdict::Delivered, 0);
    std::fs::remove_file(story.ledger.spool.view().rendition_path(&story.ticket())).unwrap();
    let failed = story.document(Verdict::retry("the store is closed"), 1000);
    let (fact, detail) = told(&failed).unwrap();
    assert_eq!(fact, RecordingFact::Delivered, "the receiver has the file");
    assert!(
        detail.ends_with("its document is not saved yet: the store is closed"),
        "{detail}"
    );
    // Four days later it is still tried, without a file, and told once only.
    let later = 4 * 86_400_000;
    let failed = story.document(Verdict::retry("the store is closed"), later);
    assert!(failed.owed.is_some_and(|(_, next)| next > at(later)));
    assert_eq!(failed.notice, None);
    let needs = story.ledger.hand_out(&story.id, Stage::Deliver).unwrap();
    let Needs::Work(ticket) = needs else {
        panic!("{needs:?}");
    };
    assert!(ticket.delivery().uploaded_at.is_some());
    let done = story.document(Verdict::Delivered, later + 1000);
    assert_eq!(done, Step::default());
    assert!(story.is_gone());
}

#[test]
fn the_account_database_takes_file_and_document_in_one_try() {
    let story = Story::rendered(|promise| promise.destination = Destination::AccountDb);
    let done = story.file(Verdict::Delivered, 0);
    assert_eq!(
        told(&done),
        Some((RecordingFact::Delivered, "the account's database"))
    );
    assert!(story.is_gone());
}

#[test]
fn what_is_given_up_is_kept_until_someone_retries_or_drops_it() {
    let story = Story::rendered(|_| {});
    story.file(Verdict::retry("no route"), 0);
    let last = 72 * 3_600_000;
    let over = story.file(Verdict::retry("no route"), last);
    assert_eq!(over.owed, None);
    assert_eq!(
        told(&over),
        Some((RecordingFact::Undeliverable, "no route"))
    );
    assert_eq!(story.ticket().state(), RecordingState::Undeliverable);
    assert!(
        story
            .ledger
            .spool
            .view()
            .rendition_path(&story.ticket())
            .exists()
    );
    assert!(story.ledger.scan(at(last)).unwrap().owed.is_empty());

    let again = story.ledger.retry(&story.id, at(last + 1)).unwrap();
    assert_eq!(again.owed, Some((Stage::Deliver, at(last + 1))));
    let failed = story.file(Verdict::retry("no route"), last + 2);
    assert!(failed.owed.is_some(), "the patience starts anew");

    let dropped = story
        .ledger
        .drop_recording(&story.id, at(last + 3))
        .unwrap();
    assert_eq!(
        told(&dropped),
        Some((RecordingFact::Discarded, "dropped by order"))
    );
    assert!(story.is_gone());
}

#[test]
fn a_refusal_is_final_and_its_files_go_if_they_are_not_wanted() {
    let mut story = Story::rendered(|_| {});
    story.ledger.keep_undeliverable = false;
    let reason = "cannot deliver by ftp: use http or https".to_owned();
    let over = story.file(Verdict::Refused { reason }, 0);
    assert_eq!(over.notice.unwrap().fact, RecordingFact::Undeliverable);
    assert!(story.is_gone());
}

#[test]
fn an_encoder_that_always_fails_gets_three_tries_a_disk_gets_time() {
    let story = Story::begin(|_| {});
    let panicked = || Err(Failure::Suspect("rendering panicked: x".to_owned()));
    let full = || Err(Failure::Passing("no space left".to_owned()));
    assert!(story.render(panicked(), 3000).owed.is_some());
    let again = story.render(panicked(), 4000);
    assert_eq!(told(&again).unwrap().0, RecordingFact::Retrying);
    for ms in 5..20 {
        let again = story.render(full(), ms * 1000).owed.unwrap();
        assert_eq!(again.0, Stage::Render);
    }
    let over = story.render(panicked(), 30_000);
    assert_eq!(
        told(&over),
        Some((RecordingFact::Undeliverable, "rendering panicked: x"))
    );
    let again = story.ledger.retry(&story.id, at(40_000)).unwrap();
    assert_eq!(again.owed, Some((Stage::Render, at(40_000))));
    assert!(story.render(panicked(), 41_000).owed.is_some());
}

#[test]
fn the_time_to_give_up_a_rendering_counts_from_its_first_failure() {
    let story = Story::begin(|_| {});
    let full = || Err(Failure::Passing("no space left".to_owned()));
    let hours = |n: i64| n * 3_600_000;
    // The node was off for a week.
    let (stage, next) = story.render(full(), hours(168)).owed.unwrap();
    assert_eq!(stage, Stage::Render);
    assert!(next > at(hours(168)));
    assert!(story.render(full(), hours(168 + 71)).owed.is_some());
    let over = story.render(full(), hours(168 + 72));
    assert_eq!(told(&over).unwrap().0, RecordingFact::Undeliverable);
    story.ledger.retry(&story.id, at(hours(250))).unwrap();
    assert!(story.render(full(), hours(251)).owed.is_some());
}

#[test]
fn a_recording_without_its_capture_is_kept_with_the_reason() {
    let story = Story::begin(|_| {});
    let over = story.render(Err(Failure::Hopeless("there is no capture".to_owned())), 0);
    assert_eq!(
        told(&over),
        Some((RecordingFact::Undeliverable, "there is no capture"))
    );
    assert_eq!(story.ticket().state(), RecordingState::Undeliverable);
}

#[test]
fn a_recording_shorter_than_its_minimum_is_discarded_by_name() {
    let story = Story::begin(|promise| promise.min_ms = 3000);
    let over = story.render(Ok(Rendered::TooShort), 0);
    assert_eq!(
        told(&over),
        Some((
            RecordingFact::Discarded,
            "shorter than the minimum of 3000 ms"
        ))
    );
    assert_eq!(over.notice.unwrap().end_reason, Some(EndReason::TooShort));
    assert!(story.is_gone());
}

#[test]
fn a_rendering_broken_off_by_a_stop_counts_as_no_failure() {
    let story = Story::begin(|_| {});
    let step = story.render(Err(Failure::Stopped), 3000);
    assert_eq!(
        (step.owed, step.notice),
        (Some((Stage::Render, at(3000))), None)
    );
    assert_eq!(story.ticket().delivery().render_failures, 0);
}

#[test]
fn a_lost_or_cut_file_is_rendered_again() {
    for spoil in [
        |path: &std::path::Path| std::fs::remove_file(path),
        |path: &std::path::Path| std::fs::write(path, "RI"),
    ] {
        let story = Story::rendered(|_| {});
        spoil(&story.ledger.spool.view().rendition_path(&story.ticket())).unwrap();
        let needs = story.ledger.hand_out(&story.id, Stage::Deliver).unwrap();
        assert!(matches!(needs, Needs::Other(Stage::Render)), "{needs:?}");
        assert_eq!(story.ticket().state(), RecordingState::Ended);
    }
}

#[test]
fn a_capture_stays_for_as_long_as_a_recording_needs_it() {
    let story = Story::rendered(|promise| promise.destination = Destination::AccountDb);
    let other = testing::ended(&story.writer, |promise| {
        promise.recording_id = RecordingId::random(at(0));
    });
    story.file(Verdict::Delivered, 0);
    let capture = other.capture_id().unwrap();
    assert!(story.ledger.spool.view().read_journal(capture).is_ok());
    let now = at(1000);
    story
        .ledger
        .drop_recording(other.recording_id(), now)
        .unwrap();
    assert!(story.is_gone());
}

#[test]
fn a_switchs_file_is_fetched_before_it_is_rendered_and_never_twice() {
    let story = Story::on_switch();
    let look = || story.ledger.look(&story.id, at(0)).unwrap();
    assert_eq!(look(), Some((Stage::Fetch, at(0))));
    let gone = || Err(Failure::Passing("no answer".to_owned()));
    for ms in 0..5 {
        let again = story.fetch(gone(), ms);
        let (stage, next) = again.owed.unwrap();
        assert_eq!((stage, look()), (Stage::Fetch, Some((Stage::Fetch, next))));
        assert_eq!(told(&again).unwrap().0, RecordingFact::Retrying);
    }
    let place = story.ledger.spool.view().switch_file_path(&story.ticket());
    std::fs::write(&place, "RIFF").unwrap();
    let here = story.fetch(Ok(()), 10);
    assert_eq!(
        (here.owed, here.notice),
        (Some((Stage::Render, at(10))), None)
    );
    assert_eq!(look(), Some((Stage::Render, at(0))));
    // What failed before it was here does not count against it now.
    let broken = || Err(Failure::Suspect("no audio".to_owned()));
    for ms in 11..13 {
        assert_eq!(story.render(broken(), ms).owed.unwrap().0, Stage::Render);
    }
    let over = told(&story.render(broken(), 13)).unwrap().0;
    assert_eq!(over, RecordingFact::Undeliverable);
    assert!(place.exists());

    let again = story.ledger.retry(&story.id, at(14)).unwrap();
    assert_eq!(again.owed, Some((Stage::Render, at(14))));
    std::fs::remove_file(place).unwrap();
    let needs = story.ledger.hand_out(&story.id, Stage::Render).unwrap();
    assert!(matches!(needs, Needs::Other(Stage::Fetch)), "{needs:?}");
}

#[test]
fn a_switch_that_never_answers_is_given_up_when_a_receiver_would_be() {
    let story = Story::on_switch();
    let gone = || Err(Failure::Passing("no answer".to_owned()));
    let hours = |n: i64| n * 3_600_000;
    for n in 0..72 {
        assert!(story.fetch(gone(), hours(n)).owed.is_some());
    }
    assert_eq!(story.fetch(Err(Failure::Stopped), hours(71)).notice, None);
    let over = story.fetch(gone(), hours(72));
    assert_eq!(
        told(&over),
        Some((RecordingFact::Undeliverable, "no answer"))
    );
    assert_eq!(story.ticket().state(), RecordingState::Undeliverable);
}
