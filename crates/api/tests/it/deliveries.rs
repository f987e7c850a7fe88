//! What is owed, and orders about it.

use std::time::Duration;

use callreel_bus::{Binding, QueueOptions};
use callreel_proto::{
    AccountId, AudioFormat, CallId, CaptureId, Channels, DeliveryAction, DeliveryOrder,
    Destination, EndReason, Envelope, Exchange, HttpMethod, MetadataQuery, RecordingId, Utc,
};
use callreel_spool::{Promise, Source, Ticket, TicketKind};
use serde_json::Map;

use crate::world::{ACCOUNT, World, account};

/// Longer than anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);
const URL: &str = "https://user:pass-word@h.example/r/x.mp3?token=s3cret";

fn ticket(started_ms: i64) -> Ticket {
    ticket_of(account(), started_ms)
}

fn ticket_of(account_id: AccountId, started_ms: i64) -> Ticket {
    let started_at = Utc::from_unix_ms(started_ms);
    let destination = Destination::Http {
        url: URL.parse().unwrap(),
        method: HttpMethod::Put,
        headers: [("Authorization".to_owned(), "Bearer h1dden".to_owned())].into(),
        metadata_query: MetadataQuery::None,
    };
    let promise = Promise {
        recording_id: RecordingId::random(started_at),
        source: Source::Capture(CaptureId::random()),
        account_id,
        call_id: CallId::new("call@h"),
        kind: TicketKind::Recording,
        format: AudioFormat::Mp3,
        channels: Channels::Stereo,
        sample_rate: None,
        destination,
        file_name: "x.mp3".into(),
        started_at,
        start_ns: 0,
        time_limit_s: 60,
        min_ms: 0,
        redact_dtmf: false,
        recipient: None,
        span: None,
        of_leg: callreel_proto::Leg::A,
    };
    Ticket::new(promise, Map::new()).unwrap()
}

fn ended(started_ms: i64) -> Ticket {
    ended_of(ACCOUNT, started_ms)
}

/// A recording of this account that has ended.
pub(crate) fn ended_of(account: &str, started_ms: i64) -> Ticket {
    let mut ticket = ticket_of(AccountId::parse(account).unwrap(), started_ms);
    ticket.end(5_000_000_000, EndReason::Hangup).unwrap();
    ticket
}

#[tokio::test]
async fn what_is_owed_is_listed_oldest_first_and_page_by_page() {
    let world = World::new().await;
    let tickets = [3000, 1000, 2000].map(ended);
    for ticket in &tickets {
        world.owe(ticket);
    }
    world.owe(&ticket(500));
    let id = |n: usize| tickets[n].recording_id().to_string();
    let first = world.get("/deliveries?state=ended&page_size=2").await;
    assert_eq!(first.ids(), [id(1), id(2)]);
    let next = first.json()["next_start_key"].as_str().unwrap().to_owned();
    world.delivers(&tickets[0]);
    let rest = world
        .get(&format!("/deliveries?state=ended&start_key={next}"))
        .await;
    assert!(rest.ids().is_empty(), "delivered between two pages");
    assert_eq!(world.get("/deliveries").await.ids().len(), 3);
    let other = ACCOUNT.replace('a', "b");
    let none = world.get(&format!("/deliveries?account_id={other}")).await;
    assert!(none.ids().is_empty());
    let odd = world.get("/deliveries?account_id=other").await;
    assert_eq!(odd.status, 404, "no account has such an id");
    let odd = world.get("/deliveries?state=lost").await;
    assert_eq!(odd.status, 400);
    assert!(odd.message().contains("undeliverable"), "{}", odd.message());
}

#[tokio::test]
async fn a_ticket_is_shown_without_secrets() {
    let world = World::new().await;
    let mut owed = ended(1000);
    let quoted = format!("error sending request for url ({URL})");
    let at = Utc::from_unix_ms;
    owed.rendering_failed(at(8000), quoted, at(9000)).unwrap();
    world.owe(&owed);
    let answer = world
        .get(&format!("/deliveries/{}", owed.recording_id()))
        .await;
    let shown = &answer.json()["data"];
    assert_eq!(shown["destination"], "https://h.example/r/x.mp3");
    assert_eq!(
        shown["last_error"],
        "error sending request for url (https://h.example/r/x.mp3)"
    );
    assert_eq!(shown["state"], "ended");
    assert_eq!(shown["sealed"], serde_json::Value::Null);
    assert_eq!(shown["duration_ms"], 5000);
    assert_eq!(shown["started_at"], "1970-01-01T00:00:01.000Z");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    for secret in ["pass-word", "s3cret", "user:", "h1dden", "Bearer"] {
        assert!(!text.contains(secret), "{secret} is shown");
    }
}

