//! The walk through the spool, beside the queue and never in its way: names first, then the tickets the queue does not know,
//! a few at a time, so that what is found first is worked on while the rest is still being read.

use callreel_proto::Utc;
use callreel_spool::Error as SpoolError;
use ractor::{ActorRef, RpcReplyPort, rpc::CallResult};
use tokio_util::sync::CancellationToken;
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
        let ledger = self.ledger.clone();
        let queue = Line {
            queue: myself.clone(),
            stop: self.cut_off.clone(),
        };
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

/// The walk's way to speak with the queue.
struct Line {
    queue: ActorRef<QueueMsg>,
    /// The queue stops, and answers no more.
    stop: CancellationToken,
}

impl Line {
    /// `None` once the queue is gone.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(RpcReplyPort<T>) -> QueueMsg,
    ) -> Option<T> {
        let asked = self.queue.call(question, None);
        match self.stop.run_until_cancelled(asked).await {
            Some(Ok(CallResult::Success(answer))) => Some(answer),
            _ => None,
        }
    }

    /// Waits until the queue has heard it, so that no more is read than it has time for.
    async fn tell(&self, found: Found) -> Option<()> {
        self.ask(|done| QueueMsg::Found(found, done)).await
    }
}

/// Tells the queue of everything it does not know. Ends early when the queue is gone.
async fn walk(ledger: &Ledger, queue: &Line) -> Result<(), SpoolError> {
    let names = blocking(ledger, Ledger::recordings).await?;
    let mut growing = Vec::new();
    for some in names.chunks(AT_ONCE) {
        let some = some.to_owned();
        let unknown = match queue.ask(|reply| QueueMsg::Unknown(some, reply)).await {
            Some(unknown) if unknown.is_empty() => continue,
            Some(unknown) => unknown,
            None => return Ok(()),
        };
        let read = move |ledger: &Ledger| ledger.read(&unknown, Utc::now());
        let mut found = blocking(ledger, read).await?;
        growing.append(&mut found.growing);
        if queue.tell(found).await.is_none() {
            return Ok(());
        }
    }
    let recover = move |ledger: &Ledger| Ok(ledger.recover(&growing, Utc::now()));
    let found = blocking(ledger, recover).await?;
    queue.tell(found).await;
    Ok(())
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
