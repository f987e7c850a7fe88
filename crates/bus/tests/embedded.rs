//! The embedded bus: the promises of every transport, and those only a broker in the same process can make.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use callreel_bus::{
    Binding, Bus, BusConfig, CONFIG_KEYS, Error, QueueOptions, Subscription, conformance,
};
use callreel_proto::{CallEvent, CallId, EventName, Exchange, Utc};

#[tokio::test]
async fn the_embedded_bus_keeps_every_promise() {
    conformance::all(&Bus::embedded()).await;
}

#[tokio::test]
async fn after_everybody_left_nothing_is_left() {
    let bus = Bus::embedded();
    conformance::all(&bus).await;
    assert_eq!(bus.describe().queues, []);
}

async fn listener(bus: &Bus, pattern: &str, capacity: usize) -> Subscription {
    let binding = Binding::new(Exchange::Callevt, pattern);
    bus.subscribe(QueueOptions::private(capacity), vec![binding])
        .await
        .unwrap()
}

#[tokio::test]
async fn thousands_of_calls_each_hear_only_themselves() {
    let bus = Bus::embedded();
    let at = Utc::from_unix_ms(0);
    let mut calls = Vec::new();
    for n in 0..3000 {
        let id = CallId::new(format!("{n}@10.0.0.1"));
        calls.push((
            id.clone(),
            listener(&bus, &CallEvent::pattern(&id), 10).await,
        ));
    }
    for (id, _) in &calls {
        let event = CallEvent::new(id.clone(), at);
        let key = event.routing_key(EventName::ChannelAnswer);
        bus.publish(Exchange::Callevt, &key, "{}").await.unwrap();
    }
    let picture = bus.describe();
    assert!(
        picture
            .queues
            .iter()
            .all(|queue| queue.depth == 1 && queue.bindings == 1)
    );
    assert_eq!(
        (picture.published, picture.unheard, picture.dropped),
        (3000, 0, 0)
    );
    for (id, queue) in &mut calls {
        let delivery = queue.recv().await.unwrap();
        assert!(
            delivery
                .routing_key
                .ends_with(&callreel_proto::encode_word(id.as_str()))
        );
    }
}

#[tokio::test]
async fn what_a_full_queue_dropped_is_counted() {
    let bus = Bus::embedded();
    let queue = listener(&bus, "#", 2).await;
    for _ in 0..5 {
        bus.publish(Exchange::Callevt, "x", "body").await.unwrap();
    }
    bus.publish(Exchange::Kapps, "x", "nobody hears this")
        .await
        .unwrap();
    let picture = bus.describe();
    let level = &picture.queues[0];
    assert_eq!(level.name, queue.queue());
    assert_eq!((level.depth, level.accepted, level.dropped), (2, 5, 3));
    assert_eq!(
        (picture.published, picture.unheard, picture.dropped),
        (6, 1, 3)
    );
    assert_eq!(
        serde_json::to_value(&picture).unwrap()["queues"][0]["capacity"],
        2
    );
}

#[tokio::test]
async fn a_closed_bus_ends_its_listeners_after_what_they_have_got() {
    let bus = Bus::embedded();
    let mut queue = listener(&bus, "#", 2).await;
    bus.publish(Exchange::Callevt, "x", "last").await.unwrap();
    let waits = tokio::spawn(async move { (queue.recv().await, queue.recv().await) });
    bus.close();
    let (last, end) = waits.await.unwrap();
    assert_eq!(last.unwrap().body, "last");
    assert_eq!(end, None);
    assert_eq!(
        bus.publish(Exchange::Callevt, "x", "late").await,
        Err(Error::Closed)
    );
    let late = bus.subscribe(QueueOptions::private(1), Vec::new()).await;
    assert_eq!(late.err(), Some(Error::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_and_listeners_in_many_tasks_lose_nothing() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 500;
    let bus = Bus::embedded();
    let join = || {
        let bindings = vec![Binding::new(Exchange::Kapps, "work.*")];
        bus.subscribe(QueueOptions::shared("work", PUBLISHERS * EACH), bindings)
    };
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let mut queue = join().await.unwrap();
        listeners.push(tokio::spawn(async move {
            let mut heard = Vec::new();
            while let Some(delivery) = queue.recv().await {
                heard.push(delivery.body);
            }
            heard
        }));
    }
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|who| {
            let bus = bus.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    let key = format!("work.{who}");
                    bus.publish(Exchange::Kapps, &key, format!("{who}:{n}"))
                        .await
                        .unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    bus.close();
    let mut all = Vec::new();
    for listener in listeners {
        all.extend(listener.await.unwrap());
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), PUBLISHERS * EACH);
}

#[tokio::test]
async fn a_cancelled_receive_leaves_the_message() {
    let bus = Bus::embedded();
    let mut queue = listener(&bus, "#", 2).await;
    tokio::select! {
        biased;
        _ = queue.recv() => panic!("nothing was published"),
        () = std::future::ready(()) => {}
    }
    bus.publish(Exchange::Callevt, "x", "kept").await.unwrap();
    assert_eq!(queue.recv().await.unwrap().body, "kept");
}

#[tokio::test]
async fn the_configuration_is_explained_and_unknown_transports_are_refused_in_words() {
    let config = serde_json::to_value(BusConfig::default()).unwrap();
    let keys: Vec<&str> = config
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        CONFIG_KEYS.iter().map(|(key, _)| *key).collect::<Vec<_>>()
    );
    let nats = BusConfig {
        url: "nats://user:secret@localhost".to_owned(),
        ..BusConfig::default()
    };
    let refused = Bus::open(&nats, "h").await.err().unwrap().to_string();
    assert!(refused.contains("bus.url"), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
    let bus = Bus::open(&BusConfig::default(), "host-1").await.unwrap();
    assert!(bus.unique_queue_name().starts_with("callreel@host-1-"));
}
