//! The bus on a real RabbitMQ: the promises of every transport, Kazoo's topology, peers that say anything, and TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]
#![allow(unreachable_pub, missing_docs, reason = "a test explains itself")]

mod outage;
mod receipts;
mod support;

use std::{collections::HashSet, time::Duration};

use callreel_bus::{Address, Binding, Bus, BusConfig, Error, QueueOptions, conformance};
use callreel_proto::{Exchange, Utc};
use lapin::{
    BasicProperties,
    options::QueueDeleteOptions,
    types::{AMQPValue, FieldTable},
};
use support::{
    ROOMY,
    broker::{Broker, word},
    hear, link, next, open,
    peer::{self, Peer, headers, kazoo_arguments},
    private, text, until,
};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_keeps_every_promise() {
    let bus = open(&Broker::shared().await.url()).await;
    conformance::all(&bus).await;
    assert_eq!(bus.describe().queues, [], "after everybody left");
    let link = link(&bus);
    assert_eq!(link.state, "connected");
    assert_eq!((link.failed, link.dropped, link.reconnects), (0, 0, 0));
}

#[tokio::test]
async fn nodes_hear_each_other_and_take_turns_at_a_shared_queue() {
    let url = Broker::shared().await.url();
    let (one, other) = (open(&url).await, open(&url).await);
    let key = word();
    let name = format!("callreel-{}", word());
    let join = || QueueOptions::shared(&name, ROOMY);
    let bindings = || vec![Binding::new(Exchange::Kapps, &key)];
    let mut at_one = one.subscribe(join(), bindings()).await.unwrap();
    let mut at_other = other.subscribe(join(), bindings()).await.unwrap();
    for n in 0..10 {
        one.publish(Exchange::Kapps, &key, n.to_string())
            .await
            .unwrap();
    }
    let mut all = HashSet::new();
    for _ in 0..5 {
        all.insert(text(&mut at_one).await);
        all.insert(text(&mut at_other).await);
    }
    assert_eq!(all.len(), 10, "each message came to one of them");

    // One that leaves takes nothing with it.
    drop(at_one);
    let direct = Binding::new(Exchange::Targeted, &name);
    at_other.binder().bind(direct).await.unwrap();
    let address = Address::of("<0.7.0>", &name);
    one.send(Exchange::Targeted, &address, "reply")
        .await
        .unwrap();
    let reply = next(&mut at_other).await;
    assert_eq!(reply.body, "reply");
    assert_eq!(reply.deliver_to.as_deref(), Some("<0.7.0>"));
}

#[tokio::test]
async fn exchanges_and_queues_have_the_flags_that_kazoo_declares() {
    let url = Broker::shared().await.url();
    let bus = open(&url).await;
    let mut kazoo = Peer::connect(&url).await;
    for exchange in Exchange::ALL {
        let (name, kind) = (exchange.name(), exchange.kind());
        let same = kazoo.declare_exchange(name, kind, false).await;
        assert!(same.is_ok(), "{name}: {same:?}");
        let differs = kazoo.declare_exchange(name, kind, true).await;
        assert!(is(&differs, 406), "the broker would tell: {differs:?}");
        kazoo.another_channel().await;
    }

    let mine = QueueOptions::private(100);
    let mine = bus.subscribe(mine, Vec::new()).await.unwrap();
    let shared = QueueOptions::shared(format!("callreel-{}", word()), 40_000);
    let shared = bus.subscribe(shared, Vec::new()).await.unwrap();
    for (queue, length, exclusive) in [(&mine, 100, true), (&shared, i16::MAX, false)] {
        let name = queue.queue();
        let same = kazoo.declare_queue(name, kazoo_arguments(length)).await;
        assert!(same.is_ok(), "{name}: {same:?}");
        let differs = kazoo.declare_queue(name, FieldTable::default()).await;
        assert!(is(&differs, 406), "the broker would tell: {differs:?}");
        kazoo.another_channel().await;
        let joined = kazoo.consume(name, false).await.map(drop);
        assert_eq!(is(&joined, 403), exclusive, "{name}: {joined:?}");
        kazoo.another_channel().await;
    }
}

fn is(result: &lapin::Result<()>, code: u16) -> bool {
    let Err(error) = result else { return false };
    let lapin::ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    error.get_id() == code
}

