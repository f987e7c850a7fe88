//! Why a request is refused, in Crossbar's words and in a sentence a person can act on. Knows no route.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// How callers are known here. It is no scheme of RFC 9110 §11, which wants one with every 401.
const SCHEME: HeaderValue = HeaderValue::from_static("X-Auth-Token realm=\"callreel\"");

/// The kinds of refusal, with Crossbar's names for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The request itself is wrong.
    Invalid,
    /// It does not show who it is from, or shows it wrongly.
    Credentials,
    /// It comes from where it may not come from.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// Not with this method.
    Method,
    /// Not in this format.
    NotAcceptable,
    /// Not in the state the thing is in.
    Conflict,
    /// More than we read.
    TooLarge,
    /// More often than is allowed.
    TooMany,
    /// Our fault.
    Broken,
    /// Not now.
    Unavailable,
    /// Whoever had to do it did not answer in time.
    Late,
}

impl Why {
    fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Credentials => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Crossbar's `message`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invalid => "validation_error",
            Self::Credentials => "invalid_credentials",
            Self::Forbidden => "forbidden",
            Self::NotFound => "bad_identifier",
            Self::Method => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::Conflict => "datastore_conflict",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many_requests",
            Self::Broken => "datastore_fault",
            Self::Unavailable => "datastore_unreachable",
            Self::Late => "datastore_timeout",
        }
    }
}

/// A refusal. The router gives it its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: Why,
    /// What is wrong and what to do.
    pub(crate) message: String,
    /// The parameter or id at fault.
    pub(crate) cause: Option<String>,
    /// When to ask again, if that helps.
    after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(why: Why, message: impl Into<String>) -> Self {
        Self {
            why,
            message: message.into(),
            cause: None,
            after: None,
        }
    }

    /// The same, naming what is at fault.
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same, naming how long to wait.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.why.status()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        if self.why == Why::Credentials {
            headers.insert(header::WWW_AUTHENTICATE, SCHEME);
        }
        if let Some(wait) = self.after {
            // A part of a second is a whole one.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<callreel_store::Error> for Refusal {
    fn from(error: callreel_store::Error) -> Self {
        use callreel_store::Error;
        let why = match &error {
            Error::Name { .. } => Why::Invalid,
            Error::Missing { .. } => Why::NotFound,
            Error::Conflict { .. } => Why::Conflict,
            Error::Closed | Error::Unavailable { .. } => Why::Unavailable,
            _ => Why::Broken,
        };
        if why == Why::Broken {
            tracing::error!(%error, "a request met a broken store");
        }
        Self::new(why, error.to_string())
    }
}

impl From<callreel_attachments::Error> for Refusal {
    fn from(error: callreel_attachments::Error) -> Self {
        use callreel_attachments::Error;
        let why = match error {
            Error::Store(error) => return error.into(),
            Error::Held(_) => Why::Conflict,
            Error::Source(_) => Why::Broken,
            // The audio is there, and comes back when the handler or its settings do.
            Error::Plan(_)
            | Error::Gone { .. }
            | Error::Refused { .. }
            | Error::Unavailable { .. } => Why::Unavailable,
        };
        Self::new(why, error.to_string())
    }
}

impl From<callreel_spool::Error> for Refusal {
    fn from(error: callreel_spool::Error) -> Self {
        tracing::error!(%error, "a request met a broken spool");
        Self::new(Why::Broken, error.to_string())
    }
}
