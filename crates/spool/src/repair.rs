//! Mends what can be mended without a person (`callreel check --repair`): what the next start of delivery would do, and what
//! else is sure to lose nothing. Each step looks again at what it is about to change.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use callreel_proto::{RecordingId, RecordingState};

use crate::{
    Error, Outbox, RenditionInfo, Ticket, View,
    error::At,
    files,
    ticket::file::MAX_TICKET,
    view::{TICKET, list},
};

impl Outbox {
    /// Mends everything that [`View::check`] names with a repair, and has the audio files of `spoilt` recordings rendered again
    /// where that is possible. Unreadable tickets were set aside and claims were mended when the outbox was opened. Living writers
    /// and what they write are left alone.
    ///
    /// # Errors
    /// The disk refused; what was mended before stays mended.
    pub fn repair(&self, spoilt: &HashSet<RecordingId>) -> Result<(), Error> {
        let view = self.view();
        for one in set_aside(view)?.iter().filter(|one| one.may_return(view)) {
            one.put_back(view)?;
        }
        self.recover(&view.growing()?)?;
        for id in view.recording_ids()? {
            match view.ticket(&id) {
                Ok(Some(ticket)) => self.mend(ticket, spoilt.contains(&id))?,
                Ok(None) | Err(Error::MalformedTicket { .. } | Error::Newer { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        view.manifest().mend()
    }

    fn mend(&self, mut ticket: Ticket, is_spoilt: bool) -> Result<(), Error> {
        let view = self.view();
        if is_over(&ticket) {
            return self.settle(&ticket);
        }
        // Whoever records it may be writing just now.
        if ticket.state() != RecordingState::Growing {
            for path in half_written(view, ticket.recording_id())? {
                files::remove(&path, |path| fs::remove_file(path))?;
            }
        }
        if (is_spoilt || is_lost(view, &ticket)) && view.may_render_again(&ticket) {
            ticket.rendition_lost()?;
            self.save_ticket(&ticket)?;
        }
        Ok(())
    }
}

/// Whether its story is over, and only its removal is left.
pub(crate) fn is_over(ticket: &Ticket) -> bool {
    use RecordingState::{Delivered, Discarded};
    matches!(ticket.state(), Delivered | Discarded)
}

/// What a crash left half written beside a ticket.
pub(crate) fn half_written(view: &View, id: &RecordingId) -> Result<Vec<PathBuf>, Error> {
    let found = list(&view.recording_dir(id))?.into_iter();
    let is_half = |name: &str| name.ends_with(files::TEMPORARY);
    Ok(found
        .filter(|(name, _)| is_half(&name.to_string_lossy()))
        .map(|(_, path)| path)
        .collect())
}

/// Whether its audio file is not there as its ticket says.
pub(crate) fn is_lost(view: &View, ticket: &Ticket) -> bool {
    let on_disk = view.rendition_path(ticket).metadata().ok();
    let as_told = |rendition: &RenditionInfo| {
        on_disk.is_some_and(|file| file.len() == rendition.bytes_on_disk())
    };
    ticket
        .rendition()
        .is_some_and(|rendition| !as_told(rendition))
}

impl View {
    /// Whether an audio file on its way that is lost or spoilt can be made again: what it was made from is here.
    pub fn may_render_again(&self, ticket: &Ticket) -> bool {
        use RecordingState::{Delivering, Rendered};
        matches!(ticket.state(), Rendered | Delivering)
            && match ticket.capture_id() {
                Some(capture) => self.read_journal(capture).is_ok(),
                None => self.open_switch_file(ticket).is_ok(),
            }
    }
}

/// A recording in quarantine.
pub(crate) struct SetAside {
    id: Option<RecordingId>,
    pub(crate) path: PathBuf,
}

/// The recordings in quarantine, in order of name.
pub(crate) fn set_aside(view: &View) -> Result<Vec<SetAside>, Error> {
    let names = view.quarantined()?.into_iter();
    Ok(names
        .map(|name| SetAside {
            // One that was set aside before has a number behind its name.
            id: name
                .split('.')
                .next()
                .and_then(|id| RecordingId::parse(id).ok()),
            path: view.quarantine_dir().join(name),
        })
        .collect())
}

impl SetAside {
    /// Whether its ticket can be read now, because a person has mended it or this program is another than the one that set it
    /// aside, and its place is free.
    pub(crate) fn may_return(&self, view: &View) -> bool {
        let Some(id) = &self.id else {
            return false;
        };
        let read = files::read_bounded(&self.path.join(TICKET), MAX_TICKET);
        let ticket = read.ok().flatten().map(|bytes| Ticket::from_json(&bytes));
        matches!(ticket, Some(Ok(ticket)) if ticket.recording_id() == id)
            && !view.recording_dir(id).exists()
    }

    fn put_back(&self, view: &View) -> Result<(), Error> {
        let Some(id) = &self.id else {
            return Ok(());
        };
        fs::rename(&self.path, view.recording_dir(id)).at("put back", &self.path)?;
        let mut note = self.path.as_os_str().to_owned();
        note.push(".reason.txt");
        files::remove(Path::new(&note), |path| fs::remove_file(path))?;
        files::sync_dir(&view.recordings_dir())
    }
}