#[tokio::test]
async fn messages_have_the_properties_of_kazoos() {
    let url = Broker::shared().await.url();
    let (bus, kazoo) = (open(&url).await, Peer::connect(&url).await);
    let name = format!("callreel-{}", word());
    let mut heard = kazoo.hear("targeted", &name).await;
    let before = Utc::now().gregorian_seconds();
    bus.send(Exchange::Targeted, &name, "{}").await.unwrap();
    let address = format!("pid://<0.1.0>/{name}");
    bus.send(Exchange::Targeted, &address, "{}").await.unwrap();

    let plain = peer::next(&mut heard).await;
    let stamp = i64::try_from(plain.properties.timestamp().unwrap()).unwrap();
    let age = stamp / 1_000_000 - before;
    assert!((0..60).contains(&age), "gregorian microseconds: {stamp}");
    let expected = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_timestamp(plain.properties.timestamp().unwrap());
    assert_eq!(plain.properties, expected, "and nothing else");
    assert_eq!(plain.routing_key.as_str(), name);

    let told = peer::next(&mut heard).await;
    let token = AMQPValue::ByteArray(b"<0.1.0>"[..].into());
    assert_eq!(told.properties.headers(), headers(token).headers());
    assert_eq!(told.routing_key.as_str(), name);
}

#[tokio::test]
async fn a_hostile_peer_costs_nobody_a_good_message() {
    let url = Broker::shared().await.url();
    let (bus, raw) = (open(&url).await, Peer::connect(&url).await);
    let key = word();
    let mut queue = hear(&bus, Exchange::Kapps, &key).await;
    let plain = BasicProperties::default;
    let gzip = plain().with_content_encoding("gzip".into());
    let erlang = plain().with_content_type("application/erlang".into());
    raw.publish("kapps", &key, gzip, b"\x1f\x8b").await;
    raw.publish("kapps", &key, erlang, b"\x83").await;
    raw.publish("kapps", &key, plain(), &vec![b' '; 5 << 20])
        .await;
    raw.publish("", queue.queue(), plain(), b"past all exchanges")
        .await;
    let mut deep = AMQPValue::Void;
    for _ in 0..50 {
        deep = AMQPValue::FieldArray(vec![deep].into());
    }
    for token in [AMQPValue::LongInt(7), AMQPValue::Void, deep] {
        raw.publish("kapps", &key, headers(token), b"no token")
            .await;
    }
    let text = AMQPValue::LongString("<0.1.0>".into());
    raw.publish("kapps", &key, headers(text), b"\xff\xfe not text")
        .await;
    raw.publish("kapps", &key, plain(), b"").await;

    for _ in 0..3 {
        let delivery = next(&mut queue).await;
        assert_eq!(
            (&delivery.body[..], delivery.deliver_to),
            (&b"no token"[..], None)
        );
    }
    let delivery = next(&mut queue).await;
    assert_eq!(&delivery.body[..], b"\xff\xfe not text");
    assert_eq!(delivery.deliver_to.as_deref(), Some("<0.1.0>"));
    assert_eq!(next(&mut queue).await.body, "");
    let link = link(&bus);
    assert_eq!((link.refused, link.reconnects), (4, 0));
    assert_eq!(
        link.unusable.values().collect::<Vec<_>>(),
        [&1; 4],
        "each of its own kind"
    );
}

#[tokio::test]
async fn what_is_no_amqp_at_all_costs_a_reconnect_and_not_the_bus() {
    let broker = Broker::start().await;
    let (bus, speaker) = (open(&broker.url()).await, open(&broker.url()).await);
    let mut queue = hear(&bus, Exchange::Kapps, "#").await;
    let mut hostile = peer::Bytes::connect(broker.port()).await;
    // Broken headers the broker keeps from us, but not this: a routing key that is no text.
    hostile.publish("kapps", b"fine", b"", b"first").await;
    assert_eq!(next(&mut queue).await.body, "first", "it can publish");
    for attack in 1..=3 {
        hostile
            .publish("kapps", b"not \xff\xfe text", b"", b"hostile")
            .await;
        until(&bus, "it comes back", |link| {
            link.reconnects == attack && link.state == "connected"
        })
        .await;
        let good = word();
        let said = speaker.publish(Exchange::Kapps, &good, "good").await;
        said.unwrap();
        assert_eq!(next(&mut queue).await.routing_key, good);
    }
    assert_eq!(
        link(&speaker).reconnects,
        0,
        "who hears nothing suffers nothing"
    );
}

