//! The words of the command that joins the leg it is about to a call that waits: `call_pickup`.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::CallId;
use crate::lenient::loose;

/// What a `call_pickup` command wants.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPickup {
    /// The leg to be joined to.
    #[serde(rename = "Target-Call-ID")]
    pub target_call_id: CallId,
    /// Only if that leg talks to nobody.
    #[serde(rename = "Unbridged-Only", default, deserialize_with = "loose")]
    pub unbridged_only: Option<bool>,
    /// The leg the command is about stays when the other cannot be had.
    #[serde(rename = "Continue-On-Fail", default, deserialize_with = "loose")]
    pub continue_on_fail: Option<bool>,
    /// And when its orderer changes their mind.
    #[serde(rename = "Continue-On-Cancel", default, deserialize_with = "loose")]
    pub continue_on_cancel: Option<bool>,
    /// And when the other one hangs up.
    #[serde(rename = "Park-After-Pickup", default, deserialize_with = "loose")]
    pub park_after_pickup: Option<bool>,
}
