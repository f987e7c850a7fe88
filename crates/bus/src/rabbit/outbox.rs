//! What is to be said to the broker, in order: messages and changes of what queues hear. Bounded; a full outbox drops its
//! oldest message. Says nothing itself.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use callreel_proto::GREGORIAN_UNIX_OFFSET;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::counters::{Counters, count};
use crate::{Binding, Delivery, Error};

/// Messages that may wait: a busy node says some hundred a second, so this lasts for a broker's restart of half a minute.
pub(crate) const CAPACITY: usize = 10_000;

/// Bytes of bodies that may wait: `CAPACITY` messages of several kilobytes, and little enough for any machine.
pub(crate) const CAPACITY_BYTES: usize = 64 << 20;

/// Messages that have waited longer are not sent any more. Kazoo's queues forget after the same time (`x-message-ttl`):
/// an order or event of a minute ago would confuse whoever gets it.
const EXPIRY: Duration = Duration::from_secs(60);

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) message: Delivery,
    /// Gregorian microseconds, no two of one outbox the same: who gets the message twice can tell by it.
    pub(crate) stamp: u64,
    /// Times it was handed to a connection.
    pub(crate) attempts: u32,
    since: Instant,
}

/// Brings the broker up to date with what a queue is to hear.
pub(crate) struct Settle {
    pub(crate) queue: String,
    /// Only this binding; `None` for all there is to the queue.
    pub(crate) binding: Option<Binding>,
    /// Told the broker's answer; dropped without one when the connection ends first.
    pub(crate) done: Option<oneshot::Sender<Result<(), Error>>>,
}

pub(crate) enum Job {
    Publish(Outgoing),
    Settle(Settle),
}

/// The jobs, oldest first.
pub(crate) struct Outbox {
    capacity: usize,
    inner: Mutex<Inner>,
    filled: Notify,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    messages: usize,
    bytes: usize,
    /// Whether a connection takes changes. Without one they are not queued: a new connection starts from all there is.
    settling: bool,
    closed: bool,
    last_stamp: u64,
}

impl Outbox {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inner: Mutex::default(),
            filled: Notify::new(),
        }
    }

    pub(crate) fn publish(&self, message: Delivery, counters: &Counters) -> Result<(), Error> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(Error::Closed);
        }
        inner.last_stamp = gregorian_microseconds().max(inner.last_stamp + 1);
        let stamp = inner.last_stamp;
        inner.push(Outgoing {
            message,
            stamp,
            attempts: 0,
            since: Instant::now(),
        });
        inner.shrink(self.capacity, counters);
        drop(inner);
        self.filled.notify_one();
        Ok(())
    }

    /// Queues a change; `false` without a connection, when there is no need to.
    pub(crate) fn settle(&self, settle: Settle) -> bool {
        let mut inner = self.inner();
        if !inner.settling {
            return false;
        }
        inner.jobs.push_back(Job::Settle(settle));
        drop(inner);
        self.filled.notify_one();
        true
    }

    /// From now on changes are queued.
    pub(crate) fn start_settling(&self) {
        self.inner().settling = true;
    }

    /// The connection ended: changes are void, and the messages it did not confirm, in their order, come first again.
    pub(crate) fn take_back(&self, unconfirmed: impl DoubleEndedIterator<Item = Outgoing>) {
        let mut inner = self.inner();
        inner.settling = false;
        inner.jobs.retain(|job| matches!(job, Job::Publish(_)));
        for outgoing in unconfirmed.rev() {
            inner.messages += 1;
            inner.bytes += outgoing.message.body.len();
            inner.jobs.push_front(Job::Publish(outgoing));
        }
    }

    /// The oldest job, if it is a message or changes may be had too.
    pub(crate) fn pop(&self, changes_too: bool, counters: &Counters) -> Option<Job> {
        let mut inner = self.inner();
        while let Some(job) = inner.jobs.pop_front() {
            match job {
                Job::Settle(_) if !changes_too => {
                    inner.jobs.push_front(job);
                    return None;
                }
                Job::Settle(_) => return Some(job),
                Job::Publish(outgoing) => {
                    inner.forget(&outgoing);
                    if outgoing.since.elapsed() < EXPIRY {
                        return Some(Job::Publish(outgoing));
                    }
                    complain(
                        count(&counters.expired),
                        "a message waited too long for the broker and was dropped",
                    );
                }
            }
        }
        None
    }

    /// Waits until something was put in, or the outbox was closed.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes no more messages.
    pub(crate) fn close(&self) {
        self.inner().closed = true;
        self.filled.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner().closed
    }

    /// Messages that wait, and the bytes of their bodies.
    pub(crate) fn level(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.messages, inner.bytes)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, outgoing: Outgoing) {
        self.messages += 1;
        self.bytes += outgoing.message.body.len();
        self.jobs.push_back(Job::Publish(outgoing));
    }

    fn forget(&mut self, outgoing: &Outgoing) {
        self.messages -= 1;
        self.bytes -= outgoing.message.body.len();
    }

    fn shrink(&mut self, capacity: usize, counters: &Counters) {
        while self.messages > 1 && (self.messages > capacity || self.bytes > CAPACITY_BYTES) {
            let oldest = self
                .jobs
                .iter()
                .position(|job| matches!(job, Job::Publish(_)));
            if let Some(Job::Publish(outgoing)) = oldest.and_then(|at| self.jobs.remove(at)) {
                self.forget(&outgoing);
            }
            complain(
                count(&counters.dropped),
                "the buffer for the broker is full and drops its oldest messages",
            );
        }
    }
}

