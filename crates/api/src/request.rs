//! What requests carry: ids in the path, parameters in the query and bodies, read once. Looks nothing up.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, Uri, request::Parts},
};
use callreel_proto::{AccountId, RecordingId, lenient_bool};
use serde_json::Value;
use tokio::time::timeout;

use crate::refusal::{Refusal, Why};

/// How long a body may take: it is a few kilobytes at most.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// Longest reason of an order: it is kept with the recording, in every place that tells of it.
const MAX_REASON_BYTES: usize = 500;
/// How a reason is sent, for those who sent it otherwise.
const REASON_SHAPE: &str = r#"{"data": {"reason": "wrong number"}}"#;

/// The query's parameters. The last of a name counts, and a query that cannot be read has none.
#[derive(Debug, Default)]
pub(crate) struct Params(pub(crate) BTreeMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

impl Params {
    pub(crate) fn of(uri: &Uri) -> Self {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let pairs = pairs.map(|Query(pairs)| pairs).unwrap_or_default();
        Self(pairs.into_iter().collect())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that is true or false; `default` when it is absent.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => lenient_bool(&Value::from(text))
                .ok_or_else(|| invalid(name, "must be true or false")),
        }
    }

    /// A parameter that is a whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let read = |text: &str| {
            let number = text.parse::<i64>().ok().filter(|n| *n >= 0);
            number.ok_or_else(|| invalid(name, "must be a whole number, 0 or more"))
        };
        self.text(name).map(read).transpose()
    }
}

/// A request's body, read whole.
#[derive(Debug)]
pub(crate) struct Posted(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let read = timeout(BODY_PATIENCE, Bytes::from_request(request, state)).await;
        let late = |_| Refusal::new(Why::Invalid, "the body did not come in time");
        let body = read.map_err(late)?.map_err(|error| {
            let why = match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Why::TooLarge,
                _ => Why::Invalid,
            };
            Refusal::new(why, format!("the body cannot be read: {error}"))
        });
        body.map(Self)
    }
}

/// Why something is ordered, as a body says it: `{"data": {"reason": …}}`. A body may say nothing at all.
pub(crate) fn reason(body: &[u8]) -> Result<Option<String>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    let wrong = |message: String| Refusal::new(Why::Invalid, message).cause("reason");
    let body: Value = serde_json::from_slice(body)
        .map_err(|e| wrong(format!("the body is no JSON: {e}; send {REASON_SHAPE}")))?;
    let reason = match &body["data"]["reason"] {
        Value::Null => return Ok(None),
        Value::String(reason) => reason.trim(),
        _ => {
            return Err(wrong(format!(
                "the reason must be text; send {REASON_SHAPE}"
            )));
        }
    };
    if reason.len() > MAX_REASON_BYTES || reason.chars().any(char::is_control) {
        let message = format!("the reason must be one line of at most {MAX_REASON_BYTES} bytes");
        return Err(wrong(message));
    }
    Ok(Some(reason.to_owned()).filter(|reason| !reason.is_empty()))
}

/// A parameter at fault.
pub(crate) fn invalid(name: &str, message: &str) -> Refusal {
    Refusal::new(Why::Invalid, format!("the parameter {name} {message}")).cause(name)
}

/// A header at fault.
pub(crate) fn invalid_header(name: &str, message: &str) -> Refusal {
    Refusal::new(Why::Invalid, format!("the header {name} {message}")).cause(name)
}

/// An account id of a path.
pub(crate) fn account(text: &str) -> Result<AccountId, Refusal> {
    AccountId::parse(text).map_err(|e| Refusal::new(Why::NotFound, e.to_string()).cause(text))
}

/// A recording id of a path.
pub(crate) fn recording(text: &str) -> Result<RecordingId, Refusal> {
    RecordingId::parse(text).map_err(|e| Refusal::new(Why::NotFound, e.to_string()).cause(text))
}
