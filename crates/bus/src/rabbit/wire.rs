//! Kazoo's AMQP: the flags of exchanges and queues, the properties of messages, and what of a received message is ours.
//! Sends and receives nothing.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    io::Read,
};

use bytes::Bytes;
use callreel_proto::{Exchange, GREGORIAN_UNIX_OFFSET};
use flate2::read::GzDecoder;
use lapin::{
    BasicProperties, ErrorKind, ExchangeKind,
    options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{Delivery, bus::LARGEST_BODY};

/// Header that names who behind a queue a message is for (Kazoo's `kz_amqp_util`).
const DELIVER_TO: &str = "Deliver-To-PID";

/// Header that names the call a message is about: the `hash-header` of Kazoo 5's exchanges of call events.
const CALL_ID: &str = "call-id";

/// Milliseconds a message may lie in a queue of the broker: Kazoo's default (`kz_amqp_util`).
const MESSAGE_TTL_MS: i32 = 60_000;

/// Messages whose arrival a queue remembers, so that it knows those that are sent again; twice as many at most. Several
/// publishers may have to repeat a whole window each.
const REMEMBERED: usize = 4096;

/// Stamps from here on are gregorian microseconds of this age, and no two messages of a publisher share one. Others, such
/// as Unix seconds, tell nothing.
const FINE_STAMPS: u64 = GREGORIAN_UNIX_OFFSET.unsigned_abs() * 1_000_000;

/// A short string; names that come here were checked ([`crate::bus::LONGEST_NAME`]).
pub(crate) fn short(text: &str) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

/// The exchange's type, as Kazoo declares it.
pub(crate) fn exchange_kind(exchange: Exchange) -> ExchangeKind {
    match exchange.kind() {
        "direct" => ExchangeKind::Direct,
        "fanout" => ExchangeKind::Fanout,
        _ => ExchangeKind::Topic,
    }
}

/// Not durable, not auto-delete, not internal: other flags are a 406 on a live platform.
pub(crate) fn exchange_flags() -> ExchangeDeclareOptions {
    ExchangeDeclareOptions::default()
}

/// Kazoo's queues vanish with their last consumer, and are not exclusive.
pub(crate) fn queue_flags() -> QueueDeclareOptions {
    QueueDeclareOptions {
        auto_delete: true,
        ..QueueDeclareOptions::default()
    }
}

/// `x-max-length` as a signed 16-bit and `x-message-ttl` as a signed 32-bit number, as Kazoo declares them.
pub(crate) fn queue_arguments(capacity: usize) -> FieldTable {
    let length = i16::try_from(capacity).unwrap_or(i16::MAX);
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::ShortInt(length));
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(MESSAGE_TTL_MS));
    arguments
}

/// Without acknowledgements; alone, if the queue is private.
pub(crate) fn consume_flags(shared: bool) -> BasicConsumeOptions {
    BasicConsumeOptions {
        no_ack: true,
        exclusive: !shared,
        ..BasicConsumeOptions::default()
    }
}

/// The properties Kazoo's `basic_publish` sets.
pub(crate) fn properties(message: &Delivery, stamp: u64) -> BasicProperties {
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_timestamp(stamp);
    let mut headers = FieldTable::default();
    for (name, value) in [
        (DELIVER_TO, &message.deliver_to),
        (CALL_ID, &message.call_id),
    ] {
        if let Some(value) = value {
            // As Kazoo writes its binaries.
            let value = AMQPValue::ByteArray(value.as_bytes().into());
            headers.insert(name.into(), value);
        }
    }
    match headers.inner().is_empty() {
        true => properties,
        false => properties.with_headers(headers),
    }
}

/// Whether the broker says that there is no such thing.
pub(crate) fn is_not_found(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
}

/// Why a received message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It came on an exchange that is none of ours.
    Exchange,
    /// It is larger than [`LARGEST_BODY`].
    Size,
    /// It is compressed in a way that is not Kazoo's, or in Erlang's own terms.
    Encoding,
    /// It is no gzip, though it says so.
    Gzip,
    /// It came before.
    Repeated,
}