#[tokio::test]
async fn a_queue_that_was_taken_away_comes_back() {
    let url = Broker::shared().await.url();
    let (bus, raw) = (open(&url).await, Peer::connect(&url).await);
    let key = word();
    let mut queue = hear(&bus, Exchange::Kapps, &key).await;
    let deleted = raw
        .channel
        .queue_delete(queue.queue().into(), QueueDeleteOptions::default());
    deleted.await.unwrap();
    let heard = timeout(support::PATIENCE, async {
        loop {
            bus.publish(Exchange::Kapps, &key, "again").await.unwrap();
            if let Ok(heard) = timeout(Duration::from_millis(20), queue.recv()).await {
                return heard;
            }
        }
    });
    assert_eq!(heard.await.unwrap().unwrap().body, "again");
    assert_eq!(link(&bus).reconnects, 0);
}

#[tokio::test]
async fn a_name_that_another_node_uses_is_refused() {
    let url = Broker::shared().await.url();
    let (one, other) = (open(&url).await, open(&url).await);
    let name = format!("callreel-{}", word());
    let first = one.subscribe(private(&name), Vec::new()).await.unwrap();
    let refused = other.subscribe(private(&name), Vec::new()).await.err();
    let Some(Error::Refused { queue, reason }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(queue, name);
    assert!(reason.contains("exclusive"), "{reason}");
    assert_eq!(other.describe().queues, [], "nothing stays behind");
    drop(first);
    // Whether the first has left already is for the broker to say.
    let again = timeout(support::PATIENCE, async {
        while other.subscribe(private(&name), Vec::new()).await.is_err() {}
    });
    again.await.unwrap();
}

#[tokio::test]
async fn what_was_published_before_the_close_still_arrives() {
    let url = Broker::shared().await.url();
    let (bus, listener) = (open(&url).await, open(&url).await);
    let key = word();
    let mut heard = hear(&listener, Exchange::Kapps, &key).await;
    for n in 0..2000 {
        bus.publish(Exchange::Kapps, &key, n.to_string())
            .await
            .unwrap();
    }
    bus.close();
    let late = bus.publish(Exchange::Kapps, &key, "late").await;
    assert_eq!(late, Err(Error::Closed));
    bus.ended().await;
    assert_eq!(link(&bus).state, "closed");
    for n in 0..2000 {
        assert_eq!(text(&mut heard).await, n.to_string());
    }
}

#[tokio::test]
async fn a_closed_bus_ends_its_listeners() {
    let bus = open(&Broker::shared().await.url()).await;
    let mut queue = hear(&bus, Exchange::Kapps, &word()).await;
    let waits = tokio::spawn(async move { queue.recv().await });
    bus.close();
    assert_eq!(waits.await.unwrap(), None);
    let late = bus.subscribe(QueueOptions::private(1), Vec::new()).await;
    assert_eq!(late.err(), Some(Error::Closed));
}

#[tokio::test]
async fn a_wrong_password_is_refused_at_once_and_not_shown() {
    let broker = Broker::shared().await;
    let config = BusConfig {
        url: broker.url_of("guest", "secret"),
        ..BusConfig::default()
    };
    let opening = timeout(Duration::from_secs(8), Bus::open(&config, "h"));
    let refused = opening.await.expect("at once").err().unwrap().to_string();
    assert!(refused.contains("bus.url"), "{refused}");
    let shown = format!("guest@127.0.0.1:{}", broker.port());
    assert!(refused.contains(&shown), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
}

#[tokio::test]
async fn nobody_at_the_address_is_said_with_the_address() {
    let config = BusConfig {
        url: "amqp://user:secret@127.0.0.1:9".to_owned(),
        ..BusConfig::default()
    };
    let refused = Bus::open(&config, "h").await.err().unwrap().to_string();
    assert!(refused.contains("amqp://user@127.0.0.1:9/%2f"), "{refused}");
    assert!(refused.contains("refused"), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
}

#[tokio::test]
async fn tls_trusts_the_authority_it_is_given_and_no_other() {
    let broker = Broker::start_with_tls().await;
    let url = format!("amqps://guest:guest@localhost:{}", broker.tls_port());
    let mut config = BusConfig {
        url,
        ca_file: Some(broker.dir().join("ca.pem")),
    };
    let bus = Bus::open(&config, "h").await.unwrap();
    conformance::a_token_travels_beside_the_message(&bus).await;
    config.ca_file = None;
    let refused = Bus::open(&config, "h").await.err().unwrap().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}
