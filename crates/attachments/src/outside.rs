//! The one HTTP client for places that strangers choose: guarded, without proxies, following no redirect by itself. Who uses
//! it decides what is sent and what an answer means.

use std::{
    error::Error as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use callreel_doors::Unusable;
use ipnet::IpNet;
use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use url::Url;

use crate::guard::{Forbidden, Guard};

/// Bytes of an answer's body that are read, to show a person what the receiver said and to reuse the connection.
const ANSWER_LIMIT: usize = 4096;
/// Characters of it that are kept.
const SAID_LIMIT: usize = 200;
/// An idle connection is not reused after this: common servers close theirs after five seconds, and a streamed body
/// that meets a closing connection costs a failed try.
const IDLE: Duration = Duration::from_secs(4);

/// How the way out is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideConfig {
    /// Networks that are reached although the guard would refuse them.
    pub allow_networks: Vec<IpNet>,
    /// To resolve the name, connect and finish the TLS handshake.
    pub connect_timeout: Duration,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// PEM file with certificate authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Folders of this machine below which storage plans may put files.
    pub folder_roots: Vec<PathBuf>,
}

impl Default for OutsideConfig {
    fn default() -> Self {
        Self {
            allow_networks: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            user_agent: concat!("callreel/", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_file: None,
            folder_roots: Vec::new(),
        }
    }
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The file with certificate authorities cannot be used.
    #[error("delivery.ca_file {} cannot be used: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client for the places recordings go to: {0}")]
    Client(#[source] reqwest::Error),
}

/// Why a request may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// Not by this protocol, now or ever.
    #[error("cannot deliver by {0}: use http or https")]
    Scheme(String),
    /// Not to this address, as the settings are.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
}

/// The client with its guard; clones share connections.
#[derive(Debug, Clone)]
pub struct Outside {
    client: Client,
    guard: Guard,
    folder_roots: Arc<[PathBuf]>,
}

impl Outside {
    /// A way out with these settings.
    ///
    /// # Errors
    /// The file with certificate authorities cannot be used, or the client cannot be made.
    pub fn new(config: &OutsideConfig) -> Result<Self, OutsideError> {
        let guard = Guard::new(&config.allow_networks);
        Ok(Self {
            client: client(config, &guard)?,
            guard,
            folder_roots: config.folder_roots.as_slice().into(),
        })
    }

    /// The folders of this machine below which storage plans may put files.
    pub(crate) fn folder_roots(&self) -> Arc<[PathBuf]> {
        Arc::clone(&self.folder_roots)
    }

    /// A request to `url`, unless nothing may be sent there. A user and password in the URL become basic authorisation,
    /// and the URL loses them.
    ///
    /// # Errors
    /// [`Barred`] says why not.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, Barred> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Barred::Scheme(url.scheme().to_owned()));
        }
        self.guard.check_literal(&url)?;
        Ok(self.client.request(method, url))
    }
}

fn client(config: &OutsideConfig, guard: &Guard) -> Result<Client, OutsideError> {
    let builder = || {
        Client::builder()
            .user_agent(&config.user_agent)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            // A proxy would connect for us, past the guard.
            .no_proxy()
            .dns_resolver(guard.clone())
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE)
    };
    let ca_file = config.ca_file.as_deref();
    callreel_doors::client(builder, ca_file, "delivery.ca_file").map_err(|error| match error {
        Unusable::CaFile(reason) => OutsideError::CaFile {
            path: ca_file.map(Path::to_owned).unwrap_or_default(),
            reason,
        },
        Unusable::Client(error) => OutsideError::Client(error),
    })
}

/// The beginning of what the receiver said, on one line. A broken or endless answer is what was read of it.
pub async fn answer(response: &mut Response, patience: Duration) -> String {
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
    one_line(&String::from_utf8_lossy(&body), SAID_LIMIT)
}

/// The error with its causes and without its URL, which may carry secrets in its query; of what the guard refused, what the
/// guard says.
pub fn explain(error: reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(forbidden) = inner.downcast_ref::<Forbidden>() {
            return forbidden.to_string();
        }
        cause = inner.source();
    }
    callreel_doors::explain(error)
}

/// What somebody else said, on one line and at most this many characters long.
pub fn one_line(text: &str, limit: usize) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").chars().take(limit).collect()
}
