//! The spool as anybody may look at it, without a lock: where things lie, tickets and journals. Never changes anything.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use callreel_proto::{CaptureId, RecordingId, RecordingState};

use crate::{
    AtRest, Error, JournalReader, Keys, Manifest, Ticket, WriterId,
    at_rest::SEALED,
    error::At,
    files,
    promise::{SEALED_SWITCH_FILE, SWITCH_FILE},
    ticket::file::{self, Brief, MAX_TICKET, Named, Whose},
};

/// The ticket's file in a recording's folder.
pub(crate) const TICKET: &str = "ticket.json";

/// What the name of a recording's claim to a capture begins with.
pub(crate) const CLAIM: &str = "for-";

/// A folder that holds a spool, and the keys to what is sealed in it.
#[derive(Debug, Clone)]
pub struct View {
    dir: PathBuf,
    keys: Keys,
}

/// One entry of `recordings/`.
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

/// What an entry of `recordings/` holds.
pub(crate) enum Content {
    Ticket(Box<Ticket>),
    /// A recording's folder without a ticket, and without anything else either.
    Leftover,
    /// A recording's folder whose ticket is missing or cannot be understood, for this reason.
    Unreadable(String),
    /// The ticket of a newer version, for this reason passed over, and the capture it names.
    Newer(String, Option<CaptureId>),
    /// Not a recording's folder.
    Foreign,
}

