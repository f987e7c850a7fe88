//! What every transport of the bus must do: each function panics if the bus it is given does not. Names are made up at
//! random, so that the functions can run against a broker that others use.

pub mod receipts;

use std::time::Duration;

use callreel_proto::{Exchange, random_hex};
use tokio::{sync::mpsc, time::timeout};

use crate::{Address, Binding, Bus, Error, QueueOptions, Subscription};

/// A message that has not come by then never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for everything a test publishes at once.
const ROOMY: usize = 1000;

/// Runs every promise below.
///
/// # Panics
/// If the bus breaks one.
pub async fn all(bus: &Bus) {
    // A broker gives the receiver some seconds to appear.
    let unheard = receipts::of_nobody(bus).await;
    a_topic_is_heard_by_pattern(bus).await;
    a_queue_hears_a_message_once_however_many_patterns_match(bus).await;
    a_direct_message_reaches_only_its_queue(bus).await;
    a_token_travels_beside_the_message(bus).await;
    receipts::tell_that_messages_have_arrived(bus).await;
    a_fanout_is_heard_by_all(bus).await;
    exchanges_are_apart(bus).await;
    one_publisher_is_heard_in_order(bus).await;
    a_full_queue_drops_its_oldest(bus).await;
    subscribers_of_a_shared_queue_take_turns(bus).await;
    a_private_queue_has_one_subscriber(bus).await;
    bindings_change_while_receiving(bus).await;
    a_dropped_subscription_hears_no_more(bus).await;
    publishing_to_nobody_is_fine(bus).await;
    addresses_are_for_direct_exchanges(bus).await;
    names_that_break_addresses_are_refused(bus).await;
    what_amqp_cannot_carry_is_refused(bus).await;
    everybody_can_see_which_queues_there_are(bus).await;
    receipts::tell_that_nobody_is_there(unheard).await;
}

/// `*` is one word, `#` any number, everything else itself.
///
/// # Panics
/// If not.
pub async fn a_topic_is_heard_by_pattern(bus: &Bus) {
    let id = random_hex(16);
    let mut one = hear(bus, Exchange::Callevt, &format!("call.*.{id}")).await;
    let mut any = hear(bus, Exchange::Callevt, &format!("#.{id}")).await;
    let mut exact = hear(bus, Exchange::Callevt, &format!("call.DTMF.{id}")).await;
    for key in [
        format!("call.DTMF.{id}"),
        format!("call.{id}"),
        format!("call.a.b.{id}"),
        format!("call.HOLD.{id}"),
        format!("call.DTMF.{id}.x"),
        format!("end.of.{id}"),
        format!("call.end.{id}"),
        format!("call.DTMF.{id}"),
    ] {
        publish(bus, Exchange::Callevt, &key, &key).await;
    }
    let heard =
        |keys: &[&str]| -> Vec<String> { keys.iter().map(|key| format!("{key}.{id}")).collect() };
    assert_eq!(
        take(&mut one, 4).await,
        heard(&["call.DTMF", "call.HOLD", "call.end", "call.DTMF"])
    );
    assert_eq!(
        take(&mut any, 7).await,
        heard(&[
            "call.DTMF",
            "call",
            "call.a.b",
            "call.HOLD",
            "end.of",
            "call.end",
            "call.DTMF"
        ])
    );
    assert_eq!(
        take(&mut exact, 2).await,
        heard(&["call.DTMF", "call.DTMF"])
    );
}

/// Two matching bindings, one copy.
///
/// # Panics
/// If not.
pub async fn a_queue_hears_a_message_once_however_many_patterns_match(bus: &Bus) {
    let id = random_hex(16);
    let bindings = ["x.*", "x.#", "x.y"]
        .into_iter()
        .map(|tail| Binding::new(Exchange::Kapps, format!("{id}.{tail}")));
    let mut queue = subscribe(bus, QueueOptions::private(ROOMY), bindings.collect()).await;
    publish(bus, Exchange::Kapps, &format!("{id}.x.y"), "once").await;
    publish(bus, Exchange::Kapps, &format!("{id}.x.z"), "end").await;
    assert_eq!(take(&mut queue, 2).await, ["once", "end"]);
}

/// The routing key of a direct exchange is a queue's name, and has no wildcards.
///
/// # Panics
/// If not.
pub async fn a_direct_message_reaches_only_its_queue(bus: &Bus) {
    for exchange in [Exchange::Targeted, Exchange::Callctl] {
        let mut one = straight(bus, exchange).await;
        let mut other = straight(bus, exchange).await;
        other
            .binder()
            .bind(Binding::new(exchange, "#"))
            .await
            .expect("a direct exchange takes any key");
        send(bus, exchange, one.queue(), "for one").await;
        send(bus, exchange, other.queue(), "for the other").await;
        assert_eq!(take(&mut one, 1).await, ["for one"]);
        assert_eq!(take(&mut other, 1).await, ["for the other"]);
    }
}

