//! HTTP for people and programs: recordings and live calls as Kazoo's Crossbar shows them, what is still owed, and
//! health. Reads the store and the spool; asks the switches on the bus; changes deliveries and calls only by orders there. The page for its users is docs/api.md.
//!
//! Who asks shows a token, except on loopback, where nobody has to unless the settings say so.

mod accounts;
mod asking;
mod audio;
mod audit;
mod auth;
mod channels;
mod config;
mod connection;
mod console;
mod deliveries;
mod envelope;
mod error;
mod filter;
mod flows;
mod health;
mod holds;
mod listing;
mod live;
mod metaflow;
mod nodes;
mod owing;
mod pivot;
mod range;
mod recordings;
mod refusal;
mod request;
mod router;
mod routes;
mod scope;
mod server;
mod switches;

pub use asking::Asker;
pub use auth::{Gate, Grant, Scope, Scopes, TokenInfo, Tokens};
pub use config::{ApiConfig, Auth, CONFIG_KEYS};
pub use error::Error;
pub use flows::Documents;
pub use nodes::Nodes;
pub use router::{Shared, router};
pub use routes::{Route, Who, routes};
pub use server::{Api, serve};
pub use switches::Switches;
