//! The bus as its users see it: publish, send, subscribe. Knows no message's contents.

use std::sync::Arc;

use bytes::Bytes;
use callreel_proto::{Envelope, Exchange};
use serde::Serialize;

use crate::{
    Address, BusConfig, BusDescription, Error, Lost, Receipt, Reconnects, embedded::Broker,
    entry::check_name, queue::Queue, rabbit::Rabbit,
};

/// Longest routing key, pattern and queue name in bytes: a short string of AMQP 0-9-1 (§4.2.5.3).
pub(crate) const LONGEST_NAME: usize = 255;

/// Longest token of a `pid://` address, and longest id of a call, in bytes. It is a header: together with all others it must fit into one frame, of
/// which RabbitMQ takes 128 KiB. Call ids and Erlang pids are far shorter.
const LONGEST_TOKEN: usize = 4096;

/// Largest message in bytes, both ways. Kazoo's largest, a `route_req` with all its variables, has some tens of
/// kilobytes; whoever sends more than this is broken or hostile.
pub(crate) const LARGEST_BODY: usize = 4 << 20;

/// A handle to the bus; clones share it.
#[derive(Clone)]
pub struct Bus {
    transport: Transport,
}

#[derive(Clone)]
enum Transport {
    Embedded(Arc<Broker>),
    Rabbit(Arc<Rabbit>),
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
    /// The call it is about: header `call-id`, by which Kazoo 5 spreads call events over its nodes.
    pub call_id: Option<String>,
    /// The message: a JSON envelope.
    pub body: Bytes,
}

impl Bus {
    /// The bus the configuration names; `node` becomes part of made-up queue names. A broker must be reached once before
    /// this returns; from then on the bus reconnects by itself.
    ///
    /// # Errors
    /// [`Error::UnsupportedUrl`], [`Error::CaFile`], [`Error::Unreachable`], or a node name no queue name can be made of.
    pub async fn open(config: &BusConfig, node: &str) -> Result<Self, Error> {
        check_name(node)?;
        let transport = if config.is_embedded() {
            Transport::Embedded(Arc::new(Broker::new(node)))
        } else {
            Transport::Rabbit(Arc::new(Rabbit::open(config, node).await?))
        };
        Ok(Self { transport })
    }

    /// A bus inside this process.
    pub fn embedded() -> Self {
        Self {
            transport: Transport::Embedded(Arc::new(Broker::new("embedded"))),
        }
    }

    /// A queue name nobody else has, for those who must know it before they subscribe.
    pub fn unique_queue_name(&self) -> String {
        match &self.transport {
            Transport::Embedded(broker) => broker.unique_name(),
            Transport::Rabbit(rabbit) => rabbit.unique_name(),
        }
    }

    /// Starts to hear: when this returns, all bindings are in force. While the broker is away this waits for it. Dropping
    /// the subscription ends them.
    ///
    /// # Errors
    /// [`Error::QueueName`], [`Error::NoCapacity`], [`Error::QueueDiffers`] for a name in use, [`Error::TooLong`] for a
    /// pattern, [`Error::Refused`] by the broker, [`Error::Closed`].
    pub async fn subscribe(
        &self,
        options: QueueOptions,
        bindings: Vec<Binding>,
    ) -> Result<Subscription, Error> {
        for binding in &bindings {
            check_key(&binding.pattern)?;
        }
        let queue = match &self.transport {
            Transport::Embedded(broker) => broker.subscribe(options, bindings)?,
            Transport::Rabbit(rabbit) => rabbit.subscribe(options, bindings)?,
        };
        let subscription = Subscription {
            consumer: queue.join(),
            binder: Binder {
                transport: self.transport.clone(),
                queue,
            },
        };
        // From here on an error, or a caller that gives up, drops the subscription, which leaves the queue.
        if let Transport::Rabbit(rabbit) = &self.transport {
            rabbit.in_force(subscription.queue()).await?;
        }
        Ok(subscription)
    }

