//! What a person's order does to a ticket, whoever obeys it. Reads and writes no file.

use callreel_proto::{DeliveryAction, DeliveryOrder, Utc};

use super::Ticket;
use crate::{Entry, ImpossibleTransition, What};

impl Ticket {
    /// Does what is ordered, and returns what the manifest is to say of it: nothing if nothing changed, because a hold it has
    /// already stays as it is, with who and why.
    ///
    /// # Errors
    /// As [`Ticket::retry`], [`Ticket::discarded`] and [`Ticket::set_hold`].
    pub fn obey(
        &mut self,
        order: &DeliveryOrder,
        now: Utc,
    ) -> Result<Option<Entry>, ImpossibleTransition> {
        let by = order.who().to_owned();
        let what = match order.action {
            action @ (DeliveryAction::Retry | DeliveryAction::Drop) => {
                if action == DeliveryAction::Retry {
                    self.retry()?;
                } else {
                    self.discarded(now, format!("dropped by order of {}", order.told()))?;
                }
                let reason = order.reason.clone();
                What::Ordered { action, by, reason }
            }
            DeliveryAction::Hold | DeliveryAction::Release => {
                let hold = order.hold(now);
                if hold.is_some() == self.hold.is_some() {
                    return Ok(None);
                }
                let reason = order.reason.clone().unwrap_or_default();
                let what = match hold {
                    Some(_) => What::Held { by, reason },
                    None => What::Released { by, reason },
                };
                self.set_hold(hold)?;
                what
            }
        };
        Ok(Some(Entry::of(self, what)))
    }
}
