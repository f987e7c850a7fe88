//! Which call wants to hear the keys of a leg it does not control: the other party's. Binds nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use callreel_proto::CallId;
use ractor::ActorRef;

use crate::call::CallMsg;

/// All such legs of this node.
#[derive(Default)]
pub(crate) struct Legs(Mutex<HashMap<CallId, ActorRef<CallMsg>>>);

impl Legs {
    /// From now on this leg's keys go to this call, too.
    pub(crate) fn hear(&self, leg: &CallId, call: &ActorRef<CallMsg>) {
        self.lock().insert(leg.clone(), call.clone());
    }

    /// No longer. Says whether they did.
    pub(crate) fn forget(&self, leg: &CallId) -> bool {
        self.lock().remove(leg).is_some()
    }

    /// The call that wants them.
    pub(crate) fn call(&self, leg: &CallId) -> Option<ActorRef<CallMsg>> {
        self.lock().get(leg).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, ActorRef<CallMsg>>> {
        // A map of ids is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
