//! What a person's order means for a recording's ticket. Nothing that a legal hold is on goes.

use callreel_proto::{DeliveryAction, DeliveryOrder, RecordingFact, RecordingNotice, Utc};
use callreel_spool::{Entry, Error, Ticket};

use tracing::{info, warn};

use super::{Ledger, Owed, Step, notice};

impl Ledger {
    /// A person wants it tried again at once.
    pub(crate) fn retry(&self, order: &DeliveryOrder, now: Utc) -> Result<Option<Owed>, Error> {
        let id = &order.recording_id;
        let ticket = self.obey(order, now)?.0;
        info!(recording_id = %id, order = order.told(), "to be tried again by order");
        Ok(self.owed(&ticket, now))
    }

    /// A person wants it gone; `None` if a legal hold forbids that.
    pub(crate) fn drop_recording(
        &self,
        order: &DeliveryOrder,
        now: Utc,
    ) -> Result<Option<Step>, Error> {
        let mut ticket = self.ticket(&order.recording_id)?;
        if let Some(hold) = ticket.hold() {
            warn!(
                recording_id = %order.recording_id, order = order.told(), held_by = hold.by, reason = hold.reason,
                "not dropped: a legal hold is on it, which must be released first"
            );
            return Ok(None);
        }
        if let Some(entry) = ticket.obey(order, now)? {
            self.note(&entry);
        }
        self.discard(&ticket).map(Some)
    }

    /// A person wants it kept whatever happens, or no longer. A hold it has already stays as it is, with who and why: then
    /// there is nothing to tell.
    pub(crate) fn hold(
        &self,
        order: &DeliveryOrder,
        now: Utc,
    ) -> Result<Option<RecordingNotice>, Error> {
        let fact = match order.action {
            DeliveryAction::Hold => RecordingFact::Held,
            _ => RecordingFact::Released,
        };
        let (ticket, changed) = self.obey(order, now)?;
        Ok(changed.then(|| notice(&ticket, fact, Some(order.told()))))
    }

    /// Changes the ticket as ordered, and says whether that changed anything.
    fn obey(&self, order: &DeliveryOrder, now: Utc) -> Result<(Ticket, bool), Error> {
        self.spool.update_ticket(&order.recording_id, |ticket| {
            let entry = ticket.obey(order, now)?;
            entry.iter().for_each(|entry| self.note(entry));
            Ok(entry.is_some())
        })
    }

    fn note(&self, entry: &Entry) {
        self.spool.view().manifest().note(entry);
    }
}
