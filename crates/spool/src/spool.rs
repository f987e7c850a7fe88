//! The spool as its one owner works in it: the lock, captures, tickets, and which capture still serves which recording.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callreel_proto::{CaptureId, RecordingId};
use serde::Serialize;

use crate::{
    CaptureHeader, Error, Journal, JournalReader, SpoolConfig, Ticket, View,
    error::At,
    files, quarantine,
    sync::Syncer,
    view::{list, ticket_bytes},
};

/// Tickets are saved one at a time per shard: enough shards that two savers seldom meet, few enough to be nothing.
const TICKET_SHARDS: usize = 16;

/// The owner's handle to a spool. Clones share it; the lock is held until the last clone and the last journal are gone.
#[derive(Clone)]
pub struct Spool {
    room: Arc<Room>,
}

/// What all handles and journals share.
pub(crate) struct Room {
    view: View,
    index: Mutex<Index>,
    shards: [Mutex<()>; TICKET_SHARDS],
    quarantined: usize,
    // Dropped in this order: the last sync happens while the lock is still held.
    syncer: Syncer,
    _lock: File,
}

/// Which capture serves which recordings; kept in memory so that ending one recording reads no other's ticket.
#[derive(Default)]
struct Index {
    capture_of: HashMap<RecordingId, CaptureId>,
    /// How many recordings each capture serves; never 0.
    serves: HashMap<CaptureId, usize>,
    open: HashSet<CaptureId>,
    /// Open captures to be removed once they are closed, if nothing needs them then.
    leaving: HashSet<CaptureId>,
}

/// A picture of the spool for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpoolDescription {
    /// Its folder.
    pub dir: PathBuf,
    /// Tickets on disk.
    pub recordings: usize,
    /// Captures that serve at least one of them.
    pub captures: usize,
    /// Captures being written.
    pub open_captures: usize,
    /// Tickets that were set aside at the last start because they could not be read.
    pub quarantined: usize,
    /// Syncs of the file system since the start.
    pub syncs: u64,
    /// Failed ones.
    pub sync_failures: u64,
}

