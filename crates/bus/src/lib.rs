//! Bus in the style of Kazoo, inside one process or on a RabbitMQ. It carries serialised envelopes between roles and never
//! reads them.

mod address;
mod bus;
mod config;
pub mod conformance;
mod describe;
mod embedded;
mod entry;
mod error;
mod mishaps;
mod pattern;
mod queue;
mod rabbit;
mod receipt;

pub use address::Address;
pub use bus::{Binder, Binding, Bus, Delivery, QueueOptions, Subscription};
pub use config::{BusConfig, CONFIG_KEYS};
pub use describe::{BusDescription, LinkDescription, QueueDescription};
pub use error::{Error, Lost};
pub use mishaps::Mishaps;
pub use receipt::{Receipt, Reconnects};
