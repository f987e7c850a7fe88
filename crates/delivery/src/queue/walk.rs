//! The walk through the spool, beside the queue and never in its way: names first, then the tickets the queue does not know,
//! a few at a time, so that what is found first is worked on while the rest is still being read.

use std::time::Duration;

use callreel_bus::Reconnects;
use callreel_proto::Utc;
use callreel_spool::Error as SpoolError;
use ractor::{ActorRef, RpcReplyPort, rpc::CallResult};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{QueueMsg, State};
use crate::ledger::{Found, Ledger};

/// Tickets read between two words with the queue: some hundredths of a second of work, less than a megabyte.
const AT_ONCE: usize = 256;
/// How often the spool is walked through for tickets nobody told of: a notice may be lost on a bus that drops the oldest,
/// and a process that died tells nobody.
const PAUSE: Duration = Duration::from_secs(60);

/// Walks through the spool now, every minute, and each time the bus is there again: who ended a recording may have been back
/// before us, and have told nobody. Ends when the queue stops.
pub(super) async fn keep_walking(
    ledger: Ledger,
    queue: ActorRef<QueueMsg>,
    stop: CancellationToken,
    mut reconnects: Reconnects,
) {
    let line = Line { queue, stop };
    while !line.stop.is_cancelled() {
        if let Err(error) = walk(&ledger, &line).await {
            error!(%error, "cannot read the spool; trying again in a minute");
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = reconnects.next() => {}
            () = line.stop.cancelled() => {}
        }
    }
}

impl State {
    /// Takes over what was found; what has become known meanwhile is known better.
    pub(super) async fn found(&mut self, found: Found) {
        let (wall, now) = (Utc::now(), self.watch.now());
        for (id, owed) in found.owed {
            let (began, due) = (now.of(owed.began, wall), now.of(owed.due, wall));
            self.book
                .open(id, owed.account, owed.stage, began, due, now);
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
