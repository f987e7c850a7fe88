//! Legal holds, and what is kept of who did what to a recording.

use std::{path::Path, time::Duration};

use axum::body::Body;
use callreel_bus::{Binding, QueueOptions, Subscription};
use callreel_proto::{DeliveryAction, DeliveryOrder, Envelope, Exchange, RecordingNotice};
use callreel_spool::{Line, What};
use serde_json::{Value, json};

use crate::{
    deliveries::ended_of,
    world::{ACCOUNT, Answer, World},
};

const OTHER: &str = "0bcd0123456789abcdef0123456789ab";
/// Longer than anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

async fn say(world: &World, method: &str, uri: &str, who: &str, reason: &str) -> Answer {
    let body = Body::from(json!({"data": {"reason": reason}}).to_string());
    let headers = [("x-ordered-by", who)];
    world.call_with(method, uri, &headers, body).await
}

async fn hear(world: &World, pattern: &str) -> Subscription {
    let binding = Binding::new(Exchange::Kapps, pattern);
    let subscribe = world.bus.subscribe(QueueOptions::private(8), vec![binding]);
    subscribe.await.unwrap()
}

async fn next<T: serde::de::DeserializeOwned>(heard: &mut Subscription) -> T {
    let message = tokio::time::timeout(PATIENCE, heard.recv()).await;
    Envelope::from_bytes(&message.unwrap().unwrap().body)
        .unwrap()
        .body
}

/// What the manifest says was done, with by whom and why.
fn told(world: &World) -> Vec<(String, String, String)> {
    let mut told = Vec::new();
    let mut tell = |what: &str, by: &str, reason: &str| {
        told.push((what.to_owned(), by.to_owned(), reason.to_owned()));
    };
    let each = |_: &Path, _, line: &Line| match &line.entry.as_ref().unwrap().what {
        What::Held { by, reason } => tell("held", by, reason),
        What::Released { by, reason } => tell("released", by, reason),
        What::Deleted { by, reason, .. } => tell("deleted", by, reason),
        _ => {}
    };
    world.spool().manifest().verify(each).unwrap();
    told
}