impl Unusable {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exchange => "on an exchange that is none of ours",
            Self::Size => "too large",
            Self::Encoding => "in an unknown encoding",
            Self::Gzip => "broken gzip",
            Self::Repeated => "came before",
        }
    }
}

/// Reads what came for one queue.
pub(crate) struct Reader {
    seed: RandomState,
    recent: HashSet<u64>,
    older: HashSet<u64>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            seed: RandomState::new(),
            recent: HashSet::new(),
            older: HashSet::new(),
        }
    }

    /// The message as subscribers see it.
    pub(crate) fn read(
        &mut self,
        delivery: lapin::message::Delivery,
    ) -> Result<Delivery, Unusable> {
        let lapin::message::Delivery {
            exchange,
            routing_key,
            properties,
            data,
            ..
        } = delivery;
        let exchange = Exchange::ALL
            .into_iter()
            .find(|known| known.name() == exchange.as_str())
            .ok_or(Unusable::Exchange)?;
        let message = Delivery {
            exchange,
            routing_key: routing_key.into(),
            deliver_to: header(properties.headers(), DELIVER_TO),
            call_id: header(properties.headers(), CALL_ID),
            body: decoded(data, &properties)?,
        };
        match properties.timestamp() {
            Some(stamp) if *stamp >= FINE_STAMPS && self.is_repeated(*stamp, &message) => {
                Err(Unusable::Repeated)
            }
            _ => Ok(message),
        }
    }

    /// Whoever sends again does so with the same stamp; two messages of one content and microsecond are one.
    fn is_repeated(&mut self, stamp: u64, message: &Delivery) -> bool {
        let Delivery {
            exchange,
            routing_key,
            deliver_to,
            call_id: _,
            body,
        } = message;
        let print = self
            .seed
            .hash_one((stamp, exchange, routing_key, deliver_to, body));
        if self.older.contains(&print) || !self.recent.insert(print) {
            return true;
        }
        if self.recent.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        false
    }
}

/// The body in plain. Kazoo's receivers take `gzip`.
fn decoded(data: Vec<u8>, properties: &BasicProperties) -> Result<Bytes, Unusable> {
    let kind = properties.content_type().as_ref().map(ShortString::as_str);
    if kind == Some("application/erlang") {
        return Err(Unusable::Encoding);
    }
    let coding = properties.content_encoding().as_ref();
    let data = match coding.map(ShortString::as_str) {
        None | Some("" | "identity" | "utf-8" | "UTF-8") => data,
        Some("gzip") if data.len() <= LARGEST_BODY => {
            let mut plain = Vec::new();
            // One byte more tells a bomb.
            let mut bounded = GzDecoder::new(&data[..]).take(LARGEST_BODY as u64 + 1);
            bounded
                .read_to_end(&mut plain)
                .map_err(|_| Unusable::Gzip)?;
            plain
        }
        Some("gzip") => return Err(Unusable::Size),
        Some(_) => return Err(Unusable::Encoding),
    };
    if data.len() > LARGEST_BODY {
        return Err(Unusable::Size);
    }
    Ok(Bytes::from(data))
}

