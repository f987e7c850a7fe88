//! Stories of single recordings, told outcome by outcome against a real spool.

use std::{cell::Cell, time::Duration};

use callreel_proto::{DeliveryAction, DeliveryOrder, EndReason};
use callreel_spool::{SpoolConfig, Writer};

use super::{walk::DIED, *};
use crate::testing::{self, STARTED_MS};

const POLICY: Policy = Policy {
    first: Duration::from_secs(5),
    max: Duration::from_secs(900),
    give_up_after: Duration::from_hours(72),
};
const SEED: u64 = 1;

mod patience;

struct Story {
    dir: tempfile::TempDir,
    writer: Writer,
    ledger: Ledger,
    id: RecordingId,
    /// When the last outcome came: milliseconds after the recording's start.
    last_ms: Cell<i64>,
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
            last_ms: Cell::new(0),
        }
    }

    /// An outcome comes so late, by a clock that is right.
    fn when(&self, ms: i64) -> Occasion {
        let waited = ms - self.last_ms.replace(ms);
        Occasion {
            now: at(ms),
            waited: Duration::from_millis(waited.try_into().unwrap_or(0)),
            seed: SEED,
        }
    }

    fn order(&self, action: DeliveryAction) -> DeliveryOrder {
        DeliveryOrder {
            by: Some("jane".to_owned()),
            reason: Some("asked twice".to_owned()),
            ..DeliveryOrder::new(action, self.id.clone())
        }
    }

    fn retry(&self, ms: i64) -> Owed {
        let order = self.order(DeliveryAction::Retry);
        self.last_ms.set(ms);
        self.ledger.retry(&order, at(ms)).unwrap().unwrap()
    }

    fn found(&self, ms: i64) -> Found {
        self.ledger
            .read(&self.ledger.recordings().unwrap(), at(ms))
            .unwrap()
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
            .fetched(&self.id, outcome, self.when(ms))
            .unwrap()
    }

    fn render(&self, outcome: Result<Rendered, Failure>, ms: i64) -> Step {
        self.ledger
            .rendered(&self.id, outcome, self.when(ms))
            .unwrap()
    }

    fn file(&self, verdict: Verdict, ms: i64) -> Step {
        let tried = Tried::File(verdict);
        self.ledger.tried(&self.id, tried, self.when(ms)).unwrap()
    }

    fn document(&self, verdict: Verdict, ms: i64) -> Step {
        let tried = Tried::Document(verdict);
        self.ledger.tried(&self.id, tried, self.when(ms)).unwrap()
    }
}

fn told(step: &Step) -> Option<(RecordingFact, &str)> {
    let notice = step.notice.as_ref()?;
    Some((notice.fact, notice.detail.as_deref().unwrap_or_default()))
}

#[test]
fn an_ended_recording_is_owed_since_it_began_a_growing_one_not_yet() {
    let story = Story::begin(|_| {});
    let growing = testing::ticket(|promise| promise.recording_id = RecordingId::random(at(0)));
    story.writer.create_ticket(&growing).unwrap();
    let owed = Owed {
        account: growing.promise().account_id.clone(),
        stage: Stage::Render,
        began: at(0),
        due: at(0),
    };
    let found = story.found(5000);
    assert_eq!(found.owed, [(story.id.clone(), owed.clone())]);
    assert_eq!(found.growing.len(), 1);
    let look = |id| story.ledger.look(id, at(5000)).unwrap();
    assert_eq!(look(&story.id), Some(owed));
    assert_eq!(look(growing.recording_id()), None);
    assert_eq!(look(&RecordingId::random(at(0))), None);
    let early = story.ledger.look(&story.id, at(-9000)).unwrap().unwrap();
    assert_eq!(
        early.due,
        at(-9000),
        "a clock that was set back parks nothing"
    );
}

