//! A callflow document as a tree of actions, each knowing its place.

use std::sync::Arc;

use serde_json::Value;

use crate::problem::Problem;

/// A callflow that can be walked.
#[derive(Debug, Clone)]
pub struct Flow {
    _warnings: Arc<Vec<Problem>>,
}

/// A document that is no callflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed callflow")]
pub struct MalformedFlow {
    /// Everything found, the worst first.
    pub problems: Vec<Problem>,
}

impl Flow {
    /// Reads a callflow document (with a `flow`), or a bare action (as Pivot serves it).
    ///
    /// # Errors
    /// The document has no action to begin with, or is too deep or too large; with `strict`, whatever leniency would have
    /// put right.
    pub fn parse(document: &Value, strict: bool) -> Result<Self, MalformedFlow> {
        let _ = (document, strict);
        Ok(Self {
            _warnings: Arc::new(Vec::new()),
        })
    }

    /// What leniency put right. The cursor repeats it as [`crate::Effect::Warn`].
    pub fn warnings(&self) -> &[Problem] {
        &self._warnings
    }
}
