//! Why a request is refused, in Crossbar's words and in a sentence a person can act on. Knows no route.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// The kinds of refusal, with Crossbar's names for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The request itself is wrong.
    Invalid,
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
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Crossbar's `message`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invalid => "validation_error",
            Self::Forbidden => "forbidden",
            Self::NotFound => "bad_identifier",
            Self::Method => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::Conflict => "datastore_conflict",
            Self::TooLarge => "too_large",
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
}

impl Refusal {
    pub(crate) fn new(why: Why, message: impl Into<String>) -> Self {
        Self {
            why,
            message: message.into(),
            cause: None,
        }
    }

    /// The same, naming what is at fault.
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.why.status()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
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
        match error {
            callreel_attachments::Error::Store(error) => error.into(),
            held @ callreel_attachments::Error::Held(_) => {
                Self::new(Why::Conflict, held.to_string())
            }
        }
    }
}

impl From<callreel_spool::Error> for Refusal {
    fn from(error: callreel_spool::Error) -> Self {
        tracing::error!(%error, "a request met a broken spool");
        Self::new(Why::Broken, error.to_string())
    }
}
