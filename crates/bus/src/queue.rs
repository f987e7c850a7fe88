//! One queue: a bounded ring that drops its oldest message when full, and its consumers, who take turns. It knows no
//! exchange and no binding.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::Delivery;

/// A queue as routes and consumers hold it; equal only to itself.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Inner>);

struct Inner {
    name: String,
    shared: bool,
    capacity: usize,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    messages: VecDeque<Delivery>,
    /// Consumers without a message, the one that has waited longest first.
    waiting: VecDeque<Waiter>,
    consumers: u64,
    closed: bool,
    accepted: u64,
    dropped: u64,
}

struct Waiter {
    consumer: u64,
    waker: Waker,
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) depth: usize,
    pub(crate) accepted: u64,
    pub(crate) dropped: u64,
}

impl PartialEq for Queue {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({})", self.0.name)
    }
}

impl Queue {
    pub(crate) fn new(name: String, shared: bool, capacity: usize) -> Self {
        Self(Arc::new(Inner {
            name,
            shared,
            capacity,
            ring: Mutex::default(),
        }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.0.shared
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity
    }

    pub(crate) fn level(&self) -> Level {
        let ring = self.ring();
        Level {
            depth: ring.messages.len(),
            accepted: ring.accepted,
            dropped: ring.dropped,
        }
    }

    /// A new consumer's number.
    pub(crate) fn join(&self) -> u64 {
        let mut ring = self.ring();
        ring.consumers += 1;
        ring.consumers
    }

    /// Takes the message, at the cost of the oldest one if the queue is full.
    pub(crate) fn push(&self, delivery: Delivery) {
        let mut ring = self.ring();
        if ring.closed {
            return;
        }
        let dropped = (ring.messages.len() >= self.0.capacity).then(|| {
            ring.messages.pop_front();
            ring.dropped += 1;
            ring.dropped
        });
        ring.messages.push_back(delivery);
        ring.accepted += 1;
        let waker = ring
            .waiting
            .get(ring.messages.len() - 1)
            .map(|waiter| waiter.waker.clone());
        drop(ring);
        if let Some(waker) = waker {
            waker.wake();
        }
        // Every power of two: a consumer that hangs must be seen, not fill the log.
        if let Some(dropped) = dropped.filter(|count| count.is_power_of_two()) {
            tracing::error!(
                queue = self.name(),
                capacity = self.0.capacity,
                dropped,
                "a queue is full and drops its oldest messages: its consumer is too slow or hangs"
            );
        }
    }

    /// The next message for this consumer; `None` when the queue is closed and empty. Safe to cancel: a message is
    /// taken only when this returns.
    pub(crate) async fn next(&self, consumer: u64) -> Option<Delivery> {
        let mut place = Place {
            queue: self,
            consumer,
            waiting: false,
        };
        poll_fn(|context| {
            let polled = self.poll_next(consumer, context);
            place.waiting = polled.is_pending();
            polled
        })
        .await
    }

    /// Nobody will get more than what is here already.
    pub(crate) fn close(&self) {
        let mut ring = self.ring();
        ring.closed = true;
        let wakers: Vec<Waker> = ring.waiting.drain(..).map(|waiter| waiter.waker).collect();
        drop(ring);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Consumers that have waited longer come first: whoever asks may take a message only if those ahead get one too.
    fn poll_next(&self, consumer: u64, context: &Context<'_>) -> Poll<Option<Delivery>> {
        let mut ring = self.ring();
        let place = ring.waiting.iter().position(|w| w.consumer == consumer);
        let ahead = place.unwrap_or(ring.waiting.len());
        if ring.messages.len() > ahead {
            if let Some(place) = place {
                ring.waiting.remove(place);
            }
            return Poll::Ready(ring.messages.pop_front());
        }
        if ring.closed {
            return Poll::Ready(None);
        }
        match place {
            Some(place) => ring.waiting[place].waker.clone_from(context.waker()),
            None => ring.waiting.push_back(Waiter {
                consumer,
                waker: context.waker().clone(),
            }),
        }
        Poll::Pending
    }

    fn leave(&self, consumer: u64) {
        let mut ring = self.ring();
        ring.waiting.retain(|waiter| waiter.consumer != consumer);
        // Those behind have moved up: for some of them a message may be here already.
        let ready = ring.messages.len().min(ring.waiting.len());
        let wakers: Vec<Waker> = ring
            .waiting
            .range(..ready)
            .map(|waiter| waiter.waker.clone())
            .collect();
        drop(ring);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A consumer's place among those who wait; given up when it stops waiting.
struct Place<'a> {
    queue: &'a Queue,
    consumer: u64,
    waiting: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.waiting {
            self.queue.leave(self.consumer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context};

    use bytes::Bytes;
    use callreel_proto::Exchange;

    use super::*;

    fn message(text: &'static str) -> Delivery {
        Delivery {
            exchange: Exchange::Kapps,
            routing_key: text.to_owned(),
            deliver_to: None,
            call_id: None,
            body: Bytes::new(),
        }
    }

    fn poll(
        future: &mut std::pin::Pin<&mut impl Future<Output = Option<Delivery>>>,
    ) -> Poll<String> {
        let mut context = Context::from_waker(Waker::noop());
        future
            .as_mut()
            .poll(&mut context)
            .map(|delivery| delivery.map(|d| d.routing_key).unwrap_or_default())
    }

    #[test]
    fn consumers_are_served_in_the_order_in_which_they_waited() {
        let queue = Queue::new("q".to_owned(), true, 8);
        let (first, second) = (queue.join(), queue.join());
        let mut waits_first = pin!(queue.next(first));
        let mut waits_second = pin!(queue.next(second));
        assert!(poll(&mut waits_first).is_pending());
        assert!(poll(&mut waits_second).is_pending());
        queue.push(message("1"));
        assert!(poll(&mut waits_second).is_pending(), "not its turn");
        assert_eq!(poll(&mut waits_first), Poll::Ready("1".to_owned()));
        queue.push(message("2"));
        let mut comes_again = pin!(queue.next(first));
        assert!(
            poll(&mut comes_again).is_pending(),
            "the other waits longer"
        );
        assert_eq!(poll(&mut waits_second), Poll::Ready("2".to_owned()));
    }

    #[test]
    fn a_consumer_that_stops_waiting_loses_no_message() {
        let queue = Queue::new("q".to_owned(), true, 8);
        let (first, second) = (queue.join(), queue.join());
        let mut stays = pin!(queue.next(second));
        {
            let mut goes = pin!(queue.next(first));
            assert!(poll(&mut goes).is_pending());
            assert!(poll(&mut stays).is_pending());
            queue.push(message("1"));
        }
        assert_eq!(poll(&mut stays), Poll::Ready("1".to_owned()));
    }

    #[test]
    fn a_closed_queue_gives_what_it_holds_and_takes_no_more() {
        let queue = Queue::new("q".to_owned(), false, 2);
        let consumer = queue.join();
        queue.push(message("1"));
        queue.close();
        queue.push(message("2"));
        assert_eq!(
            poll(&mut pin!(queue.next(consumer))),
            Poll::Ready("1".to_owned())
        );
        assert_eq!(
            poll(&mut pin!(queue.next(consumer))),
            Poll::Ready(String::new())
        );
    }
}
