//! Recordings that go into the account's database.

use callreel_proto::{Destination, EndReason, RecordingFact, month_db};
use callreel_spool::TicketKind;
use futures::TryStreamExt as _;

use crate::{
    call::{assert_heard, record},
    node::{Home, config},
};

#[tokio::test]
async fn a_recording_becomes_a_document_of_its_month_with_the_audio_attached() {
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 2, Destination::AccountDb, &|_| {});
    node.tell_ended(&ticket).await;
    let done = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    assert_eq!(done.detail.as_deref(), Some("the account's database"));
    node.assert_nothing_owed();

    let promise = ticket.promise();
    let db = month_db(&promise.account_id, promise.recording_id.month());
    let id = promise.recording_id.as_str();
    let doc = node.store.get(&db, id).await.unwrap().unwrap();
    assert_eq!(doc["pvt_type"], "call_recording");
    assert_eq!(doc["name"], promise.file_name);
    assert_eq!(doc["content_type"], "audio/wav");
    assert_eq!(doc["media_type"], "wav");
    assert_eq!(doc["start"], promise.started_at.gregorian_seconds());
    assert_eq!(
        (&doc["duration"], &doc["duration_ms"]),
        (&2.into(), &2000.into())
    );
    let audio = node.store.attachment(&db, id, &promise.file_name).await;
    let audio = audio.unwrap().expect("the audio is attached");
    assert_eq!(audio.content_type, "audio/wav");
    let blocks: Vec<_> = audio.body.try_collect().await.unwrap();
    assert_heard(blocks.concat(), "wav", 2);
}

#[tokio::test]
async fn a_recording_below_its_minimum_leaves_nothing_in_the_database() {
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 2, Destination::AccountDb, &|promise| {
        promise.min_ms = 2001;
    });
    node.tell_ended(&ticket).await;
    let notice = node.hear(&[RecordingFact::Discarded]).await;
    assert_eq!(notice.end_reason, Some(EndReason::TooShort));
    let rule = "shorter than the minimum of 2001 ms";
    assert_eq!(notice.detail.as_deref(), Some(rule));
    node.assert_nothing_owed();
    assert!(node.store.databases().await.unwrap().is_empty());

    let enough = record(&node.spool, 2, Destination::AccountDb, &|promise| {
        promise.min_ms = 2000;
    });
    node.tell_ended(&enough).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
}

#[tokio::test]
async fn a_voicemail_message_becomes_a_mailbox_message() {
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 1, Destination::AccountDb, &|promise| {
        promise.kind = TicketKind::Voicemail;
    });
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    let promise = ticket.promise();
    let db = month_db(&promise.account_id, promise.recording_id.month());
    let doc = node.store.get(&db, promise.recording_id.as_str()).await;
    let doc = doc.unwrap().unwrap();
    assert_eq!(doc["pvt_type"], "mailbox_message");
    assert_eq!(doc["metadata"]["length"], 1000);
    assert_eq!(doc["metadata"]["folder"], "new");
}
