//! Topic bus in the style of Kazoo, inside one process. It carries serialised envelopes between roles and never reads them.

mod address;
mod bus;
pub mod conformance;
mod embedded;
mod error;
mod pattern;
mod queue;

pub use address::Address;
pub use bus::{
    Binder, Binding, Bus, BusConfig, BusDescription, CONFIG_KEYS, Delivery, QueueDescription,
    QueueOptions, Subscription,
};
pub use error::Error;
