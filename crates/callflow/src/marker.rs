//! The end of what is played, or of a bridge: a noop behind it, and another one where none is heard of. Never plays anything.

use std::time::{Duration, Instant};

use callreel_proto::{CallEvent, EventName, InsertAt};

use crate::stage::Stage;
use crate::wait::{Await, Keys, completes, refuses};

/// A marker not reached by then is queued anew: most prompts are shorter, and a caller who hears nothing stays as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A noop behind what is played, by its message id.
///
/// The command or its completion may be lost, or somebody else may have silenced the switch and dropped what was queued. So it is
/// queued again after a while: where nothing is played any more, the switch comes to it at once. Each time that takes twice as
/// long, so that a playback without an end has some twenty of them behind it in a year, not one for every half minute.
#[derive(Debug, Clone)]
pub(crate) struct Marker {
    msg_ids: Vec<String>,
    again: Instant,
    patience: Duration,
}

impl Marker {
    /// When a tick is due.
    pub(crate) fn deadline(&self) -> Instant {
        self.again
    }

    /// Whether the switch has come to it, or will not.
    pub(crate) fn reached(&self, name: EventName, event: &CallEvent) -> bool {
        let refused = |id: &String| refuses(name, event, "noop", Some(id));
        self.passed(name, event) || self.msg_ids.iter().any(refused)
    }

    /// Whether the switch has come to it. That it will not says nothing of what is before it.
    pub(crate) fn passed(&self, name: EventName, event: &CallEvent) -> bool {
        let response = event.application_response.as_deref();
        completes(name, event, "noop")
            && self.msg_ids.iter().any(|id| response == Some(id.as_str()))
    }

    /// Queues it again when it is due.
    pub(crate) fn insist(&mut self, stage: &mut Stage, now: Instant) {
        if now < self.again {
            return;
        }
        self.msg_ids.push(stage.marker(InsertAt::Tail));
        self.patience = self.patience.saturating_mul(2);
        self.again = stage.after(self.patience);
    }
}

impl Stage {
    /// Queues a marker behind what is played.
    pub(crate) fn marker_behind(&mut self) -> Marker {
        Marker {
            msg_ids: vec![self.marker(InsertAt::Tail)],
            again: self.after(PATIENCE),
            patience: PATIENCE,
        }
    }

    /// A marker that is queued behind what runs when that has lasted for a while: most often its end is heard before.
    pub(crate) fn marker_later(&mut self) -> Marker {
        Marker {
            msg_ids: Vec::new(),
            again: self.after(PATIENCE),
            patience: PATIENCE,
        }
    }

    /// Queues a marker and waits until the switch has done all that was queued before it.
    pub(crate) fn mark(&mut self) -> Await {
        self.mark_with(Keys::Pass)
    }

    /// The same, and keys that the caller presses meanwhile are kept for the next module that collects some (Kazoo's
    /// `wait_for_noop`).
    pub(crate) fn mark_keeping_keys(&mut self) -> Await {
        self.mark_with(Keys::Keep)
    }

    /// The same, but a key of the caller ends the wait.
    pub(crate) fn mark_or_key(&mut self) -> Await {
        self.mark_with(Keys::End)
    }

    fn mark_with(&mut self, keys: Keys) -> Await {
        let marker = self.marker_behind();
        Await::Mark { marker, keys }
    }
}
