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

/// Time the receivers of a message have to appear at its address, if its sender wants to know. After an outage they look
/// for the broker at least every five seconds, as we do.
const HEARING: Duration = Duration::from_secs(10);

/// Messages that may wait for their receivers to appear; more are lost at once. One command each of many calls.
const DEFERRED: usize = 1024;

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
    pub(crate) fn new(message: Delivery, stamp: u64, answer: Option<Answer>) -> Self {
        Self {
            message: Arc::new(message),
            stamp,
            attempts: 0,
            answer,
            since: Instant::now(),
        }
    }

    /// Whether its sender wants to know what becomes of it.
    pub(crate) fn is_tracked(&self) -> bool {
        self.answer.is_some()
    }

    fn is_for(&self, other: &Self) -> bool {
        let (one, other) = (&self.message, &other.message);
        one.exchange == other.exchange && one.routing_key == other.routing_key
    }

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

/// Asks the broker whether anybody has a queue.
pub(crate) struct Question {
    pub(crate) queue: String,
    /// Told the answer; dropped without one when the connection ends first.
    pub(crate) answer: oneshot::Sender<bool>,
}

pub(crate) enum Job {
    Publish(Outgoing),
    Settle(Settle),
    Ask(Question),
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
    /// Tracked messages that nobody was there to hear, and those that came after them for the same address, in order.
    deferred: Vec<Outgoing>,
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
        inner.push(Outgoing::new(message, stamp, answer));
        inner.shrink(self.capacity, counters);
        drop(inner);
        self.filled.notify_one();
        Ok(())
    }

    /// Queues a change; `false` without a connection, when there is no need to.
    pub(crate) fn settle(&self, settle: Settle) -> bool {
        self.push_if_connected(Job::Settle(settle))
    }

    /// Queues a question; without a connection it is dropped.
    pub(crate) fn ask(&self, question: Question) {
        self.push_if_connected(Job::Ask(question));
    }

    fn push_if_connected(&self, job: Job) -> bool {
        let mut inner = self.inner();
        if !inner.settling {
            return false;
        }
        inner.jobs.push_back(job);
        drop(inner);
        self.filled.notify_one();
        true
    }

    /// From now on changes are queued.
    pub(crate) fn start_settling(&self) {
        self.inner().settling = true;
    }

    /// The connection ended: changes are void, and the messages it did not confirm come first again.
    pub(crate) fn take_back(&self, unconfirmed: impl IntoIterator<Item = Outgoing>) {
        let mut inner = self.inner();
        inner.settling = false;
        inner.jobs.retain(|job| matches!(job, Job::Publish(_)));
        inner.deferred.extend(unconfirmed);
        inner.retry();
    }

    /// A tracked message that nobody was there to hear: it waits for its receivers, unless they had their time.
    pub(crate) fn defer(&self, outgoing: Outgoing, counters: &Counters) {
        self.inner().defer(outgoing, counters);
    }

    /// What waits for its receivers is tried again.
    pub(crate) fn retry(&self) {
        self.inner().retry();
    }

    /// The oldest job, if it is a message or changes may be had too.
    pub(crate) fn pop(&self, changes_too: bool, counters: &Counters) -> Option<Job> {
        let mut inner = self.inner();
        inner.expire(counters);
        loop {
            match inner.jobs.pop_front()? {
                Job::Settle(settle) if changes_too => return Some(Job::Settle(settle)),
                change @ Job::Settle(_) => {
                    inner.jobs.push_front(change);
                    return None;
                }
                Job::Ask(question) => return Some(Job::Ask(question)),
                Job::Publish(outgoing) => {
                    inner.forget(&outgoing);
                    if !inner.is_behind_deferred(&outgoing) {
                        return Some(Job::Publish(outgoing));
                    }
                    inner.defer(outgoing, counters);
                }
            }
        }
    }

    /// Drops what has waited too long.
    pub(crate) fn expire(&self, counters: &Counters) {
        self.inner().expire(counters);
    }

    /// Drops everything; returns how many messages that were.
    pub(crate) fn discard(&self) -> usize {
        let mut inner = self.inner();
        inner.retry();
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

    fn is_behind_deferred(&self, outgoing: &Outgoing) -> bool {
        outgoing.is_tracked() && self.deferred.iter().any(|other| other.is_for(outgoing))
    }

    fn defer(&mut self, mut outgoing: Outgoing, counters: &Counters) {
        // No connection broke over it.
        outgoing.attempts = 0;
        if outgoing.since.elapsed() < HEARING && self.deferred.len() < DEFERRED {
            self.deferred.push(outgoing);
        } else {
            count(&counters.unheard);
            outgoing.settle(Err(Lost::Unheard));
        }
    }

    /// Puts what was deferred before all else, in the order in which it was published.
    fn retry(&mut self) {
        let mut again = std::mem::take(&mut self.deferred);
        again.sort_by_key(|outgoing| outgoing.stamp);
        for outgoing in again.into_iter().rev() {
            self.messages += 1;
            self.bytes += outgoing.message.body.len();
            self.jobs.push_front(Job::Publish(outgoing));
        }
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
                Job::Settle(_) | Job::Ask(_) => None,
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
mod tests;
