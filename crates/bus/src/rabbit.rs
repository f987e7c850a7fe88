//! The bus on a RabbitMQ: what this process wants to hear and say. A task of its own, the link, makes the broker agree;
//! this file never talks to it.

mod counters;
mod intake;
mod link;
mod outbox;
mod session;
mod target;
mod window;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

use self::{
    counters::{Counters, count, read},
    outbox::{Outbox, Question, Settle},
    target::Target,
    window::WINDOW,
    wire::Reader,
};
use crate::{
    Binding, BusConfig, BusDescription, Delivery, Error, LinkDescription, QueueOptions,
    bus::LONGEST_NAME,
    entry::{Entry, unique_name},
    queue::Queue,
    receipt::Answer,
};

/// How long a node that starts looks for its broker. A broker that starts together with it needs some seconds; an operator
/// who mistyped the address wants to know.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// This process on a RabbitMQ. Dropping it closes it.
pub(crate) struct Rabbit {
    shared: Arc<Shared>,
}

/// What the link is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    /// Connecting, although the broker refuses us.
    Refused,
    Connected,
    Closed,
}

/// What the users of the bus and its link have in common.
pub(crate) struct Shared {
    node: String,
    url: String,
    pub(crate) outbox: Outbox,
    pub(crate) counters: Counters,
    queues: Mutex<HashMap<String, Held>>,
    state: watch::Sender<State>,
    last_error: Mutex<Option<String>>,
    closing: watch::Sender<bool>,
    /// How often the connection, or a queue, was there again.
    reconnects: watch::Sender<u64>,
}

struct Held {
    entry: Entry,
    reader: Arc<Mutex<Reader>>,
}

/// A queue as it should be on the broker.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) queue: Queue,
    pub(crate) reader: Arc<Mutex<Reader>>,
}

impl Rabbit {
    pub(crate) async fn open(config: &BusConfig, node: &str) -> Result<Self, Error> {
        let target = Target::new(config, node)?;
        let shared = Arc::new(Shared::new(node, target.shown()));
        let rabbit = Self {
            shared: Arc::clone(&shared),
        };
        let mut state = shared.state.subscribe();
        tokio::spawn(link::run(Arc::clone(&shared), target));
        let settled = state.wait_for(|state| *state != State::Connecting);
        match timeout(OPEN_PATIENCE, settled).await {
            Ok(Ok(state)) if *state == State::Connected => Ok(()),
            _ => Err(Error::Unreachable {
                url: shared.url.clone(),
                reason: shared
                    .last_error()
                    .unwrap_or_else(|| "it does not answer".to_owned()),
            }),
        }?;
        Ok(rabbit)
    }

    pub(crate) fn unique_name(&self) -> String {
        unique_name(&self.shared.node)
    }

    /// Joins the queue as one more consumer; on the broker it is there after [`Rabbit::in_force`].
    pub(crate) fn subscribe(
        &self,
        options: QueueOptions,
        bindings: Vec<Binding>,
    ) -> Result<Queue, Error> {
        let options = options.named(&self.shared.node)?;
        if self.shared.outbox.is_closed() {
            return Err(Error::Closed);
        }
        let mut queues = self.shared.queues();
        let held = queues.entry(options.name.clone()).or_insert_with(|| Held {
            entry: Entry::new(&options),
            reader: Arc::new(Mutex::new(Reader::new())),
        });
        held.entry.join(&options)?;
        held.entry.bindings.extend(bindings);
        Ok(held.entry.queue.clone())
    }

    /// Waits until the broker has the queue and all its bindings, through outages if need be.
    pub(crate) async fn in_force(&self, queue: &str) -> Result<(), Error> {
        let mut state = self.shared.state.subscribe();
        loop {
            if let Some(answer) = self.shared.settle(queue, None).await {
                return answer;
            }
            let up = |state: &State| matches!(state, State::Connected | State::Closed);
            match state.wait_for(up).await {
                Ok(state) if *state == State::Connected => {}
                _ => return Err(Error::Closed),
            }
        }
    }

    /// One consumer fewer; the last one takes the queue and its bindings with it.
    pub(crate) fn leave(&self, queue: &Queue) {
        let mut queues = self.shared.queues();
        let Some(held) = queues.get_mut(queue.name()) else {
            return;
        };
        held.entry.consumers -= 1;
        if held.entry.consumers > 0 {
            return;
        }
        queues.remove(queue.name());
        drop(queues);
        queue.close();
        self.shared.outbox.settle(Settle {
            queue: queue.name().to_owned(),
            binding: None,
            done: None,
        });
    }

    pub(crate) async fn bind(&self, queue: &Queue, binding: Binding) -> Result<(), Error> {
        if self.shared.outbox.is_closed() {
            return Err(Error::Closed);
        }
        self.shared.entry(queue, |entry| {
            entry.bindings.insert(binding.clone());
        })?;
        let answer = self.shared.settle(queue.name(), Some(&binding)).await;
        if let Some(Err(error)) = answer {
            // Or it would be refused again and again, and with it the queue.
            self.shared.entry(queue, |entry| {
                entry.bindings.remove(&binding);
            })?;
            return Err(error);
        }
        Ok(())
    }

