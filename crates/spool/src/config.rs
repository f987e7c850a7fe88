//! The spool's settings, section `spool` of the configuration.

use serde::{Deserialize, Serialize};

/// Section `spool`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Milliseconds between two syncs of the spool's file system while calls are captured.
    pub sync_interval_ms: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            sync_interval_ms: 1000,
        }
    }
}

/// Every key of [`SpoolConfig`] and what it means.
pub const CONFIG_KEYS: &[(&str, &str)] = &[(
    "sync_interval_ms",
    "milliseconds between two syncs of the spool's file system while calls are captured: a power loss costs about as much audio",
)];

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