impl View {
    /// Looks at the spool in this folder; one that is missing is a spool with nothing in it. Tickets are never sealed, so
    /// that they need no keys.
    pub fn open(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
            keys: Keys::default(),
        }
    }

    /// The same with these keys: what is sealed can be opened, and what is written is sealed.
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// The keys to what is sealed here.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The spool's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What became of its recordings, line by line.
    pub fn manifest(&self) -> Manifest {
        Manifest::open(&self.dir)
    }

    pub(crate) fn captures_dir(&self) -> PathBuf {
        self.dir.join("captures")
    }

    pub(crate) fn recordings_dir(&self) -> PathBuf {
        self.dir.join("recordings")
    }

    pub(crate) fn quarantine_dir(&self) -> PathBuf {
        self.dir.join("quarantine")
    }

    pub(crate) fn writers_dir(&self) -> PathBuf {
        self.dir.join("writers")
    }

    /// Held by every process that works here, shared; by one of the version before, exclusively.
    pub(crate) fn version_lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Held by whoever delivers from here.
    pub(crate) fn delivery_lock(&self) -> PathBuf {
        self.dir.join("delivery.lock")
    }

    /// Held while somebody ends what dead writers left.
    pub(crate) fn recovery_lock(&self) -> PathBuf {
        self.dir.join("recovery.lock")
    }

    /// The writer's folder. An id is checked when it is read, so it is one path component.
    pub(crate) fn writer_dir(&self, id: &WriterId) -> PathBuf {
        self.writers_dir().join(id.to_string())
    }

    /// Held by the writer for as long as its process lives.
    pub(crate) fn writer_lock(&self, id: &WriterId) -> PathBuf {
        self.writer_dir(id).join("lock")
    }

    /// The capture's folder. An id is checked when it is made, so it is one path component.
    pub(crate) fn capture_dir(&self, id: &CaptureId) -> PathBuf {
        self.captures_dir().join(id.as_str())
    }

    /// Says that the recording needs the capture.
    pub(crate) fn claim_path(&self, id: &CaptureId, by: &RecordingId) -> PathBuf {
        self.capture_dir(id).join(format!("{CLAIM}{by}"))
    }

    /// The recording's folder. An id is checked when it is made, so it is one path component.
    pub(crate) fn recording_dir(&self, id: &RecordingId) -> PathBuf {
        self.recordings_dir().join(id.as_str())
    }

    pub(crate) fn ticket_path(&self, id: &RecordingId) -> PathBuf {
        self.recording_dir(id).join(TICKET)
    }

    /// Where a capture's journal lies, whether or not it exists.
    pub fn journal_path(&self, id: &CaptureId) -> PathBuf {
        self.capture_dir(id).join("journal")
    }

    /// Where a recording's audio file lies or, before there is one, will lie.
    pub fn rendition_path(&self, ticket: &Ticket) -> PathBuf {
        let mut name = ticket.promise().delivered_name();
        if self.rendition_is_sealed(ticket) {
            name.push_str(SEALED);
        }
        self.recording_dir(ticket.recording_id()).join(name)
    }

    /// Whether the node's key seals it. What is sealed to its account needs no second seal.
    fn rendition_is_sealed(&self, ticket: &Ticket) -> bool {
        match ticket.rendition() {
            Some(rendition) => rendition.sealed_bytes.is_some(),
            None => self.keys.seals_to().is_some() && ticket.promise().recipient.is_none(),
        }
    }

    /// Opens a recording's audio file, so that what a receiver gets comes out.
    ///
    /// # Errors
    /// [`Error::Sealed`], [`Error::Damaged`], or the disk refused.
    pub fn open_rendition(&self, ticket: &Ticket) -> Result<AtRest, Error> {
        let path = self.rendition_path(ticket);
        if self.rendition_is_sealed(ticket) {
            AtRest::sealed(&path, &self.keys)
        } else {
            AtRest::plain(&path)
        }
    }

    /// Where the file a switch has recorded lies or, before it was fetched, will lie. Nothing of ours ever changes it, and
    /// it is whole or not there.
    pub fn switch_file_path(&self, ticket: &Ticket) -> PathBuf {
        let dir = self.recording_dir(ticket.recording_id());
        let (open, sealed) = (dir.join(SWITCH_FILE), dir.join(SEALED_SWITCH_FILE));
        let seals = self.keys.seals_to().is_some();
        if sealed.exists() || (seals && !open.exists()) {
            sealed
        } else {
            open
        }
    }

    /// Opens the file a switch has recorded, so that what the switch sent comes out.
    ///
    /// # Errors
    /// [`Error::Sealed`], [`Error::Damaged`], or the disk refused.
    pub fn open_switch_file(&self, ticket: &Ticket) -> Result<AtRest, Error> {
        let path = self.switch_file_path(ticket);
        if path.ends_with(SEALED_SWITCH_FILE) {
            AtRest::sealed(&path, &self.keys)
        } else {
            AtRest::plain(&path)
        }
    }

    /// Opens a journal for reading; it may still be growing.
    ///
    /// # Errors
    /// [`Error::NoCapture`], [`Error::NotAJournal`] when its head is damaged, [`Error::Sealed`] when its key is not here, or
    /// the disk refused.
    pub fn read_journal(&self, id: &CaptureId) -> Result<JournalReader, Error> {
        let path = self.journal_path(id);
        let reader = match JournalReader::open(&path, &self.keys) {
            Err(Error::Io { source, .. }) if files::is_missing(&source) => {
                return Err(Error::NoCapture(id.clone()));
            }
            other => other?,
        };
        if reader.header().capture_id != *id {
            return Err(Error::NotAJournal {
                path,
                reason: format!("it belongs to capture {}", reader.header().capture_id),
            });
        }
        Ok(reader)
    }

    /// A recording's ticket, if it has one.
    ///
    /// # Errors
    /// [`Error::MalformedTicket`], [`Error::Newer`], or the disk refused.
    pub fn ticket(&self, id: &RecordingId) -> Result<Option<Ticket>, Error> {
        let path = self.ticket_path(id);
        let Some(bytes) = files::read_bounded(&path, MAX_TICKET)? else {
            return Ok(None);
        };
        let malformed = |reason| Error::MalformedTicket {
            path: path.clone(),
            reason,
        };
        let ticket = Ticket::from_json(&bytes)
            .map_err(|reason| file::newer(&bytes, &path).unwrap_or_else(|| malformed(reason)))?;
        if ticket.recording_id() != id {
            return Err(malformed(format!(
                "it belongs to recording {}",
                ticket.recording_id()
            )));
        }
        Ok(Some(ticket))
    }

    /// Who says in the recording's ticket that it grows; `None` also if it does not, or if an older version wrote it.
    pub(crate) fn writer_of(&self, id: &RecordingId) -> Result<Option<WriterId>, Error> {
        let bytes = files::read_bounded(&self.ticket_path(id), MAX_TICKET)?.unwrap_or_default();
        // What cannot be read names nobody who could still be writing it.
        let whose: Whose = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(whose.writer)
    }

    /// The recordings that have a folder, in the order of their names, which is that of their months. Opens none of them.
    ///
    /// # Errors
    /// The disk refused.
    pub fn recording_ids(&self) -> Result<Vec<RecordingId>, Error> {
        let mut ids = Vec::new();
        each_name(&self.recordings_dir(), |name| {
            ids.extend(name.to_str().and_then(|name| RecordingId::parse(name).ok()));
            Ok::<_, Error>(())
        })?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Shows every ticket that can be read, one at a time, in the order of [`View::recording_ids`]. Others are named in the
    /// log and by [`View::check`].
    ///
    /// # Errors
    /// The disk refused, or `visit` said so.
    pub fn for_each_ticket<E: From<Error>>(
        &self,
        mut visit: impl FnMut(Ticket) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_entry(|entry| {
            match entry.content {
                Content::Ticket(ticket) => visit(*ticket)?,
                Content::Unreadable(reason) => {
                    tracing::warn!(path = %entry.path.display(), reason, "passing over a ticket that cannot be read");
                }
                Content::Newer(reason, _) => tracing::warn!(reason, "passing over a ticket"),
                Content::Leftover | Content::Foreign => {}
            }
            Ok(())
        })
    }

    /// All tickets that can be read, the oldest first, and all of them in memory: [`View::for_each_ticket`] is for spools of
    /// any size.
    ///
    /// # Errors
    /// The disk refused.
    pub fn tickets(&self) -> Result<Vec<Ticket>, Error> {
        let mut tickets = Vec::new();
        self.for_each_ticket(|ticket| {
            tickets.push(ticket);
            Ok::<_, Error>(())
        })?;
        tickets.sort_by(|a, b| {
            let key = |t: &Ticket| (t.promise().started_at, t.recording_id().clone());
            key(a).cmp(&key(b))
        });
        Ok(tickets)
    }

    /// The tickets that grow.
    pub(crate) fn growing(&self) -> Result<Vec<Ticket>, Error> {
        let mut growing = Vec::new();
        for id in self.recording_ids()? {
            // Most tickets of a large backlog do not grow, and to see that is cheaper than to read them.
            let bytes = match files::read_bounded(&self.ticket_path(&id), MAX_TICKET) {
                Ok(bytes) => bytes.unwrap_or_default(),
                Err(Error::MalformedTicket { .. }) => continue,
                Err(Error::Io { source, .. }) if is_about_this_file(&source) => continue,
                Err(error) => return Err(error),
            };
            let grows = serde_json::from_slice(&bytes)
                .is_ok_and(|brief: Brief| brief.state == RecordingState::Growing);
            if grows && let Ok(Some(ticket)) = self.ticket(&id) {
                growing.push(ticket);
            }
        }
        Ok(growing)
    }

    /// Names of the recordings whose tickets were set aside because they could not be read.
    ///
    /// # Errors
    /// The disk refused.
    pub fn quarantined(&self) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> = list(&self.quarantine_dir())?
            .into_iter()
            .filter(|(_, path)| path.is_dir())
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Shows everything in `recordings/`, in order of name. Fails only if the disk refuses for a reason that says nothing
    /// about one ticket, or if `visit` says so.
    pub(crate) fn for_each_entry<E: From<Error>>(
        &self,
        mut visit: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let dir = self.recordings_dir();
        let mut names = Vec::new();
        each_name(&dir, |name| {
            names.push(name);
            Ok::<_, Error>(())
        })?;
        names.sort_unstable();
        for name in names {
            let path = dir.join(&name);
            let content = self.content(&name, &path)?;
            visit(Entry {
                name,
                path,
                content,
            })?;
        }
        Ok(())
    }

    fn content(&self, name: &OsString, path: &Path) -> Result<Content, Error> {
        let id = name.to_str().and_then(|name| RecordingId::parse(name).ok());
        let Some(id) = id else {
            return Ok(Content::Foreign);
        };
        match self.ticket(&id) {
            Ok(Some(ticket)) => Ok(Content::Ticket(Box::new(ticket))),
            Ok(None) if path.is_dir() => leftover(path),
            Ok(None) => Ok(Content::Foreign),
            Err(_) if !path.is_dir() => Ok(Content::Foreign),
            Err(error @ Error::MalformedTicket { .. }) => {
                Ok(Content::Unreadable(error.to_string()))
            }
            Err(error @ Error::Newer { .. }) => {
                let bytes = files::read_bounded(&self.ticket_path(&id), MAX_TICKET)?;
                let named = serde_json::from_slice(&bytes.unwrap_or_default());
                let capture = named.ok().and_then(|named: Named| named.capture_id);
                Ok(Content::Newer(error.to_string(), capture))
            }
            Err(Error::Io { source, .. }) if is_about_this_file(&source) => {
                Ok(Content::Unreadable(source.to_string()))
            }
            Err(error) => Err(error),
        }
    }
}

