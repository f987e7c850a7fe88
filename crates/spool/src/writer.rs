//! The spool as those write to it who record: captures, and the tickets of recordings for as long as these grow.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use callreel_proto::{CaptureId, RecordingId, RecordingState};
use serde::Serialize;

use crate::{
    CaptureHeader, Error, Journal, Picture, Space, SpoolConfig, Ticket, View, WriterId, captures,
    desk::Desk, files, recovery, sync::Syncer, ticket::file::ticket_bytes, view::TICKET,
    writers::Place,
};

/// A writer's handle to a spool, one of any number. Clones share it; when the last clone and the last journal are gone, or
/// the process is, whatever this writer left growing is anybody's to finish.
#[derive(Clone)]
pub struct Writer {
    room: Arc<Room>,
}

/// What all handles and journals of one writer share.
pub(crate) struct Room {
    open_captures: AtomicUsize,
    // Dropped in this order: the last sync happens while the writer still counts as living.
    syncer: Syncer,
    place: Place,
    space: Space,
    desk: Desk,
}

/// A picture of a writer for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WriterDescription {
    /// The name of its folder in `writers/`.
    pub id: WriterId,
    /// Captures it is writing.
    pub open_captures: usize,
    /// Syncs of the file system since the start.
    pub syncs: u64,
    /// Failed ones.
    pub sync_failures: u64,
    /// The room on the disk, and what is refused for want of it.
    pub disk: Picture,
}

impl Writer {
    /// Opens the spool for writing, creating it if it is missing.
    ///
    /// # Errors
    /// [`Error::InUse`] while a process of an older version works in it, [`Error::KeyFile`], or the disk refused.
    pub fn open(dir: impl AsRef<Path>, config: &SpoolConfig) -> Result<Self, Error> {
        let desk = Desk::open(dir.as_ref(), config.keys()?)?;
        let interval = Duration::from_millis(config.sync_interval_ms);
        let room = Room {
            open_captures: AtomicUsize::new(0),
            syncer: Syncer::start(desk.view().dir(), interval)?,
            place: Place::take(desk.view())?,
            space: Space::of(desk.view().dir(), config),
            desk,
        };
        Ok(Self {
            room: Arc::new(room),
        })
    }

    /// Looking at the spool: tickets, journals, [`View::check`].
    pub fn view(&self) -> &View {
        self.room.desk.view()
    }

    /// A picture of this writer for operators.
    pub fn describe(&self) -> WriterDescription {
        let (syncs, sync_failures) = self.room.syncer.rounds();
        WriterDescription {
            id: self.room.place.id().clone(),
            open_captures: self.room.open_captures.load(Ordering::Relaxed),
            syncs,
            sync_failures,
            disk: self.room.space.picture(),
        }
    }

    /// How much room there is.
    pub fn space(&self) -> &Space {
        &self.room.space
    }

    /// Begins the journal of a new capture. Tickets for it can be made until the journal is closed; it goes with the last
    /// of them, or when it is closed and there is none.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::CaptureExists`], a malformed id, or the disk refused.
    pub fn create_capture(&self, header: CaptureHeader) -> Result<Journal, Error> {
        self.room.space.for_a_recording()?;
        let id = header.capture_id.clone();
        let (dir, path) = (self.view().capture_dir(&id), self.view().journal_path(&id));
        if dir.exists() {
            return Err(Error::CaptureExists(id));
        }
        self.room.place.make(&dir, |hidden| {
            let file = files::create_file(&hidden.join("journal"))?;
            let seal_to = self.view().keys().seals_to();
            Journal::begin(file, path, header, seal_to, Arc::clone(&self.room))
        })
    }

    /// Writes a new ticket, of a recording whose capture is open or which a foreign switch keeps. It is safe on disk when this
    /// returns.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::TicketExists`], [`Error::NoCapture`], or the disk refused.
    pub fn create_ticket(&self, ticket: &Ticket) -> Result<(), Error> {
        self.room.space.for_a_recording()?;
        let (id, capture) = (ticket.recording_id(), ticket.capture_id());
        let view = self.view();
        let _turn = self.room.desk.turn(id);
        let (dir, path) = (view.recording_dir(id), view.ticket_path(id));
        if path.exists() {
            return Err(Error::TicketExists(id.clone()));
        }
        let bytes = ticket_bytes(ticket, self.while_growing(ticket), &path)?;
        if let Some(capture) = capture {
            captures::claim(view, capture, id)?;
        }
        let made = self
            .room
            .place
            .make(&dir, |hidden| {
                files::write_synced(&hidden.join(TICKET), &bytes)?;
                files::sync_dir(hidden)
            })
            .and_then(|()| {
                let synced = files::sync_dir(&view.recordings_dir());
                // Whoever asked gets an error and has no recording: there must be no promise of one either.
                synced.inspect_err(|_| drop(fs::remove_dir_all(&dir)))
            });
        if made.is_err()
            && let Some(capture) = capture
        {
            // The first error is the one to report; a capture that stays is named by `check`.
            captures::release(view, capture, id).ok();
        }
        made
    }

