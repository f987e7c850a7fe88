//! What a person's order means for a recording's ticket. Nothing that a legal hold is on goes.

use callreel_proto::{DeliveryAction, DeliveryOrder, Hold, RecordingFact, RecordingNotice, Utc};
use callreel_spool::Error;

use tracing::{info, warn};

use super::{Ledger, Owed, Step, notice};

impl Ledger {
    /// A person wants it tried again at once.
    pub(crate) fn retry(&self, order: &DeliveryOrder, now: Utc) -> Result<Option<Owed>, Error> {
        let id = &order.recording_id;
        let (ticket, ()) = self
            .spool
            .update_ticket(id, |ticket| ticket.retry().map_err(Error::from))?;
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
        self.discard(&ticket).map(Some)
    }

    /// A person wants it kept whatever happens, or no longer.
    pub(crate) fn hold(&self, order: &DeliveryOrder, now: Utc) -> Result<RecordingNotice, Error> {
        let hold = (order.action == DeliveryAction::Hold).then(|| Hold {
            by: order.by.clone().unwrap_or_else(|| "an operator".to_owned()),
            reason: order.reason.clone().unwrap_or_default(),
            since: now.gregorian_seconds(),
        });
        let fact = match hold {
            Some(_) => RecordingFact::Held,
            None => RecordingFact::Released,
        };
        let (ticket, ()) = self.spool.update_ticket(&order.recording_id, |ticket| {
            ticket.set_hold(hold).map_err(Error::from)
        })?;
        Ok(notice(&ticket, fact, Some(order.told())))
    }
}
