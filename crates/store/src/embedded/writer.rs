//! The one writer of the database file: a thread that takes changes from a bounded queue and commits them in groups.
//! Knows nothing of documents.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::Error;

/// Changes waiting for the writer. A sender that finds it full waits, so this only has to keep a group commit fed: one
/// sync takes about 4 ms, in which far fewer changes than this arrive. An upload has one block in here at a time.
const QUEUE: usize = 128;
/// Changes in one commit. One sync for a hundred costs a hundredth each; more only makes the first wait longer.
const GROUP: usize = 100;

/// Hands changes to the writer thread, which ends when the last clone is dropped and the queue is empty.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    changes: mpsc::Sender<Box<dyn Change>>,
}

/// Something to do to the database, and someone who waits for it to be safely on disk.
trait Change: Send {
    /// Does it; true if its effect shall be kept.
    fn perform(&mut self, conn: &Connection) -> bool;
    /// Tells the waiting one, after the commit.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Pending<T, F> {
    work: Option<F>,
    outcome: Result<T, Error>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Change for Pending<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Error> + Send,
{
    fn perform(&mut self, conn: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        self.outcome = work(conn);
        self.outcome.is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        // An asker that has gone away no longer cares; its change is made all the same.
        drop(self.reply.send(committed.and(self.outcome)));
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(conn: Connection) -> Result<Self, std::io::Error> {
        let (changes, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(conn, queue))?;
        Ok(Self { changes })
    }

    /// Has `work` done inside a transaction and returns once that is committed. If `work` fails, its own changes are
    /// undone and nobody else's.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let change = pending(work, reply);
        self.changes.send(change).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// As [`Writer::write`] without waiting; false if the queue is full. For clean-up that may be left undone.
    pub(super) fn try_write<F>(&self, work: F) -> bool
    where
        F: FnOnce(&Connection) -> Result<(), Error> + Send + 'static,
    {
        let (reply, _) = oneshot::channel();
        self.changes.try_send(pending(work, reply)).is_ok()
    }
}

fn pending<T, F>(work: F, reply: oneshot::Sender<Result<T, Error>>) -> Box<dyn Change>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
{
    Box::new(Pending {
        work: Some(work),
        outcome: Err(Error::Closed),
        reply,
    })
}

fn run(mut conn: Connection, mut queue: mpsc::Receiver<Box<dyn Change>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        let committed = commit(&mut conn, &mut group);
        if let Err(error) = &committed {
            tracing::error!(%error, changes = group.len(), "the store could not commit");
        }
        for change in group {
            change.answer(committed.clone());
        }
    }
}

fn commit(conn: &mut Connection, group: &mut [Box<dyn Change>]) -> Result<(), Error> {
    let mut tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in group {
        perform(&mut tx, change.as_mut())?;
    }
    Ok(tx.commit()?)
}

fn perform(tx: &mut Transaction<'_>, change: &mut dyn Change) -> rusqlite::Result<()> {
    let savepoint = tx.savepoint()?;
    if change.perform(&savepoint) {
        savepoint.commit()
    } else {
        // Dropping the savepoint rolls it back.
        savepoint.finish()
    }
}
