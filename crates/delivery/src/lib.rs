//! The delivery role: renders ended recordings, carries them where they must go, and never forgets one.
//!
//! [`start`] gives the running [`Delivery`]. Inside, one `Queue` actor owns the schedule; an encode pool (OS threads) and
//! an upload pool (a ractor factory) do one piece of work each time they are handed a ticket and report what came of it.
//! What an outcome means is decided in two places without async: [`schedule`] (when again, when never) and the ledger
//! (which step the ticket takes). The spool on disk is the truth, so a restart goes on where the last process was.

mod access;
mod book;
mod breaker;
mod config;
mod convert;
mod courier;
mod document;
mod encode;
mod error;
mod fetch;
mod greeting;
mod intake;
mod ledger;
mod making;
mod part;
mod placing;
mod queue;
mod render;
mod rendition;
mod request_url;
mod retention;
mod role;
pub mod schedule;
mod telling;
#[cfg(test)]
mod testing;
mod trail;
mod turns;
mod upload;
mod verify;
mod watch;
mod ways;
mod webhooks;

pub use access::Credentials;
pub use config::{CONFIG_KEYS, DeliveryConfig};
pub use error::Error;
pub use render::{Failure, Rendered, render};
pub use role::{Delivery, Gauge, start};
pub use verify::verify;
pub use webhooks::{WEBHOOKS_CONFIG_KEYS, WebhooksConfig};

/// What a panic said, for a person.
fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