/// `pid://TOKEN/QUEUE` reaches the queue with the token; `consumer://` without. So does the call a message is about.
///
/// # Panics
/// If not.
pub async fn a_token_travels_beside_the_message(bus: &Bus) {
    let mut queue = straight(bus, Exchange::Targeted).await;
    let name = queue.queue().to_owned();
    send(bus, Exchange::Targeted, &Address::of("call/7", &name), "a").await;
    send(bus, Exchange::Targeted, &name, "b").await;
    send(
        bus,
        Exchange::Targeted,
        &format!("consumer://zone/{name}"),
        "c",
    )
    .await;
    for (body, token) in [("a", Some("call/7")), ("b", None), ("c", None)] {
        let delivery = next(&mut queue).await;
        assert_eq!(delivery.body, body);
        assert_eq!(delivery.deliver_to.as_deref(), token);
        assert_eq!(delivery.routing_key, name);
        assert_eq!(delivery.exchange, Exchange::Targeted);
        assert_eq!(delivery.call_id, None);
    }
    let about = bus.publish_about("a@b", Exchange::Targeted, &name, "d");
    about.await.expect("the bus is open");
    assert_eq!(next(&mut queue).await.call_id.as_deref(), Some("a@b"));
}

/// On a fanout exchange keys and patterns have no meaning.
///
/// # Panics
/// If not.
pub async fn a_fanout_is_heard_by_all(bus: &Bus) {
    let mut one = hear(bus, Exchange::Nodes, "").await;
    let mut other = hear(bus, Exchange::Nodes, "some.pattern").await;
    let body = random_hex(16);
    publish(bus, Exchange::Nodes, "whatever", &body).await;
    for queue in [&mut one, &mut other] {
        // Other nodes of a shared broker may be heard in between.
        while next(queue).await.body != body {}
    }
}

/// The same pattern on another exchange hears nothing.
///
/// # Panics
/// If not.
pub async fn exchanges_are_apart(bus: &Bus) {
    let id = random_hex(16);
    let mut events = hear(bus, Exchange::Callevt, &id).await;
    let mut calls = hear(bus, Exchange::Callmgr, &id).await;
    publish(bus, Exchange::Callevt, &id, "event").await;
    publish(bus, Exchange::Callmgr, &id, "call").await;
    assert_eq!(take(&mut events, 1).await, ["event"]);
    assert_eq!(take(&mut calls, 1).await, ["call"]);
}

/// Messages of one task reach a queue in order.
///
/// # Panics
/// If not.
pub async fn one_publisher_is_heard_in_order(bus: &Bus) {
    let id = random_hex(16);
    let mut queue = hear(bus, Exchange::Kapps, &format!("{id}.#")).await;
    let sent: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for (n, body) in sent.iter().enumerate() {
        publish(bus, Exchange::Kapps, &format!("{id}.{}", n % 7), body).await;
    }
    assert_eq!(take(&mut queue, sent.len()).await, sent);
}

/// The newest messages are kept.
///
/// # Panics
/// If not.
pub async fn a_full_queue_drops_its_oldest(bus: &Bus) {
    let id = random_hex(16);
    let (options, binding) = (QueueOptions::private(3), Binding::new(Exchange::Kapps, &id));
    let mut queue = subscribe(bus, options, vec![binding]).await;
    for body in ["1", "2", "3", "4", "5"] {
        publish(bus, Exchange::Kapps, &id, body).await;
    }
    // On a broker they are under way: whoever reads at once reads the first before the last has come.
    timeout(PATIENCE, accepted(bus, queue.queue(), 5))
        .await
        .expect("the queue gets them in time");
    assert_eq!(take(&mut queue, 3).await, ["3", "4", "5"]);
}

/// Each message goes to one subscriber, and two that wait get half each; one that leaves takes no binding with it.
///
/// # Panics
/// If not.
pub async fn subscribers_of_a_shared_queue_take_turns(bus: &Bus) {
    let id = random_hex(16);
    let name = format!("callreel-{id}");
    let join = || {
        let options = QueueOptions::shared(&name, ROOMY);
        subscribe(bus, options, vec![Binding::new(Exchange::Kapps, &id)])
    };
    let (one, other) = (join().await, join().await);
    let (told, mut heard) = mpsc::channel(1);
    let (one, other) = (
        tokio::spawn(five(one, told.clone())),
        tokio::spawn(five(other, told)),
    );
    for n in 0..10 {
        let sent = n.to_string();
        publish(bus, Exchange::Kapps, &id, &sent).await;
        let body = timeout(PATIENCE, heard.recv())
            .await
            .expect("the message comes in time");
        assert_eq!(body, Some(sent), "one subscriber hears it");
    }
    let one = one.await.expect("it got its five");
    let mut other = other.await.expect("it got its five");

    drop(one);
    publish(bus, Exchange::Kapps, &id, "still bound").await;
    assert_eq!(take(&mut other, 1).await, ["still bound"]);
}

