//! The keys that a caller presses before anybody asks for them.

use std::collections::BTreeMap;

use super::Stage;
use crate::wait::{Keys, Outcome};

/// Kazoo's name of a collection of keys that has none.
pub(crate) const COLLECTION: &str = "default";
/// Keys kept that were pressed before they were asked for: nobody dials further ahead.
const EARLY_KEYS: usize = 32;

impl Stage {
    /// A key came while nobody asked for one.
    pub(crate) fn pressed_early(&mut self, key: char) {
        if self.early_keys.len() < EARLY_KEYS {
            self.early_keys.push_back(key);
        }
    }

    /// A key came while something was played.
    pub(crate) fn pressed_meanwhile(&mut self, keys: Keys, key: char) -> Option<Outcome> {
        match keys {
            Keys::Pass => None,
            Keys::Keep => {
                self.keep_key(key);
                None
            }
            Keys::End => Some(Outcome::Key(key)),
        }
    }

    /// Keeps a key for the next module that collects some.
    pub(crate) fn keep_key(&mut self, key: char) {
        if self.kept_keys.len() < EARLY_KEYS {
            self.kept_keys.push(key);
        }
    }

    /// Has the keys that were kept count as pressed early, before the others.
    pub(crate) fn recall_keys(&mut self) {
        for key in std::mem::take(&mut self.kept_keys).chars().rev() {
            self.early_keys.push_front(key);
        }
    }

    /// What the caller has pressed, by the name of the collection; keys that were kept are in Kazoo's default one.
    pub(crate) fn pressed(&self) -> BTreeMap<String, String> {
        let mut pressed = self.collections.clone();
        if !self.kept_keys.is_empty() {
            let default = pressed.entry(COLLECTION.to_owned()).or_default();
            default.push_str(&self.kept_keys);
        }
        pressed
    }

    /// The next such key.
    pub(crate) fn early_key(&mut self) -> Option<char> {
        self.early_keys.pop_front()
    }
}
