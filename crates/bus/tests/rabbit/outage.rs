//! Outages: the broker killed in mid-traffic, and wires cut between living peers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_proto::Exchange;
use tokio::{task::JoinHandle, time::sleep};

use crate::support::{
    ROOMY,
    broker::{Broker, word},
    hear, link, open,
    proxy::Proxy,
    text, until,
};

/// Publishes 0, 1, 2 … until told to stop.
struct Traffic {
    said: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Traffic {
    fn start(bus: &Bus, key: &str, pause: Duration) -> Self {
        let (said, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (bus, key) = (bus.clone(), key.to_owned());
        let (counter, stopped) = (Arc::clone(&said), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                let n = counter.load(Ordering::SeqCst);
                bus.publish(Exchange::Kapps, &key, n.to_string())
                    .await
                    .unwrap();
                counter.store(n + 1, Ordering::SeqCst);
                sleep(pause).await;
            }
        });
        Self { said, stop, task }
    }

    fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }

    /// Returns how many it said.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        self.said.load(Ordering::SeqCst)
    }
}

async fn number(queue: &mut Subscription) -> u64 {
    text(queue).await.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_in_mid_traffic_costs_nothing_said_after_it() {
    let mut broker = Broker::start().await;
    let bus = open(&broker.url()).await;
    let (key, early, late) = (word(), word(), word());
    let mut queue = hear(&bus, Exchange::Kapps, &key).await;
    let mut changed = hear(&bus, Exchange::Kapps, &early).await;
    let shared = QueueOptions::shared(format!("callreel-{}", word()), ROOMY);
    let work = vec![Binding::new(Exchange::Kapps, &late)];
    let mut work = bus.subscribe(shared, work).await.unwrap();

    // A slow machine's restart of forty seconds still fits into the buffer.
    let traffic = Traffic::start(&bus, &key, Duration::from_millis(5));
    let mut heard = Vec::new();
    while heard.len() < 100 {
        heard.push(number(&mut queue).await);
    }
    broker.kill().await;
    until(&bus, "it notices", |link| link.state == "connecting").await;
    let dead = traffic.said();
    let binder = changed.binder();
    binder
        .bind(Binding::new(Exchange::Kapps, &late))
        .await
        .unwrap();
    binder
        .unbind(Binding::new(Exchange::Kapps, &early))
        .await
        .unwrap();
    for key in [&early, &late] {
        bus.publish(Exchange::Kapps, key, "said meanwhile")
            .await
            .unwrap();
    }
    until(&bus, "messages wait", |link| link.buffered > 100).await;
    broker.resume().await;
    until(&bus, "it reconnects", |link| link.state == "connected").await;
    let after = traffic.said();
    until(&bus, "it says all", |link| {
        link.buffered + link.unconfirmed < 50
    })
    .await;
    let end = traffic.stop().await;
    assert!(dead + 100 < after && after < end, "{dead} {after} {end}");

    while heard.last() != Some(&(end - 1)) {
        heard.push(number(&mut queue).await);
    }
    assert!(heard.is_sorted_by(|a, b| a < b), "in order, and none twice");
    let of_the_outage = heard.iter().filter(|n| **n >= dead).count() as u64;
    assert_eq!(of_the_outage, end - dead, "all that were said since");
    assert_eq!(text(&mut changed).await, "said meanwhile");
    assert_eq!(text(&mut work).await, "said meanwhile");
    bus.publish(Exchange::Kapps, &early, "unbound")
        .await
        .unwrap();
    bus.publish(Exchange::Kapps, &late, "bound").await.unwrap();
    assert_eq!(text(&mut changed).await, "bound");
    let link = link(&bus);
    assert_eq!(
        (link.reconnects, link.dropped, link.expired, link.failed),
        (1, 0, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_wire_costs_the_publisher_no_message_and_no_order() {
    let broker = Broker::shared().await;
    let proxy = Proxy::to(broker.port()).await;
    let (speaker, listener) = (open(&proxy.url()).await, open(&broker.url()).await);
    let key = word();
    let mut queue = hear(&listener, Exchange::Kapps, &key).await;
    let traffic = Traffic::start(&speaker, &key, Duration::from_micros(100));
    let (mut heard, mut cuts) = (0, 0);
    // Until a cut has come between a message and its confirm, which is what is hard.
    while cuts < 4 || link(&listener).repeated == 0 {
        let goal = heard + 300;
        while heard < goal {
            assert_eq!(number(&mut queue).await, heard);
            heard += 1;
        }
        proxy.cut();
        cuts += 1;
        until(&speaker, "it comes back", |link| link.reconnects == cuts).await;
        assert!(cuts < 50, "{:?}", link(&listener));
    }
    let end = traffic.stop().await;
    while heard < end {
        assert_eq!(number(&mut queue).await, heard, "none lost, none twice");
        heard += 1;
    }
    until(&speaker, "all is confirmed", |link| link.unconfirmed == 0).await;
    let (sent, got) = (link(&speaker), link(&listener));
    assert_eq!((sent.dropped, sent.failed, got.reconnects), (0, 0, 0));
    assert!(got.repeated <= sent.resent, "{sent:?} {got:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_stops_us_and_nothing_is_lost() {
    let broker = Broker::start().await;
    let (speaker, listener) = (open(&broker.url()).await, open(&broker.url()).await);
    let key = word();
    let mut queue = hear(&listener, Exchange::Kapps, &key).await;
    let memory = ["set_vm_memory_high_watermark", "absolute"];
    broker.control(&[memory[0], memory[1], "1MB"]).await;
    for n in 0..1000 {
        let body = n.to_string();
        speaker.publish(Exchange::Kapps, &key, body).await.unwrap();
    }
    until(&speaker, "it is told to stop", |link| link.blocked).await;
    let binder = queue.binder();
    binder
        .bind(Binding::new(Exchange::Kapps, "listeners are not stopped"))
        .await
        .unwrap();
    broker.control(&[memory[0], memory[1], "4GB"]).await;
    for n in 0..1000 {
        assert_eq!(number(&mut queue).await, n);
    }
    until(&speaker, "it may speak again", |link| !link.blocked).await;
    let link = link(&speaker);
    assert_eq!((link.reconnects, link.failed, link.dropped), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_whose_wire_is_cut_hears_again() {
    let broker = Broker::shared().await;
    let proxy = Proxy::to(broker.port()).await;
    let (speaker, listener) = (open(&broker.url()).await, open(&proxy.url()).await);
    let key = word();
    let mut queue = hear(&listener, Exchange::Kapps, &key).await;
    let binder = queue.binder();
    for n in 0..500 {
        let call = Binding::new(Exchange::Callevt, format!("call.*.{key}-{n}"));
        binder.bind(call).await.unwrap();
    }
    for cuts in 1..=3 {
        proxy.cut();
        until(&listener, "it comes back", |link| link.reconnects == cuts).await;
        for n in [0, 250, 499] {
            let call = format!("call.DTMF.{key}-{n}");
            speaker
                .publish(Exchange::Callevt, &call, call.clone())
                .await
                .unwrap();
            assert_eq!(text(&mut queue).await, call);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_subscribes_during_an_outage_waits_for_its_end() {
    let mut broker = Broker::start().await;
    let bus = open(&broker.url()).await;
    broker.kill().await;
    until(&bus, "it notices", |link| link.state == "connecting").await;
    assert_eq!(bus.has_queue("any").await, None, "nobody knows now");
    assert!(!bus.is_connected());
    let key = word();
    let (mut heard, ()) = tokio::join!(hear(&bus, Exchange::Kapps, &key), broker.resume());
    bus.publish(Exchange::Kapps, &key, "at last").await.unwrap();
    assert_eq!(text(&mut heard).await, "at last");
    assert!(bus.is_connected());

    // And a node that ends during one is not held up.
    broker.kill().await;
    until(&bus, "it notices", |link| link.state == "connecting").await;
    bus.publish(Exchange::Kapps, &key, "too late")
        .await
        .unwrap();
    bus.close();
    bus.ended().await;
}
