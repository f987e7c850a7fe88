//! A raw peer on the broker, as Kazoo would be: says and declares what it is told, right or wrong.

use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::time::timeout;

use super::PATIENCE;

pub struct Peer {
    connection: Connection,
    pub channel: Channel,
}

impl Peer {
    pub async fn connect(url: &str) -> Self {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(url, properties).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self {
            connection,
            channel,
        }
    }

    /// After the broker closed the channel over something.
    pub async fn another_channel(&mut self) {
        self.channel = self.connection.create_channel().await.unwrap();
    }

    pub async fn declare_exchange(
        &self,
        name: &str,
        kind: &str,
        durable: bool,
    ) -> lapin::Result<()> {
        let kind = match kind {
            "direct" => ExchangeKind::Direct,
            "topic" => ExchangeKind::Topic,
            "fanout" => ExchangeKind::Fanout,
            other => panic!("{other}"),
        };
        let options = ExchangeDeclareOptions {
            durable,
            ..ExchangeDeclareOptions::default()
        };
        self.channel
            .exchange_declare(name.into(), kind, options, FieldTable::default())
            .await
    }

    /// Declares a queue as Kazoo does, with the arguments given.
    pub async fn declare_queue(&self, name: &str, arguments: FieldTable) -> lapin::Result<()> {
        let options = QueueDeclareOptions {
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        self.channel
            .queue_declare(name.into(), options, arguments)
            .await
            .map(drop)
    }

    pub async fn consume(&self, queue: &str, exclusive: bool) -> lapin::Result<Consumer> {
        let options = BasicConsumeOptions {
            no_ack: true,
            exclusive,
            ..BasicConsumeOptions::default()
        };
        self.channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default())
            .await
    }

    /// A queue of its own that hears this.
    pub async fn hear(&self, exchange: &str, key: &str) -> Consumer {
        let options = QueueDeclareOptions {
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let queue = self
            .channel
            .queue_declare("".into(), options, FieldTable::default())
            .await
            .unwrap();
        let name = queue.name().clone();
        self.channel
            .queue_bind(
                name.clone(),
                exchange.into(),
                key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        self.consume(name.as_str(), true).await.unwrap()
    }

    pub async fn publish(
        &self,
        exchange: &str,
        key: &str,
        properties: BasicProperties,
        body: &[u8],
    ) {
        let options = BasicPublishOptions::default();
        let sent =
            self.channel
                .basic_publish(exchange.into(), key.into(), options, body, properties);
        drop(sent.await.unwrap().await.unwrap());
    }
}

pub async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = timeout(PATIENCE, consumer.next()).await;
    delivery.expect("it comes in time").unwrap().unwrap()
}

/// Kazoo's queue arguments in Kazoo's types (kazoo-wire §1.3).
pub fn kazoo_arguments(length: i16) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::ShortInt(length));
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(60_000));
    arguments
}

pub fn headers(value: AMQPValue) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("Deliver-To-PID".into(), value);
    BasicProperties::default().with_headers(headers)
}