#[tokio::test]
async fn orders_are_published_on_the_bus() {
    let world = World::new().await;
    let owed = ended(1000);
    world.owe(&owed);
    let binding = Binding::new(Exchange::Kapps, DeliveryOrder::ALL);
    let subscribe = world.bus.subscribe(QueueOptions::private(8), vec![binding]);
    let mut orders = subscribe.await.unwrap();
    for (word, action) in [
        ("retry", DeliveryAction::Retry),
        ("drop", DeliveryAction::Drop),
    ] {
        let uri = format!("/deliveries/{}/{word}", owed.recording_id());
        let answer = world.call("POST", &uri, &[("x-ordered-by", "ann")]).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json()["data"]["order"], word);
        let heard = tokio::time::timeout(PATIENCE, orders.recv()).await;
        let heard = heard.unwrap().unwrap();
        let order = Envelope::<DeliveryOrder>::from_bytes(&heard.body).unwrap();
        assert_eq!(order.headers.node, "callreel@test");
        let order = order.body;
        assert_eq!(order.by.as_deref(), Some("ann at 192.0.2.18"));
        let why = (word == "drop").then_some("no reason given");
        assert_eq!(order.reason.as_deref(), why);
        assert_eq!(order.action, action);
        assert_eq!(&order.recording_id, owed.recording_id());
        assert_eq!(heard.routing_key, order.routing_key());
    }
}

#[tokio::test]
async fn orders_that_cannot_be_obeyed_are_refused() {
    let world = World::new().await;
    let growing = ticket(1000);
    world.owe(&growing);
    let absent = RecordingId::random(Utc::from_unix_ms(0));
    for (method, uri, status, says) in [
        (
            "POST",
            format!("/deliveries/{}/drop", growing.recording_id()),
            409,
            "still being recorded",
        ),
        (
            "POST",
            format!("/deliveries/{absent}/retry"),
            404,
            "nothing is owed",
        ),
        (
            "POST",
            "/deliveries/..%2F..%2Fx/retry".into(),
            404,
            "YYYYMM-",
        ),
        ("GET", format!("/deliveries/{absent}/retry"), 405, "method"),
        (
            "GET",
            format!("/deliveries/{absent}"),
            404,
            "nothing is owed",
        ),
    ] {
        let answer = world.call(method, &uri, &[]).await;
        assert_eq!(answer.status, status, "{uri}");
        assert!(
            answer.message().contains(says),
            "{uri}: {}",
            answer.message()
        );
    }
}

#[tokio::test]
async fn many_are_tried_again_at_once_the_oldest_first_and_not_more_than_the_queue_takes() {
    let world = World::new().await;
    let owed: Vec<Ticket> = (0..3).map(|n| ended(3000 - n * 1000)).collect();
    for ticket in &owed {
        world.owe(ticket);
    }
    world.owe(&ticket(500));
    let binding = Binding::new(Exchange::Kapps, DeliveryOrder::ALL);
    let subscribe = world.bus.subscribe(QueueOptions::private(8), vec![binding]);
    let mut orders = subscribe.await.unwrap();
    let all = world.call("POST", "/deliveries/retry", &[]).await;
    assert_eq!(all.status, 202);
    assert_eq!(all.json()["data"]["ordered"], 3);
    for ticket in owed.iter().rev() {
        let heard = tokio::time::timeout(PATIENCE, orders.recv()).await;
        let heard = heard.unwrap().unwrap();
        let order = Envelope::<DeliveryOrder>::from_bytes(&heard.body).unwrap();
        assert_eq!(&order.body.recording_id, ticket.recording_id());
    }
    let uri = "/deliveries/retry?state=undeliverable";
    let none = world.call("POST", uri, &[]).await;
    assert_eq!(none.json()["data"]["ordered"], 0);
}