#[tokio::test]
async fn a_held_recording_is_kept_until_the_hold_is_lifted_and_all_of_it_is_told() {
    let world = World::new().await;
    let id = world
        .recording(1, json!({"name": "x.mp3", "call_id": "c@h"}))
        .await;
    let free = world.recording(2, json!({})).await;
    let one = format!("/v2/accounts/{ACCOUNT}/recordings/{id}");
    let hold = format!("{one}/hold");
    let mut notices = hear(&world, RecordingNotice::ALL).await;
    let held = say(&world, "PUT", &hold, "ann", "court order 7").await;
    assert_eq!(held.status, 200);
    let shown = &held.json()["data"]["hold"];
    assert_eq!(
        (&shown["by"], &shown["reason"]),
        (&json!("ann at 192.0.2.18"), &json!("court order 7"))
    );
    assert!(
        shown["since"]
            .as_i64()
            .is_some_and(|since| since > 63_000_000_000)
    );
    let again = say(&world, "PUT", &hold, "bob", "another matter").await;
    assert_eq!(again.json()["data"]["hold"]["by"], "ann at 192.0.2.18");
    for uri in [one.clone(), format!("{one}?should_soft_delete=false")] {
        let refused = world.call("DELETE", &uri, &[]).await;
        assert_eq!(refused.status, 409);
        let why = refused.message();
        assert!(
            why.contains("ann") && why.contains("court order 7"),
            "{why}"
        );
    }
    let list = format!("/v2/accounts/{ACCOUNT}/recordings");
    assert_eq!(
        world.get(&format!("{list}?has_key=hold")).await.ids(),
        [id.as_str()]
    );
    assert_eq!(
        world.get(&format!("{list}?key_missing=hold")).await.ids(),
        [free]
    );
    let released = say(&world, "DELETE", &hold, "ann", "order lifted").await;
    assert_eq!(released.json()["data"].get("hold"), None);
    let idle = say(&world, "DELETE", &hold, "ann", "again").await;
    assert_eq!(idle.status, 200);
    let gone = say(
        &world,
        "DELETE",
        &format!("{one}?should_soft_delete=false"),
        "eve",
        "asked to",
    )
    .await;
    assert_eq!(gone.status, 200);
    assert!(gone.json()["data"]["receipts"][0].is_string());
    let expected = [
        ("held", "ann at 192.0.2.18", "court order 7"),
        ("released", "ann at 192.0.2.18", "order lifted"),
        ("deleted", "eve at 192.0.2.18", "asked to"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(told(&world), expected);
    for (fact, by, reason) in expected {
        let notice: RecordingNotice = next(&mut notices).await;
        assert_eq!(notice.fact.name(), fact);
        assert_eq!(notice.recording_id.unwrap().as_str(), id);
        let detail = notice.detail.unwrap();
        assert!(detail.starts_with(&format!("{by}: {reason}")), "{detail}");
    }
}

#[tokio::test]
async fn a_hold_on_what_is_owed_is_ordered_of_the_delivery() {
    let world = World::new().await;
    let owed = ended_of(ACCOUNT, 1000);
    world.owe(&owed);
    let mut orders = hear(&world, DeliveryOrder::ALL).await;
    let hold = format!(
        "/v2/accounts/{ACCOUNT}/recordings/{}/hold",
        owed.recording_id()
    );
    for (method, action) in [
        ("PUT", DeliveryAction::Hold),
        ("DELETE", DeliveryAction::Release),
    ] {
        let answer = say(&world, method, &hold, "ann", "court order 7").await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json()["data"]["order"], action.name());
        let order: DeliveryOrder = next(&mut orders).await;
        assert_eq!(
            (order.action, &order.recording_id),
            (action, owed.recording_id())
        );
        assert_eq!(order.by.unwrap(), "ann at 192.0.2.18");
        assert_eq!(order.reason.unwrap(), "court order 7");
    }
}

#[tokio::test]
async fn a_hold_says_why_and_is_of_the_accounts_own() {
    let world = World::new().await;
    let doc = json!({"_id": OTHER, "pvt_type": "account"});
    world
        .store
        .put(callreel_store::ACCOUNTS, doc)
        .await
        .unwrap();
    let id = world.recording(1, json!({})).await;
    let owed = ended_of(ACCOUNT, 1000);
    world.owe(&owed);
    let hold = |account: &str, id: &str| format!("/v2/accounts/{account}/recordings/{id}/hold");
    let long = "x".repeat(501);
    for (uri, reason, status) in [
        (hold(ACCOUNT, &id), json!(""), 400),
        (hold(ACCOUNT, &id), Value::Null, 400),
        (hold(ACCOUNT, &id), json!(7), 400),
        (hold(ACCOUNT, &id), json!("two\nlines"), 400),
        (hold(ACCOUNT, &id), json!(long), 400),
        (hold(ACCOUNT, "202611-..%2F..%2Fx"), json!("why"), 404),
        (hold(OTHER, &id), json!("why"), 404),
        (hold(OTHER, owed.recording_id().as_str()), json!("why"), 404),
    ] {
        let body = Body::from(json!({"data": {"reason": reason}}).to_string());
        let answer = world.call_with("PUT", &uri, &[], body).await;
        assert_eq!(answer.status, status, "{uri} {reason}");
    }
    assert!(told(&world).is_empty());
}

#[tokio::test]
async fn what_is_owed_and_held_is_shown_so_and_cannot_be_dropped() {
    let world = World::new().await;
    let mut owed = ended_of(ACCOUNT, 1000);
    let hold = callreel_proto::Hold {
        by: "ann".to_owned(),
        reason: "court order 7".to_owned(),
        since: 1,
    };
    owed.set_hold(Some(hold)).unwrap();
    world.owe(&owed);
    let uri = format!("/deliveries/{}", owed.recording_id());
    assert_eq!(world.get(&uri).await.json()["data"]["hold"]["by"], "ann");
    let refused = world.call("POST", &format!("{uri}/drop"), &[]).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused
            .message()
            .contains("ann put a legal hold on it (court order 7)")
    );
    let retried = world.call("POST", &format!("{uri}/retry"), &[]).await;
    assert_eq!(retried.status, 202);
}
