//! The peer's ends of the wire: exchanges and queues as Kazoo declares them, publishing in order, and hearing everything.
//! Knows AMQP and addresses; reads no message.

use std::sync::Arc;

use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::sync::mpsc;

/// Every exchange of a Kazoo broker that needs no plugin, with its type.
const EXCHANGES: &[(&str, ExchangeKind)] = &[
    ("targeted", ExchangeKind::Direct),
    ("callctl", ExchangeKind::Direct),
    ("callevt", ExchangeKind::Topic),
    ("callmgr", ExchangeKind::Topic),
    ("resources", ExchangeKind::Topic),
    ("conference", ExchangeKind::Topic),
    ("monitor", ExchangeKind::Topic),
    ("configuration", ExchangeKind::Topic),
    ("kapps", ExchangeKind::Topic),
    ("presence", ExchangeKind::Topic),
    ("notifications", ExchangeKind::Topic),
    ("sysconf", ExchangeKind::Topic),
    ("bookkeepers", ExchangeKind::Topic),
    ("nodes", ExchangeKind::Fanout),
    ("registrar", ExchangeKind::Topic),
    ("leader", ExchangeKind::Topic),
    ("tasks", ExchangeKind::Topic),
    ("switch", ExchangeKind::Topic),
];

/// Kazoo's bounds of a queue, in Kazoo's integer types.
const MAX_LENGTH: i16 = 100;
const TTL_MS: i32 = 60_000;
/// The queue that hears what everybody says may fall behind.
const SPY_LENGTH: i16 = 30_000;

/// What the peer does on the broker, in this order.
#[derive(Debug)]
pub(super) enum Order {
    /// Publishes a message.
    Publish(Outgoing),
    /// Opens the control queue of one call.
    Control(String),
}

/// A message to be published.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) exchange: &'static str,
    pub(super) key: String,
    /// AMQP headers: name and text, sent as a byte array as Erlang does.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Kazoo's clock, microseconds since the year 0.
    pub(super) timestamp: u64,
}

/// A message as it came.
pub(super) struct Incoming {
    /// The queue it came to.
    pub(super) queue: String,
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) content_type: Option<String>,
    /// Header `Deliver-To-PID`.
    pub(super) deliver_to: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Who is told what comes.
pub(super) type Hear = Arc<dyn Fn(Incoming) + Send + Sync>;

