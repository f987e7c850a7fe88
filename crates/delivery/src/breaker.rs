//! Decides when a destination that keeps failing is left alone, and when it is probed. Pure: time and jitter are told.

use std::time::Duration;

use callreel_proto::Utc;

use crate::{
    schedule::{Policy, RETRY_AFTER_LIMIT, after},
    watch::Tick,
};

/// Failures in a row until a destination's recordings are held: more than a receiver that fails now and then has, few
/// enough that one that is gone is noticed within one round of its workers.
pub(crate) const FAILURES: u32 = 5;

/// What a try told of the destination, whatever it means for the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It is there: it took the file, or said why not.
    Alive,
    /// It failed in a way that may pass.
    Failed {
        /// What happened, for people; holds no credentials.
        reason: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
}

/// When a sign came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant {
    /// On the process's own clock.
    pub(crate) tick: Tick,
    /// For people.
    pub(crate) wall: Utc,
    /// Any number; it chooses the jitter.
    pub(crate) seed: u64,
}

/// One destination's.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// In a row.
    failures: u32,
    failing_since: Option<Utc>,
    last_error: String,
    /// Probes that failed since it opened.
    probes: u32,
    /// When the next probe may go; it is open while there is one.
    probe_at: Option<Tick>,
    /// The same for people.
    next_probe: Option<Utc>,
}

impl Breaker {
    /// A try came back; `probe` if it was let go to see whether the destination is back.
    pub(crate) fn hear(&mut self, sign: Sign, probe: bool, at: Instant, waits: &Policy) {
        let Sign::Failed {
            reason,
            retry_after,
        } = sign
        else {
            *self = Self::default();
            return;
        };
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(at.wall);
        self.last_error = reason;
        let opens = self.probe_at.is_none() && self.failures >= FAILURES;
        // What was under way when it opened tells nothing new.
        if opens || (probe && self.probe_at.is_some()) {
            self.probes = if opens {
                0
            } else {
                self.probes.saturating_add(1)
            };
            let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT);
            let wait = waits
                .wait(self.probes.saturating_add(1), at.seed)
                .max(asked);
            self.probe_at = Some(at.tick.after(wait));
            self.next_probe = Some(after(at.wall, wait));
        }
    }

    /// When the next probe may go, while the destination is left alone.
    pub(crate) fn probe_at(&self) -> Option<Tick> {
        self.probe_at
    }

    pub(crate) fn next_probe(&self) -> Option<Utc> {
        self.next_probe
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn failing_since(&self) -> Option<Utc> {
        self.failing_since
    }

    pub(crate) fn last_error(&self) -> &str {
        &self.last_error
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WAITS: Policy = Policy {
        first: Duration::from_secs(5),
        max: Duration::from_secs(900),
        give_up_after: Duration::from_hours(72),
    };

    fn at(ms: i64) -> Instant {
        Instant {
            tick: Tick::from_ms(ms),
            wall: Utc::from_unix_ms(ms),
            seed: 3,
        }
    }

    fn failed(retry_after: Option<u64>) -> Sign {
        Sign::Failed {
            reason: "no route".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for ms in 1..=5 {
            assert_eq!(breaker.probe_at(), None);
            breaker.hear(failed(None), false, at(ms), &WAITS);
        }
        breaker
    }

    #[test]
    fn it_opens_at_the_fifth_failure_in_a_row_and_any_sign_of_life_closes_it() {
        let mut breaker = open();
        assert!(breaker.probe_at().is_some());
        assert_eq!(breaker.failing_since(), Some(Utc::from_unix_ms(1)));
        assert_eq!((breaker.failures(), breaker.last_error()), (5, "no route"));
        breaker.hear(Sign::Alive, false, at(9), &WAITS);
        assert_eq!((breaker.probe_at(), breaker.failures()), (None, 0));
        for ms in 10..14 {
            breaker.hear(failed(None), false, at(ms), &WAITS);
        }
        assert_eq!(breaker.probe_at(), None, "they are counted anew");
    }

    #[test]
    fn what_was_under_way_when_it_opened_puts_no_probe_off() {
        let mut breaker = open();
        let probe_at = breaker.probe_at();
        breaker.hear(failed(None), false, at(60_000), &WAITS);
        assert_eq!(breaker.probe_at(), probe_at);
        breaker.hear(failed(None), true, at(70_000), &WAITS);
        assert!(breaker.probe_at() > probe_at);
    }

    #[test]
    fn a_wish_for_a_pause_is_honoured_up_to_an_hour() {
        for (asked, until) in [(120, 120_005), (1_000_000, 3_600_005)] {
            let mut breaker = Breaker::default();
            for _ in 1..=5 {
                breaker.hear(failed(Some(asked)), false, at(5), &WAITS);
            }
            assert_eq!(breaker.probe_at(), Some(Tick::from_ms(until)));
        }
    }

    proptest! {
        #[test]
        fn a_probe_is_never_farther_away_than_the_longest_wait(probes in 0u32..60, seed: u64) {
            let mut breaker = open();
            for nth in 0..=probes {
                let now = Instant { seed, ..at(i64::from(nth) * 1_000_000) };
                breaker.hear(failed(None), true, now, &WAITS);
                let wait = breaker.probe_at().unwrap().since(now.tick);
                prop_assert!(wait <= WAITS.max);
            }
        }
    }
}
