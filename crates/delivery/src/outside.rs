//! The one HTTP client for places that strangers choose: guarded, without proxies, following no redirect by itself. Who uses
//! it decides what is sent and what an answer means.

use std::{error::Error as _, path::Path, time::Duration};

use reqwest::{Certificate, Client, Method, RequestBuilder, Response, redirect};
use tracing::warn;
use url::Url;

use crate::{
    DeliveryConfig, Error,
    guard::{Forbidden, Guard},
    schedule::Verdict,
};

/// Bytes of an answer's body that are read, to show a person what the receiver said and to reuse the connection.
const ANSWER_LIMIT: usize = 4096;
/// Characters of it that are kept.
const SAID_LIMIT: usize = 200;
/// An idle connection is not reused after this: common servers close theirs after five seconds, and a streamed body
/// that meets a closing connection costs a failed try.
const IDLE: Duration = Duration::from_secs(4);

/// The client with its guard; clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    client: Client,
    guard: Guard,
}

impl Outside {
    pub(crate) fn new(config: &DeliveryConfig) -> Result<Self, Error> {
        let guard = Guard::new(&config.allow_networks);
        Ok(Self {
            client: client(config, &guard)?,
            guard,
        })
    }

    /// A request to `url`, unless nothing may be sent there. A user and password in the URL become basic authorisation,
    /// and the URL loses them.
    pub(crate) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, Verdict> {
        if !matches!(url.scheme(), "http" | "https") {
            let reason = format!("cannot deliver by {}: use http or https", url.scheme());
            return Err(Verdict::Refused { reason });
        }
        let allowed = self.guard.check_literal(&url);
        allowed.map_err(|forbidden| Verdict::retry(forbidden.to_string()))?;
        Ok(self.client.request(method, url))
    }
}

fn client(config: &DeliveryConfig, guard: &Guard) -> Result<Client, Error> {
    // An error means that the product has chosen a provider already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = || {
        Client::builder()
            .user_agent(&config.user_agent)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            // A proxy would connect for us, past the guard.
            .no_proxy()
            .dns_resolver(guard.clone())
            .connect_timeout(Duration::from_secs(config.connect_timeout_s))
            .pool_idle_timeout(IDLE)
    };
    let ours = private_authorities(config.ca_file.as_deref())?;
    builder()
        .tls_certs_merge(ours.clone())
        .build()
        .or_else(|error| {
            warn!(
                reason = explain(error),
                "the system's certificate authorities cannot be used; https works only with delivery.ca_file"
            );
            builder().tls_certs_only(ours).build()
        })
        .map_err(Error::Client)
}

fn private_authorities(file: Option<&Path>) -> Result<Vec<Certificate>, Error> {
    let Some(path) = file else {
        return Ok(Vec::new());
    };
    let unusable = |reason: String| Error::CaFile {
        path: path.to_owned(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if found.is_empty() => Err(unusable("it holds no certificate".to_owned())),
        found => found.map_err(|e| unusable(explain(e))),
    }
}

/// The beginning of what the receiver said, on one line. A broken or endless answer is what was read of it.
pub(crate) async fn answer(response: &mut Response, patience: Duration) -> String {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_LIMIT - body.len())]);
            if body.len() == ANSWER_LIMIT {
                break;
            }
        }
    };
    // The status is known, so an answer that does not end changes nothing.
    drop(tokio::time::timeout(patience, read).await);
    crate::one_line(&String::from_utf8_lossy(&body), SAID_LIMIT)
}

/// The error with its causes and without its URL, which may carry secrets in its query.
pub(crate) fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(forbidden) = inner.downcast_ref::<Forbidden>() {
            return forbidden.to_string();
        }
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
