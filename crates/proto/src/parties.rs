//! The words of commands that move legs about: `page`, `transfer` and `soft_hold`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::Endpoint;
use crate::lenient::{loose, loose_by_serde, loose_or_default, readable, some_text};

/// What a `page` command wants.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Page {
    /// Whom to ring.
    #[serde(rename = "Endpoints", deserialize_with = "readable")]
    pub endpoints: Vec<Endpoint>,
    /// Seconds to ring; 5 when absent.
    #[serde(rename = "Timeout", default, deserialize_with = "loose")]
    pub timeout_s: Option<u64>,
    /// Caller's name as the callee sees it.
    #[serde(rename = "Caller-ID-Name", default, deserialize_with = "loose")]
    pub caller_id_name: Option<String>,
    /// Caller's number as the callee sees it.
    #[serde(rename = "Caller-ID-Number", default, deserialize_with = "loose")]
    pub caller_id_number: Option<String>,
    /// Variables of all B legs.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_channel_vars: Map<String, Value>,
    /// Headers of all B legs' INVITEs.
    #[serde(
        rename = "Custom-SIP-Headers",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_sip_headers: Map<String, Value>,
    /// Who hears whom.
    #[serde(
        rename = "Page-Options",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub options: PageOptions,
}

/// Who hears whom in a `page`.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PageOptions {
    /// Those who are paged are heard, too; only the caller when absent.
    #[serde(rename = "Two-Way-Audio", default, deserialize_with = "loose")]
    pub two_way_audio: Option<bool>,
}

loose_by_serde!(PageOptions);

/// Whether a transferor talks to the target first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferKind {
    /// No: the leg goes at once.
    #[default]
    Blind,
    /// Yes.
    Attended,
}

/// Who goes in a `transfer`, if it is not the leg the command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferLeg {
    /// The leg it is bridged to.
    Bleg,
    /// Both.
    Both,
}

loose_by_serde!(TransferLeg);

/// What a `transfer` command wants.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Transfer {
    /// Whether the transferor talks to the target first.
    #[serde(rename = "Transfer-Type")]
    pub kind: TransferKind,
    /// A number, or a SIP URI whose user is one.
    #[serde(rename = "Transfer-To", deserialize_with = "some_text")]
    pub to: String,
    /// Who goes; the leg the command is about when absent.
    #[serde(rename = "Transfer-Leg", default, deserialize_with = "loose")]
    pub leg: Option<TransferLeg>,
    /// The transferred caller's name as the target sees it.
    #[serde(rename = "Caller-ID-Name", default, deserialize_with = "loose")]
    pub caller_id_name: Option<String>,
    /// And the number.
    #[serde(rename = "Caller-ID-Number", default, deserialize_with = "loose")]
    pub caller_id_number: Option<String>,
    /// Variables of the leg that goes.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub custom_channel_vars: Map<String, Value>,
    /// Ours: what the other party hears while the transferor talks to the target, as in `play`; silence when absent.
    #[serde(rename = "Hold-Media", default, deserialize_with = "loose")]
    pub hold_media: Option<String>,
    /// Ours: the keys, one after the other, that bring the transferor back to the other party; the switch's own when absent.
    #[serde(rename = "Takeback-Keys", default, deserialize_with = "loose")]
    pub takeback_keys: Option<String>,
}

/// What a `soft_hold` command wants.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SoftHold {
    /// The key.
    #[serde(rename = "Unhold-Key", deserialize_with = "some_text")]
    pub unhold_key: String,
    /// What the leg that holds hears, as in `play`.
    #[serde(rename = "A-MOH", default, deserialize_with = "loose")]
    pub a_moh: Option<String>,
    /// What the leg that is held hears, as in `play`.
    #[serde(rename = "B-MOH", default, deserialize_with = "loose")]
    pub b_moh: Option<String>,
}