/// A queue with what it is bound to.
pub(super) struct Ear {
    pub(super) name: String,
    pub(super) bindings: Vec<(&'static str, String)>,
}

/// The peer's connection.
pub(super) struct Wire {
    connection: Connection,
    channel: Channel,
    hear: Hear,
}

impl Wire {
    /// Connects and declares every exchange with Kazoo's flags: a broker that knows one with others refuses.
    pub(super) async fn open(url: &str, hear: Hear) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default())
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        for (name, kind) in EXCHANGES {
            let declared = channel
                .exchange_declare(
                    (*name).into(),
                    kind.clone(),
                    ExchangeDeclareOptions::default(),
                    FieldTable::default(),
                )
                .await;
            assert!(declared.is_ok(), "exchange {name}: {declared:?}");
        }
        Self {
            connection,
            channel,
            hear,
        }
    }

    /// Opens a queue of Kazoo's default shape, which is bound to `targeted` under its own name too.
    pub(super) async fn open_queue(&self, ear: Ear) {
        let Ear { name, mut bindings } = ear;
        bindings.push(("targeted", name.clone()));
        self.declare(&name, MAX_LENGTH, true).await;
        self.bind(&name, bindings).await;
        self.consume(name).await;
    }

    /// Hears all that can be overheard: a direct exchange tells only whom it concerns.
    pub(super) async fn spy(&self, name: String) {
        self.declare(&name, SPY_LENGTH, true).await;
        let overheard = EXCHANGES
            .iter()
            .filter(|(_, kind)| *kind != ExchangeKind::Direct);
        let bindings = overheard
            .map(|(exchange, _)| (*exchange, "#".to_owned()))
            .collect();
        self.bind(&name, bindings).await;
        self.consume(name).await;
    }

    async fn declare(&self, name: &str, length: i16, auto_delete: bool) {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::ShortInt(length));
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(TTL_MS));
        let options = QueueDeclareOptions {
            auto_delete,
            ..QueueDeclareOptions::default()
        };
        self.channel
            .queue_declare(name.into(), options, arguments)
            .await
            .unwrap();
    }

    async fn bind(&self, queue: &str, bindings: Vec<(&'static str, String)>) {
        for (exchange, key) in bindings {
            self.channel
                .queue_bind(
                    queue.into(),
                    exchange.into(),
                    key.as_str().into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .unwrap();
        }
    }

    /// On a channel of its own, as every listener of Kazoo has one.
    async fn consume(&self, queue: String) {
        let channel = self.connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions {
            no_ack: true,
            exclusive: true,
            ..BasicConsumeOptions::default()
        };
        let mut consumer = channel
            .basic_consume(
                queue.as_str().into(),
                "".into(),
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let hear = Arc::clone(&self.hear);
        tokio::spawn(async move {
            let _open = channel;
            while let Some(Ok(delivery)) = consumer.next().await {
                hear(incoming(&queue, delivery));
            }
        });
    }

    /// Does what it is told until nobody can tell it anything more.
    pub(super) async fn work(self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Publish(message) => self.publish(message).await,
                Order::Control(name) => {
                    let bindings = vec![("callctl", name.clone())];
                    self.open_queue(Ear { name, bindings }).await;
                }
            }
        }
    }

    async fn publish(&self, message: Outgoing) {
        let mut headers = FieldTable::default();
        for (name, text) in message.headers {
            headers.insert(name.into(), AMQPValue::ByteArray(text.into_bytes().into()));
        }
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_timestamp(message.timestamp)
            .with_headers(headers);
        let options = BasicPublishOptions::default();
        let (exchange, key) = (message.exchange.into(), message.key.as_str().into());
        let sent = self
            .channel
            .basic_publish(exchange, key, options, &message.body, properties);
        drop(sent.await.unwrap().await.unwrap());
    }
}

fn incoming(queue: &str, delivery: lapin::message::Delivery) -> Incoming {
    let properties = &delivery.properties;
    let headers = properties.headers().as_ref().map(FieldTable::inner);
    let deliver_to = headers
        .and_then(|all| all.get("Deliver-To-PID"))
        .and_then(text_of);
    Incoming {
        queue: queue.to_owned(),
        exchange: delivery.exchange.to_string(),
        key: delivery.routing_key.to_string(),
        content_type: properties.content_type().as_ref().map(ToString::to_string),
        deliver_to,
        body: delivery.data,
    }
}

fn text_of(value: &AMQPValue) -> Option<String> {
    let bytes = match value {
        AMQPValue::ByteArray(bytes) => bytes.as_slice(),
        AMQPValue::LongString(text) => text.as_bytes(),
        AMQPValue::ShortString(text) => text.as_str().as_bytes(),
        _ => return None,
    };
    String::from_utf8(bytes.to_vec()).ok()
}

/// A word of a routing key, as Kazoo writes it.
pub(super) fn enc(word: &str) -> String {
    if matches!(word, "" | "*" | "#") {
        return word.to_owned();
    }
    let mut out = String::new();
    for byte in word.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'~' | b'_' => {
                out.push(char::from(byte))
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What an address means: the routing key, and whom the message is for behind that queue.
pub(super) fn resolve(address: &str) -> (String, Option<String>) {
    let rest = address
        .strip_prefix("pid://")
        .or_else(|| address.strip_prefix("consumer://"));
    match rest.and_then(|rest| rest.rsplit_once('/')) {
        Some((token, queue)) => (queue.to_owned(), Some(token.to_owned())),
        None => (address.to_owned(), None),
    }
}
