//! The settings of the HTTP API (section `api`); reads no file and no environment.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Settings of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Every key of [`ApiConfig`] and what it means.
pub const CONFIG_KEYS: &[(&str, &str)] = &[(
    "listen",
    "address and port of the HTTP API, such as 127.0.0.1:8000; it has no authentication, so whoever reaches it may hear, stop and delete recordings",
)];

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained() {
        let config = serde_json::to_value(ApiConfig::default()).unwrap();
        let keys: Vec<&String> = config.as_object().unwrap().keys().collect();
        let explained: Vec<&str> = CONFIG_KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, explained);
    }

    #[test]
    fn only_this_machine_is_listened_to_by_default() {
        assert!(ApiConfig::default().listen.ip().is_loopback());
    }
}
