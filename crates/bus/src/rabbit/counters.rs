//! Counts what happens between us and the broker. Decides nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Mishaps;

/// Since the start; the fields are those of [`crate::BusDescription`] and [`crate::LinkDescription`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: AtomicU64,
    pub(crate) unheard: AtomicU64,
    pub(crate) unconfirmed: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) resent: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unusable: Mishaps,
    pub(crate) blocked: AtomicBool,
}

/// One more; returns how many there are now.
pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

/// How many there are.
pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
