//! HTTPS clients that trust an operator's own authorities beside the system's, and what their errors say. Knows no server.

use std::{error::Error as _, path::Path};

use reqwest::{Certificate, Client, ClientBuilder};

/// Why a client cannot be made.
#[derive(Debug)]
pub enum Unusable {
    /// The file with certificate authorities, for this reason.
    CaFile(String),
    /// The client itself.
    Client(reqwest::Error),
}

/// A client that trusts the authorities of `ca_file`, too, which the setting `named` names. Where the system's cannot be used
/// it trusts the file's alone, loudly.
///
/// # Errors
/// [`Unusable`] says what is in the way.
pub fn client(
    builder: impl Fn() -> ClientBuilder,
    ca_file: Option<&Path>,
    named: &str,
) -> Result<Client, Unusable> {
    // An error means that the product has chosen a provider already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let ours = ca_file.map_or(Ok(Vec::new()), authorities);
    let ours = ours.map_err(Unusable::CaFile)?;
    builder()
        .tls_certs_merge(ours.clone())
        .build()
        .or_else(|error| {
            let reason = explain(error);
            tracing::warn!(
                reason,
                "the system's certificate authorities cannot be used; https works only with {named}"
            );
            builder().tls_certs_only(ours).build()
        })
        .map_err(Unusable::Client)
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, String> {
    let pem = std::fs::read(file).map_err(|e| e.to_string())?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if found.is_empty() => Err("it holds no certificate".to_owned()),
        found => found.map_err(explain),
    }
}

/// The error with its causes and without its URL, which may name accounts or carry secrets.
pub fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
