//! The walk through the spool, beside the queue and never in its way: names first, then the tickets the queue does not know,
//! a few at a time, so that what is found first is worked on while the rest is still being read.

use callreel_proto::Utc;
use callreel_spool::Error as SpoolError;
use ractor::{ActorRef, rpc::CallResult};
use tracing::error;

use super::{QueueMsg, State};
use crate::ledger::{Found, Ledger};

/// Tickets read between two words with the queue: some hundredths of a second of work, less than a megabyte.
const AT_ONCE: usize = 256;

impl State {
    /// Sets off on a walk, unless one is under way.
    pub(super) fn scan(&mut self, myself: &ActorRef<QueueMsg>) {
        if self.walk.as_ref().is_some_and(|walk| !walk.is_finished()) || self.stopping {
            return;
        }
        let (ledger, queue) = (self.ledger.clone(), myself.clone());
        self.walk = Some(tokio::spawn(async move {
            if let Err(error) = walk(&ledger, &queue).await {
                error!(%error, "cannot read the spool; trying again in a minute");
            }
        }));
    }

    /// Takes over what was found; what has become known meanwhile is known better.
    pub(super) async fn found(&mut self, found: Found) {
        let (wall, now) = (Utc::now(), self.watch.now());
        for (id, owed) in found.owed {
            self.book
                .open(id, owed.account, owed.stage, now.of(owed.due, wall), now);
        }
        for id in found.at_rest {
            self.book.rest(id);
        }
        for notice in found.notices {
            self.publish(notice).await;
        }
    }
}

/// Tells the queue of everything it does not know. Ends early when the queue is gone.
async fn walk(ledger: &Ledger, queue: &ActorRef<QueueMsg>) -> Result<(), SpoolError> {
    let names = blocking(ledger, Ledger::recordings).await?;
    let mut growing = Vec::new();
    for some in names.chunks(AT_ONCE) {
        let asked = queue.call(|reply| QueueMsg::Unknown(some.to_owned(), reply), None);
        let Ok(CallResult::Success(unknown)) = asked.await else {
            return Ok(());
        };
        if unknown.is_empty() {
            continue;
        }
        let read = move |ledger: &Ledger| ledger.read(&unknown, Utc::now());
        let mut found = blocking(ledger, read).await?;
        growing.append(&mut found.growing);
        if !tell(queue, found).await {
            return Ok(());
        }
    }
    let recover = move |ledger: &Ledger| Ok(ledger.recover(&growing, Utc::now()));
    let found = blocking(ledger, recover).await?;
    tell(queue, found).await;
    Ok(())
}

/// Waits until the queue has heard it, so that no more is read than it has time for.
async fn tell(queue: &ActorRef<QueueMsg>, found: Found) -> bool {
    let told = queue.call(|done| QueueMsg::Found(found, done), None).await;
    matches!(told, Ok(CallResult::Success(())))
}

async fn blocking<T: Send + 'static>(
    ledger: &Ledger,
    work: impl FnOnce(&Ledger) -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let ledger = ledger.clone();
    tokio::task::spawn_blocking(move || work(&ledger))
        .await
        .expect("reading the spool does not panic, and the runtime outlives its tasks")
}