#[test]
fn what_a_dead_process_left_growing_is_ended_told_once_and_owed() {
    let story = Story::begin(|_| {});
    let growing = testing::ticket(|promise| promise.recording_id = RecordingId::random(at(0)));
    story.writer.create_ticket(&growing).unwrap();
    let seen = story.found(4000).growing;
    let alive = story.ledger.recover(&seen, at(4000));
    assert!(alive.owed.is_empty() && alive.notices.is_empty());
    let Story {
        dir: _dir,
        writer,
        ledger,
        ..
    } = story;
    drop(writer);
    let found = ledger.recover(&seen, at(5000));
    assert_eq!(found.owed.len(), 1);
    assert_eq!(found.owed[0].0, *growing.recording_id());
    assert_eq!(found.owed[0].1.stage, Stage::Render);
    assert_eq!(found.notices.len(), 1);
    let notice = &found.notices[0];
    assert_eq!(notice.fact, RecordingFact::Ended);
    assert_eq!(notice.recording_id.as_ref(), Some(growing.recording_id()));
    assert_eq!(notice.end_reason, Some(EndReason::Interrupted));
    assert_eq!(notice.detail.as_deref(), Some(DIED));
    assert!(ledger.recover(&seen, at(6000)).notices.is_empty());
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
    let owed = story.found(11_000).owed;
    assert_eq!(owed[0].1.due, next, "the restart goes on where it was");
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
    let found = story.found(last);
    assert_eq!(
        (found.owed, found.at_rest),
        (vec![], vec![story.id.clone()])
    );

    assert_eq!(story.retry(last + 1).stage, Stage::Deliver);
    let failed = story.file(Verdict::retry("no route"), last + 2);
    assert!(failed.owed.is_some(), "the patience starts anew");

    let order = story.order(DeliveryAction::Drop);
    let dropped = story.ledger.drop_recording(&order, at(last + 3)).unwrap();
    assert_eq!(
        told(&dropped.unwrap()),
        Some((
            RecordingFact::Discarded,
            "dropped by order of jane: asked twice"
        ))
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
    assert_eq!(story.retry(40_000).stage, Stage::Render);
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
    story.retry(hours(250));
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
    let order = DeliveryOrder::new(DeliveryAction::Drop, other.recording_id().clone());
    story.ledger.drop_recording(&order, at(1000)).unwrap();
    assert!(story.is_gone());
}

#[test]
fn a_switchs_file_is_fetched_before_it_is_rendered_and_never_twice() {
    let story = Story::on_switch();
    let look = || {
        let owed = story.ledger.look(&story.id, at(0)).unwrap().unwrap();
        (owed.stage, owed.due)
    };
    assert_eq!(look(), (Stage::Fetch, at(0)));
    let gone = || Err(Failure::Passing("no answer".to_owned()));
    for ms in 0..5 {
        let again = story.fetch(gone(), ms);
        let (stage, next) = again.owed.unwrap();
        assert_eq!((stage, look()), (Stage::Fetch, (Stage::Fetch, next)));
        assert_eq!(told(&again).unwrap().0, RecordingFact::Retrying);
    }
    let place = story.ledger.spool.view().switch_file_path(&story.ticket());
    std::fs::write(&place, "RIFF").unwrap();
    let here = story.fetch(Ok(()), 10);
    assert_eq!(
        (here.owed, here.notice),
        (Some((Stage::Render, at(10))), None)
    );
    assert_eq!(look(), (Stage::Render, at(0)));
    // What failed before it was here does not count against it now.
    let broken = || Err(Failure::Suspect("no audio".to_owned()));
    for ms in 11..13 {
        assert_eq!(story.render(broken(), ms).owed.unwrap().0, Stage::Render);
    }
    let over = told(&story.render(broken(), 13)).unwrap().0;
    assert_eq!(over, RecordingFact::Undeliverable);
    assert!(place.exists());

    assert_eq!(story.retry(14).stage, Stage::Render);
    std::fs::remove_file(place).unwrap();
    let needs = story.ledger.hand_out(&story.id, Stage::Render).unwrap();
    assert!(matches!(needs, Needs::Other(Stage::Fetch)), "{needs:?}");
}

#[test]
fn a_switchs_file_stays_there_while_the_disk_runs_short_and_nothing_else_waits() {
    let mut story = Story::on_switch();
    let short = SpoolConfig {
        refuse_fetches_percent: 100,
        refuse_fetches_mb: u64::MAX,
        ..SpoolConfig::default()
    };
    let spool = story.ledger.spool.clone();
    story.ledger.spool = spool.clone().with_marks(&short);
    let needs = story.ledger.hand_out(&story.id, Stage::Fetch).unwrap();
    assert!(matches!(needs, Needs::Room), "{needs:?}");
    let ticket = spool.view().ticket(&story.id).unwrap().unwrap();
    std::fs::write(spool.view().switch_file_path(&ticket), "audio").unwrap();
    let needs = story.ledger.hand_out(&story.id, Stage::Render).unwrap();
    assert!(matches!(needs, Needs::Work(_)), "{needs:?}");
}
