//! How long a recording is tried: refusals, broken clocks, legal holds.

use proptest::{collection::vec, prelude::*};

use super::*;

const PATIENCE_MS: i64 = 72 * 3_600_000;

fn unwelcome() -> Verdict {
    Verdict::of_status(403, "", None)
}

fn state(story: &Story) -> RecordingState {
    story.ticket().state()
}

#[test]
fn five_refusals_in_a_row_are_the_end_and_an_order_counts_anew() {
    let story = Story::rendered(|_| {});
    for ms in 1..=4 {
        assert!(story.file(unwelcome(), ms * 1000).owed.is_some(), "{ms}");
    }
    assert_eq!(story.ticket().delivery().refusals, 4);
    assert!(story.file(Verdict::retry("no route"), 5000).owed.is_some());
    assert_eq!(story.ticket().delivery().refusals, 0, "not in a row");
    for ms in 6..=9 {
        assert!(story.file(unwelcome(), ms * 1000).owed.is_some(), "{ms}");
    }
    let over = story.file(unwelcome(), 10_000);
    assert_eq!(
        told(&over),
        Some((RecordingFact::Undeliverable, "the receiver answered 403"))
    );
    story.retry(11_000);
    assert!(story.file(unwelcome(), 12_000).owed.is_some());
    assert_eq!(story.ticket().delivery().refusals, 1);
}

#[test]
fn a_clock_that_jumps_weeks_ahead_and_back_gives_nothing_up() {
    let story = Story::rendered(|_| {});
    let fail = |wall_ms, waited| {
        let when = Occasion {
            now: at(wall_ms),
            waited: Duration::from_secs(waited),
            seed: SEED,
        };
        let tried = Tried::File(Verdict::retry("no route"));
        story.ledger.tried(&story.id, tried, when).unwrap()
    };
    let weeks = 21 * 24 * 3_600_000;
    for (wall_ms, waited) in [(0, 9), (weeks, 60), (-weeks, 60), (1000, 60)] {
        let owed = fail(wall_ms, waited).owed;
        let (_, next) = owed.expect("it is tried again");
        assert!(next >= at(wall_ms) && next < at(wall_ms + 900_000));
    }
    assert_eq!(story.ticket().delivery().failing_ms, 180_000);
}

#[test]
fn what_a_legal_hold_is_on_stays_whatever_was_ordered_or_set() {
    let mut story = Story::rendered(|promise| promise.min_ms = 3000);
    story.ledger.keep_undeliverable = false;
    let order = |action| story.order(action);
    let hold = order(DeliveryAction::Hold);
    let notice = story.ledger.hold(&hold, at(1)).unwrap().unwrap();
    let other = DeliveryOrder {
        by: Some("another".to_owned()),
        ..hold.clone()
    };
    assert_eq!(story.ledger.hold(&other, at(2)).unwrap(), None);
    assert_eq!(notice.fact, RecordingFact::Held);
    let drop = order(DeliveryAction::Drop);
    assert_eq!(story.ledger.drop_recording(&drop, at(2)).unwrap(), None);
    let reason = "cannot deliver by ftp".to_owned();
    let over = story.file(Verdict::Refused { reason }, 3);
    assert_eq!(over.notice.unwrap().fact, RecordingFact::Undeliverable);
    assert_eq!(state(&story), RecordingState::Undeliverable);
    let release = order(DeliveryAction::Release);
    story.ledger.hold(&release, at(4)).unwrap();
    assert!(story.ledger.drop_recording(&drop, at(5)).unwrap().is_some());
    assert!(story.is_gone());
}

#[test]
fn a_hold_that_comes_while_the_document_is_saved_is_in_the_document_at_last() {
    let account_db = |promise: &mut callreel_spool::Promise| {
        promise.destination = Destination::AccountDb;
    };
    let story = Story::rendered(account_db);
    let tried = |tried, ms| {
        story
            .ledger
            .tried(&story.id, tried, story.when(ms))
            .unwrap()
    };
    story
        .ledger
        .hold(&story.order(DeliveryAction::Hold), at(1))
        .unwrap();
    let again = tried(Tried::Kept(None), 2);
    assert_eq!(again.notice, None);
    assert_eq!(again.owed.unwrap().0, Stage::Deliver);
    assert!(
        story.ticket().delivery().uploaded_at.is_some(),
        "only the document"
    );
    let hold = story.ticket().hold().cloned();
    story
        .ledger
        .hold(&story.order(DeliveryAction::Release), at(3))
        .unwrap();
    assert!(tried(Tried::Kept(hold), 4).owed.is_some());
    let over = tried(Tried::Kept(None), 5);
    assert_eq!(told(&over).unwrap().0, RecordingFact::Delivered);
    assert!(story.is_gone());
}

#[test]
fn what_is_too_short_and_held_is_kept_for_a_person() {
    for rendered in [Rendered::TooShort, Rendered::Nothing] {
        let story = Story::begin(|promise| promise.min_ms = 3000);
        let hold = story.order(DeliveryAction::Hold);
        story.ledger.hold(&hold, at(1)).unwrap();
        let over = story.render(Ok(rendered), 2);
        let (fact, detail) = told(&over).unwrap();
        assert_eq!(fact, RecordingFact::Undeliverable);
        assert!(detail.ends_with("; a legal hold keeps it"), "{detail}");
        assert_eq!(state(&story), RecordingState::Undeliverable);
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn none_is_given_up_before_it_has_really_been_failing_for_so_long(
        steps in vec((-2_000_000_000i64..2_000_000_000, 0i64..40_000_000), 1..40),
    ) {
        let story = Story::rendered(|_| {});
        let mut failing_ms = 0;
        for (nth, (wall_ms, waited_ms)) in steps.into_iter().enumerate() {
            failing_ms += if nth == 0 { 0 } else { waited_ms };
            let when = Occasion {
                now: at(wall_ms),
                waited: Duration::from_millis(waited_ms.try_into().unwrap()),
                seed: SEED,
            };
            let tried = Tried::File(Verdict::retry("no route"));
            let step = story.ledger.tried(&story.id, tried, when).unwrap();
            prop_assert_eq!(step.owed.is_none(), failing_ms >= PATIENCE_MS);
            if step.owed.is_none() {
                break;
            }
        }
    }
}
