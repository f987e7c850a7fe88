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
        first_at: at(0),
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
fn every_2xx_is_delivered_and_everything_else_may_pass() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(Verdict::of_status(status, "", None), Verdict::Delivered);
    }
    for status in [
        100, 199, 301, 304, 400, 401, 404, 408, 413, 429, 500, 503, 999,
    ] {
        let verdict = Verdict::of_status(status, "", Some(Duration::from_secs(9)));
        let Verdict::Retry {
            reason,
            retry_after,
        } = verdict
        else {
            panic!("{status}: {verdict:?}");
        };
        assert_eq!(reason, format!("the receiver answered {status}"));
        assert_eq!(retry_after, Some(Duration::from_secs(9)));
    }
    assert_eq!(
        Verdict::of_status(507, " disk full\n", None),
        Verdict::retry("the receiver answered 507: disk full")
    );
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
fn a_last_try_happens_at_the_deadline_and_then_it_is_over() {
    let deadline = at(72 * 3_600_000);
    let just_before = deadline.plus_ms(-1);
    assert_eq!(
        POLICY.after_failure(just_before, history(400), None, 1),
        Decision::TryAt(deadline)
    );
    assert_eq!(
        POLICY.after_failure(deadline, history(401), None, 1),
        Decision::GiveUp
    );
}

#[test]
fn a_planned_instant_survives_a_restart_but_not_a_broken_clock() {
    let now = at(1_000_000);
    assert_eq!(POLICY.resume_at(now, None), now);
    assert_eq!(POLICY.resume_at(now, Some(at(5))), now, "overdue");
    assert_eq!(POLICY.resume_at(now, Some(at(1_060_000))), at(1_060_000));
    let years_ahead = at(1_000_000_000_000);
    assert_eq!(
        POLICY.resume_at(now, Some(years_ahead)),
        now.plus_ms(3_600_000)
    );
}

proptest! {
    #[test]
    fn a_wait_stays_within_its_bound_and_the_horizon(
        failures in 1u32..,
        elapsed in 0i64..400_000_000,
        seed: u64,
    ) {
        let now = at(elapsed);
        match POLICY.after_failure(now, history(failures), None, seed) {
            Decision::GiveUp => prop_assert!(elapsed >= 72 * 3_600_000),
            Decision::TryAt(next) => {
                prop_assert!(next >= now);
                prop_assert!(next <= at(72 * 3_600_000));
                let wait = u128::try_from(next.unix_ms() - elapsed).unwrap();
                prop_assert!(wait <= POLICY.bound(failures).as_millis());
            }
        }
    }

    #[test]
    fn hostile_numbers_do_not_overflow(
        first_s: u64, max_s: u64, horizon_s: u64, failures: u32, now: i64, first_at: i64, seed: u64,
    ) {
        let policy = Policy {
            first: Duration::from_secs(first_s),
            max: Duration::from_secs(max_s),
            give_up_after: Duration::from_secs(horizon_s),
        };
        let history = History { failures, first_at: at(first_at) };
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
