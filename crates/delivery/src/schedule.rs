//! Decides when a delivery that failed is tried again, and when it is given up. Pure: time and jitter are told.

use std::time::Duration;

use callreel_attachments::Barred;
use callreel_proto::Utc;

#[cfg(test)]
mod tests;

/// A receiver's `Retry-After` is honoured up to this: long enough for planned work on the receiver, short enough
/// that a wrong header does not park a recording for days.
pub const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(3600);

/// Tries in a row that a destination may refuse before a recording is given up: enough for a receiver that is being
/// deployed, too few to bother one that means it.
pub const REFUSALS: u32 = 5;

/// What one try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The destination acknowledged the file.
    Delivered,
    /// It did not work this time.
    Retry {
        /// What happened, for people; holds no credentials.
        reason: String,
        /// How long the receiver asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The destination answered that it does not want the file as it is. It may be under repair, so that a few more tries
    /// are worth it, but not days of them.
    Unwelcome {
        /// What it answered, for people; holds no credentials.
        reason: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// It can never work: another try would be the same.
    Refused {
        /// What is wrong, for people; holds no credentials.
        reason: String,
    },
}

impl Verdict {
    /// A failure that may pass.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry {
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// Judges an HTTP answer: any 2xx is success; 408, 425, 429 (RFC 9110 §15.5.9, RFC 8470, RFC 6585) and 5xx may pass;
    /// every other 4xx, and a 3xx that could not be followed, is a refusal. What is no HTTP status may pass.
    pub fn of_status(status: u16, said: &str, retry_after: Option<Duration>) -> Self {
        if (200..300).contains(&status) {
            return Self::Delivered;
        }
        let reason = match said.trim() {
            "" => format!("the receiver answered {status}"),
            said => format!("the receiver answered {status}: {said}"),
        };
        match status {
            300..=499 if !matches!(status, 408 | 425 | 429) => Self::Unwelcome {
                reason,
                retry_after,
            },
            _ => Self::Retry {
                reason,
                retry_after,
            },
        }
    }
}

impl From<Barred> for Verdict {
    /// Another protocol is never spoken; an address may be allowed one day.
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::Scheme(_) => Self::Refused {
                reason: barred.to_string(),
            },
            Barred::Forbidden(_) => Self::retry(barred.to_string()),
        }
    }
}

/// What to do after a failed try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Try again at this instant.
    TryAt(Utc),
    /// Stop trying; the recording is undeliverable.
    GiveUp,
}

/// What the ticket remembers of the tries so far, the one just failed included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Failed tries, at least 1.
    pub failures: u32,
    /// How many of the last ones in a row were refusals.
    pub refusals: u32,
    /// How long it has been failing while it could have been tried, since the first failure. The wall clock is no judge of
    /// that: one jump of it would end the patience with every recording that waits.
    pub failing_for: Duration,
}

/// Exponential backoff with full jitter: the wait after failure n is uniform in [0, min(max, first · 2ⁿ⁻¹)), which
/// spreads a crowd of recordings best when a receiver comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Upper bound of the first wait.
    pub first: Duration,
    /// Upper bound of every wait.
    pub max: Duration,
    /// Time of failing, counted from the first failure. A last try happens exactly then.
    pub give_up_after: Duration,
}

impl Policy {
    /// Decides after a failed try. `seed` is any number; the same seed gives the same jitter.
    pub fn after_failure(
        &self,
        now: Utc,
        history: History,
        retry_after: Option<Duration>,
        seed: u64,
    ) -> Decision {
        let left = self.give_up_after.saturating_sub(history.failing_for);
        if left.is_zero() || history.refusals >= REFUSALS {
            return Decision::GiveUp;
        }
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT);
        let wait = self.wait(history.failures, seed).max(asked);
        Decision::TryAt(after(now, wait.min(left)))
    }

    /// When to act on an instant read from a ticket: never later than this policy could have meant, whatever the
    /// clock or the settings were when it was written. What is overdue stays so, that the oldest may come first.
    pub fn resume_at(&self, now: Utc, planned: Option<Utc>) -> Utc {
        let latest = after(now, self.max.max(RETRY_AFTER_LIMIT));
        planned.map_or(now, |at| at.min(latest))
    }

    /// The wait after this many failures.
    pub(crate) fn wait(&self, failures: u32, seed: u64) -> Duration {
        jittered(self.bound(failures), seed)
    }

    /// Upper bound of the wait after this many failures.
    fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.max)
    }
}

/// The instant this much later.
pub(crate) fn after(at: Utc, wait: Duration) -> Utc {
    at.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// A duration in [0, bound), chosen by the seed.
fn jittered(bound: Duration, seed: u64) -> Duration {
    let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(scramble(seed)) * u128::from(bound)) >> 64;
    Duration::from_nanos(u64::try_from(share).expect("a 64-bit share of a 64-bit bound"))
}

/// SplitMix64's finaliser: spreads neighbouring seeds over all 64 bits.
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
