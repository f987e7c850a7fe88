//! Asks on the bus and brings every answer to the request that waits for it. Knows no question.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use callreel_bus::{Binding, Bus, Error as BusError, Mishaps, QueueOptions, Subscription};
use callreel_proto::{Envelope, Exchange};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::refusal::{Refusal, Why};

/// Answers that may lie at the node's queue. They are handed out without waiting for anybody, so this is a burst: every
/// connection's question answered by a handful of switches at once.
const CAPACITY: usize = 4096;
/// Answers to one question that its asker has not read yet: more than there are switches on a platform.
const MOST_ANSWERS: usize = 256;

/// Asks, and hears answers, for all requests of the API. How many questions are under way is bounded by the connections.
pub struct Asker {
    bus: Bus,
    node: String,
    queue: String,
    waiting: Waiting,
    _hearing: AbortOnDropHandle<()>,
}

/// Who waits, by the question's `Msg-ID`.
#[derive(Debug, Clone, Default)]
struct Waiting(Arc<Mutex<HashMap<String, mpsc::Sender<Bytes>>>>);

impl Asker {
    /// Opens the queue of answers; `node` is who asks.
    ///
    /// # Errors
    /// Those of [`Bus::subscribe`].
    pub async fn start(bus: Bus, node: &str) -> Result<Self, BusError> {
        let queue = bus.unique_queue_name();
        let options = QueueOptions {
            name: Some(queue.clone()),
            shared: false,
            capacity: CAPACITY,
        };
        let binding = Binding::new(Exchange::Targeted, &queue);
        let subscription = bus.subscribe(options, vec![binding]).await?;
        let waiting = Waiting::default();
        let hearing = tokio::spawn(hear(subscription, waiting.clone()));
        Ok(Self {
            bus,
            node: node.to_owned(),
            queue,
            waiting,
            _hearing: AbortOnDropHandle::new(hearing),
        })
    }

    /// Asks whoever hears this key.
    pub(crate) async fn ask<T: Serialize>(
        &self,
        exchange: Exchange,
        key: &str,
        mut question: Envelope<T>,
    ) -> Result<Answers, Refusal> {
        if !self.bus.is_connected() {
            let message = "the bus is away, so no call can be reached; try again when it is back";
            return Err(Refusal::new(Why::Unavailable, message));
        }
        question.headers.node.clone_from(&self.node);
        question.headers.server_id = Some(self.queue.clone());
        let answers = self.waiting.expect(&question.headers.msg_id);
        let sent = self.bus.publish(exchange, key, question.to_bytes());
        sent.await.map_err(unsent)?;
        Ok(answers)
    }
}

fn unsent(error: BusError) -> Refusal {
    match error {
        BusError::TooLong(_) => Refusal::new(
            Why::Invalid,
            "this Call-ID is too long for the bus, so its call cannot be reached",
        ),
        error => Refusal::new(
            Why::Unavailable,
            format!("the question could not be sent: {error}; try again"),
        ),
    }
}

/// Hands out answers until the bus is closed. Those that nobody waits for any more came too late.
async fn hear(mut subscription: Subscription, waiting: Waiting) {
    /// What of an answer says whose it is.
    #[derive(Deserialize)]
    struct Correlated {
        #[serde(rename = "Msg-ID")]
        msg_id: String,
    }
    let unusable = Mishaps::default();
    while let Some(delivery) = subscription.recv().await {
        match serde_json::from_slice::<Correlated>(&delivery.body) {
            Ok(answer) => waiting.hand_over(&answer.msg_id, delivery.body),
            Err(error) => {
                if unusable.count(&format!("{:?}", error.classify())) {
                    tracing::warn!(%error, "an answer on the bus names no question; more of this kind are passed over silently");
                }
            }
        }
    }
    waiting.all().clear();
}

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, msg_id: &str) -> Answers {
        let (sender, incoming) = mpsc::channel(MOST_ANSWERS);
        self.all().insert(msg_id.to_owned(), sender);
        Answers {
            msg_id: msg_id.to_owned(),
            incoming,
            waiting: self.clone(),
        }
    }

    fn hand_over(&self, msg_id: &str, answer: Bytes) {
        let Some(asker) = self.all().get(msg_id).cloned() else {
            tracing::debug!(msg_id, "an answer came too late");
            return;
        };
        if asker.try_send(answer).is_err() {
            tracing::warn!(msg_id, "an answer too many was dropped");
        }
    }
}

/// The answers to one question. Dropping them forgets it.
#[derive(Debug)]
pub(crate) struct Answers {
    msg_id: String,
    incoming: mpsc::Receiver<Bytes>,
    waiting: Waiting,
}

impl Answers {
    /// The next one that can be read; `None` if none has come by then, or the bus was closed.
    pub(crate) async fn next<T: DeserializeOwned>(
        &mut self,
        until: Instant,
    ) -> Option<Envelope<T>> {
        loop {
            let bytes = timeout_at(until, self.incoming.recv()).await.ok()??;
            match Envelope::from_bytes(&bytes) {
                Ok(answer) => return Some(answer),
                Err(error) => tracing::warn!(%error, "an answer cannot be read"),
            }
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.waiting.all().remove(&self.msg_id);
    }
}