    /// Replaces the ticket of a recording that has been growing until now. It is safe on disk when this returns. A ticket
    /// that says on disk that the recording has ended is delivery's, and stays as it is: nobody ends a recording twice.
    ///
    /// # Errors
    /// [`Error::NoTicket`] when the recording has been removed meanwhile, or the disk refused.
    pub fn save_ticket(&self, ticket: &Ticket) -> Result<(), Error> {
        let desk = &self.room.desk;
        let _turn = desk.turn(ticket.recording_id());
        if desk.ticket(ticket.recording_id())?.state() != RecordingState::Growing {
            return Ok(());
        }
        desk.save(ticket, self.while_growing(ticket))
    }

    /// The recordings of this writer that grow. Reads every ticket of the spool.
    ///
    /// # Errors
    /// The disk refused.
    pub fn growing(&self) -> Result<Vec<Ticket>, Error> {
        let mut mine = Vec::new();
        for ticket in self.view().growing()? {
            let writer = self.view().writer_of(ticket.recording_id())?;
            if writer.as_ref() == Some(self.room.place.id()) {
                mine.push(ticket);
            }
        }
        Ok(mine)
    }

    /// Takes back the promise of a recording of this writer that never began: its ticket goes.
    ///
    /// # Errors
    /// The disk refused.
    pub fn withdraw(&self, ticket: &Ticket) -> Result<(), Error> {
        self.room.desk.remove(ticket.recording_id())?;
        match ticket.capture_id() {
            Some(capture) => captures::release(self.view(), capture, ticket.recording_id()),
            None => Ok(()),
        }
    }

    /// Ends one growing recording of this writer as interrupted: its recorder died in a process that lives. Its journal must
    /// be closed. One that a foreign switch keeps ends now, or at its limit if that has passed. A recording that has ended
    /// already stays as it is.
    ///
    /// # Errors
    /// There is no such ticket, or it cannot be written. A journal that cannot be read for now is no error: the ticket
    /// comes back growing, and a recovery ends it once this process is gone.
    pub fn interrupt(&self, id: &RecordingId) -> Result<Ticket, Error> {
        recovery::interrupt(&self.room.desk, id)
    }

    /// Ends every recording that a dead writer left growing: at the end its journal names, or else interrupted at the
    /// journal's last record. Returns those it ended. Recordings of living writers are left alone. Waits while somebody else
    /// does it.
    ///
    /// A recording whose journal cannot be opened at the moment (a missing permission, say) stays growing and is named in the
    /// log: ending it would throw away audio that is still there. A recording that a foreign switch keeps stays growing until
    /// its limit has passed, for the switch may still be recording: see [`Writer::adopt`].
    ///
    /// # Errors
    /// The disk refused to write a ticket.
    pub fn recover(&self) -> Result<Vec<Ticket>, Error> {
        recovery::recover(&self.room.desk, &self.view().growing()?)
    }

    /// Takes over the recordings that a dead writer left growing on a foreign switch, and returns them: they are this
    /// writer's to stop and to end from now on, and no other writer gets them while it lives.
    ///
    /// # Errors
    /// The disk refused to write a ticket.
    pub fn adopt(&self) -> Result<Vec<Ticket>, Error> {
        recovery::adopt(
            &self.room.desk,
            &self.view().growing()?,
            self.room.place.id(),
        )
    }

    /// A growing ticket names its writer, so that others know whether it still grows.
    fn while_growing(&self, ticket: &Ticket) -> Option<&WriterId> {
        let growing = ticket.state() == RecordingState::Growing;
        growing.then(|| self.room.place.id())
    }
}

impl Room {
    pub(crate) fn capture_opened(&self) {
        self.open_captures.fetch_add(1, Ordering::Relaxed);
    }

    /// The journal's bytes are in the page cache: they want a sync.
    pub(crate) fn wrote(&self) {
        self.syncer.wrote();
    }

    /// The journal is closed, in order or not.
    pub(crate) fn capture_closed(&self, id: &CaptureId) {
        self.open_captures.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = captures::remove_if_unclaimed(self.desk.view(), id) {
            tracing::warn!(capture_id = %id, %error, "a capture nobody needs stays on disk");
        }
    }
}
