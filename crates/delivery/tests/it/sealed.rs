//! Recordings that are to be sealed to their account, whose key is none at first.

use std::io::Read as _;

use callreel_delivery::DeliveryConfig;
use callreel_proto::{AccountDb, DeliveryAction, RecordingFact};
use callreel_spool::{AtRest, Keys, Ticket, new_key};
use serde_json::{Value, json};

use crate::{
    call::{assert_heard, put, record},
    node::{Home, Node, config},
    receiver::Receiver,
};

/// A recording that waits because its account's public key is none; nothing of it has been sent.
async fn waits(node: &mut Node, receiver: &Receiver) -> Ticket {
    let ticket = record(&node.spool, 1, put(receiver.at), &|promise| {
        promise.recipient = Some("age1nobody".to_owned());
    });
    node.tell_ended(&ticket).await;
    let notice = node.hear(&[RecordingFact::Retrying]).await;
    let why = notice.detail.unwrap();
    assert!(
        why.contains("call_recording.public_key of account"),
        "{why}"
    );
    assert!(why.contains("\"age1nobody\" is no age public key"), "{why}");
    assert!(receiver.received().is_empty());
    ticket
}

/// The account's document says this of recordings from now on; then a person wants it tried again.
async fn mended(node: &mut Node, ticket: &Ticket, call_recording: Value) {
    let account = &ticket.promise().account_id;
    let doc = json!({"_id": account, "call_recording": call_recording});
    let db = AccountDb::name(account);
    node.store.save(&db, doc).await.unwrap();
    node.order(DeliveryAction::Retry, ticket.recording_id())
        .await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
}

/// The next try comes only when a person wants it.
fn patient() -> DeliveryConfig {
    DeliveryConfig {
        backoff_first_s: 600,
        backoff_max_s: 600,
        ..config()
    }
}

#[tokio::test]
async fn a_recording_waits_for_its_accounts_key_and_is_sealed_to_it() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(patient()).await;
    let ticket = waits(&mut node, &receiver).await;
    let (secret, recipient) = new_key();
    let says = json!({"public_key": recipient.to_string()});
    mended(&mut node, &ticket, says).await;

    let got = receiver.received().remove(0);
    assert!(got.path.ends_with(".wav.age"), "{}", got.path);
    assert_eq!(got.header("content-type"), "application/octet-stream");
    let dir = tempfile::tempdir().unwrap();
    let (keys, file) = (dir.path().join("keys"), dir.path().join("file"));
    std::fs::write(&keys, secret.reveal()).unwrap();
    std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&file, &got.body).unwrap();
    let mut opened = AtRest::sealed(&file, &Keys::load(&keys).unwrap()).unwrap();
    let mut audio = Vec::new();
    opened.read_to_end(&mut audio).unwrap();
    assert_heard(audio, "wav", 1);
}

#[tokio::test]
async fn a_recording_whose_account_takes_its_key_away_is_sent_open() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(patient()).await;
    let ticket = waits(&mut node, &receiver).await;
    mended(&mut node, &ticket, Value::Null).await;
    let got = receiver.received().remove(0);
    assert!(got.path.ends_with(".wav"), "{}", got.path);
    assert_heard(got.body.to_vec(), "wav", 1);
}
