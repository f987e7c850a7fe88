//! What the account's documents want recorded, whatever its callflow says. Never starts a recording.

use callreel_proto::{Device, User};
use serde_json::Value;

/// Where a party of a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Within the system: a caller whose channel has no `Inception`, a number that has a callflow.
    #[default]
    Onnet,
    /// Elsewhere: a caller from a carrier, a number for which the account's `no_match` runs.
    Offnet,
}

/// The `call_recording` settings that bear on a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Where the caller is.
    pub from: Network,
    /// Where the callee is.
    pub to: Network,
    /// The account document's `call_recording`, with its two trees `account` and `endpoint`; null if it has none.
    pub account: Value,
    /// The calling device; none for a caller who is none of the account's own, and for a forwarded call.
    pub caller: Option<EndpointRules>,
    /// The callflow is a feature code: then nothing is recorded.
    pub feature_code: bool,
}

/// The `call_recording` settings of a device and of the user it belongs to; null where there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointRules {
    /// The device's document id.
    pub id: String,
    /// Its user's.
    pub user: Value,
    /// Its own.
    pub device: Value,
}

impl EndpointRules {
    /// Those of a device and its owner.
    pub fn of(device: &Device, owner: Option<&User>) -> Self {
        Self {
            id: device.id.clone(),
            user: owner
                .map(|user| user.call_recording.clone())
                .unwrap_or_default(),
            device: device.call_recording.clone(),
        }
    }
}