impl Spool {
    /// Opens the spool with default settings, creating it if it is missing.
    ///
    /// # Errors
    /// See [`Spool::open_with`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(dir, &SpoolConfig::default())
    }

    /// Opens the spool, creating it if it is missing. Tickets that cannot be read are moved to `quarantine/`, each with
    /// the reason beside it, and do not stop the start.
    ///
    /// # Errors
    /// [`Error::InUse`] while another process (or another `open` in this one) works in it, or the disk refused.
    pub fn open_with(dir: impl AsRef<Path>, config: &SpoolConfig) -> Result<Self, Error> {
        let view = View::new(dir.as_ref());
        files::create_dirs(view.dir())?;
        let lock = lock(&view)?;
        for part in [
            view.captures_dir(),
            view.recordings_dir(),
            view.quarantine_dir(),
        ] {
            files::create_dirs(&part)?;
        }
        files::sync_dir(view.dir())?;
        quarantine::set_unreadable_aside(&view)?;
        let mut index = Index::default();
        for ticket in view.tickets()? {
            index.add(&ticket);
        }
        let interval = Duration::from_millis(config.sync_interval_ms);
        let room = Room {
            index: Mutex::new(index),
            shards: Default::default(),
            quarantined: view.quarantined()?.len(),
            syncer: Syncer::start(view.dir(), interval)?,
            view,
            _lock: lock,
        };
        Ok(Self {
            room: Arc::new(room),
        })
    }

    /// Looks at a spool without the lock, for tools: it may be in use meanwhile.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn inspect(dir: impl AsRef<Path>) -> Result<View, Error> {
        let dir = dir.as_ref();
        fs::read_dir(dir).at("open the spool", dir)?;
        Ok(View::new(dir))
    }

    /// Looking at it: tickets, journals, [`View::check`].
    pub fn view(&self) -> &View {
        &self.room.view
    }

    /// A picture of the spool for operators.
    pub fn describe(&self) -> SpoolDescription {
        let (syncs, sync_failures) = self.room.syncer.rounds();
        let index = self.room.index();
        SpoolDescription {
            dir: self.room.view.dir().to_owned(),
            recordings: index.capture_of.len(),
            captures: index.serves.len(),
            open_captures: index.open.len(),
            quarantined: self.room.quarantined,
            syncs,
            sync_failures,
        }
    }

    /// Begins the journal of a new capture.
    ///
    /// # Errors
    /// [`Error::CaptureExists`], a malformed id, or the disk refused.
    pub fn create_capture(&self, header: CaptureHeader) -> Result<Journal, Error> {
        let dir = self.room.view.capture_dir(&header.capture_id);
        let path = self.room.view.journal_path(&header.capture_id);
        if !files::create_dir(&dir)? {
            return Err(Error::CaptureExists(header.capture_id));
        }
        self.room.index().open.insert(header.capture_id.clone());
        let id = header.capture_id.clone();
        let begun = files::create_file(&path)
            .and_then(|file| Journal::begin(file, path, header, Arc::clone(&self.room)));
        if begun.is_err() {
            self.room.index().open.remove(&id);
            // The first error is the one to report; the empty folder is named by `check`.
            fs::remove_dir_all(&dir).ok();
        }
        begun
    }

    /// See [`View::read_journal`].
    ///
    /// # Errors
    /// As there.
    pub fn read_journal(&self, id: &CaptureId) -> Result<JournalReader, Error> {
        self.room.view.read_journal(id)
    }

    /// See [`View::ticket`].
    ///
    /// # Errors
    /// As there.
    pub fn ticket(&self, id: &RecordingId) -> Result<Option<Ticket>, Error> {
        self.room.view.ticket(id)
    }

    /// See [`View::tickets`].
    ///
    /// # Errors
    /// As there.
    pub fn tickets(&self) -> Result<Vec<Ticket>, Error> {
        self.room.view.tickets()
    }

    /// See [`View::rendition_path`].
    pub fn rendition_path(&self, ticket: &Ticket) -> PathBuf {
        self.room.view.rendition_path(ticket)
    }

    /// See [`View::switch_file_path`].
    pub fn switch_file_path(&self, ticket: &Ticket) -> PathBuf {
        self.room.view.switch_file_path(ticket)
    }

    /// Writes a new ticket. It is safe on disk when this returns.
    ///
    /// # Errors
    /// [`Error::TicketExists`], or the disk refused.
    pub fn create_ticket(&self, ticket: &Ticket) -> Result<(), Error> {
        let id = ticket.recording_id();
        let _turn = self.room.turn(id);
        let dir = self.room.view.recording_dir(id);
        if files::create_dir(&dir)? {
            files::sync_dir(&self.room.view.recordings_dir())?;
        } else if dir.join("ticket.json").exists() {
            return Err(Error::TicketExists(id.clone()));
        }
        // Known before it is on disk: its capture must not be removed between the two.
        self.room.index().add(ticket);
        let written = self.room.write_ticket(ticket);
        if written.is_err() {
            self.room.index().forget(id);
            fs::remove_dir(&dir).ok();
        }
        written
    }

    /// Replaces a ticket as a whole. It is safe on disk when this returns.
    ///
    /// # Errors
    /// [`Error::NoTicket`] when the recording has been removed meanwhile, or the disk refused.
    pub fn save_ticket(&self, ticket: &Ticket) -> Result<(), Error> {
        let _turn = self.room.turn(ticket.recording_id());
        self.room.ticket_path_that_exists(ticket.recording_id())?;
        self.room.write_ticket(ticket)
    }

    /// Reads a ticket, changes it and writes it back, with nobody else in between.
    ///
    /// # Errors
    /// [`Error::NoTicket`], what `change` said (nothing is written then), or the disk refused.
    pub fn update_ticket<T, E: From<Error>>(
        &self,
        id: &RecordingId,
        change: impl FnOnce(&mut Ticket) -> Result<T, E>,
    ) -> Result<(Ticket, T), E> {
        let _turn = self.room.turn(id);
        let mut ticket = self
            .room
            .view
            .ticket(id)?
            .ok_or_else(|| Error::NoTicket(id.clone()))?;
        let answer = change(&mut ticket)?;
        self.room.write_ticket(&ticket)?;
        Ok((ticket, answer))
    }

    /// Removes a recording: first its files, then its ticket. What is gone already is no error.
    ///
    /// # Errors
    /// The disk refused.
    pub fn remove_recording(&self, id: &RecordingId) -> Result<(), Error> {
        let _turn = self.room.turn(id);
        let dir = self.room.view.recording_dir(id);
        // The ticket goes last: a crash in between leaves a promise without a file, never a file without a promise.
        for (name, path) in list(&dir)? {
            if name != "ticket.json" {
                files::remove(&path, |path| fs::remove_file(path))?;
            }
        }
        files::remove(&dir.join("ticket.json"), |path| fs::remove_file(path))?;
        files::remove(&dir, |path| fs::remove_dir(path))?;
        files::sync_dir(&self.room.view.recordings_dir())?;
        self.room.index().forget(id);
        Ok(())
    }

    /// Ends a recording's stay here: saves its ticket, which says how its story ended, then removes its capture unless
    /// that serves others, then its files. After a crash in between, the ticket still says what is left to remove.
    ///
    /// # Errors
    /// [`Error::NoTicket`] when it has been removed meanwhile, or the disk refused to remove something.
    pub fn settle(&self, ticket: &Ticket) -> Result<(), Error> {
        match self.save_ticket(ticket) {
            // A full disk must not keep what is to be removed from it.
            Err(Error::Io { action, source, .. }) => {
                tracing::warn!(
                    recording_id = %ticket.recording_id(), action, error = %source,
                    "the end of a recording's story cannot be written; it is removed all the same"
                );
            }
            saved => saved?,
        }
        self.room.index().forget(ticket.recording_id());
        if let Some(capture) = ticket.capture_id() {
            self.remove_capture_if_unused(capture)?;
        }
        self.remove_recording(ticket.recording_id())
    }

    /// Removes a capture that serves no recording any more; says whether it is gone. One that is still being written
    /// is removed when its journal is closed, if nothing needs it then.
    ///
    /// # Errors
    /// The disk refused.
    pub fn remove_capture_if_unused(&self, id: &CaptureId) -> Result<bool, Error> {
        {
            let mut index = self.room.index();
            if index.open.contains(id) {
                index.leaving.insert(id.clone());
                return Ok(false);
            }
        }
        self.room.remove_capture_if_unused(id)
    }

    /// Whether any ticket needs this capture, as far as is known in memory.
    pub(crate) fn serves(&self, id: &CaptureId) -> bool {
        self.room.index().serves.contains_key(id)
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }
}

