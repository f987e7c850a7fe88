//! What is wrong with a callflow document, and where. Says nothing about what a call then does.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{flow::kind, print::place};

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the flow does what it says.
    Info,
    /// The flow runs, but not as its author may believe.
    Warning,
    /// The flow, or this part of it, is refused.
    Error,
}

impl Severity {
    /// This severity, but what leniency would put right is an error to the strict.
    pub(crate) fn when(self, strict: bool) -> Self {
        match self {
            Self::Warning if strict => Self::Error,
            other => other,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One remark about one place of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The place, as a JSON pointer (RFC 6901) into the document; empty for the whole document.
    pub pointer: String,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(
        severity: Severity,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// The object that a value is, if it is there; something else in its place is ignored with a warning.
pub(crate) fn object(value: &Value, warn: impl FnOnce(String)) -> Option<&Map<String, Value>> {
    match value {
        Value::Null => None,
        Value::Object(map) => Some(map),
        other => {
            warn(format!("wanted an object, found {}; ignored", kind(other)));
            None
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {}: {}",
            self.severity,
            place(&self.pointer),
            self.message
        )
    }
}
