//! The process's own clock. Waits go by it, because the wall clock may be set while a recording waits.

use std::time::Duration;

use callreel_proto::Utc;
use tokio::time::Instant;

/// An instant of the process's own clock: milliseconds since the queue began, negative for what was due before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Tick(i64);

impl Tick {
    /// Before everything: what is due since then goes first.
    pub(crate) const FIRST: Self = Self(i64::MIN);

    #[cfg(test)]
    pub(crate) const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// The instant this much later.
    pub(crate) fn after(self, wait: Duration) -> Self {
        let ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// How long it is since `earlier`; nothing if that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let ms = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// The instant that is as far from this one as `at` is from `now` on the wall clock.
    pub(crate) fn of(self, at: Utc, now: Utc) -> Self {
        Self(
            self.0
                .saturating_add(at.unix_ms().saturating_sub(now.unix_ms())),
        )
    }

    /// What the wall clock shows at `at` if it shows `wall` at this instant.
    pub(crate) fn wall(self, at: Self, wall: Utc) -> Utc {
        wall.plus_ms(at.0.saturating_sub(self.0))
    }
}

/// Where the process's own clock is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    began: Instant,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Tick {
        Tick::default().after(self.began.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_of_the_wall_clock_is_as_far_away_on_ours_and_back() {
        let (now, wall) = (Tick::from_ms(5000), Utc::from_unix_ms(1_709_251_200_000));
        let soon = now.of(wall.plus_ms(700), wall);
        assert_eq!(soon, Tick::from_ms(5700));
        assert_eq!(now.wall(soon, wall), wall.plus_ms(700));
        assert_eq!(now.of(wall.plus_ms(-9000), wall), Tick::from_ms(-4000));
        assert_eq!(soon.since(now), Duration::from_millis(700));
        assert_eq!(now.since(soon), Duration::ZERO);
        assert_eq!(now.after(Duration::MAX), Tick::from_ms(i64::MAX));
    }
}
