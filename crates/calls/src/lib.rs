//! One actor per call, owning its callflow cursor, and one recorder actor under it. Talks to the switch over the bus only.
//!
//! | Actor | Started by | Ends when |
//! |---|---|---|
//! | [`Calls`]' dispatcher | the node | the node stops |
//! | call | the dispatcher, for each call it bids for | the channel is gone and the recorder has sealed |
//! | recorder | the call, at its first recording | the call ends |

mod abandon;
mod bid;
mod call;
mod capture;
mod config;
mod context;
mod dispatcher;
mod document;
mod lookup;
mod order;
mod recorder;
mod sockets;

pub use config::{CONFIG_KEYS, RecordingConfig};
pub use dispatcher::{Calls, Error};