/// Says it at every power of two: an outage must be seen, not fill the log.
fn complain(times: u64, what: &'static str) {
    if times.is_power_of_two() {
        tracing::error!(times, "{what}");
    }
}

fn gregorian_microseconds() -> u64 {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let micros = u64::try_from(unix.as_micros()).unwrap_or_default();
    GREGORIAN_UNIX_OFFSET.unsigned_abs() * 1_000_000 + micros
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use callreel_proto::Exchange;

    use super::*;

    fn message(key: &str, bytes: usize) -> Delivery {
        Delivery {
            exchange: Exchange::Kapps,
            routing_key: key.to_owned(),
            deliver_to: None,
            body: Bytes::from(vec![b'x'; bytes]),
        }
    }

    fn keys(outbox: &Outbox, counters: &Counters) -> Vec<String> {
        std::iter::from_fn(|| outbox.pop(true, counters))
            .map(|job| match job {
                Job::Publish(outgoing) => outgoing.message.routing_key,
                Job::Settle(settle) => format!("settle {}", settle.queue),
            })
            .collect()
    }

    fn change(queue: &str) -> Settle {
        Settle {
            queue: queue.to_owned(),
            binding: None,
            done: None,
        }
    }

    #[tokio::test]
    async fn a_full_outbox_drops_its_oldest_message_and_no_change() {
        let (outbox, counters) = (Outbox::new(2), Counters::default());
        outbox.start_settling();
        assert!(outbox.settle(change("q")));
        for key in ["1", "2", "3"] {
            outbox.publish(message(key, 1), &counters).unwrap();
        }
        assert_eq!(outbox.level(), (2, 2));
        assert_eq!(keys(&outbox, &counters), ["settle q", "2", "3"]);
        assert_eq!(count(&counters.dropped), 2, "one was dropped before");
        assert_eq!(outbox.level(), (0, 0));
    }

    #[tokio::test]
    async fn bodies_are_bounded_too() {
        let (outbox, counters) = (Outbox::new(100), Counters::default());
        for key in ["1", "2", "3"] {
            let large = message(key, CAPACITY_BYTES / 2);
            outbox.publish(large, &counters).unwrap();
        }
        assert_eq!(keys(&outbox, &counters), ["2", "3"]);
    }

    #[tokio::test]
    async fn what_was_not_confirmed_comes_first_again_and_changes_are_void() {
        let (outbox, counters) = (Outbox::new(9), Counters::default());
        outbox.start_settling();
        for key in ["1", "2", "3"] {
            outbox.publish(message(key, 1), &counters).unwrap();
        }
        let sent: Vec<Outgoing> = (0..2)
            .filter_map(|_| match outbox.pop(false, &counters) {
                Some(Job::Publish(outgoing)) => Some(outgoing),
                _ => None,
            })
            .collect();
        assert!(sent[0].stamp < sent[1].stamp);
        assert!(outbox.settle(change("q")));
        outbox.take_back(sent.into_iter());
        assert!(!outbox.settle(change("q")));
        assert_eq!(keys(&outbox, &counters), ["1", "2", "3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_a_minute_is_not_sent_any_more() {
        let (outbox, counters) = (Outbox::new(9), Counters::default());
        outbox.publish(message("old", 1), &counters).unwrap();
        tokio::time::advance(EXPIRY).await;
        outbox.publish(message("new", 1), &counters).unwrap();
        assert_eq!(keys(&outbox, &counters), ["new"]);
        assert_eq!(count(&counters.expired), 2, "one had expired before");
    }
}
