//! One HTTP client for one CouchDB: connections that stay open, patience, and what an answer means for any request. Knows
//! no documents.

use std::{path::Path, sync::Arc, time::Duration};

use callreel_doors::{Unusable, explain};
use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use serde_json::Value;
use url::Url;

use super::{CouchConfig, address::Address};
use crate::Error;

/// A server of the same data centre that takes no connection in this time is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// An idle connection is not used after this. Servers and the proxies before them close theirs after five seconds or
/// more, and a request that meets a closing connection fails.
const IDLE: Duration = Duration::from_secs(4);
/// Characters shown of an answer that is not CouchDB's.
const SHOWN: usize = 200;

/// The client; clones share connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    pub(super) address: Arc<Address>,
    /// A whole request may take so long; an attachment may stand still so long.
    pub(super) patience: Duration,
}

/// What CouchDB answered, if it was neither a refusal of the login nor a failure of the server.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn is(&self, status: StatusCode) -> bool {
        self.status == status
    }

    /// What CouchDB says went wrong.
    fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or("no reason given")
    }

    /// Whether it says that there is no such database, in the words of CouchDB, and of BigCouch before it.
    pub(super) fn lacks_database(&self) -> bool {
        self.is(StatusCode::NOT_FOUND)
            && matches!(self.reason(), "Database does not exist." | "no_db_file")
    }

    /// The error for an answer that nobody expected.
    pub(super) fn unexpected(&self, request: &str) -> Error {
        Error::Storage(format!(
            "CouchDB answered {request} with {}: {} ({})",
            self.status,
            self.body["error"].as_str().unwrap_or("no error named"),
            self.reason()
        ))
    }

    /// The revision a write led to.
    pub(super) fn revision(&self, request: &str) -> Result<String, Error> {
        let rev = self.body["rev"]
            .as_str()
            .filter(|_| self.status.is_success());
        rev.map(str::to_owned)
            .ok_or_else(|| self.unexpected(request))
    }
}

impl Client {
    pub(super) fn new(address: Address, config: &CouchConfig) -> Result<Self, Error> {
        Ok(Self {
            http: connector(config.ca_file.as_deref())?,
            address: Arc::new(address),
            patience: Duration::from_secs(config.request_timeout_s.get()),
        })
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match self.address.login() {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    pub(super) async fn get(&self, url: Url) -> Result<Reply, Error> {
        let send = || {
            self.request(Method::GET, url.clone())
                .timeout(self.patience)
        };
        let response = match send().send().await {
            // The server may close a connection in the moment it is used again. Asking twice changes nothing there.
            Err(error) if error.is_request() && !error.is_timeout() && !error.is_connect() => {
                send().send().await
            }
            response => response,
        };
        self.reply(response).await
    }

    /// Sends a request without a body, or with a document as its body.
    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Reply, Error> {
        let mut request = self.request(method, url).timeout(self.patience);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.reply(request.send().await).await
    }

    /// Reads an answer to its end.
    pub(super) async fn reply(
        &self,
        response: Result<Response, reqwest::Error>,
    ) -> Result<Reply, Error> {
        let response = response.map_err(|error| self.away(explain(error)))?;
        let status = response.status();
        let bytes = response.bytes().await;
        let bytes = bytes.map_err(|error| self.away(explain(error)))?;
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            let text: String = String::from_utf8_lossy(&bytes)
                .chars()
                .take(SHOWN)
                .collect();
            serde_json::json!({"error": "not JSON", "reason": text})
        });
        let reply = Reply { status, body };
        self.refused(status, reply.reason())?;
        Ok(reply)
    }

    /// An error if the status means the same for every request: not now, or not with these credentials.
    pub(super) fn refused(&self, status: StatusCode, reason: &str) -> Result<(), Error> {
        if matches!(status.as_u16(), 401 | 403) {
            return Err(Error::Denied {
                place: self.address.to_string(),
                reason: format!("{status}: {reason}"),
            });
        }
        if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            return Err(self.away(format!("{status}: {reason}")));
        }
        Ok(())
    }

    pub(super) fn away(&self, reason: String) -> Error {
        Error::Unavailable {
            place: self.address.to_string(),
            reason,
        }
    }
}

fn connector(ca_file: Option<&Path>) -> Result<reqwest::Client, Error> {
    let builder = || {
        reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
    };
    callreel_doors::client(builder, ca_file, "store.ca_file").map_err(|error| match error {
        Unusable::CaFile(reason) => Error::CaFile {
            path: ca_file.map(Path::to_owned).unwrap_or_default(),
            reason,
        },
        Unusable::Client(error) => Error::Address(explain(error)),
    })
}