    pub(crate) async fn unbind(&self, queue: &Queue, binding: Binding) -> Result<(), Error> {
        let was_bound = self
            .shared
            .entry(queue, |entry| entry.bindings.remove(&binding))?;
        if was_bound {
            self.shared
                .settle(queue.name(), Some(&binding))
                .await
                .unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    pub(crate) async fn has_queue(&self, name: &str) -> Option<bool> {
        if name.len() > LONGEST_NAME {
            return Some(false);
        }
        let (answer, answered) = oneshot::channel();
        let queue = name.to_owned();
        self.shared.outbox.ask(Question { queue, answer });
        answered.await.ok()
    }

    pub(crate) fn publish(&self, message: Delivery, answer: Option<Answer>) -> Result<(), Error> {
        let Shared {
            outbox, counters, ..
        } = &*self.shared;
        outbox.publish(message, answer, counters)?;
        count(&counters.published);
        Ok(())
    }

    pub(crate) fn is_connected(&self) -> bool {
        *self.shared.state.borrow() == State::Connected
    }

    pub(crate) fn reconnects(&self) -> watch::Receiver<u64> {
        self.shared.reconnects.subscribe()
    }

    pub(crate) fn close(&self) {
        self.shared.outbox.close();
        self.shared.closing.send_replace(true);
        for held in self.shared.queues().values() {
            held.entry.queue.close();
        }
    }

    pub(crate) async fn ended(&self) {
        let mut state = self.shared.state.subscribe();
        // An error means that nobody will ever change the state again: ended too.
        drop(state.wait_for(|state| *state == State::Closed).await);
    }

    pub(crate) fn describe(&self) -> BusDescription {
        let shared = &self.shared;
        let mut queues: Vec<_> = shared
            .queues()
            .values()
            .map(|held| held.entry.describe())
            .collect();
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        BusDescription {
            node: shared.node.clone(),
            published: read(&shared.counters.published),
            unheard: read(&shared.counters.unheard),
            dropped: queues.iter().map(|queue| queue.dropped).sum(),
            link: Some(shared.describe()),
            queues,
        }
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    pub(crate) fn new(node: &str, url: String) -> Self {
        Self {
            node: node.to_owned(),
            url,
            outbox: Outbox::new(outbox::CAPACITY),
            counters: Counters::default(),
            queues: Mutex::default(),
            state: watch::Sender::new(State::Connecting),
            last_error: Mutex::default(),
            closing: watch::Sender::new(false),
            reconnects: watch::Sender::new(0),
        }
    }

    /// The names of all queues there should be.
    pub(crate) fn names(&self) -> Vec<String> {
        self.queues().keys().cloned().collect()
    }

    /// The queue as it should be; `None` if it should not.
    pub(crate) fn wanted(&self, name: &str) -> Option<Wanted> {
        self.queues().get(name).map(|held| Wanted {
            queue: held.entry.queue.clone(),
            reader: Arc::clone(&held.reader),
        })
    }

    /// All the queue should hear.
    pub(crate) fn bindings(&self, name: &str) -> Vec<Binding> {
        let queues = self.queues();
        let bindings = queues.get(name).map(|held| &held.entry.bindings);
        bindings.into_iter().flatten().cloned().collect()
    }

    /// Whether the queue should hear this.
    pub(crate) fn is_bound(&self, name: &str, binding: &Binding) -> bool {
        let queues = self.queues();
        let held = queues.get(name);
        held.is_some_and(|held| held.entry.bindings.contains(binding))
    }

    /// Tells whoever wants to know that the connection, or a queue, is there again.
    pub(crate) fn reconnected(&self) {
        self.reconnects.send_modify(|times| *times += 1);
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.send_replace(state);
    }

    /// Remembers why, for operators; says whether it is news.
    pub(crate) fn set_error(&self, reason: &str) -> bool {
        let mut last = lock(&self.last_error);
        let news = last.as_deref() != Some(reason);
        *last = Some(reason.to_owned());
        news
    }

    /// Waits until the bus is being closed.
    pub(crate) async fn closing(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives in `self`, so this cannot fail.
        drop(closing.wait_for(|closing| *closing).await);
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    /// Has the link bring a queue up to date; `None` without a connection, or when it ended over it: the next one starts
    /// from all there is.
    async fn settle(&self, queue: &str, binding: Option<&Binding>) -> Option<Result<(), Error>> {
        let (done, answer) = oneshot::channel();
        let queued = self.outbox.settle(Settle {
            queue: queue.to_owned(),
            binding: binding.cloned(),
            done: Some(done),
        });
        if !queued {
            return None;
        }
        answer.await.ok()
    }

    fn entry<R>(&self, queue: &Queue, change: impl FnOnce(&mut Entry) -> R) -> Result<R, Error> {
        self.queues()
            .get_mut(queue.name())
            .filter(|held| held.entry.queue == *queue)
            .map(|held| change(&mut held.entry))
            .ok_or_else(|| Error::QueueGone(queue.name().to_owned()))
    }

    fn describe(&self) -> LinkDescription {
        let counters = &self.counters;
        let (buffered, buffered_bytes) = self.outbox.level();
        LinkDescription {
            url: self.url.clone(),
            state: match *self.state.borrow() {
                State::Connecting | State::Refused => "connecting",
                State::Connected => "connected",
                State::Closed => "closed",
            },
            last_error: self.last_error(),
            blocked: counters.blocked.load(Ordering::Relaxed),
            buffered,
            buffered_bytes,
            buffer_capacity: outbox::CAPACITY,
            unconfirmed: usize::try_from(read(&counters.unconfirmed)).unwrap_or(WINDOW),
            window: WINDOW,
            reconnects: read(&counters.connects).saturating_sub(1),
            dropped: read(&counters.dropped),
            expired: read(&counters.expired),
            failed: read(&counters.failed),
            resent: read(&counters.resent),
            repeated: read(&counters.repeated),
            refused: read(&counters.refused),
            unusable: counters.unusable.counts(),
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        lock(&self.queues)
    }
}

/// What is behind a lock is whole even if its last holder panicked: nobody leaves it half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
