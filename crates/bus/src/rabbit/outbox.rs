//! What is to be said to the broker, in order: messages and changes of what queues hear. Bounded; a full outbox drops its
//! oldest message. Says nothing itself.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use callreel_proto::GREGORIAN_UNIX_OFFSET;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::counters::{Counters, count};
use crate::{Binding, Delivery, Error, Lost, receipt::Answer};

/// Messages that may wait: a busy node says some hundred a second, so this lasts for a broker's restart of half a minute.
pub(crate) const CAPACITY: usize = 10_000;

/// Bytes of bodies that may wait: `CAPACITY` messages of several kilobytes, and little enough for any machine.
pub(crate) const CAPACITY_BYTES: usize = 64 << 20;

/// Messages that have waited longer are not sent any more. Kazoo's queues forget after the same time (`x-message-ttl`):
/// an order or event of a minute ago would confuse whoever gets it.
const EXPIRY: Duration = Duration::from_secs(60);

/// How often waiting messages are looked through for those that have waited too long.
pub(crate) const EXPIRY_CHECK: Duration = Duration::from_secs(1);

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) message: Arc<Delivery>,
    /// Gregorian microseconds, no two of one outbox the same: who gets the message twice can tell by it.
    pub(crate) stamp: u64,
    /// Times it was handed to a connection.
    pub(crate) attempts: u32,
    /// Told what becomes of it, if its sender wants to know.
    pub(crate) answer: Option<Answer>,
    since: Instant,
}

impl Outgoing {
    /// Tells its sender what became of it.
    pub(crate) fn settle(self, outcome: Result<(), Lost>) {
        if let Some(answer) = self.answer {
            answer.give(outcome);
        }
    }
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

    pub(crate) fn publish(
        &self,
        message: Delivery,
        answer: Option<Answer>,
        counters: &Counters,
    ) -> Result<(), Error> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(Error::Closed);
        }
        inner.last_stamp = gregorian_microseconds().max(inner.last_stamp + 1);
        let stamp = inner.last_stamp;
        inner.push(Outgoing {
            message: Arc::new(message),
            stamp,
            attempts: 0,
            answer,
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
        inner.expire(counters);
        let is_change = matches!(inner.jobs.front(), Some(Job::Settle(_)));
        if is_change && !changes_too {
            return None;
        }
        let job = inner.jobs.pop_front()?;
        if let Job::Publish(outgoing) = &job {
            inner.forget(outgoing);
        }
        Some(job)
    }

    /// Drops what has waited too long.
    pub(crate) fn expire(&self, counters: &Counters) {
        self.inner().expire(counters);
    }

    /// Drops everything; returns how many messages that were.
    pub(crate) fn discard(&self) -> usize {
        let mut inner = self.inner();
        let messages = inner.messages;
        (inner.messages, inner.bytes) = (0, 0);
        // Who waits for an answer learns from its end that the bus is closed.
        inner.jobs.clear();
        messages
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
            self.lose_oldest(Lost::Crowded);
            complain(
                count(&counters.dropped),
                "the buffer for the broker is full and drops its oldest messages",
            );
        }
    }

    fn expire(&mut self, counters: &Counters) {
        while self
            .oldest()
            .is_some_and(|(_, oldest)| oldest.since.elapsed() >= EXPIRY)
        {
            self.lose_oldest(Lost::Expired);
            complain(
                count(&counters.expired),
                "a message waited too long for the broker and was dropped",
            );
        }
    }

    /// Messages are in the order of their age: what was taken back is older than what it is put before.
    fn oldest(&self) -> Option<(usize, &Outgoing)> {
        self.jobs
            .iter()
            .enumerate()
            .find_map(|(at, job)| match job {
                Job::Publish(outgoing) => Some((at, outgoing)),
                Job::Settle(_) => None,
            })
    }

    fn lose_oldest(&mut self, why: Lost) {
        let at = self.oldest().map(|(at, _)| at);
        if let Some(Job::Publish(outgoing)) = at.and_then(|at| self.jobs.remove(at)) {
            self.forget(&outgoing);
            outgoing.settle(Err(why));
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
    use crate::Receipt;

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
                Job::Publish(outgoing) => outgoing.message.routing_key.clone(),
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
            outbox.publish(message(key, 1), None, &counters).unwrap();
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
            outbox.publish(large, None, &counters).unwrap();
        }
        assert_eq!(keys(&outbox, &counters), ["2", "3"]);
    }

    #[tokio::test]
    async fn what_was_not_confirmed_comes_first_again_and_changes_are_void() {
        let (outbox, counters) = (Outbox::new(9), Counters::default());
        outbox.start_settling();
        for key in ["1", "2", "3"] {
            outbox.publish(message(key, 1), None, &counters).unwrap();
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
        outbox.publish(message("old", 1), None, &counters).unwrap();
        tokio::time::advance(EXPIRY).await;
        outbox.publish(message("new", 1), None, &counters).unwrap();
        assert_eq!(keys(&outbox, &counters), ["new"]);
        assert_eq!(count(&counters.expired), 2, "one had expired before");
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_to_know_is_told_what_was_lost_and_why() {
        let (outbox, counters) = (Outbox::new(2), Counters::default());
        outbox.start_settling();
        let track = |key| {
            let (receipt, answer) = Receipt::open();
            let tracked = message(key, 1);
            outbox.publish(tracked, Some(answer), &counters).unwrap();
            receipt
        };
        let (first, second) = (track("1"), track("2"));
        assert!(outbox.settle(change("q")));
        let third = track("3");
        assert_eq!(first.await, Err(Lost::Crowded));
        tokio::time::advance(EXPIRY).await;
        outbox.expire(&counters);
        assert_eq!(second.await, Err(Lost::Expired));
        assert_eq!(third.await, Err(Lost::Expired), "behind a change too");
        let fourth = track("4");
        assert_eq!(outbox.discard(), 1);
        assert_eq!(fourth.await, Err(Lost::Closed));
        assert_eq!(outbox.level(), (0, 0));
    }
}
