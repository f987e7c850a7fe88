//! Counts messages that could not be used, by kind, so that each kind is logged once and none floods the log. Logs nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Kinds that are told apart; more are counted together. A peer can make up kinds: they must not fill our memory.
const KINDS: usize = 64;

/// Longest kind in bytes; what follows is not told apart.
const LONGEST_KIND: usize = 120;

/// The kind of all kinds that came after [`KINDS`].
const OTHER: &str = "other";

/// How often what went wrong with received messages, since the start.
#[derive(Debug, Default)]
pub struct Mishaps(Mutex<BTreeMap<String, u64>>);

impl Mishaps {
    /// Counts one; says whether it is the first of its kind, which is to be logged.
    pub fn count(&self, kind: &str) -> bool {
        let kind = &kind[..kind.floor_char_boundary(LONGEST_KIND)];
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(kind) {
            *count += 1;
            return false;
        }
        let kind = if counts.len() < KINDS { kind } else { OTHER };
        let count = counts.entry(kind.to_owned()).or_default();
        *count += 1;
        *count == 1
    }

    /// How often each kind happened, for people.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_is_told_from_those_that_follow() {
        let mishaps = Mishaps::default();
        let kinds = ["not JSON", "wrong type", "not JSON", "not JSON"];
        let first = kinds.map(|kind| mishaps.count(kind));
        assert_eq!(first, [true, true, false, false]);
        let counts = [("not JSON".to_owned(), 3), ("wrong type".to_owned(), 1)];
        assert_eq!(mishaps.counts(), BTreeMap::from(counts));
    }

    #[test]
    fn a_peer_that_makes_up_kinds_fills_neither_memory_nor_log() {
        let mishaps = Mishaps::default();
        let logged = (0..1000).filter(|n| mishaps.count(&n.to_string())).count();
        assert_eq!(logged, KINDS + 1);
        let long = "ü".repeat(LONGEST_KIND);
        assert!(!mishaps.count(&long));
        let counts = mishaps.counts();
        assert_eq!(counts.len(), KINDS + 1);
        assert_eq!(counts[OTHER], 1001 - KINDS as u64);
    }

    #[test]
    fn an_endless_kind_is_cut() {
        let mishaps = Mishaps::default();
        assert!(mishaps.count(&"ü".repeat(1000)));
        assert!(!mishaps.count(&"ü".repeat(2000)));
        let counts = mishaps.counts();
        assert!(counts.keys().all(|kind| kind.len() <= LONGEST_KIND));
    }
}
