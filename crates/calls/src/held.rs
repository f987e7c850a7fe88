//! Which actor of this node records what, so that what an actor leaves behind that dies can be finished. Finishes nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use callreel_proto::RecordingId;
use ractor::ActorId;

/// All recordings of this node that grow.
#[derive(Default)]
pub(crate) struct Held(Mutex<HashMap<RecordingId, ActorId>>);

impl Held {
    /// This actor, or one under it, records this.
    pub(crate) fn take(&self, owner: ActorId, id: RecordingId) {
        self.lock().insert(id, owner);
    }

    /// It has ended.
    pub(crate) fn release(&self, id: &RecordingId) {
        self.lock().remove(id);
    }

    /// What this actor recorded: it is the caller's to finish now.
    pub(crate) fn left_by(&self, dead: ActorId) -> Vec<RecordingId> {
        let mut held = self.lock();
        let left = held.extract_if(|_, owner| *owner == dead);
        left.map(|(id, _)| id).collect()
    }

    /// What all actors recorded: it is the caller's to finish now.
    pub(crate) fn left_by_all(&self) -> Vec<RecordingId> {
        self.lock().drain().map(|(id, _)| id).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordingId, ActorId>> {
        // A map of ids is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
