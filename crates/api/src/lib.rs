//! HTTP for people and programs: recordings and live calls as Kazoo's Crossbar shows them, what is still owed, and
//! health. Reads the store and the spool; asks the switches on the bus; changes deliveries and calls only by orders there. The page for its users is docs/api.md.
//!
//! There is no authentication yet, which is why it listens on loopback unless told otherwise.

mod asking;
mod audio;
mod channels;
mod config;
mod connection;
mod deliveries;
mod envelope;
mod error;
mod filter;
mod health;
mod listing;
mod metaflow;
mod range;
mod recordings;
mod refusal;
mod request;
mod router;
mod scope;
mod server;
mod switches;

pub use asking::Asker;
pub use config::{ApiConfig, CONFIG_KEYS};
pub use error::Error;
pub use router::{Shared, router};
pub use server::Api;
pub use switches::Switches;
