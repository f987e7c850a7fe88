//! The schedule as tables and properties.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy {
    first: Duration::from_secs(5),
    max: Duration::from_secs(900),
    give_up_after: Duration::from_hours(72),
};

fn at(ms: i64) -> Utc {
    Utc::from_unix_ms(ms)
}

fn history(failures: u32) -> History {
    History {
        failures,
        refusals: 0,
        failing_for: Duration::ZERO,
    }
}

fn failing(failures: u32, failing_for: Duration) -> History {
    History {
        failing_for,
        ..history(failures)
    }
}

#[test]
fn the_waits_of_one_recording_read_as_planned() {
    let mut now = at(0);
    let mut table = String::from("failure  at most s  waits s\n");
    for failures in 1..=10 {
        let bound = POLICY.bound(failures).as_secs();
        let Decision::TryAt(next) =
            POLICY.after_failure(now, history(failures), None, u64::from(failures))
        else {
            panic!("given up after {failures}");
        };
        let wait = (next.unix_ms() - now.unix_ms()) / 1000;
        writeln!(table, "{failures:>7}  {bound:>9}  {wait:>7}").unwrap();
        now = next;
    }
    insta::assert_snapshot!(table, @r"
    failure  at most s  waits s
          1          5        2
          2         10        5
          3         20        2
          4         40       17
          5         80       30
          6        160      118
          7        320      124
          8        640      395
          9        900      614
         10        900       29
    ");
}

#[test]
fn an_answer_is_a_success_a_failure_that_may_pass_or_a_refusal() {
    let pause = Some(Duration::from_secs(9));
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(Verdict::of_status(status, "", pause), Verdict::Delivered);
    }
    for status in [100, 199, 408, 425, 429, 500, 502, 503, 504, 507, 599, 999] {
        let expected = Verdict::Retry {
            reason: format!("the receiver answered {status}"),
            retry_after: pause,
        };
        assert_eq!(Verdict::of_status(status, "", pause), expected);
    }
    for status in [
        300, 301, 303, 304, 308, 400, 401, 403, 404, 405, 409, 410, 411, 413, 415, 422, 424, 426,
        428, 430, 451, 499,
    ] {
        let expected = Verdict::Unwelcome {
            reason: format!("the receiver answered {status}"),
            retry_after: pause,
        };
        assert_eq!(Verdict::of_status(status, "", pause), expected);
    }
    assert_eq!(
        Verdict::of_status(507, " disk full\n", None),
        Verdict::retry("the receiver answered 507: disk full")
    );
}

#[test]
fn the_fifth_refusal_in_a_row_is_the_last() {
    let refused = |refusals| {
        let history = History {
            refusals,
            ..history(9)
        };
        POLICY.after_failure(at(0), history, None, 1)
    };
    for refusals in 0..5 {
        assert!(
            matches!(refused(refusals), Decision::TryAt(_)),
            "{refusals}"
        );
    }
    assert_eq!(refused(5), Decision::GiveUp);
}

#[test]
fn the_receivers_wish_for_a_pause_is_honoured_up_to_the_limit() {
    let wait = |asked: u64| {
        let asked = Some(Duration::from_secs(asked));
        match POLICY.after_failure(at(0), history(1), asked, 3) {
            Decision::TryAt(next) => next.unix_ms() / 1000,
            Decision::GiveUp => panic!("given up"),
        }
    };
    assert!(wait(0) < 5);
    assert_eq!(wait(120), 120);
    assert_eq!(wait(1_000_000), 3600);
}

#[test]
fn a_last_try_happens_when_the_patience_is_over_and_then_it_is() {
    let after = |failing_for| POLICY.after_failure(at(77), failing(400, failing_for), None, 1);
    let almost = Duration::from_hours(72) - Duration::from_millis(1);
    assert_eq!(after(almost), Decision::TryAt(at(78)));
    assert_eq!(after(Duration::from_hours(72)), Decision::GiveUp);
}

#[test]
fn a_planned_instant_survives_a_restart_but_not_a_broken_clock() {
    let now = at(1_000_000);
    assert_eq!(POLICY.resume_at(now, None), now);
    assert_eq!(POLICY.resume_at(now, Some(at(5))), at(5), "overdue");
    assert_eq!(POLICY.resume_at(now, Some(at(1_060_000))), at(1_060_000));
    let years_ahead = at(1_000_000_000_000);
    assert_eq!(
        POLICY.resume_at(now, Some(years_ahead)),
        now.plus_ms(3_600_000)
    );
}

proptest! {
    #[test]
    fn a_wait_stays_within_its_bound_and_the_patience(
        failures in 1u32..,
        failing_ms in 0u64..400_000_000,
        seed: u64,
    ) {
        let failing_for = Duration::from_millis(failing_ms);
        match POLICY.after_failure(at(9), failing(failures, failing_for), None, seed) {
            Decision::GiveUp => prop_assert!(failing_for >= POLICY.give_up_after),
            Decision::TryAt(next) => {
                let wait = Duration::from_millis((next.unix_ms() - 9).try_into().unwrap());
                prop_assert!(wait <= POLICY.bound(failures));
                prop_assert!(failing_for + wait <= POLICY.give_up_after);
            }
        }
    }

    #[test]
    fn hostile_numbers_do_not_overflow(
        first_s: u64, max_s: u64, horizon_s: u64, failures: u32, now: i64, failing_s: u64, seed: u64,
    ) {
        let policy = Policy {
            first: Duration::from_secs(first_s),
            max: Duration::from_secs(max_s),
            give_up_after: Duration::from_secs(horizon_s),
        };
        let history = failing(failures, Duration::from_secs(failing_s));
        if let Decision::TryAt(next) =
            policy.after_failure(at(now), history, Some(Duration::MAX), seed)
        {
            prop_assert!(next >= at(now));
        }
    }
}

#[test]
fn jitter_fills_the_whole_range_evenly() {
    let bound = Duration::from_secs(100);
    let mut tenths = [0u32; 10];
    for seed in 0..10_000 {
        let wait = jittered(bound, seed);
        tenths[usize::try_from(wait.as_secs() / 10).unwrap()] += 1;
    }
    assert!(tenths.iter().all(|n| (850..1150).contains(n)), "{tenths:?}");
}