/// Any type that can hold text will do; what cannot is none.
fn header(headers: &Option<FieldTable>, name: &str) -> Option<String> {
    let bytes = match headers.as_ref()?.inner().get(name)? {
        AMQPValue::ByteArray(bytes) => bytes.as_slice(),
        AMQPValue::LongString(text) => text.as_bytes(),
        AMQPValue::ShortString(text) => text.as_str().as_bytes(),
        _ => return None,
    };
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn incoming(
        exchange: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> lapin::message::Delivery {
        let mut delivery =
            lapin::message::Delivery::mock(1, exchange.into(), "key".into(), false, body.to_vec());
        delivery.properties = properties;
        delivery
    }

    fn gzipped(plain: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    fn with_token(value: AMQPValue) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(DELIVER_TO.into(), value);
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn a_message_has_no_headers_but_those_it_needs() {
        let mut message = Delivery {
            exchange: Exchange::Callevt,
            routing_key: "call.DTMF.a".to_owned(),
            deliver_to: None,
            call_id: None,
            body: Bytes::new(),
        };
        assert_eq!(properties(&message, 7).headers(), &None);
        message.call_id = Some("a@b".to_owned());
        let properties = properties(&message, 7);
        let headers = properties.headers().as_ref().unwrap().inner();
        let expected = AMQPValue::ByteArray(b"a@b"[..].into());
        assert_eq!(
            headers.iter().collect::<Vec<_>>(),
            [(&CALL_ID.into(), &expected)]
        );
    }

    #[test]
    fn a_token_is_taken_from_any_type_that_holds_text() {
        for (value, token) in [
            (AMQPValue::ByteArray(b"<0.1.0>"[..].into()), Some("<0.1.0>")),
            (AMQPValue::LongString("<0.1.0>".into()), Some("<0.1.0>")),
            (AMQPValue::ShortString("<0.1.0>".into()), Some("<0.1.0>")),
            (AMQPValue::LongInt(7), None),
            (AMQPValue::FieldTable(FieldTable::default()), None),
            (AMQPValue::ByteArray(vec![0xff, 0xfe].into()), None),
            (AMQPValue::Void, None),
        ] {
            let read = Reader::new().read(incoming("targeted", b"{}", with_token(value.clone())));
            let found = read.map(|delivery| delivery.deliver_to);
            assert_eq!(found, Ok(token.map(str::to_owned)), "{value:?}");
        }
    }

    #[test]
    fn what_no_reader_can_use_is_told_apart() {
        let plain = BasicProperties::default;
        let gzip = || plain().with_content_encoding("gzip".into());
        let huge = vec![b' '; LARGEST_BODY + 1];
        let bomb = gzipped(&huge);
        assert!(bomb.len() < 10_000);
        let mut cut = gzipped(b"{}");
        cut.truncate(cut.len() - 9);
        for (delivery, why) in [
            (incoming("", b"{}", plain()), Unusable::Exchange),
            (incoming("kapps", &huge, plain()), Unusable::Size),
            (
                incoming("kapps", b"", plain().with_content_encoding("br".into())),
                Unusable::Encoding,
            ),
            (incoming("kapps", b"{}", gzip()), Unusable::Gzip),
            (incoming("kapps", &cut, gzip()), Unusable::Gzip),
            (incoming("kapps", &huge, gzip()), Unusable::Size),
            (incoming("kapps", &bomb, gzip()), Unusable::Size),
            (
                incoming(
                    "kapps",
                    b"\x83",
                    plain().with_content_type("application/erlang".into()),
                ),
                Unusable::Encoding,
            ),
        ] {
            assert_eq!(Reader::new().read(delivery), Err(why));
        }
    }

    #[test]
    fn a_compressed_message_is_read_up_to_the_limit_of_plain_ones() {
        for body in [b"{}".to_vec(), vec![b' '; LARGEST_BODY]] {
            let properties = BasicProperties::default().with_content_encoding("gzip".into());
            let delivery = incoming("kapps", &gzipped(&body), properties);
            let read = Reader::new().read(delivery).map(|message| message.body);
            assert!(read.is_ok_and(|read| read == body));
        }
    }

    #[test]
    fn a_repeated_message_is_known_by_its_stamp() {
        let mut reader = Reader::new();
        let mut read = |stamp, body: &[u8]| {
            let properties = BasicProperties::default().with_timestamp(FINE_STAMPS + stamp);
            reader.read(incoming("kapps", body, properties)).err()
        };
        assert_eq!(read(1, b"a"), None);
        assert_eq!(read(2, b"a"), None, "the same words said again");
        assert_eq!(read(1, b"b"), None, "another publisher");
        assert_eq!(read(1, b"a"), Some(Unusable::Repeated));
        for stamp in 10..10 + REMEMBERED as u64 {
            assert_eq!(read(stamp, b"a"), None);
        }
        assert_eq!(read(2, b"a"), Some(Unusable::Repeated), "still remembered");
        assert!(reader.recent.len() + reader.older.len() <= 2 * REMEMBERED);
        let plain = BasicProperties::default;
        for coarse in [plain(), plain().with_timestamp(1_700_000_000)] {
            for _ in 0..2 {
                let delivery = incoming("kapps", b"a", coarse.clone());
                assert!(reader.read(delivery).is_ok(), "nothing to tell by");
            }
        }
    }
}
