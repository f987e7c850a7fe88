//! Phones in, Kazoo call events out: SIP and RTP for those who have no switch of their own.
//!
//! The switch speaks Kazoo's words on the bus and nothing else with the rest of Callreel: it offers new calls with
//! `route_req`, takes dialplan commands, and publishes call events, as ecallmgr does for FreeSWITCH.

mod admission;
mod auth;
mod caller;
mod channel;
mod config;
mod controls;
mod describe;
mod directory;
mod error;
mod events;
mod framing;
mod hunt;
mod identity;
mod inbound;
mod limits;
mod location;
mod loopback;
mod message;
mod mwi;
mod nonce;
mod peer;
mod port;
mod queue;
mod reading;
mod refer;
mod registrar;
mod requests;
mod routing;
pub mod rtp;
mod say;
mod sdp;
mod session_timer;
mod shared;
mod sounds;
mod sources;
mod states;
mod status;
mod streams;
mod switch;
mod transport;
mod trunks;
mod vars;
mod watch;

pub use config::{CONFIG_KEYS, Codecs, DigestAlgorithm, SpeechEngine, SwitchConfig};
pub use describe::{ChannelPicture, SwitchPicture};
pub use error::Error;
pub use shared::Counts;
pub use switch::{Gauge, Switch};
pub use trunks::registering::TrunkPicture;