impl Room {
    /// The journal's bytes are in the page cache: they want a sync.
    pub(crate) fn wrote(&self) {
        self.syncer.wrote();
    }

    /// The journal is closed, in order or not.
    pub(crate) fn capture_closed(&self, id: &CaptureId) {
        let leaving = {
            let mut index = self.index();
            index.open.remove(id);
            index.leaving.remove(id)
        };
        if leaving && let Err(error) = self.remove_capture_if_unused(id) {
            tracing::warn!(capture_id = %id, %error, "a capture nobody needs stays on disk");
        }
    }

    /// A recording in quarantine may need the capture too, and only the journal can tell.
    fn remove_capture_if_unused(&self, id: &CaptureId) -> Result<bool, Error> {
        let dir = self.view.capture_dir(id);
        if self.index().serves.contains_key(id) || quarantine::needs(&self.view, id)? {
            return Ok(false);
        }
        files::remove(&dir, |dir| fs::remove_dir_all(dir))?;
        Ok(true)
    }

    pub(crate) fn write_ticket(&self, ticket: &Ticket) -> Result<(), Error> {
        let path = self
            .view
            .recording_dir(ticket.recording_id())
            .join("ticket.json");
        files::replace(&path, &ticket_bytes(ticket, &path)?)
    }

    fn ticket_path_that_exists(&self, id: &RecordingId) -> Result<PathBuf, Error> {
        let path = self.view.recording_dir(id).join("ticket.json");
        match path.try_exists().at("look for", &path)? {
            true => Ok(path),
            false => Err(Error::NoTicket(id.clone())),
        }
    }

    fn turn(&self, id: &RecordingId) -> MutexGuard<'_, ()> {
        let last = id.as_str().bytes().last().unwrap_or_default();
        self.shards[usize::from(last) % TICKET_SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn add(&mut self, ticket: &Ticket) {
        let Some(capture) = ticket.capture_id() else {
            return;
        };
        let before = self
            .capture_of
            .insert(ticket.recording_id().clone(), capture.clone());
        if before.is_none() {
            *self.serves.entry(capture.clone()).or_default() += 1;
        }
    }

    fn forget(&mut self, recording: &RecordingId) {
        let Some(capture) = self.capture_of.remove(recording) else {
            return;
        };
        if let Some(count) = self.serves.get_mut(&capture) {
            *count -= 1;
            if *count == 0 {
                self.serves.remove(&capture);
            }
        }
    }
}

fn lock(view: &View) -> Result<File, Error> {
    let path = view.lock_path();
    let mut file = files::open_or_create(&path).at("open", &path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = (&file).take(20).read_to_string(&mut pid);
            let known = read.is_ok() && !pid.trim().is_empty();
            return Err(Error::InUse {
                dir: view.dir().to_owned(),
                holder: if known {
                    format!("process {}", pid.trim())
                } else {
                    "another process".to_owned()
                },
            });
        }
        Err(TryLockError::Error(source)) => {
            return Err(source).at("lock", &path);
        }
    }
    file.set_len(0).at("write", &path)?;
    file.rewind().at("write", &path)?;
    writeln!(file, "{}", std::process::id()).at("write", &path)?;
    Ok(file)
}
