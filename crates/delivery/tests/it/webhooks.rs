//! Facts about recordings, told to webhooks.

use std::collections::BTreeSet;

use callreel_delivery::{DeliveryConfig, WebhooksConfig};
use callreel_proto::{
    AccountId, CallId, OrderedBy, RecordingFact, RecordingNotice, RecordingSource, Secret,
};
use callreel_spool::{Outbox, Ticket};
use callreel_store::WEBHOOKS;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    call::{put, record, ticket},
    node::{Home, Node, attachments, config},
    receiver::{Received, Receiver},
};

const SECRET: &str = "between us";

/// The system's webhook at this receiver.
fn system(receiver: &Receiver) -> WebhooksConfig {
    WebhooksConfig {
        url: Some(format!("http://{}/hook", receiver.at).parse().unwrap()),
        secret: Some(Secret::new(SECRET)),
        ..WebhooksConfig::default()
    }
}

async fn start(webhooks: &WebhooksConfig) -> Node {
    let home = Home::new();
    let spool = home.writer();
    home.start_told(config(), spool, webhooks).await
}

/// As a receiver checks it.
fn is_signed_with(secret: &str, received: &Received) -> bool {
    let signature = received.header("x-callreel-signature");
    let (instant, code) = signature.split_once(",v1=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(instant.strip_prefix("t=").unwrap().as_bytes());
    mac.update(b".");
    mac.update(&received.body);
    mac.verify_slice(&hex::decode(code).unwrap()).is_ok()
}

fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

fn facts(received: &[Received]) -> Vec<String> {
    let fact = |received: &Received| body(received)["fact"].as_str().unwrap().to_owned();
    received.iter().map(fact).collect()
}

/// The notice calls would send about this recording.
fn notice(ticket: &Ticket, fact: RecordingFact) -> RecordingNotice {
    let promise = ticket.promise();
    RecordingNotice {
        recording_id: Some(promise.recording_id.clone()),
        ..RecordingNotice::new(fact, promise.account_id.clone(), promise.call_id.clone())
    }
}

/// Puts a webhook of this account into the store.
async fn hook_of(node: &Node, account: &AccountId, id: &str, fields: Value) {
    let mut doc =
        json!({"_id": id, "pvt_type": "webhook", "pvt_account_id": account, "retries": 0});
    for (key, value) in fields.as_object().unwrap() {
        doc[key] = value.clone();
    }
    node.store.put(WEBHOOKS, doc).await.unwrap();
}

#[tokio::test]
async fn the_system_is_told_of_every_fact_in_order_and_can_check_who_says_so() {
    let (hook, receiver) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    let mut node = start(&system(&hook)).await;
    let ticket = record(&node.spool, 1, put(receiver.at), &|_| {});
    let masked = RecordingNotice {
        ordered_by: Some(OrderedBy::new(RecordingSource::Api)),
        offset_ms: Some(250),
        ..notice(&ticket, RecordingFact::Masked)
    };
    let started = RecordingNotice {
        time_limit_s: Some(3600),
        ..notice(&ticket, RecordingFact::Started)
    };
    for told in [started, masked, notice(&ticket, RecordingFact::Unmasked)] {
        node.tell(told).await;
    }
    node.tell_ended(&ticket).await;
    node.hear_delivered(1).await;
    let received = hook.until(6).await;
    let all = [
        "started",
        "masked",
        "unmasked",
        "ended",
        "rendered",
        "delivered",
    ];
    assert_eq!(facts(&received), all);
    for (received, fact) in received.iter().zip(all) {
        assert_eq!(
            (received.method.as_str(), received.path.as_str()),
            ("POST", "/hook")
        );
        assert_eq!(received.header("content-type"), "application/json");
        assert_eq!(
            received.header("x-callreel-event"),
            format!("recording.{fact}")
        );
        assert!(is_signed_with(SECRET, received));
        assert!(!is_signed_with("between them", received));
        let body = body(received);
        assert_eq!(body["recording_id"], ticket.recording_id().as_str());
        assert_eq!(body["call_id"], ticket.promise().call_id.as_str());
    }
    assert_eq!(body(&received[0])["time_limit"], 3600);
    assert_eq!(body(&received[1])["ordered_by"], json!({"source": "api"}));
    assert_eq!(body(&received[1])["offset_ms"], 250);
    assert_eq!(body(&received[3])["end_reason"], "hangup");
    let ids: BTreeSet<_> = received
        .iter()
        .map(|r| r.header("x-callreel-delivery"))
        .collect();
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn delivered_is_told_only_when_the_receiver_has_the_file() {
    let (hook, receiver) = (Receiver::start(&[]).await, Receiver::start(&[503]).await);
    let mut node = start(&system(&hook)).await;
    let to = format!("http://u:pw@{}/in?token=t", receiver.at);
    let to =
        callreel_proto::Destination::http(to.parse().unwrap(), callreel_proto::HttpMethod::Put);
    let ticket = record(&node.spool, 1, to, &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    node.hear(&[RecordingFact::Delivered]).await;
    let received = hook.until(4).await;
    assert_eq!(
        facts(&received),
        ["ended", "rendered", "retrying", "delivered"]
    );
    let told = body(&received[3]);
    let file = &receiver.received()[1];
    assert_eq!(told["destination"], format!("http://{}/in", receiver.at));
    assert_eq!(told["bytes"], file.body.len());
    assert_eq!(told["duration_ms"], 1000);
    assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
    assert!(body(&received[0]).get("bytes").is_none());
}

#[tokio::test]
async fn a_webhook_that_fails_is_told_again_the_same() {
    let hook = Receiver::start(&[500, 302]).await;
    let node = start(&system(&hook)).await;
    let ticket = ticket(put(hook.at), &|_| {});
    node.tell(notice(&ticket, RecordingFact::Started)).await;
    node.tell(notice(&ticket, RecordingFact::Masked)).await;
    let received = hook.until(4).await;
    assert_eq!(
        facts(&received),
        ["started", "started", "started", "masked"]
    );
    for again in &received[1..3] {
        assert_eq!(again.body, received[0].body);
        let id = |received: &Received| received.header("x-callreel-delivery").to_owned();
        assert_eq!(id(again), id(&received[0]));
        assert!(is_signed_with(SECRET, again));
    }
    node.stop().await;
}

#[tokio::test]
async fn accounts_are_told_of_their_own_recordings_and_what_they_asked_for() {
    let [all, some, others, off] = [(); 4].map(|()| Receiver::start(&[]));
    let (all, some, others, off) = (all.await, some.await, others.await, off.await);
    let node = start(&WebhooksConfig::default()).await;
    let ticket = ticket(put(all.at), &|_| {});
    let (ours, theirs) = (ticket.promise().account_id.clone(), AccountId::random());
    let at = |receiver: &Receiver| format!("http://{}/x", receiver.at);
    let fields = json!({"hook": "recording", "uri": at(&all), "secret": "ours", "custom_data": {"site": "north"}});
    hook_of(&node, &ours, "w1", fields).await;
    let fields = json!({"hook": "recording_masked", "uri": at(&some), "http_verb": "put"});
    hook_of(&node, &ours, "w2", fields).await;
    let fields = json!({"hook": "recording", "uri": at(&others)});
    hook_of(&node, &theirs, "w3", fields).await;
    let fields = json!({"hook": "recording", "uri": at(&off), "enabled": false});
    hook_of(&node, &ours, "w4", fields).await;
    for fact in [
        RecordingFact::Started,
        RecordingFact::Masked,
        RecordingFact::Unmasked,
    ] {
        node.tell(notice(&ticket, fact)).await;
    }
    let told = all.until(3).await;
    assert_eq!(facts(&told), ["started", "masked", "unmasked"]);
    assert!(told.iter().all(|received| is_signed_with("ours", received)));
    assert_eq!(body(&told[0])["custom_data"], json!({"site": "north"}));
    let told = some.until(1).await;
    assert_eq!(
        (facts(&told), told[0].method.as_str()),
        (vec!["masked".to_owned()], "PUT")
    );
    assert!(
        !told[0].headers.contains_key("x-callreel-signature"),
        "it has no secret"
    );

    node.tell(RecordingNotice::new(
        RecordingFact::Skipped,
        theirs,
        CallId::new("c"),
    ))
    .await;
    assert_eq!(facts(&others.until(1).await), ["skipped"]);
    assert!(off.received().is_empty());
    assert_eq!((all.received().len(), some.received().len()), (3, 1));
}

#[tokio::test]
async fn a_dead_webhook_holds_up_neither_another_nor_a_delivery() {
    // Connections are made, because the system makes them; nobody ever answers.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (alive, receiver) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    let webhooks = WebhooksConfig {
        url: Some(
            format!("http://{}/", dead.local_addr().unwrap())
                .parse()
                .unwrap(),
        ),
        secret: Some(Secret::new(SECRET)),
        ..WebhooksConfig::default()
    };
    let mut node = start(&webhooks).await;
    let ticket = record(&node.spool, 1, put(receiver.at), &|_| {});
    let fields = json!({"hook": "recording", "uri": format!("http://{}/", alive.at)});
    hook_of(&node, &ticket.promise().account_id, "w", fields).await;
    node.tell(notice(&ticket, RecordingFact::Started)).await;
    node.tell_ended(&ticket).await;
    node.hear_delivered(1).await;
    let told = alive.until(4).await;
    assert_eq!(facts(&told), ["started", "ended", "rendered", "delivered"]);
    let picture = &node.delivery.describe().await["webhooks"];
    assert_eq!(picture["since_start"]["given_up"], 0);
    assert!(picture["waiting"].as_u64().unwrap() >= 4, "{picture}");
    node.stop().await;
}

#[tokio::test]
async fn several_delivery_roles_on_one_bus_tell_each_fact_once() {
    let hook = Receiver::start(&[]).await;
    let webhooks = system(&hook);
    let node = start(&webhooks).await;
    let elsewhere = Home::new();
    let spool = Outbox::open(elsewhere.spool_dir()).unwrap();
    let bus = node.bus.clone();
    let attachments = attachments(&config(), node.store.clone());
    let name = "callreel@there.example.com";
    let other = callreel_delivery::start(config(), &webhooks, bus, spool, attachments, name);
    let other = other.await.unwrap();
    let ticket = ticket(put(hook.at), &|_| {});
    let told = 20;
    for _ in 0..told / 2 {
        node.tell(notice(&ticket, RecordingFact::Masked)).await;
        node.tell(notice(&ticket, RecordingFact::Unmasked)).await;
    }
    hook.until(told).await;
    node.stop().await;
    other.stop().await;
    let received = hook.received();
    let ids = received.iter().map(|r| r.header("x-callreel-delivery"));
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), told);
    assert_eq!(received.len(), told);
}

#[tokio::test]
async fn webhooks_are_guarded_as_deliveries_are() {
    let hook = Receiver::start(&[]).await;
    let home = Home::new();
    let strict = DeliveryConfig {
        allow_networks: Vec::new(),
        ..config()
    };
    let webhooks = WebhooksConfig {
        tries: 1,
        ..system(&hook)
    };
    let node = home.start_told(strict, home.writer(), &webhooks).await;
    let ticket = ticket(put(hook.at), &|_| {});
    node.tell(notice(&ticket, RecordingFact::Started)).await;
    let given_up = async {
        while node.delivery.describe().await["webhooks"]["since_start"]["given_up"] != 1 {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(crate::node::PATIENCE, given_up).await;
    in_time.expect("it is given up");
    assert!(hook.received().is_empty());
}
