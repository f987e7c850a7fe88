//! The walk through the spool, a few tickets at a time: what is owed, what rests, and what a dead process left growing.

use callreel_proto::{RecordingFact, RecordingId, RecordingNotice, RecordingState, Utc};
use callreel_spool::{Error, Ticket};
use tracing::{error, warn};

use super::{Ledger, Owed, notice};

/// Why a recording ended that nobody was left to end.
pub(super) const DIED: &str = "its process died";

/// What some tickets said.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Everything owed.
    pub(crate) owed: Vec<(RecordingId, Owed)>,
    /// What has been given up, and waits for a person.
    pub(crate) at_rest: Vec<RecordingId>,
    /// What grows.
    pub(crate) growing: Vec<Ticket>,
    /// What to publish: recordings whose process died have ended.
    pub(crate) notices: Vec<RecordingNotice>,
}

impl Ledger {
    /// The names of all recordings, in the order of their months.
    pub(crate) fn recordings(&self) -> Result<Vec<RecordingId>, Error> {
        self.spool.view().recording_ids()
    }

    /// Reads these tickets. What has ended its story while its files could not be removed is removed now.
    pub(crate) fn read(&self, ids: &[RecordingId], now: Utc) -> Result<Found, Error> {
        let mut found = Found::default();
        for id in ids {
            match self.spool.view().ticket(id) {
                Ok(Some(ticket)) => self.sort(ticket, now, &mut found)?,
                Ok(None) => {}
                Err(error @ Error::MalformedTicket { .. }) => {
                    warn!(%error, "passing over a ticket; the next start sets it aside");
                }
                Err(error @ Error::Newer { .. }) => warn!(%error, "passing over a ticket"),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn sort(&self, ticket: Ticket, now: Utc, found: &mut Found) -> Result<(), Error> {
        let id = ticket.recording_id();
        match ticket.state() {
            RecordingState::Growing => found.growing.push(ticket),
            RecordingState::Undeliverable => found.at_rest.push(id.clone()),
            RecordingState::Delivered | RecordingState::Discarded => self.spool.settle(&ticket)?,
            RecordingState::Ended | RecordingState::Rendered | RecordingState::Delivering => {
                let owed = self.owed(&ticket, now).map(|owed| (id.clone(), owed));
                found.owed.extend(owed);
            }
        }
        Ok(())
    }

    /// Ends those of these growing recordings that a dead process left. Trouble with that is only told: what is owed
    /// already does not wait for it.
    pub(crate) fn recover(&self, growing: &[Ticket], now: Utc) -> Found {
        let recovered = self.spool.recover(growing).unwrap_or_else(|error| {
            error!(%error, "cannot end what a dead process left growing; trying again in a minute");
            Vec::new()
        });
        let mut found = Found::default();
        for ticket in &recovered {
            let owed = self.owed(ticket, now);
            let owed = owed.map(|owed| (ticket.recording_id().clone(), owed));
            found.owed.extend(owed);
            let died = notice(ticket, RecordingFact::Ended, Some(DIED.to_owned()));
            found.notices.push(died);
        }
        found
    }
}
