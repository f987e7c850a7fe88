//! Why the API could not start. What a request may be refused for is in `refusal`.

use std::{io, net::SocketAddr};

/// A failure to start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}; free that port or change the key `api.listen`")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate cannot be shown.
    #[error("api.tls_certificate, api.tls_key: {0}")]
    Tls(#[from] callreel_doors::Error),
    /// A setting nobody could work with.
    #[error("the key `api.{key}` must be {must}")]
    Config {
        /// The key.
        key: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// The bus does not give us a queue for answers.
    #[error("the API cannot hear answers on the bus: {0}")]
    Bus(#[from] callreel_bus::Error),
}
