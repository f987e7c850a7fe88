//! Pictures of a switch and its channels, for the API, the tests and operators. Holds no state.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::rtp::LegStats;
use crate::shared::Counts;
use crate::trunks::registering::TrunkPicture;

/// A picture of one leg.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChannelPicture {
    /// SIP Call-ID.
    pub call_id: String,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// `trying`, `ringing`, `early` or `answered`.
    pub state: &'static str,
    /// Caller, `user@realm`.
    pub from: String,
    /// Dialled, `user@realm`.
    pub to: String,
    /// Seconds since the INVITE.
    pub age_s: u64,
    /// Seconds since the answer.
    pub answered_s: Option<u64>,
    /// The leg at the other side.
    pub other_leg: Option<String>,
    /// Joined to it.
    pub bridged: bool,
    /// The phone holds the call.
    pub held: bool,
    /// The agreed codec.
    pub codec: Option<&'static str>,
    /// The running command.
    pub running: Option<&'static str>,
    /// Commands that wait.
    pub waiting: usize,
    /// Recordings that run.
    pub recordings: usize,
    /// Where the phone's SIP comes from.
    pub peer: String,
    /// Its RTP so far.
    pub rtp: LegStats,
}

/// A picture of a switch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SwitchPicture {
    /// Its node.
    pub node: String,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// No new calls are taken.
    pub draining: bool,
    /// Contacts registered now.
    pub registrations: usize,
    /// Registrations at carriers.
    pub trunks: Vec<TrunkPicture>,
    /// What happened so far.
    pub counts: Counts,
    /// Bus messages nothing could be done with, by kind.
    pub mishaps: BTreeMap<String, u64>,
    /// Its legs.
    pub channels: Vec<ChannelPicture>,
}
