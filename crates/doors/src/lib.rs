//! Doors: the certificates that a node shows and those that it trusts, and a brake for who tries too often. Opens no connection.

mod brake;
mod certificate;
mod client;
mod pin;

pub use brake::{Brake, network};
pub use certificate::{Certificate, Error};
pub use client::{Unusable, client, explain};
pub use pin::pinned;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The ciphers of this process: those the product has chosen, else ring's.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().map_or_else(
        || Arc::new(rustls::crypto::ring::default_provider()),
        Arc::clone,
    )
}
