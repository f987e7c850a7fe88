//! A recording that goes to object storage, by an emulator that is away at first.

use callreel_proto::{Destination, RecordingFact, month_db};
use callreel_store::SYSTEM_DATA;
use futures::TryStreamExt as _;
use serde_json::json;

use crate::{
    call::{account, assert_heard, record},
    node::{Home, attachments, config},
    objects_server::{SECRET, Server, Speaks},
};

#[tokio::test]
async fn a_recording_waits_for_its_bucket_and_is_read_from_there_when_it_came_back() {
    let mut s3 = Server::start(Speaks::S3);
    let home = Home::new();
    let settings = config();
    let mut node = home.start(settings.clone()).await;
    let plan = json!({
        "_id": account(),
        "attachments": {"u": s3.handler()},
        "plan": {"modb": {"types": {"call_recording": {"attachments": {"handler": "u"}}}}},
    });
    node.store.save(SYSTEM_DATA, plan).await.unwrap();
    s3.kill();
    // A walk through the spool may find it before anybody tells of it.
    let ticket = record(&node.spool, 2, Destination::AccountDb, &|_| {});
    let promise = ticket.promise();
    node.tell_ended(&ticket).await;
    let failed = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    let why = failed.detail.unwrap();
    assert!(why.contains("s3 recordings/"), "{why}");
    s3.launch();
    let mut notice = node.next_notice().await;
    while notice.fact != RecordingFact::Delivered {
        notice = node.next_notice().await;
    }
    node.assert_nothing_owed();

    let db = month_db(&promise.account_id, promise.recording_id.month());
    let doc = node.store.get(&db, promise.recording_id.as_str()).await;
    let doc = doc.unwrap().unwrap();
    assert!(!doc.to_string().contains(SECRET), "{doc}");
    let kept = attachments(&settings, node.store.clone());
    let found = kept.fetch(&db, &doc, &promise.file_name, 0..u64::MAX).await;
    let blocks: Vec<_> = found.unwrap().unwrap().body.try_collect().await.unwrap();
    assert_heard(blocks.concat(), "wav", 2);
}