/// A folder without a ticket: nothing was promised yet if it holds nothing but an unfinished ticket.
fn leftover(path: &Path) -> Result<Content, Error> {
    let bare = list(path)?
        .iter()
        .all(|(name, _)| name.to_string_lossy().ends_with(files::TEMPORARY));
    Ok(if bare {
        Content::Leftover
    } else {
        Content::Unreadable("there is no ticket.json beside these files".to_owned())
    })
}

/// Out of file handles says nothing about the file; a missing permission does.
fn is_about_this_file(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, PermissionDenied};
    matches!(
        error.kind(),
        PermissionDenied | InvalidData | IsADirectory | NotADirectory
    )
}

/// A folder's entries in order of name; none if there is no such folder.
pub(crate) fn list(dir: &Path) -> Result<Vec<(OsString, PathBuf)>, Error> {
    let mut found = Vec::new();
    each_name(dir, |name| {
        let path = dir.join(&name);
        found.push((name, path));
        Ok::<_, Error>(())
    })?;
    found.sort();
    Ok(found)
}

/// Shows the names of a folder's entries, in no order; none if there is no such folder.
pub(crate) fn each_name<E: From<Error>>(
    dir: &Path,
    mut visit: impl FnMut(OsString) -> Result<(), E>,
) -> Result<(), E> {
    let entries = match fs::read_dir(dir) {
        Err(error) if files::is_missing(&error) => return Ok(()),
        other => other.at("list the folder", dir)?,
    };
    for entry in entries {
        visit(entry.at("list the folder", dir)?.file_name())?;
    }
    Ok(())
}