/// A second subscriber of a queue that is not shared is refused, and so is one with other options.
///
/// # Panics
/// If not.
pub async fn a_private_queue_has_one_subscriber(bus: &Bus) {
    let private = QueueOptions {
        name: Some(format!("callreel-{}", random_hex(16))),
        shared: false,
        capacity: 5,
    };
    let first = subscribe(bus, private.clone(), Vec::new()).await;
    let again = bus.subscribe(private.clone(), Vec::new()).await;
    assert!(matches!(again.err(), Some(Error::QueueDiffers { .. })));
    drop(first);
    let _free_again = subscribe(bus, private, Vec::new()).await;

    let shared = QueueOptions::shared(format!("callreel-{}", random_hex(16)), 5);
    let _first = subscribe(bus, shared.clone(), Vec::new()).await;
    let other = QueueOptions {
        capacity: 6,
        ..shared
    };
    let refused = bus.subscribe(other, Vec::new()).await;
    assert!(matches!(refused.err(), Some(Error::QueueDiffers { .. })));
}

/// A binding is in force when `bind` returns, and gone when `unbind` returns, while another task waits for messages.
///
/// # Panics
/// If not.
pub async fn bindings_change_while_receiving(bus: &Bus) {
    let id = random_hex(16);
    let always = Binding::new(Exchange::Kapps, format!("{id}.always"));
    let mut queue = subscribe(bus, QueueOptions::private(ROOMY), vec![always]).await;
    let binder = queue.binder();
    let sometimes = Binding::new(Exchange::Callevt, format!("call.*.{id}"));
    let key = format!("call.DTMF.{id}");
    let publisher = async {
        publish(bus, Exchange::Callevt, &key, "too early").await;
        binder
            .bind(sometimes.clone())
            .await
            .expect("the queue is there");
        binder.bind(sometimes.clone()).await.expect("twice is once");
        publish(bus, Exchange::Callevt, &key, "in time").await;
        binder
            .unbind(sometimes.clone())
            .await
            .expect("the queue is there");
        binder
            .unbind(sometimes.clone())
            .await
            .expect("gone is gone");
        publish(bus, Exchange::Callevt, &key, "too late").await;
        publish(bus, Exchange::Kapps, &format!("{id}.always"), "end").await;
    };
    let (heard, ()) = tokio::join!(take(&mut queue, 2), publisher);
    let mut heard = heard;
    // Two exchanges have no order between them on every broker.
    heard.sort();
    assert_eq!(heard, ["end", "in time"]);
}

/// Its queue and its bindings are gone.
///
/// # Panics
/// If not.
pub async fn a_dropped_subscription_hears_no_more(bus: &Bus) {
    let id = random_hex(16);
    let options = QueueOptions {
        name: Some(format!("callreel-{id}")),
        shared: false,
        capacity: ROOMY,
    };
    let bound = vec![Binding::new(Exchange::Kapps, &id)];
    let gone = subscribe(bus, options.clone(), bound).await;
    let binder = gone.binder();
    publish(bus, Exchange::Kapps, &id, "unread").await;
    drop(gone);
    let late = binder.bind(Binding::new(Exchange::Kapps, "x")).await;
    assert_eq!(late, Err(Error::QueueGone(format!("callreel-{id}"))));
    let mut fresh = subscribe(bus, options, Vec::new()).await;
    publish(bus, Exchange::Kapps, &id, "not bound any more").await;
    let end = Binding::new(Exchange::Kapps, format!("{id}.end"));
    fresh.binder().bind(end).await.expect("the queue is there");
    publish(bus, Exchange::Kapps, &format!("{id}.end"), "end").await;
    assert_eq!(take(&mut fresh, 1).await, ["end"]);
}

/// Nobody to hear is no error.
///
/// # Panics
/// If it is one.
pub async fn publishing_to_nobody_is_fine(bus: &Bus) {
    publish(bus, Exchange::Callevt, &random_hex(16), "unheard").await;
    send(bus, Exchange::Targeted, &random_hex(16), "unheard").await;
}

/// Only direct exchanges know addresses, and an address names a queue.
///
/// # Panics
/// If not.
pub async fn addresses_are_for_direct_exchanges(bus: &Bus) {
    let refused = bus.send(Exchange::Callevt, "q", "x").await;
    assert_eq!(refused, Err(Error::NotDirect(Exchange::Callevt)));
    let refused = bus.send(Exchange::Targeted, "pid://x", "x").await;
    assert_eq!(refused, Err(Error::Address("pid://x".to_owned())));
}

