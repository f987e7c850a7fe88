//! The spool's settings, section `spool` of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, Keys};

/// Section `spool`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Milliseconds between two syncs of the spool's file system while calls are captured.
    pub sync_interval_ms: u64,
    /// A file of age identities: the first seals whatever rests in the spool, all of them open. None: nothing is sealed.
    pub key_file: Option<PathBuf>,
}

impl SpoolConfig {
    /// The keys that [`SpoolConfig::key_file`] holds.
    ///
    /// # Errors
    /// [`Error::KeyFile`].
    pub fn keys(&self) -> Result<Keys, Error> {
        let file = self.key_file.as_deref();
        file.map_or_else(|| Ok(Keys::default()), Keys::load)
    }
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            sync_interval_ms: 1000,
            key_file: None,
        }
    }
}

/// Every key of [`SpoolConfig`] and what it means.
pub const CONFIG_KEYS: &[(&str, &str)] = &[
    (
        "sync_interval_ms",
        "milliseconds between two syncs of the spool's file system while calls are captured: a power loss costs about as much audio",
    ),
    (
        "key_file",
        "file of age identities, from `callreel keys new`: journals and audio files in the spool are sealed to the first, and opened with any; not sealed when absent",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained() {
        let config = serde_json::to_value(SpoolConfig::default()).unwrap();
        let keys: Vec<&str> = config
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let explained: Vec<&str> = CONFIG_KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, explained);
    }
}
