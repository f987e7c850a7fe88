//! Why a switch does not start.

use std::io;
use std::net::SocketAddr;

/// Why a switch does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The SIP port cannot be had.
    #[error(
        "cannot listen for SIP on {transport} {addr}: {source}; another program may use the port, change switch.bind"
    )]
    Bind {
        /// `UDP`, `TCP` or `TLS`.
        transport: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The certificate cannot be shown.
    #[error("switch.tls_certificate, switch.tls_key: {0}")]
    Tls(#[from] callreel_doors::Error),
    /// TLS without a certificate.
    #[error("switch.tls_bind needs switch.tls_certificate and switch.tls_key, each a PEM file")]
    NoCertificate,
    /// The media engine does not start.
    #[error(transparent)]
    Media(#[from] crate::rtp::Error),
    /// The bus does not take the switch's queue.
    #[error("the switch cannot subscribe to the bus: {0}")]
    Bus(#[from] callreel_bus::Error),
    /// The settings of text to speech cannot be used.
    #[error("text to speech: {0}")]
    Speech(String),
    /// The SIP library refused.
    #[error("the SIP stack does not start: {0}")]
    Sip(String),
}

impl Error {
    /// Wraps an error of the SIP library.
    pub(crate) fn sip(error: rsipstack::error::Error) -> Self {
        Self::Sip(error.to_string())
    }
}
