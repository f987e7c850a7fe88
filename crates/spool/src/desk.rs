//! Where tickets are written: the folders of a spool, guarded against older versions, and each ticket by one hand at a
//! time within this process. Which hand may write which ticket is for [`crate::Writer`] and [`crate::Outbox`] to know.

use std::{
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use callreel_proto::RecordingId;

use crate::{
    Entry, Error, Keys, Ticket, View, WriterId, files, locks,
    locks::Lock,
    ticket::file::ticket_bytes,
    view::{TICKET, list},
};

/// Tickets are saved one at a time per shard: enough shards that two savers seldom meet, few enough to be nothing.
const SHARDS: usize = 16;

pub(crate) struct Desk {
    view: View,
    shards: [Mutex<()>; SHARDS],
    /// The version before held this one for itself, and would take our recordings for those of a dead process.
    _no_older_version: Lock,
}

impl Desk {
    /// Opens the spool, creating it if it is missing.
    pub(crate) fn open(dir: &Path, keys: Keys) -> Result<Self, Error> {
        let view = View::open(dir).with_keys(keys);
        files::create_dirs(view.dir())?;
        let guard = view.version_lock();
        let no_older_version = Lock::share(&guard)?.ok_or_else(|| Error::InUse {
            dir: view.dir().to_owned(),
            holder: locks::holder(&guard),
        })?;
        for part in [
            view.captures_dir(),
            view.recordings_dir(),
            view.quarantine_dir(),
            view.writers_dir(),
        ] {
            files::create_dirs(&part)?;
        }
        files::sync_dir(view.dir())?;
        Ok(Self {
            view,
            shards: Default::default(),
            _no_older_version: no_older_version,
        })
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Nobody else in this process writes the recording's ticket until the guard is dropped.
    pub(crate) fn turn(&self, id: &RecordingId) -> MutexGuard<'_, ()> {
        let last = id.as_str().bytes().last().unwrap_or_default();
        self.shards[usize::from(last) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces a ticket that is there, whatever it says, and before that tells the manifest of the step it takes. It is safe on
    /// disk when this returns. Only in its turn.
    pub(crate) fn save(&self, ticket: &Ticket, writer: Option<&WriterId>) -> Result<(), Error> {
        if let Some(step) = self.step(ticket)? {
            self.view.manifest().note(&step);
        }
        self.replace(ticket, writer)
    }

    /// What the manifest is to be told when this ticket takes the place of the one on disk, which must be there.
    pub(crate) fn step(&self, ticket: &Ticket) -> Result<Option<Entry>, Error> {
        let before = match self.ticket(ticket.recording_id()) {
            Ok(before) => Some(before.state()),
            Err(Error::MalformedTicket { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Entry::step(before, ticket))
    }

    /// [`Desk::save`] without the manifest.
    pub(crate) fn replace(&self, ticket: &Ticket, writer: Option<&WriterId>) -> Result<(), Error> {
        let path = self.view.ticket_path(ticket.recording_id());
        files::replace(&path, &ticket_bytes(ticket, writer, &path)?)
    }

    /// The recording's ticket, which must be there.
    pub(crate) fn ticket(&self, id: &RecordingId) -> Result<Ticket, Error> {
        let ticket = self.view.ticket(id)?;
        ticket.ok_or_else(|| Error::NoTicket(id.clone()))
    }

    /// Reads a ticket, changes it and writes it back, with nobody else of this process in between.
    pub(crate) fn update<T, E: From<Error>>(
        &self,
        id: &RecordingId,
        change: impl FnOnce(&mut Ticket) -> Result<T, E>,
    ) -> Result<(Ticket, T), E> {
        let _turn = self.turn(id);
        let mut ticket = self.ticket(id)?;
        let answer = change(&mut ticket)?;
        self.save(&ticket, None)?;
        Ok((ticket, answer))
    }

    /// Removes a recording: first its files, then its ticket. What is gone already is no error.
    pub(crate) fn remove(&self, id: &RecordingId) -> Result<(), Error> {
        let _turn = self.turn(id);
        let view = self.view();
        let dir = view.recording_dir(id);
        // The ticket goes last: a crash in between leaves a promise without a file, never a file without a promise.
        for (name, path) in list(&dir)? {
            if name != TICKET {
                files::remove(&path, |path| fs::remove_file(path))?;
            }
        }
        files::remove(&view.ticket_path(id), |path| fs::remove_file(path))?;
        files::remove(&dir, |path| fs::remove_dir(path))?;
        files::sync_dir(&view.recordings_dir())
    }
}
