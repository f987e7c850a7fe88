//! HTTP for people and programs: recordings as Kazoo's Crossbar shows them, what is still owed, and health. Reads the
//! store and the spool; changes deliveries only by orders on the bus. The page for its users is docs/api.md.
//!
//! There is no authentication yet, which is why it listens on loopback unless told otherwise.

mod audio;
mod config;
mod connection;
mod deliveries;
mod envelope;
mod error;
mod filter;
mod health;
mod listing;
mod range;
mod recordings;
mod refusal;
mod request;
mod router;
mod server;

pub use config::{ApiConfig, CONFIG_KEYS};
pub use error::Error;
pub use router::{Shared, router};
pub use server::Api;
