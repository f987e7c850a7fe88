//! What a person's order means for a recording's ticket. Nothing that a legal hold is on goes.

use callreel_proto::{DeliveryOrder, RecordingFact, RecordingNotice, Utc};
use callreel_spool::{Entry, Error, Ticket, What};

use tracing::{info, warn};

use super::{Ledger, Owed, Step, notice};

impl Ledger {
    /// A person wants it tried again at once.
    pub(crate) fn retry(&self, order: &DeliveryOrder, now: Utc) -> Result<Option<Owed>, Error> {
        let id = &order.recording_id;
        let (ticket, ()) = self.spool.update_ticket(id, |ticket| {
            ticket.retry()?;
            self.note_order(ticket, order);
            Ok::<_, Error>(())
        })?;
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
        ticket.discarded(now, format!("dropped by order of {}", order.told()))?;
        self.note_order(&ticket, order);
        self.discard(&ticket).map(Some)
    }

    fn note_order(&self, ticket: &Ticket, order: &DeliveryOrder) {
        let ordered = What::Ordered {
            action: order.action,
            by: order.who().to_owned(),
            reason: order.reason.clone(),
        };
        self.note(ticket, ordered);
    }

    fn note(&self, ticket: &Ticket, what: What) {
        self.spool.view().manifest().note(&Entry::of(ticket, what));
    }

    /// A person wants it kept whatever happens, or no longer.
    /// A hold it has already stays as it is, with who and why: then there is nothing to tell.
    pub(crate) fn hold(
        &self,
        order: &DeliveryOrder,
        now: Utc,
    ) -> Result<Option<RecordingNotice>, Error> {
        let (by, reason) = (
            order.who().to_owned(),
            order.reason.clone().unwrap_or_default(),
        );
        let hold = order.hold(now);
        let (fact, what) = match &hold {
            Some(_) => (RecordingFact::Held, What::Held { by, reason }),
            None => (RecordingFact::Released, What::Released { by, reason }),
        };
        let (ticket, changed) = self.spool.update_ticket(&order.recording_id, |ticket| {
            let changed = hold.is_some() != ticket.hold().is_some();
            if changed {
                ticket.set_hold(hold)?;
                self.note(ticket, what);
            }
            Ok::<_, Error>(changed)
        })?;
        Ok(changed.then(|| notice(&ticket, fact, Some(order.told()))))
    }
}
