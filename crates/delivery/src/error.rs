//! Why the delivery role cannot start or go on, in words a person can act on. Failed tries are no errors: see `Verdict`.

use std::net::SocketAddr;

/// A failure of the role itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting no delivery could work with.
    #[error("{section}.{key} must be {must}")]
    Config {
        /// Its section.
        section: &'static str,
        /// The key, without its section.
        key: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// Nobody can listen at the address files are to be handed in.
    #[error(
        "cannot listen at {listen} for the files of switches (delivery.intake_listen): {source}"
    )]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The bus refused the role's queue.
    #[error("cannot listen for ended recordings and for the answers of switches: {0}")]
    Bus(#[from] callreel_bus::Error),
    /// The queue actor or one of its pools did not start.
    #[error("cannot start the delivery queue: {0}")]
    Start(#[from] ractor::SpawnErr),
}
