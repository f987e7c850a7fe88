//! The spool as its one deliverer works in it: the tickets of recordings that have ended, until nothing of them is left.

use std::{path::Path, sync::Arc};

use callreel_proto::RecordingId;

use crate::{
    Entry, Error, Keys, ReceiverInfo, Space, SpoolConfig, Ticket, View, captures, desk::Desk,
    locks, locks::Lock, quarantine, receivers, recovery,
};

/// The deliverer's handle to a spool. Clones share it; the lock is held until the last clone is gone.
#[derive(Clone)]
pub struct Outbox {
    room: Arc<Room>,
    space: Space,
}

struct Room {
    desk: Desk,
    _lock: Lock,
}

impl Outbox {
    /// Opens the spool for delivery, creating it if it is missing. Tickets that cannot be read are moved to `quarantine/`,
    /// each with the reason beside it, and do not stop the start.
    ///
    /// # Errors
    /// [`Error::HasDelivery`] while somebody else delivers from it, [`Error::InUse`] while a process of an older version
    /// works in it, or the disk refused.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(dir, Keys::default())
    }

    /// As [`Outbox::open`], with the keys to what is sealed.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(dir: impl AsRef<Path>, keys: Keys) -> Result<Self, Error> {
        let desk = Desk::open(dir.as_ref(), keys)?;
        let view = desk.view();
        let path = view.delivery_lock();
        let lock = Lock::take(&path)?.ok_or_else(|| Error::HasDelivery {
            dir: view.dir().to_owned(),
            holder: locks::holder(&path),
        })?;
        quarantine::set_unreadable_aside(view)?;
        captures::drop_stale_claims(view)?;
        let space = Space::of(desk.view().dir(), &SpoolConfig::default());
        let room = Room { desk, _lock: lock };
        Ok(Self {
            room: Arc::new(room),
            space,
        })
    }

    /// The same spool with the marks of these settings for the room on its disk; without, they are the defaults.
    #[must_use]
    pub fn with_marks(self, config: &SpoolConfig) -> Self {
        let space = Space::of(self.view().dir(), config);
        Self { space, ..self }
    }

    /// The room on its disk.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Looking at the spool: tickets, journals, [`View::check`].
    pub fn view(&self) -> &View {
        self.room.desk.view()
    }

    /// Replaces a ticket as a whole. It is safe on disk when this returns.
    ///
    /// # Errors
    /// [`Error::NoTicket`] when the recording has been removed meanwhile, or the disk refused.
    pub fn save_ticket(&self, ticket: &Ticket) -> Result<(), Error> {
        let desk = &self.room.desk;
        let _turn = desk.turn(ticket.recording_id());
        desk.save(ticket, None)
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
        self.room.desk.update(id, change)
    }

    /// Ends a recording's stay here: tells the manifest, saves its ticket, which says how its story ended, then removes its
    /// capture unless others need it, then its files. After a crash in between, the ticket still says what is left to remove.
    ///
    /// # Errors
    /// [`Error::NoTicket`] when it has been removed meanwhile, or the disk refused to remove something.
    pub fn settle(&self, ticket: &Ticket) -> Result<(), Error> {
        let untold = self.told(ticket)?;
        let removed = self.remove(ticket);
        if let Some(step) = untold {
            // A full disk has room for it now.
            self.view().manifest().note(&step);
        }
        removed
    }

    /// Says in manifest and ticket how the story ended, as far as the disk lets it: a full one must not keep what is to be
    /// removed from it. Gives back what the manifest could not take.
    fn told(&self, ticket: &Ticket) -> Result<Option<Entry>, Error> {
        let desk = &self.room.desk;
        let _turn = desk.turn(ticket.recording_id());
        let step = desk.step(ticket)?;
        let manifest = desk.view().manifest();
        let untold = step.filter(|step| manifest.append(step).is_err());
        match desk.replace(ticket, None) {
            Err(Error::Io { action, source, .. }) => {
                tracing::error!(
                    recording_id = %ticket.recording_id(), action, error = %source,
                    "the end of a recording's story cannot be written; it is removed all the same"
                );
            }
            saved => saved?,
        }
        Ok(untold)
    }

    fn remove(&self, ticket: &Ticket) -> Result<(), Error> {
        if let Some(capture) = ticket.capture_id() {
            captures::release(self.view(), capture, ticket.recording_id())?;
        }
        self.room.desk.remove(ticket.recording_id())
    }

    /// Ends those of these growing recordings that a dead writer left, as [`Writer::recover`](crate::Writer::recover) does,
    /// and returns them.
    ///
    /// # Errors
    /// As there.
    pub fn recover(&self, tickets: &[Ticket]) -> Result<Vec<Ticket>, Error> {
        recovery::recover(&self.room.desk, tickets)
    }

    /// Tells whoever looks ([`View::receivers`]) which receivers are left alone from now on.
    ///
    /// # Errors
    /// The disk refused.
    pub fn tell_receivers(&self, receivers: &[ReceiverInfo]) -> Result<(), Error> {
        receivers::tell(self.view(), receivers)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Who looks asks the lock first, so that a file that stays does no harm.
        receivers::tell(self.desk.view(), &[]).ok();
    }
}
