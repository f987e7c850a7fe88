//! What can go wrong with a spool, said so that a person knows which path to look at.

use std::{
    io,
    path::{Path, PathBuf},
};

use callreel_proto::{CaptureId, RecordingId, RecordingState};

/// A failed operation on the spool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused: a full disk, a missing permission, a vanished folder.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A process of an older version, which shares a spool with nobody, works in this one.
    #[error("the spool {} is in use by {holder}, which is of an older version and shares it with nobody: stop that process first", dir.display())]
    InUse {
        /// The spool's folder.
        dir: PathBuf,
        /// The other process, as far as its lock file tells.
        holder: String,
    },
    /// Another process delivers from this spool.
    #[error("delivery from the spool {} is in use by {holder}, and a spool has one delivery: stop that process, leave the role delivery out here, or choose another folder", dir.display())]
    HasDelivery {
        /// The spool's folder.
        dir: PathBuf,
        /// The other process, as far as its lock file tells.
        holder: String,
    },
    /// A file name that must not become part of a path.
    #[error("the file name {name:?} cannot be used in the spool: {reason}")]
    FileName {
        /// The name.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The capture's folder is there already.
    #[error("capture {0} exists already: every call needs a capture id of its own")]
    CaptureExists(CaptureId),
    /// There is no such capture.
    #[error("there is no capture {0}: it was never created, or removed with its last recording")]
    NoCapture(CaptureId),
    /// The file is not a journal this version reads.
    #[error("{} is not a journal: {reason}", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer version wrote it. Nothing is lost: it waits, as it is, for a Callreel that reads it.
    #[error("{} is a {what} of version {found}, and callreel {} reads no newer one than version {reads}: it stays as it is; run the callreel that wrote it, or one newer than that", path.display(), env!("CARGO_PKG_VERSION"))]
    Newer {
        /// The file.
        path: PathBuf,
        /// What it is: a ticket or a journal.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The newest version that this program reads.
        reads: u32,
    },
    /// The key file cannot be used.
    #[error("the key file {} (spool.key_file) cannot be used: {reason}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never a part of what it holds.
        reason: String,
    },
    /// It is sealed, and its key is not here. Nothing is lost: it opens once the key is back.
    #[error("{} is sealed, and {why}: put its key into spool.key_file and start again", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A sealed file that is not what was sealed: cut, changed, or spoilt by its disk.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A record that fits no journal.
    #[error(
        "a record of {bytes} bytes is too long for a journal: at most {} fit",
        crate::MAX_RECORD
    )]
    RecordTooLong {
        /// Its encoded size.
        bytes: usize,
    },
    /// The disk has refused writes for so long that the journal's buffer is full; the record was not taken.
    #[error("the journal {} cannot take more: {} bytes wait for the disk", path.display(), crate::MAX_BUFFERED)]
    BufferFull {
        /// The journal.
        path: PathBuf,
    },
    /// There is a ticket for this recording already.
    #[error("recording {0} has a ticket already")]
    TicketExists(RecordingId),
    /// There is no such ticket.
    #[error("there is no ticket for recording {0}")]
    NoTicket(RecordingId),
    /// The ticket's file cannot be understood.
    #[error("the ticket {} cannot be read: {reason}", path.display())]
    MalformedTicket {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Too little is free for a new recording.
    #[error("the spool's disk at {} is almost full: {free_mb} MB are free, and below {mark_mb} MB nothing new is recorded (spool.refuse_recordings_percent, spool.refuse_recordings_mb)", dir.display())]
    Full {
        /// The spool's folder.
        dir: PathBuf,
        /// What is free, MB.
        free_mb: u64,
        /// What must be free, MB.
        mark_mb: u64,
    },
    /// What the manifest keeps of itself cannot be understood.
    #[error("{} cannot be read: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A step that the recording's state does not allow.
    #[error(transparent)]
    Transition(#[from] ImpossibleTransition),
}

/// A step that the recording's state does not allow; docs/recording-lifecycle.md shows those that are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("recording {recording_id} is {from:?}: {step} is not possible now")]
pub struct ImpossibleTransition {
    /// The recording.
    pub recording_id: RecordingId,
    /// Its state.
    pub from: RecordingState,
    /// The refused step.
    pub step: &'static str,
}

/// Turns an [`io::Error`] into one that names the path.
pub(crate) trait At<T> {
    /// `action` completes "cannot … <path>".
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
