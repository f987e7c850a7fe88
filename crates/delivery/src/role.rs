//! The role as its owner holds it: starts the queue, listens to the bus for it, stops both.

use std::{sync::Arc, time::Duration};

use callreel_attachments::Attachments;
use callreel_bus::{Binding, Bus, Mishaps, QueueOptions, Subscription};
use callreel_proto::{DeliveryOrder, Envelope, Exchange, RecordingFact, RecordingNotice};
use callreel_spool::Outbox;
use ractor::{Actor, ActorRef, rpc::CallResult};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::{
    DeliveryConfig, Error, WebhooksConfig,
    courier::Courier,
    fetch::Fetcher,
    queue::{Heard, Parts, Queue, QueueMsg},
    retention::{self, Keeper},
    telling::Teller,
    webhooks::{self, Webhooks},
};

/// Notices and orders that may wait for the queue actor's task: several seconds of a busy node's ended recordings. One
/// that is dropped all the same is found by the next scan of the spool.
const BACKLOG: usize = 1024;
/// How long a description may take: the queue answers between two writes of tickets.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The running role.
#[derive(Debug)]
pub struct Delivery {
    queue: ActorRef<QueueMsg>,
    /// Messages it could not read.
    unusable: Arc<Mishaps>,
    webhooks: Webhooks,
    keeper: Option<Keeper>,
    _teller: Teller,
    running: JoinHandle<()>,
    listening: JoinHandle<()>,
}

/// Starts the role on this spool: finds what is owed, and from then on renders and delivers whatever ends, whichever process
/// recorded it; and tells webhooks of every fact of a recording. Recordings that a dead process left growing are ended here too, at the start and every minute.
///
/// # Errors
/// The settings are unusable, the bus refused, or threads cannot be started.
pub async fn start(
    config: DeliveryConfig,
    webhooks: &WebhooksConfig,
    bus: Bus,
    spool: Outbox,
    attachments: Attachments,
    node: &str,
) -> Result<Delivery, Error> {
    config.validate()?;
    let (store, outside) = (attachments.store().clone(), attachments.outside().clone());
    let courier = Courier::new(&config, outside.clone());
    // Before the queue tells of anything.
    let webhooks = webhooks::start(webhooks, outside, &bus, store).await?;
    // Before the spool is read, so that nothing that ends in between is missed.
    let subscription = subscribe(&bus).await?;
    let fetcher = Fetcher::start(&config, bus.clone(), spool.view().clone(), node).await?;
    let keeper = Keeper::start(
        retention::Settings::of(&config),
        attachments.clone(),
        bus.clone(),
        spool.view(),
        node,
    );
    let teller = Teller::start(bus.clone(), spool.view().clone(), node).await?;
    let parts = Parts {
        config,
        courier,
        fetcher,
        bus,
        spool,
        attachments,
        node: node.to_owned(),
    };
    let (queue, running) = Actor::spawn(None, Queue, parts).await?;
    let unusable = Arc::new(Mishaps::default());
    let listening = tokio::spawn(listen(subscription, queue.clone(), Arc::clone(&unusable)));
    Ok(Delivery {
        queue,
        unusable,
        webhooks,
        keeper,
        _teller: teller,
        running,
        listening,
    })
}

impl Delivery {
    /// Counts what it has, for as long as the role runs.
    pub fn gauge(&self) -> Gauge {
        Gauge(self.queue.clone())
    }

    /// A small picture of the role: how much is owed, what is being worked on, what was done and could not be read since the
    /// start.
    /// `null` if the role is stopping or too busy to answer.
    pub async fn describe(&self) -> Value {
        let answer = self
            .queue
            .call(QueueMsg::Describe, Some(DESCRIBE_TIMEOUT))
            .await;
        match answer {
            Ok(CallResult::Success(mut picture)) => {
                picture["unusable_messages"] = json!(self.unusable.counts());
                picture["webhooks"] = self.webhooks.describe();
                picture["retention"] = json!(self.keeper.as_ref().map(Keeper::describe));
                picture
            }
            _ => Value::Null,
        }
    }

    /// Waits until the role ends: only after [`Delivery::stop`], or because something in it broke.
    pub async fn ended(&mut self) {
        if !self.running.is_finished() {
            // An actor's own task does not panic; how it ended is in the log.
            drop((&mut self.running).await);
        }
    }

    /// Stops the role: rendering breaks off, tries under way get a few seconds. Everything goes on at the next start.
    pub async fn stop(mut self) {
        self.listening.abort();
        if let Some(keeper) = &self.keeper {
            keeper.stop();
        }
        // A queue that is gone already has stopped.
        drop(self.queue.cast(QueueMsg::Stop));
        self.ended().await;
        self.webhooks.stop().await;
    }
}

/// Counts what the role has.
#[derive(Debug, Clone)]
pub struct Gauge(ActorRef<QueueMsg>);

impl Gauge {
    /// Recordings that are owed; `None` if the role has ended or is too busy to say.
    pub async fn owed(&self) -> Option<usize> {
        let asked = self.0.call(QueueMsg::Count, Some(DESCRIBE_TIMEOUT));
        match asked.await {
            Ok(CallResult::Success(owed)) => Some(owed),
            _ => None,
        }
    }
}

async fn subscribe(bus: &Bus) -> Result<Subscription, Error> {
    let bindings = [
        RecordingNotice::pattern(RecordingFact::Ended),
        DeliveryOrder::ALL.to_owned(),
    ]
    .map(|pattern| Binding::new(Exchange::Kapps, pattern));
    let options = QueueOptions::private(BACKLOG);
    Ok(bus.subscribe(options, bindings.into()).await?)
}

/// Tells the queue what the bus says, one at a time: what the queue has no time for waits in the bus's bounded ring, not
/// in the actor's unbounded mailbox. Ends when either side is gone.
async fn listen(mut subscription: Subscription, queue: ActorRef<QueueMsg>, unusable: Arc<Mishaps>) {
    while let Some(delivery) = subscription.recv().await {
        let Some(heard) = read(&delivery, &unusable) else {
            continue;
        };
        let handled = queue.call(|done| QueueMsg::Heard(heard, done), None).await;
        if handled.is_err() {
            return;
        }
    }
}

fn read(delivery: &callreel_bus::Delivery, unusable: &Mishaps) -> Option<Heard> {
    let heard = if delivery.routing_key.starts_with("callreel.delivery.") {
        Envelope::from_bytes(&delivery.body).map(|order| Some(Heard::Ordered(order.body)))
    } else {
        Envelope::<RecordingNotice>::from_bytes(&delivery.body)
            .map(|notice| notice.body.recording_id.map(Heard::Ended))
    };
    heard.unwrap_or_else(|error| {
        if unusable.count(&error.what) {
            warn!(key = delivery.routing_key, %error, "passing over a message; more of this kind are only counted");
        }
        None
    })
}