/// A queue's name is what an address ends with.
///
/// # Panics
/// If a bad name is taken.
pub async fn names_that_break_addresses_are_refused(bus: &Bus) {
    for bad in ["", "a/b"] {
        let refused = bus
            .subscribe(QueueOptions::shared(bad, 1), Vec::new())
            .await;
        assert_eq!(refused.err(), Some(Error::QueueName(bad.to_owned())));
    }
    let refused = bus
        .subscribe(QueueOptions::shared("callreel-none", 0), Vec::new())
        .await;
    assert_eq!(
        refused.err(),
        Some(Error::NoCapacity("callreel-none".to_owned()))
    );
}

/// Names of up to 255 bytes travel, longer ones and huge messages do not, whatever the transport.
///
/// # Panics
/// If not.
pub async fn what_amqp_cannot_carry_is_refused(bus: &Bus) {
    let longest = format!("{:x<255}", random_hex(16));
    let mut queue = hear(bus, Exchange::Kapps, &longest).await;
    publish(bus, Exchange::Kapps, &longest, "carried").await;
    assert_eq!(take(&mut queue, 1).await, ["carried"]);

    let longer = "x".repeat(256);
    let refused = Error::TooLong(longer.clone());
    let published = bus.publish(Exchange::Kapps, &longer, "x").await;
    assert_eq!(published, Err(refused.clone()));
    let bound = queue
        .binder()
        .bind(Binding::new(Exchange::Kapps, &longer))
        .await;
    assert_eq!(bound, Err(refused.clone()));
    let subscribed = bus
        .subscribe(QueueOptions::shared(&longer, 1), Vec::new())
        .await;
    assert_eq!(subscribed.err(), Some(refused));
    let huge = vec![b'x'; (4 << 20) + 1];
    let published = bus.publish(Exchange::Kapps, "x", huge).await;
    assert_eq!(published, Err(Error::TooLarge((4 << 20) + 1)));
}

/// A queue is there from its subscription to its end.
///
/// # Panics
/// If not.
pub async fn everybody_can_see_which_queues_there_are(bus: &Bus) {
    let queue = subscribe(bus, QueueOptions::private(1), Vec::new()).await;
    let name = queue.queue().to_owned();
    assert_eq!(bus.has_queue(&name).await, Some(true));
    let process = Address::of("<0.7.0>", &name);
    assert_eq!(bus.has_queue(&process).await, Some(true));
    drop(queue);
    for nobodys in [&name, &random_hex(16), "pid://no address", &"x".repeat(256)] {
        assert_eq!(bus.has_queue(nobodys).await, Some(false), "{nobodys}");
    }
}

/// Takes five messages and tells each.
async fn five(mut queue: Subscription, told: mpsc::Sender<String>) -> Subscription {
    for _ in 0..5 {
        let body = take(&mut queue, 1).await.remove(0);
        told.send(body).await.expect("the test listens");
    }
    queue
}

async fn subscribe(bus: &Bus, options: QueueOptions, bindings: Vec<Binding>) -> Subscription {
    bus.subscribe(options, bindings)
        .await
        .expect("the options are good")
}

async fn hear(bus: &Bus, exchange: Exchange, pattern: &str) -> Subscription {
    let binding = Binding::new(exchange, pattern);
    subscribe(bus, QueueOptions::private(ROOMY), vec![binding]).await
}

/// A queue that hears what is sent to its own name.
async fn straight(bus: &Bus, exchange: Exchange) -> Subscription {
    let name = bus.unique_queue_name();
    let options = QueueOptions {
        name: Some(name.clone()),
        shared: false,
        capacity: ROOMY,
    };
    subscribe(bus, options, vec![Binding::new(exchange, name)]).await
}

async fn publish(bus: &Bus, exchange: Exchange, key: &str, body: &str) {
    bus.publish(exchange, key, body.to_owned())
        .await
        .expect("the bus is open");
}

async fn send(bus: &Bus, exchange: Exchange, address: &str, body: &str) {
    bus.send(exchange, address, body.to_owned())
        .await
        .expect("the bus is open");
}

/// Waits until a queue has got so many messages.
async fn accepted(bus: &Bus, name: &str, count: u64) {
    let got = || {
        let picture = bus.describe();
        let queue = picture.queues.into_iter().find(|queue| queue.name == name);
        queue.map_or(0, |queue| queue.accepted)
    };
    while got() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn next(queue: &mut Subscription) -> crate::Delivery {
    timeout(PATIENCE, queue.recv())
        .await
        .expect("the message comes in time")
        .expect("the bus is open")
}

async fn take(queue: &mut Subscription, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        let body = next(queue).await.body;
        bodies.push(String::from_utf8_lossy(&body).into_owned());
    }
    bodies
}
