//! Section `bus` of the configuration. Opens nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Section `bus` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    /// Where the bus is.
    pub url: String,
    /// Who vouches for the broker's certificate, if not the system's authorities.
    pub ca_file: Option<PathBuf>,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            url: "embedded:".to_owned(),
            ca_file: None,
        }
    }
}

impl BusConfig {
    pub(crate) fn is_embedded(&self) -> bool {
        self.url == "embedded:"
    }
}

/// Every key of [`BusConfig`] and what it means.
pub const CONFIG_KEYS: &[(&str, &str)] = &[
    (
        "url",
        "where the bus is: \"embedded:\" is inside this process, for all roles on one machine; \
         amqp(s)://USER:PASSWORD@HOST:PORT/VHOST is a RabbitMQ, as Kazoo's",
    ),
    (
        "ca_file",
        "PEM file of the authority that signed the broker's certificate; the system's authorities when absent",
    ),
];