    /// Publishes to whoever has bound a matching pattern; nobody is fine too. Messages of one task reach any one queue
    /// in the order in which the task published them. While the broker is away, messages wait in a bounded buffer.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::TooLarge`], [`Error::Closed`].
    pub async fn publish(
        &self,
        exchange: Exchange,
        routing_key: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        self.dispatch(published(exchange, routing_key, None, body.into()))
    }

    /// [`Bus::publish`], for what is about one call: Kazoo 5 spreads call events over its nodes by the header `call-id`, so that
    /// all events of a call reach one of them, and cannot place those that lack it.
    ///
    /// # Errors
    /// Those of [`Bus::publish`]; [`Error::TooLong`] for the id, too.
    pub async fn publish_about(
        &self,
        call_id: &str,
        exchange: Exchange,
        routing_key: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        if call_id.len() > LONGEST_TOKEN {
            return Err(Error::TooLong(call_id.to_owned()));
        }
        let call_id = Some(call_id.to_owned());
        self.dispatch(published(exchange, routing_key, call_id, body.into()))
    }

    /// Signs a message with a node's name and publishes it, for those who wait for nobody: that it could not be sent is logged.
    pub async fn tell<T: Serialize>(
        &self,
        node: &str,
        exchange: Exchange,
        key: &str,
        mut envelope: Envelope<T>,
    ) {
        node.clone_into(&mut envelope.headers.node);
        let sent = self.publish(exchange, key, envelope.to_bytes()).await;
        if let Err(error) = sent {
            tracing::warn!(%error, key, "nobody is told");
        }
    }

    /// Sends to one address: a `Server-ID` on `targeted`, a `Control-Queue` on `callctl` ([`Address::parse`]). An address
    /// that no queue has is fine too.
    ///
    /// # Errors
    /// [`Error::NotDirect`], [`Error::Address`], [`Error::TooLong`], [`Error::TooLarge`], [`Error::Closed`].
    pub async fn send(
        &self,
        exchange: Exchange,
        address: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        self.dispatch(addressed(exchange, address, body.into())?)
    }

    /// [`Bus::send`], for those who must know what becomes of the message. The receipt need not be awaited in turn:
    /// tracked messages stay in order, and go on their way, whether it is looked at or not. On a broker a message whose
    /// address nobody has waits there for some seconds, and with it the tracked ones that follow it to the same address.
    ///
    /// # Errors
    /// Those of [`Bus::send`]; what happens later is in the receipt.
    pub async fn send_tracked(
        &self,
        exchange: Exchange,
        address: &str,
        body: impl Into<Bytes>,
    ) -> Result<Receipt, Error> {
        let message = addressed(exchange, address, body.into())?;
        check_message(&message)?;
        match &self.transport {
            Transport::Embedded(broker) => {
                let heard = broker.publish(message)?;
                Ok(Receipt::settled(heard.then_some(()).ok_or(Lost::Unheard)))
            }
            Transport::Rabbit(rabbit) => {
                let (receipt, answer) = Receipt::open();
                rabbit.publish(message, Some(answer))?;
                Ok(receipt)
            }
        }
    }

    /// Whether somebody, here or elsewhere, has the queue of this address now; `None` while the broker is away. What is no
    /// address nobody has.
    pub async fn has_queue(&self, address: &str) -> Option<bool> {
        let Ok(Address { queue, .. }) = Address::parse(address) else {
            return Some(false);
        };
        match &self.transport {
            Transport::Embedded(broker) => Some(broker.has_queue(queue)),
            Transport::Rabbit(rabbit) => rabbit.has_queue(queue).await,
        }
    }

    fn dispatch(&self, message: Delivery) -> Result<(), Error> {
        check_message(&message)?;
        match &self.transport {
            Transport::Embedded(broker) => broker.publish(message).map(drop),
            Transport::Rabbit(rabbit) => rabbit.publish(message, None),
        }
    }

    /// Whether what is published now goes out now. A broker whose host vanished is noticed after some seconds.
    pub fn is_connected(&self) -> bool {
        match &self.transport {
            Transport::Embedded(_) => true,
            Transport::Rabbit(rabbit) => rabbit.is_connected(),
        }
    }

