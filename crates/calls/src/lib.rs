//! One actor per call, owning its callflow cursor, and one recorder actor under it. Talks to the switch over the bus only.
//!
//! | Actor | Started by | Ends when |
//! |---|---|---|
//! | [`Calls`]' dispatcher | the node | the node stops |
//! | call | the dispatcher, for each call it bids for | the channel is gone, or another's, and the recorder has ended |
//! | recorder | the call, at its first recording or mask | the call ends, the switch has closed its files, and what followed a transfer is over |
//! | recorder | the dispatcher, for a call another application controls | the channel is gone |

mod answer;
mod bid;
mod bucket;
mod call;
mod capture;
mod config;
mod context;
mod control;
mod dispatcher;
mod document;
mod documents;
mod files;
mod held;
mod inbox;
mod legs;
mod lookup;
mod mailbox;
mod mwi;
mod order;
mod orphans;
mod parking;
mod pattern;
mod pulse;
mod recorder;
mod registry;
mod role;
mod sockets;
mod told;
mod web;

pub use config::{CALLS_CONFIG_KEYS, CONFIG_KEYS, CallsConfig, RecordingConfig, SwitchFormat};
pub use role::{Calls, Error, Gauge};
