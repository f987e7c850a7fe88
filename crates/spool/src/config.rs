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
    /// New recordings are refused while less than this share of the disk is free, percent; 0 never.
    pub refuse_recordings_percent: u64,
    /// However large the disk is, recordings are taken while this much is free, MB.
    pub refuse_recordings_mb: u64,
    /// Files of foreign switches are not fetched while less than this share of the disk is free, percent; 0 never.
    pub refuse_fetches_percent: u64,
    /// However large the disk is, they are fetched while this much is free, MB.
    pub refuse_fetches_mb: u64,
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
            // Three hours of two G.711 legs of one call have 256 MB: what runs already goes on for minutes at least.
            refuse_recordings_percent: 2,
            refuse_recordings_mb: 256,
            refuse_fetches_percent: 4,
            refuse_fetches_mb: 1024,
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
    (
        "refuse_recordings_percent",
        "new recordings are refused while less than this share of the disk is free, percent; 0 never",
    ),
    (
        "refuse_recordings_mb",
        "however large the disk is, recordings are taken while this much is free, MB",
    ),
    (
        "refuse_fetches_percent",
        "files of foreign switches are not fetched while less than this share of the disk is free, percent; 0 never",
    ),
    (
        "refuse_fetches_mb",
        "however large the disk is, they are fetched while this much is free, MB",
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
