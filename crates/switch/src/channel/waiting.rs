//! Commands that only let time pass: `sleep` and `park`.

use std::time::Duration;

use callreel_proto::HangupCause;

use super::commands::Execution;
use super::{Channel, Due};

/// Kazoo's default, milliseconds.
const SLEEP_MS: u64 = 50;
/// Longest time a command can ask for: nobody waits for a day, and a clock has an end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The time a command asks for.
pub(super) fn seconds(asked: u64) -> Duration {
    Duration::from_secs(asked).min(LONGEST)
}

/// What a channel waits for.
#[derive(Default)]
pub(super) struct Waits {
    sleeps: Vec<Sleep>,
    /// The park that hangs up: its number, and with which cause.
    park: Option<(u64, HangupCause)>,
}

/// A sleep that runs.
pub(super) struct Sleep {
    number: u64,
    /// Beside the queue.
    now: bool,
}

impl Waits {
    /// The sleeps that run; they are over for the channel.
    pub(super) fn take_sleeps(&mut self) -> Vec<Sleep> {
        std::mem::take(&mut self.sleeps)
    }

    /// Another command runs: the channel is not parked any more.
    pub(super) fn leave_park(&mut self) {
        self.park = None;
    }
}

impl Channel {
    /// `sleep`.
    pub(super) fn execute_sleep(&mut self, time_ms: Option<u64>, now: bool) -> Execution {
        let number = self.number();
        self.waits.sleeps.push(Sleep { number, now });
        let time = Duration::from_millis(time_ms.unwrap_or(SLEEP_MS)).min(LONGEST);
        self.set_timer(time, Due::Sleep(number));
        Execution::Running
    }

    /// The time of a sleep has passed.
    pub(super) async fn on_sleep_over(&mut self, number: u64) {
        let sleeps = &mut self.waits.sleeps;
        if let Some(at) = sleeps.iter().position(|sleep| sleep.number == number) {
            let sleep = sleeps.remove(at);
            self.wake(sleep).await;
        }
    }

    /// A sleep is over, or was broken.
    pub(super) async fn wake(&mut self, sleep: Sleep) {
        self.complete("sleep", |_| {}).await;
        if !sleep.now {
            self.completed().await;
        }
    }

    /// `park`: without a timeout, nothing is to be done about it.
    pub(super) fn park_for(&mut self, timeout_s: Option<u64>, cause: Option<HangupCause>) {
        let Some(after) = timeout_s.filter(|asked| *asked > 0).map(seconds) else {
            return;
        };
        let number = self.number();
        let cause = cause.unwrap_or(HangupCause::NormalClearing);
        self.waits.park = Some((number, cause));
        self.set_timer(after, Due::Park(number));
    }

    /// A park has lasted as long as it may.
    pub(super) async fn on_park_over(&mut self, number: u64) {
        if let Some((_, cause)) = self.waits.park.filter(|(park, _)| *park == number) {
            self.end(cause).await;
        }
    }
}
