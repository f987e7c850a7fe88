//! Which web servers keep failing and are left alone for a while, so that callers need not wait for them. Knows no clock.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// Failures in a row until a server is left alone.
const FAILURES: u32 = 5;
/// For so long; then one request goes to see whether it is back.
const PAUSE: Duration = Duration::from_secs(10);
/// Failing servers that are known at once. Others are asked each time, which costs their callers patience and nobody else.
const MOST_HOSTS: usize = 1000;

/// The servers that fail, by scheme, host and port.
#[derive(Debug, Default)]
pub(super) struct Breakers(HashMap<String, Breaker>);

#[derive(Debug)]
struct Breaker {
    failures: u32,
    last: String,
    alone_until: Option<Instant>,
}

impl Breakers {
    /// Whether it may be asked.
    ///
    /// # Errors
    /// For how long not, and why, for people.
    pub(super) fn may(&mut self, host: &str, now: Instant) -> Result<(), String> {
        let Some(breaker) = self.0.get_mut(host) else {
            return Ok(());
        };
        match breaker.alone_until {
            Some(until) if now < until => {
                let (left, last) = ((until - now).as_secs() + 1, &breaker.last);
                let times = breaker.failures;
                Err(format!(
                    "it has failed {times} times in a row and is left alone for {left} s more; the last time: {last}"
                ))
            }
            Some(_) => {
                // Whoever asks now sees for the others.
                breaker.alone_until = Some(now + PAUSE);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// It has answered.
    pub(super) fn lives(&mut self, host: &str) {
        self.0.remove(host);
    }

    /// It has not, or said that it cannot.
    pub(super) fn failed(&mut self, host: &str, said: &str, now: Instant) {
        if !self.0.contains_key(host) && self.0.len() >= MOST_HOSTS {
            self.0
                .retain(|_, b| b.alone_until.is_some_and(|until| now < until));
            if self.0.len() >= MOST_HOSTS {
                return;
            }
        }
        let breaker = self.0.entry(host.to_owned()).or_insert(Breaker {
            failures: 0,
            last: String::new(),
            alone_until: None,
        });
        breaker.failures = breaker.failures.saturating_add(1);
        said.clone_into(&mut breaker.last);
        if breaker.failures >= FAILURES {
            breaker.alone_until = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_fails_five_times_in_a_row_is_left_alone_and_probed_by_one() {
        let mut breakers = Breakers::default();
        let start = Instant::now();
        for _ in 1..FAILURES {
            breakers.failed("h", "no route", start);
            assert_eq!(breakers.may("h", start), Ok(()));
        }
        breakers.failed("h", "it answered 503", start);
        let said = breakers.may("h", start).unwrap_err();
        assert!(
            said.contains("5 times") && said.contains("it answered 503"),
            "{said}"
        );
        assert_eq!(breakers.may("other", start), Ok(()));
        let later = start + PAUSE;
        assert_eq!(breakers.may("h", later), Ok(()));
        assert!(breakers.may("h", later).is_err(), "one is enough to see");
        breakers.lives("h");
        assert_eq!(breakers.may("h", later), Ok(()));
        breakers.failed("h", "no route", later);
        assert_eq!(breakers.may("h", later), Ok(()), "they are counted anew");
    }

    #[test]
    fn no_more_failing_servers_are_known_than_there_is_room_for() {
        let mut breakers = Breakers::default();
        let now = Instant::now();
        for nth in 0..2 * MOST_HOSTS {
            for _ in 0..FAILURES {
                breakers.failed(&format!("h{nth}"), "", now);
            }
        }
        assert_eq!(breakers.0.len(), MOST_HOSTS);
        assert!(breakers.may("h0", now).is_err());
        breakers.failed("new", "", now + PAUSE);
        assert_eq!(breakers.0.len(), 1, "those of the past made room");
    }
}
