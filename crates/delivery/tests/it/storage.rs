//! Recordings that go where a storage plan says.

use callreel_delivery::DeliveryConfig;
use callreel_proto::{Destination, RecordingFact, month_db};
use callreel_spool::Ticket;
use callreel_store::SYSTEM_DATA;
use futures::TryStreamExt as _;
use serde_json::{Value, json};

use crate::{
    call::{assert_heard, record},
    node::{Home, Node, attachments, config},
    receiver::Receiver,
};

/// Everything by the handler `first`, and by `second` when that fails.
async fn plan(node: &Node, ticket: &Ticket, first: Value, second: Value) {
    let doc = json!({
        "_id": ticket.promise().account_id,
        "attachments": {"first": first, "second": second},
        "plan": {"modb": {"types": {"call_recording": {
            "attachments": {"handler": "first", "backup": "second"}
        }}}},
    });
    node.store.save(SYSTEM_DATA, doc).await.unwrap();
}

fn folder(home: &Home, name: &str) -> Value {
    let path = home.dir().join("archive").join(name);
    json!({"handler": "folder", "settings": {"path": path}})
}

fn receiver(receiver: &Receiver) -> Value {
    let url = format!("http://u:s3cret@{}/in", receiver.at);
    let settings = json!({"url": url, "verb": "post", "document_url_field": "media_url"});
    json!({"handler": "http", "settings": settings})
}

fn allowing(home: &Home) -> DeliveryConfig {
    let root = home.dir().join("archive");
    std::fs::create_dir_all(root.join("one")).unwrap();
    std::fs::create_dir_all(root.join("two")).unwrap();
    DeliveryConfig {
        folder_roots: vec![root],
        ..config()
    }
}

async fn document(node: &Node, ticket: &Ticket) -> (String, Value) {
    let promise = ticket.promise();
    let db = month_db(&promise.account_id, promise.recording_id.month());
    let doc = node.store.get(&db, promise.recording_id.as_str()).await;
    let doc = doc.unwrap().expect("the document is in the month database");
    (db, doc)
}

#[tokio::test]
async fn a_recording_goes_where_the_plan_says_and_can_be_read_from_there() {
    let home = Home::new();
    let settings = allowing(&home);
    let mut node = home.start(settings.clone()).await;
    let ticket = record(&node.spool, 2, Destination::AccountDb, &|_| {});
    plan(&node, &ticket, folder(&home, "one"), folder(&home, "two")).await;
    node.tell_ended(&ticket).await;
    let done = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    let told = done.destination.unwrap();
    let archive = home.dir().join("archive/one");
    assert!(told.starts_with(archive.to_str().unwrap()), "{told}");
    node.assert_nothing_owed();

    let (db, doc) = document(&node, &ticket).await;
    let name = &ticket.promise().file_name;
    let placed = &doc["pvt_attachments"][name];
    assert_eq!(placed["handler"]["callreel"]["id"], "first");
    assert_eq!(placed["length"], done.bytes.unwrap());
    assert!(doc.get("_attachments").is_none());
    let kept = attachments(&settings, node.store.clone());
    let found = kept.fetch(&db, &doc, name, 0..u64::MAX).await.unwrap();
    let blocks: Vec<_> = found.unwrap().body.try_collect().await.unwrap();
    assert_heard(blocks.concat(), "wav", 2);
}

#[tokio::test]
async fn a_receiver_of_the_plan_gets_one_request_and_the_document_its_url() {
    let home = Home::new();
    let there = Receiver::start(&[503]).await;
    let mut node = home.start(allowing(&home)).await;
    let ticket = record(&node.spool, 1, Destination::AccountDb, &|_| {});
    plan(&node, &ticket, receiver(&there), folder(&home, "two")).await;
    node.tell_ended(&ticket).await;
    let facts = [
        RecordingFact::Rendered,
        RecordingFact::Retrying,
        RecordingFact::Delivered,
    ];
    node.hear(&facts).await;
    node.assert_nothing_owed();
    let received = there.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].path, received[1].path);
    assert_eq!(received[1].method, "POST");
    assert_eq!(received[1].header("authorization"), "Basic dTpzM2NyZXQ=");
    assert_eq!(received[1].header("x-callreel-attempt"), "2");
    let (_, doc) = document(&node, &ticket).await;
    let url = format!("http://{}{}", there.at, received[1].path);
    assert_eq!(doc["media_url"], url);
    assert!(!doc.to_string().contains("s3cret"), "{doc}");
}

#[tokio::test]
async fn the_backup_takes_what_the_first_refuses_and_the_document_says_so() {
    let home = Home::new();
    let refuses = Receiver::start(&[403]).await;
    let mut node = home.start(allowing(&home)).await;
    let ticket = record(&node.spool, 1, Destination::AccountDb, &|_| {});
    plan(&node, &ticket, receiver(&refuses), folder(&home, "two")).await;
    node.tell_ended(&ticket).await;
    let done = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    let told = done.destination.unwrap();
    assert!(told.contains("archive/two/"), "{told}");
    node.assert_nothing_owed();
    assert_eq!(refuses.received().len(), 1);
    let (_, doc) = document(&node, &ticket).await;
    let placed = &doc["pvt_attachments"][&ticket.promise().file_name];
    assert_eq!(placed["handler"]["callreel"]["id"], "second");
    assert!(doc.get("media_url").is_none());
}

#[tokio::test]
async fn a_plan_that_cannot_be_followed_keeps_the_recording_until_it_is_corrected() {
    let home = Home::new();
    let mut node = home.start(allowing(&home)).await;
    let ticket = record(&node.spool, 1, Destination::AccountDb, &|_| {});
    let drive = json!({"handler": "google_drive", "settings": {}});
    plan(&node, &ticket, drive, folder(&home, "two")).await;
    node.tell_ended(&ticket).await;
    let failed = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    let why = failed.detail.unwrap();
    assert!(
        why.contains("google_drive") && why.contains("not supported"),
        "{why}"
    );
    plan(&node, &ticket, folder(&home, "one"), folder(&home, "two")).await;
    while node.next_notice().await.fact != RecordingFact::Delivered {}
    node.assert_nothing_owed();
}
