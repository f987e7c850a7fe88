//! What the queue does when it hears from others: a recording has ended, or a person wants something done.

use callreel_proto::{DeliveryAction, DeliveryOrder, RecordingId, Utc, month_db};
use callreel_spool::Error as SpoolError;
use tracing::{error, info};

use super::{Heard, State};
use crate::{ledger::Owed, watch::Tick};

impl State {
    pub(super) async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Ended(id) => self.look(id).await,
            Heard::Ordered(order) => self.obey(order).await,
        }
    }

    async fn look(&mut self, id: RecordingId) {
        if self.book.contains(&id) {
            return;
        }
        let asked = id.clone();
        match self
            .ask(move |ledger| ledger.look(&asked, Utc::now()))
            .await
        {
            Ok(Some(owed)) => {
                let (now, wall) = (self.watch.now(), Utc::now());
                let (began, due) = (now.of(owed.began, wall), now.of(owed.due, wall));
                self.book
                    .open(id, owed.account, owed.stage, began, due, now);
            }
            // Of another node's spool, or done with already.
            Ok(None) => {}
            Err(error) => error!(recording_id = %id, %error, "cannot read its ticket"),
        }
    }

    async fn obey(&mut self, order: DeliveryOrder) {
        let id = order.recording_id.clone();
        let out = self.book.is_out(&id);
        match order.action {
            DeliveryAction::Hold | DeliveryAction::Release => self.hold(order).await,
            DeliveryAction::Retry if out => {}
            DeliveryAction::Drop if out => {
                self.book.unwant(&id);
                self.dropping.insert(id, order);
            }
            DeliveryAction::Retry => {
                let step = self.ask(move |ledger| ledger.retry(&order, Utc::now()));
                match step.await {
                    Ok(owed) => self.urge(id, owed),
                    Err(error) => refused(&id, &error),
                }
            }
            DeliveryAction::Drop => drop(self.drop_recording(order).await),
        }
    }

    /// It goes before all others of its account, and does not wait until its destination has shown that it is back.
    fn urge(&mut self, id: RecordingId, owed: Option<Owed>) {
        let Some(owed) = owed else {
            return;
        };
        let now = self.watch.now();
        if self.book.contains(&id) {
            self.book.put(&id, owed.stage, Tick::FIRST, now);
        } else {
            let began = now.of(owed.began, Utc::now());
            self.book
                .open(id, owed.account, owed.stage, began, Tick::FIRST, now);
        }
    }

    /// A hold changes nothing about what is owed, so that it is put on what is being worked on too.
    async fn hold(&mut self, order: DeliveryOrder) {
        let asked = order.clone();
        match self
            .ask(move |ledger| ledger.hold(&asked, Utc::now()))
            .await
        {
            Ok(Some(notice)) => self.publish(notice).await,
            Ok(None) => {}
            Err(SpoolError::NoTicket(_)) => self.hold_stored(&order).await,
            Err(error) => refused(&order.recording_id, &error),
        }
    }

    /// It was delivered before the order came, or is another node's: if it is stored, its document is held.
    async fn hold_stored(&self, order: &DeliveryOrder) {
        let Some(account) = &order.account_id else {
            return;
        };
        let id = order.recording_id.as_str();
        let db = month_db(account, order.recording_id.month());
        let done = match order.hold(Utc::now()) {
            Some(hold) => self.attachments.hold(&db, id, &hold).await,
            None => self.attachments.release(&db, id).await,
        };
        match done {
            Ok(found) => {
                let told = order.told();
                info!(
                    id,
                    order = told,
                    stored = found.is_some(),
                    "the order came after the delivery"
                );
            }
            Err(error) => error!(id, %error, "cannot obey the order; give it again"),
        }
    }

    /// False if it stays as it was.
    pub(super) async fn drop_recording(&mut self, order: DeliveryOrder) -> bool {
        let id = order.recording_id.clone();
        let step = self.ask(move |ledger| ledger.drop_recording(&order, Utc::now()));
        match step.await {
            Ok(Some(step)) => {
                self.take_step(id, step).await;
                true
            }
            Ok(None) => false,
            Err(error) => {
                refused(&id, &error);
                false
            }
        }
    }
}

fn refused(id: &RecordingId, error: &SpoolError) {
    // An order for a recording of another node's spool is heard here too.
    if !matches!(error, SpoolError::NoTicket(_)) {
        error!(recording_id = %id, %error, "cannot obey the order");
    }
}
