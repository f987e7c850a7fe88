//! Settings of the section `recording`.

use std::net::IpAddr;

use callreel_proto::PortRange;
use serde::{Deserialize, Serialize};

/// How calls are captured and recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingConfig {
    /// Address the capture sockets bind to.
    pub capture_bind: IpAddr,
    /// Address the switch is told to send to; `capture_bind` when absent.
    pub capture_advertised: Option<IpAddr>,
    /// Ports of the capture sockets, `first-last`; any free port when absent.
    pub capture_ports: Option<PortRange>,
    /// Seconds a won call may wait for its `route_win`.
    pub route_win_timeout_s: u64,
    /// Calls this node runs at once; more are left to others.
    pub max_calls: usize,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self {
            capture_bind: IpAddr::from([127, 0, 0, 1]),
            capture_advertised: None,
            capture_ports: None,
            route_win_timeout_s: 3,
            max_calls: 4000,
        }
    }
}

impl RecordingConfig {
    /// The address packets must be sent to.
    pub(crate) fn advertised(&self) -> IpAddr {
        self.capture_advertised.unwrap_or(self.capture_bind)
    }
}

/// Every key and its meaning.
pub const CONFIG_KEYS: &[(&str, &str)] = &[
    ("capture_bind", "address the recorder's RTP sockets bind to"),
    (
        "capture_advertised",
        "address the switch forks audio to; capture_bind when absent",
    ),
    (
        "capture_ports",
        "UDP ports of the recorder, \"first-last\", two a recorded call; any free port when absent",
    ),
    (
        "route_win_timeout_s",
        "seconds to wait for a call we bid for, as Kazoo's callflow/route_win_timeout",
    ),
    (
        "max_calls",
        "calls this node runs at once; beyond it, it no longer bids",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented() {
        let value = serde_json::to_value(RecordingConfig::default()).unwrap();
        let keys: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let documented: Vec<&str> = CONFIG_KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, documented);
    }
}
