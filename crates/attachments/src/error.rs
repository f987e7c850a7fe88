//! Why a recording could not be stored, read or deleted. Shows no credentials.

use std::io;

use callreel_proto::Hold;

use crate::plan::Malformed;

/// Why a stored recording could not be put, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A legal hold is on it.
    #[error("{} put a legal hold on it ({}); lift the hold first", .0.by, .0.reason)]
    Held(Hold),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] callreel_store::Error),
    /// The storage documents cannot be acted on. They can be corrected at any time.
    #[error(transparent)]
    Plan(#[from] Malformed),
    /// The document names a handler that the storage documents no longer have.
    #[error(
        "its audio is at {place}, and the storage documents have no attachment handler {handler:?} any more; put it back"
    )]
    Gone {
        /// The handler's id.
        handler: String,
        /// Where the audio is.
        place: String,
    },
    /// The handler says no: wrong credentials, no such bucket. Trying again soon is no use.
    #[error("{place} refused: {reason}")]
    Refused {
        /// Where it is, for people.
        place: String,
        /// What it answered.
        reason: String,
    },
    /// The handler cannot be reached, or fails.
    #[error("{place} failed: {reason}")]
    Unavailable {
        /// Where it is, for people.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The recording's own file here could not be read.
    #[error(transparent)]
    Source(#[from] io::Error),
}

impl Error {
    /// Whether the handler said no, as with HTTP's 4xx; everything else may pass.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}
