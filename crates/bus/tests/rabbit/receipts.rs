//! Receipts: every end a tracked message can meet is told to its sender; and word of a broker that is there again.

use std::time::Duration;

use callreel_bus::{Bus, Lost, QueueOptions, Receipt};
use callreel_proto::Exchange;
use lapin::types::AMQPValue;
use tokio::time::timeout;

use crate::support::{
    PATIENCE,
    broker::{Broker, word},
    hear, link, next, open,
    peer::{Peer, kazoo_arguments},
    proxy::Proxy,
    until,
};

async fn track(bus: &Bus, queue: &str, body: &'static str) -> Receipt {
    let sent = bus.send_tracked(Exchange::Callctl, queue, body).await;
    sent.unwrap()
}

async fn outcome(receipt: Receipt) -> Result<(), Lost> {
    let told = timeout(PATIENCE, receipt).await;
    told.expect("it is told in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_ends_every_receipt() {
    let mut broker = Broker::start().await;
    let bus = open(&broker.url()).await;
    let mut queue = hear(&bus, Exchange::Callctl, "controls").await;
    let mut reconnects = bus.reconnects();
    assert_eq!(
        outcome(track(&bus, "controls", "before").await).await,
        Ok(())
    );
    assert_eq!(next(&mut queue).await.body, "before");
    broker.kill().await;
    until(&bus, "it notices", |link| link.state == "connecting").await;

    let first = track(&bus, "controls", "first").await;
    let capacity = link(&bus).buffer_capacity;
    for _ in 1..capacity {
        bus.publish(Exchange::Kapps, "others", "x").await.unwrap();
    }
    assert_eq!(link(&bus).dropped, 0);
    let last = track(&bus, "controls", "last").await;
    assert_eq!(outcome(first).await, Err(Lost::Crowded));
    assert_eq!(link(&bus).dropped, 1);
    let too_early = timeout(Duration::ZERO, reconnects.next()).await;
    assert!(too_early.is_err(), "it is away still");

    broker.resume().await;
    timeout(PATIENCE, reconnects.next()).await.unwrap();
    assert_eq!(outcome(last).await, Ok(()));
    assert_eq!(next(&mut queue).await.body, "last");

    broker.kill().await;
    until(&bus, "it notices", |link| link.state == "connecting").await;
    let left = track(&bus, "controls", "left").await;
    bus.close();
    assert_eq!(outcome(left).await, Err(Lost::Closed));
}

#[tokio::test]
async fn a_message_that_breaks_every_connection_is_given_up() {
    let broker = Broker::shared().await;
    let proxy = Proxy::that_breaks_at(broker.port(), Some("poison")).await;
    let (bus, listener) = (open(&proxy.url()).await, open(&broker.url()).await);
    let key = word();
    let mut queue = hear(&listener, Exchange::Callctl, &key).await;
    let poison = track(&bus, &key, "poison").await;
    assert_eq!(outcome(poison).await, Err(Lost::Broken));
    assert_eq!((link(&bus).failed, link(&bus).reconnects), (1, 5));
    assert_eq!(outcome(track(&bus, &key, "good").await).await, Ok(()));
    assert_eq!(next(&mut queue).await.body, "good");
}

#[tokio::test]
async fn a_message_that_the_broker_does_not_accept_is_reported() {
    let url = Broker::shared().await.url();
    let (bus, peer) = (open(&url).await, Peer::connect(&url).await);
    let key = word();
    let mut full = kazoo_arguments(1);
    let refuses = AMQPValue::LongString("reject-publish".into());
    full.insert("x-overflow".into(), refuses);
    peer.declare_queue(&key, full).await.unwrap();
    peer.bind(&key, "callctl", &key).await;
    let (fits, refused) = (
        track(&bus, &key, "fits").await,
        track(&bus, &key, "refused").await,
    );
    assert_eq!(outcome(fits).await, Ok(()));
    assert_eq!(outcome(refused).await, Err(Lost::Refused));
    assert_eq!(link(&bus).failed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_not_there_yet_gets_all_in_order_and_holds_up_nobody_else() {
    let broker = Broker::shared().await;
    let proxy = Proxy::to(broker.port()).await;
    let (bus, other) = (open(&proxy.url()).await, open(&broker.url()).await);
    let (late, there) = (word(), word());
    let mut present = hear(&other, Exchange::Callctl, &there).await;
    let first = track(&bus, &late, "first").await;
    assert_eq!(outcome(track(&bus, &there, "1").await).await, Ok(()));
    let second = track(&bus, &late, "second").await;
    // An outage while it is awaited changes nothing.
    proxy.cut();
    until(&bus, "it comes back", |link| link.reconnects == 1).await;
    let third = track(&bus, &late, "third").await;
    assert_eq!(outcome(track(&bus, &there, "2").await).await, Ok(()));
    for body in ["1", "2"] {
        assert_eq!(next(&mut present).await.body, body);
    }
    let mut appears = hear(&other, Exchange::Callctl, &late).await;
    for (body, receipt) in [("first", first), ("second", second), ("third", third)] {
        assert_eq!(next(&mut appears).await.body, body);
        assert_eq!(outcome(receipt).await, Ok(()));
    }
    assert_eq!(bus.describe().unheard, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_receipt_is_of_its_own_message_however_confirms_come() {
    let url = Broker::shared().await.url();
    let bus = open(&url).await;
    let (somebody, nobody) = (word(), word());
    let mut queue = hear(&bus, Exchange::Callctl, &somebody).await;
    let mut receipts = Vec::new();
    // Every third to nobody, some with an address of their own, in the midst of others' traffic.
    for n in 0..300 {
        let heard = n % 3 > 0;
        let address = match n {
            _ if heard => somebody.clone(),
            _ if n % 2 > 0 => nobody.clone(),
            _ => format!("{nobody}-{n}"),
        };
        receipts.push((heard, track(&bus, &address, "x").await));
        bus.publish(Exchange::Kapps, "others", "x").await.unwrap();
    }
    for (n, (heard, receipt)) in receipts.into_iter().enumerate() {
        let expected = if heard { Ok(()) } else { Err(Lost::Unheard) };
        assert_eq!(outcome(receipt).await, expected, "{n}");
    }
    for _ in 0..200 {
        assert_eq!(next(&mut queue).await.body, "x");
    }
    assert_eq!(bus.describe().unheard, 100);
    let link = link(&bus);
    assert_eq!((link.unconfirmed, link.buffered, link.failed), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn word_of_a_reconnection_comes_when_all_is_heard_again() {
    let broker = Broker::shared().await;
    let proxy = Proxy::to(broker.port()).await;
    let (speaker, listener) = (open(&broker.url()).await, open(&proxy.url()).await);
    let name = format!("callreel-{}", word());
    let shared = QueueOptions::shared(&name, 10);
    let bound = callreel_bus::Binding::new(Exchange::Callctl, &name);
    let mut queue = listener.subscribe(shared, vec![bound]).await.unwrap();
    let mut reconnects = listener.reconnects();
    for _ in 0..3 {
        proxy.cut();
        timeout(PATIENCE, reconnects.next()).await.unwrap();
        assert_eq!(outcome(track(&speaker, &name, "heard").await).await, Ok(()));
        assert_eq!(next(&mut queue).await.body, "heard");
    }

    // A queue that somebody took away is a gap as well.
    let peer = Peer::connect(&broker.url()).await;
    let deleted = peer.channel.queue_delete(
        name.as_str().into(),
        lapin::options::QueueDeleteOptions::default(),
    );
    deleted.await.unwrap();
    timeout(PATIENCE, reconnects.next()).await.unwrap();
    assert_eq!(link(&listener).reconnects, 3);
    listener.close();
    let closed = timeout(Duration::from_millis(50), reconnects.next()).await;
    assert!(closed.is_err(), "a closed bus is not there again");
}
