//! When a packet arrived, by the capture's clock, given the kernel's stamp on the wall clock. Reads clocks only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::CaptureClock;

/// A receive timestamp further back than this says the wall clock was set, not that the packet waited.
const OLDEST: Duration = Duration::from_secs(10);

/// The two clocks, read together once per batch.
pub(super) struct Now {
    capture_ns: u64,
    wall: Duration,
    /// The socket was empty then: nothing of this batch arrived before, whatever a wall clock that was set says.
    drained_ns: u64,
}

impl Now {
    pub(super) fn read(clock: CaptureClock, drained_ns: u64) -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            capture_ns: clock.now_ns(),
            wall,
            drained_ns,
        }
    }

    /// When a packet arrived. A stamp from a clock that was set meanwhile is worth nothing: the packet then arrived now.
    pub(super) fn arrival_ns(&self, stamp: Option<Duration>) -> u64 {
        let waited = stamp
            .and_then(|stamp| self.wall.checked_sub(stamp))
            .filter(|age| *age <= OLDEST)
            .unwrap_or_default();
        let waited_ns = u64::try_from(waited.as_nanos()).unwrap_or(0);
        self.capture_ns
            .saturating_sub(waited_ns)
            .max(self.drained_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_set_forward_moves_no_packet_before_the_last_sweep() {
        let now = Now {
            capture_ns: 5_000_000_000,
            wall: Duration::from_secs(1_000),
            drained_ns: 4_900_000_000,
        };
        let arrival_ns = |age_ms| {
            let stamp = Duration::from_secs(1_000) - Duration::from_millis(age_ms);
            now.arrival_ns(Some(stamp))
        };
        assert_eq!(arrival_ns(40), 4_960_000_000);
        assert_eq!(arrival_ns(4_000), 4_900_000_000);
        assert_eq!(arrival_ns(40_000), 5_000_000_000);
        assert_eq!(now.arrival_ns(None), 5_000_000_000);
    }
}
