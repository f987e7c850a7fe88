//! The bus as its users see it: publish, send, subscribe. Knows no message's contents.

use std::sync::Arc;

use bytes::Bytes;
use callreel_proto::Exchange;
use serde::{Deserialize, Serialize};

use crate::{Address, Error, embedded::Broker, embedded::is_queue_name, queue::Queue};

/// A handle to the bus; clones share it.
#[derive(Clone)]
pub struct Bus {
    broker: Arc<Broker>,
}

/// What a queue hears.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Binding {
    /// On this exchange.
    pub exchange: Exchange,
    /// Topic exchanges: a pattern with `*` (one word) and `#` (any number). Direct exchanges: the routing key itself.
    /// Fanout exchanges: without meaning.
    pub pattern: String,
}

impl Binding {
    /// A binding.
    pub fn new(exchange: Exchange, pattern: impl Into<String>) -> Self {
        Self {
            exchange,
            pattern: pattern.into(),
        }
    }
}

/// What kind of queue to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// Its name; `None` makes up a unique one, `callreel@<node>-<hex>`.
    pub name: Option<String>,
    /// Whether several subscribers may take turns at it.
    pub shared: bool,
    /// Messages it holds; a full queue drops its oldest. A named constant at the caller says why that many.
    pub capacity: usize,
}

impl QueueOptions {
    /// A queue of one's own with a made-up name.
    pub fn private(capacity: usize) -> Self {
        Self {
            name: None,
            shared: false,
            capacity,
        }
    }

    /// A queue at which several subscribers take turns.
    pub fn shared(name: impl Into<String>, capacity: usize) -> Self {
        Self {
            name: Some(name.into()),
            shared: true,
            capacity,
        }
    }
}

/// A message as a queue got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The exchange it was published on.
    pub exchange: Exchange,
    /// The routing key it was published with.
    pub routing_key: String,
    /// Who behind the queue it is for: the token of a `pid://` address.
    pub deliver_to: Option<String>,
    /// The message: a JSON envelope.
    pub body: Bytes,
}

/// Section `bus` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    /// Where the bus is.
    pub url: String,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            url: "embedded:".to_owned(),
        }
    }
}

/// Every key of [`BusConfig`] and what it means.
pub const CONFIG_KEYS: &[(&str, &str)] = &[(
    "url",
    "where the bus is: \"embedded:\" is inside this process, for all roles on one machine",
)];

impl Bus {
    /// The bus the configuration names; `node` becomes part of made-up queue names.
    ///
    /// # Errors
    /// [`Error::UnsupportedUrl`], or a node name no queue name can be made of.
    pub fn open(config: &BusConfig, node: &str) -> Result<Self, Error> {
        if config.url != "embedded:" {
            return Err(Error::UnsupportedUrl(config.url.clone()));
        }
        if !is_queue_name(node) {
            return Err(Error::QueueName(node.to_owned()));
        }
        Ok(Self {
            broker: Arc::new(Broker::new(node)),
        })
    }

    /// A bus inside this process.
    pub fn embedded() -> Self {
        Self {
            broker: Arc::new(Broker::new("embedded")),
        }
    }

    /// A queue name nobody else has, for those who must know it before they subscribe.
    pub fn unique_queue_name(&self) -> String {
        self.broker.unique_name()
    }

    /// Starts to hear: when this returns, all bindings are in force. Dropping the subscription ends them.
    ///
    /// # Errors
    /// [`Error::QueueName`], [`Error::NoCapacity`], [`Error::QueueDiffers`] for a name in use, [`Error::Closed`].
    pub async fn subscribe(
        &self,
        options: QueueOptions,
        bindings: Vec<Binding>,
    ) -> Result<Subscription, Error> {
        let queue = self.broker.subscribe(options, bindings)?;
        Ok(Subscription {
            consumer: queue.join(),
            binder: Binder {
                broker: Arc::clone(&self.broker),
                queue,
            },
        })
    }

    /// Publishes to whoever has bound a matching pattern; nobody is fine too. Messages of one task reach any one queue
    /// in the order in which the task published them.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn publish(
        &self,
        exchange: Exchange,
        routing_key: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        self.broker.publish(Delivery {
            exchange,
            routing_key: routing_key.to_owned(),
            deliver_to: None,
            body: body.into(),
        })
    }

    /// Sends to one address: a `Server-ID` on `targeted`, a `Control-Queue` on `callctl` ([`Address::parse`]). An address
    /// that no queue has is fine too.
    ///
    /// # Errors
    /// [`Error::NotDirect`], [`Error::Address`], [`Error::Closed`].
    pub async fn send(
        &self,
        exchange: Exchange,
        address: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        if exchange.kind() != "direct" {
            return Err(Error::NotDirect(exchange));
        }
        let address = Address::parse(address)?;
        self.broker.publish(Delivery {
            exchange,
            routing_key: address.queue.to_owned(),
            deliver_to: address.deliver_to.map(str::to_owned),
            body: body.into(),
        })
    }

    /// Ends the bus for everybody: subscribers get what is queued already, then `None`; publishers get
    /// [`Error::Closed`].
    pub fn close(&self) {
        self.broker.close();
    }

    /// A picture of the bus for operators.
    pub fn describe(&self) -> BusDescription {
        self.broker.describe()
    }
}

/// One subscriber's end of a queue.
pub struct Subscription {
    consumer: u64,
    binder: Binder,
}

impl Subscription {
    /// The queue's name. To be sent messages straight, bind it on `targeted` or `callctl`.
    pub fn queue(&self) -> &str {
        self.binder.queue.name()
    }

    /// The next message; `None` after the bus was closed. Safe to cancel.
    pub async fn recv(&mut self) -> Option<Delivery> {
        self.binder.queue.next(self.consumer).await
    }

    /// Changes what the queue hears, also while it is being received from.
    pub fn binder(&self) -> Binder {
        self.binder.clone()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.binder.broker.leave(&self.binder.queue);
    }
}

/// Changes what a queue hears.
#[derive(Clone)]
pub struct Binder {
    broker: Arc<Broker>,
    queue: Queue,
}

impl Binder {
    /// The queue's name.
    pub fn queue(&self) -> &str {
        self.queue.name()
    }

    /// From now on the queue hears this too; no change if it does already.
    ///
    /// # Errors
    /// [`Error::QueueGone`], [`Error::Closed`].
    pub async fn bind(&self, binding: Binding) -> Result<(), Error> {
        self.broker.bind(&self.queue, binding)
    }

    /// From now on the queue hears this no more; messages it has got already stay. No change if it never did.
    ///
    /// # Errors
    /// [`Error::QueueGone`].
    pub async fn unbind(&self, binding: Binding) -> Result<(), Error> {
        self.broker.unbind(&self.queue, &binding)
    }
}

/// A picture of the bus for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BusDescription {
    /// The node in made-up queue names.
    pub node: String,
    /// Messages published since the start.
    pub published: u64,
    /// Those that no queue heard.
    pub unheard: u64,
    /// Messages that the queues below have dropped because they were full.
    pub dropped: u64,
    /// By name.
    pub queues: Vec<QueueDescription>,
}

/// A picture of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueDescription {
    /// Its name.
    pub name: String,
    /// Whether several subscribers may take turns at it.
    pub shared: bool,
    /// Subscribers.
    pub consumers: usize,
    /// Bindings.
    pub bindings: usize,
    /// Messages it can hold.
    pub capacity: usize,
    /// Messages it holds.
    pub depth: usize,
    /// Messages it has got since its start.
    pub accepted: u64,
    /// Messages it has dropped because it was full.
    pub dropped: u64,
}
