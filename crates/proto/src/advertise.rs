//! The heartbeat of a node: who it is, what it runs, and how it is. Kazoo's nodes tell each other the same way.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use serde_with::skip_serializing_none;

use crate::lenient::loose;
use crate::{Envelope, Headers, Utc};

/// The application that our nodes are listed with, in `WhApps`.
const APP: &str = "callreel";

/// What a node says of itself, from every node to all others. Exchange `nodes`, category `nodes`. `sup kz_nodes status` of a
/// Kazoo on the same broker shows it; what only Callreel knows Kazoo drops.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeAdvertise {
    /// Milliseconds for which it holds; 0 is the farewell of a node that stops.
    #[serde(rename = "Expires", default, deserialize_with = "loose")]
    pub expires_ms: Option<u64>,
    /// The program's version.
    #[serde(rename = "Version", default, deserialize_with = "loose")]
    pub version: Option<String>,
    /// The applications it runs, by name, each with its `Startup` (gregorian seconds) and `Roles`.
    #[serde(rename = "WhApps", default, deserialize_with = "loose")]
    pub apps: Option<Map<String, Value>>,
    /// Channels of its switch.
    #[serde(rename = "Channels", default, deserialize_with = "loose")]
    pub channels: Option<u64>,
    /// Contacts registered at its switch.
    #[serde(rename = "Registrations", default, deserialize_with = "loose")]
    pub registrations: Option<u64>,
    /// Calls it walks through their callflows.
    #[serde(rename = "Calls", default, deserialize_with = "loose")]
    pub calls: Option<u64>,
    /// Recordings that its delivery still owes.
    #[serde(rename = "Owed", default, deserialize_with = "loose")]
    pub owed: Option<u64>,
    /// Whether it takes no new calls any more.
    #[serde(rename = "Draining", default, deserialize_with = "loose")]
    pub draining: Option<bool>,
    /// The file system of its spool: `total_bytes`, `free_bytes`, `refuses_recordings`, `refuses_fetches`.
    #[serde(rename = "Spool", default, deserialize_with = "loose")]
    pub spool: Option<Map<String, Value>>,
    /// Its connection to the broker: `published`, `dropped`, `reconnects` since its start.
    #[serde(rename = "Bus", default, deserialize_with = "loose")]
    pub bus: Option<Map<String, Value>>,
}

impl NodeAdvertise {
    /// Of a Callreel that started then and runs these roles.
    pub fn of(started: Utc, roles: &[&str]) -> Self {
        let app = json!({"Startup": started.gregorian_seconds(), "Roles": roles});
        Self {
            apps: Some(Map::from_iter([(APP.to_owned(), app)])),
            ..Self::default()
        }
    }

    /// The roles that a Callreel runs; `None` if it is none.
    pub fn roles(&self) -> Option<Vec<String>> {
        let roles = self.apps.as_ref()?.get(APP)?.get("Roles")?.as_array()?;
        let words = roles.iter().filter_map(Value::as_str);
        Some(words.map(str::to_owned).collect())
    }

    /// When that Callreel started, gregorian seconds.
    pub fn started(&self) -> Option<u64> {
        self.apps.as_ref()?.get(APP)?.get("Startup")?.as_u64()
    }

    /// This heartbeat in its envelope.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("nodes", "advertise"),
            body: self,
        }
    }
}