    /// Word of each time the broker, or a queue, was away and is there again, from now on.
    pub fn reconnects(&self) -> Reconnects {
        match &self.transport {
            Transport::Embedded(_) => Reconnects::never(),
            Transport::Rabbit(rabbit) => Reconnects::of(rabbit.reconnects()),
        }
    }

    /// Ends the bus for everybody: subscribers get what is queued already, then `None`; publishers get
    /// [`Error::Closed`].
    pub fn close(&self) {
        match &self.transport {
            Transport::Embedded(broker) => broker.close(),
            Transport::Rabbit(rabbit) => rabbit.close(),
        }
    }

    /// Waits until a closed bus has handed the broker what was published before. A broker that takes nothing is given up
    /// after a few seconds, and what was left is logged.
    pub async fn ended(&self) {
        if let Transport::Rabbit(rabbit) = &self.transport {
            rabbit.ended().await;
        }
    }

    /// A picture of the bus for operators.
    pub fn describe(&self) -> BusDescription {
        match &self.transport {
            Transport::Embedded(broker) => broker.describe(),
            Transport::Rabbit(rabbit) => rabbit.describe(),
        }
    }
}

/// A message to whoever hears it.
fn published(
    exchange: Exchange,
    routing_key: &str,
    call_id: Option<String>,
    body: Bytes,
) -> Delivery {
    Delivery {
        exchange,
        routing_key: routing_key.to_owned(),
        deliver_to: None,
        call_id,
        body,
    }
}

/// A message to one address.
fn addressed(exchange: Exchange, address: &str, body: Bytes) -> Result<Delivery, Error> {
    if exchange.kind() != "direct" {
        return Err(Error::NotDirect(exchange));
    }
    let address = Address::parse(address)?;
    if let Some(token) = address.deliver_to.filter(|t| t.len() > LONGEST_TOKEN) {
        return Err(Error::TooLong(token.to_owned()));
    }
    Ok(Delivery {
        exchange,
        routing_key: address.queue.to_owned(),
        deliver_to: address.deliver_to.map(str::to_owned),
        call_id: None,
        body,
    })
}

/// No transport takes what no receiver would.
fn check_message(message: &Delivery) -> Result<(), Error> {
    check_key(&message.routing_key)?;
    if message.body.len() > LARGEST_BODY {
        return Err(Error::TooLarge(message.body.len()));
    }
    Ok(())
}

/// No transport takes what AMQP could not carry.
fn check_key(key: &str) -> Result<(), Error> {
    if key.len() > LONGEST_NAME {
        return Err(Error::TooLong(key.to_owned()));
    }
    Ok(())
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
        match &self.binder.transport {
            Transport::Embedded(broker) => broker.leave(&self.binder.queue),
            Transport::Rabbit(rabbit) => rabbit.leave(&self.binder.queue),
        }
    }
}

/// Changes what a queue hears.
#[derive(Clone)]
pub struct Binder {
    transport: Transport,
    queue: Queue,
}

impl Binder {
    /// The queue's name.
    pub fn queue(&self) -> &str {
        self.queue.name()
    }

    /// From now on the queue hears this too; no change if it does already. While the broker is away this is remembered,
    /// and in force before anything published meanwhile is sent.
    ///
    /// # Errors
    /// [`Error::QueueGone`], [`Error::TooLong`], [`Error::Refused`], [`Error::Closed`].
    pub async fn bind(&self, binding: Binding) -> Result<(), Error> {
        check_key(&binding.pattern)?;
        match &self.transport {
            Transport::Embedded(broker) => broker.bind(&self.queue, binding),
            Transport::Rabbit(rabbit) => rabbit.bind(&self.queue, binding).await,
        }
    }

    /// From now on the queue hears this no more; messages it has got already stay. No change if it never did.
    ///
    /// # Errors
    /// [`Error::QueueGone`].
    pub async fn unbind(&self, binding: Binding) -> Result<(), Error> {
        match &self.transport {
            Transport::Embedded(broker) => broker.unbind(&self.queue, &binding),
            Transport::Rabbit(rabbit) => rabbit.unbind(&self.queue, binding).await,
        }
    }
}
