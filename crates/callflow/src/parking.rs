//! The words between a [`crate::Cursor`] and the call actor about parking slots: what is asked of them, and what comes back.

use std::fmt::{self, Display, Formatter};

use callreel_proto::CallId;
use serde::Serialize;

/// What the cursor wants to know of the account's parking slots, or wants done with them. What fails is answered by
/// [`crate::Answer::Missing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkingQuery {
    /// Puts a call into a slot that is free, or whose call is gone → any [`ParkingAnswer`].
    Take {
        /// Which; the first that is free, from 101 on, when absent.
        slot: Option<String>,
        /// The slot of the highest number there is; any when absent.
        highest: Option<u64>,
        /// The call.
        call: Box<ParkedCall>,
    },
    /// Which call is in a slot → [`ParkingAnswer::Parked`].
    Find {
        /// Its number.
        slot: String,
    },
    /// A call takes the place of another in its slot, which had it for this one → [`ParkingAnswer::Parked`].
    Replace {
        /// The other call.
        replaced: CallId,
        /// The call.
        call: Box<ParkedCall>,
    },
}

/// A call that is to be parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParkedCall {
    /// Its leg.
    pub call_id: CallId,
    /// It is not the one that will wait, but asks for a slot for it (Kazoo's `Attended`).
    pub attended: bool,
    /// Who parks it: the SIP user name of one of the account's phones.
    pub parker: Option<String>,
    /// The caller's name.
    pub name: Option<String>,
    /// The caller's number.
    pub number: Option<String>,
    /// The caller, `user@realm`.
    pub uri: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParkingAnswer {
    /// The call is in this slot.
    Parked(ParkingSlot),
    /// Another call is in this slot, which lives. The slot's facts are those the call would have had.
    Occupied(ParkingSlot),
    /// There is no such slot: all to the highest number are taken.
    Full,
}

/// A slot and the call in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkingSlot {
    /// Its number.
    pub slot: String,
    /// The leg that is in it.
    pub call_id: CallId,
    /// That leg only keeps the place for another.
    pub attended: bool,
    /// The device that is rung back: document id.
    pub ringback_id: Option<String>,
    /// What the call hears, as the documents name it.
    pub hold_media: Option<String>,
}

impl Display for ParkingQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Take {
                slot,
                highest,
                call,
            } => {
                f.write_str(if call.attended { "keep" } else { "take" })?;
                match slot {
                    Some(slot) => write!(f, " parking slot {slot}")?,
                    None => f.write_str(" the next free parking slot")?,
                }
                if let Some(highest) = highest {
                    write!(f, " up to {highest}")?;
                }
                match &call.parker {
                    Some(parker) => write!(f, " for {parker}"),
                    None => Ok(()),
                }
            }
            Self::Find { slot } => write!(f, "the call in parking slot {slot}"),
            Self::Replace { replaced, .. } => write!(f, "take the parking slot of {replaced}"),
        }
    }
}

impl Display for ParkingAnswer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parked(at) => {
                write!(f, "{} in parking slot {}", at.call_id, at.slot)?;
                if at.attended {
                    f.write_str(" for another")?;
                }
                match &at.ringback_id {
                    Some(device) => write!(f, ", parked by {device}"),
                    None => Ok(()),
                }
            }
            Self::Occupied(at) => write!(f, "parking slot {} is taken", at.slot),
            Self::Full => f.write_str("no parking slot is free"),
        }
    }
}
