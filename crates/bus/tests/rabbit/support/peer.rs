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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

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

    /// Binds a queue.
    pub async fn bind(&self, queue: &str, exchange: &str, key: &str) {
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        self.channel
            .queue_bind(
                queue.into(),
                exchange.into(),
                key.into(),
                options,
                arguments,
            )
            .await
            .unwrap();
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
        self.bind(name.as_str(), exchange, key).await;
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

/// Kazoo's queue arguments in Kazoo's types.
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

/// A peer that speaks AMQP byte by byte, and can say what no client library would.
pub struct Bytes(TcpStream);

impl Bytes {
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut peer = Self(stream);
        peer.0.write_all(b"AMQP\x00\x00\x09\x01").await.unwrap();
        peer.hear().await;
        // connection.start-ok, tune-ok and open; channel.open.
        let login = b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
        peer.say(1, 0, login).await;
        peer.hear().await;
        peer.say(1, 0, b"\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\0").await;
        peer.say(1, 0, b"\0\x0a\0\x28\x01/\0\0").await;
        peer.hear().await;
        peer.say(1, 1, b"\0\x14\0\x0a\0").await;
        peer.hear().await;
        peer
    }

    /// Publishes with a routing key and an encoded table of headers.
    pub async fn publish(&mut self, exchange: &str, key: &[u8], table: &[u8], body: &[u8]) {
        let mut publish = b"\0\x3c\0\x28\0\0".to_vec();
        for word in [exchange.as_bytes(), key] {
            publish.push(u8::try_from(word.len()).unwrap());
            publish.extend(word);
        }
        publish.push(0);
        self.say(1, 1, &publish).await;
        let mut header = b"\0\x3c\0\0".to_vec();
        header.extend((body.len() as u64).to_be_bytes());
        header.extend(0x2000_u16.to_be_bytes());
        header.extend(u32::try_from(table.len()).unwrap().to_be_bytes());
        header.extend(table);
        self.say(2, 1, &header).await;
        self.say(3, 1, body).await;
    }

    async fn say(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let mut frame = vec![kind];
        frame.extend(channel.to_be_bytes());
        frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend(payload);
        frame.push(0xce);
        self.0.write_all(&frame).await.unwrap();
    }

    async fn hear(&mut self) {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes(head[3..].try_into().unwrap());
        let mut rest = vec![0; length as usize + 1];
        self.0.read_exact(&mut rest).await.unwrap();
    }
}
