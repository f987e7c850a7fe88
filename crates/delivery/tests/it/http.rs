//! Recordings that go to a URL.

use callreel_delivery::DeliveryConfig;
use callreel_media::{level, read_audio};
use callreel_proto::{
    AudioFormat, Destination, EndReason, HttpMethod, MetadataQuery, RecordingFact, RecordingId,
    RecordingState, month_db,
};
use callreel_spool::Ticket;
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::{
    call::{Call, assert_heard, put, record},
    node::{Home, Node, config},
    receiver::{Receiver, deserted},
};

async fn document(node: &Node, ticket: &Ticket) -> Value {
    let promise = ticket.promise();
    let db = month_db(&promise.account_id, promise.recording_id.month());
    let found = node.store.get(&db, promise.recording_id.as_str()).await;
    found
        .unwrap()
        .expect("the document is in the month database")
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}

#[tokio::test]
async fn an_ended_recording_is_put_where_it_must_go_and_nothing_is_left() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 2, put(receiver.at), &|_| {});
    node.tell_ended(&ticket).await;
    let done = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    assert_eq!(done.recording_id.as_ref(), Some(ticket.recording_id()));
    assert_eq!(done.end_reason, Some(EndReason::Hangup));
    node.assert_nothing_owed();

    let received = receiver.received();
    let told = format!("http://{}/call_recording_ab12%4010.0.0.5.wav", receiver.at);
    assert_eq!(done.destination, Some(told));
    assert_eq!(done.bytes, Some(received[0].body.len() as u64));
    assert_eq!(done.sha256, Some(sha256(&received[0].body)));
    assert_eq!(done.duration_ms, Some(2000));
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].method, "PUT");
    assert_eq!(received[0].path, "/call_recording_ab12%4010.0.0.5.wav");
    assert_eq!(received[0].header("content-type"), "audio/wav");
    let length = received[0].body.len().to_string();
    assert_eq!(received[0].header("content-length"), length);
    let id = ticket.recording_id().as_str();
    assert_eq!(received[0].header("idempotency-key"), id);
    assert_heard(received[0].body.to_vec(), "wav", 2);

    let doc = document(&node, &ticket).await;
    assert_eq!(doc["duration_ms"], 2000);
    assert_eq!(doc["owner_id"], "u1");
    assert_eq!(doc["pvt_type"], "call_recording");
    for leg in ["a", "b"] {
        let told = &doc["gap_report"][leg];
        let counts = (&told["packets"], &told["lost"], &told["concealed_ms"]);
        assert_eq!(counts, (&json!(100), &json!(0), &json!(0)), "{leg}");
    }
    assert!(doc["worst_misalignment_ms"].as_f64().unwrap() < 1.0);
    assert!(doc.get("_attachments").is_none());
    let picture = node.delivery.describe().await;
    assert_eq!(picture["owed"], 0);
    assert_eq!(picture["since_start"]["delivered"], 1);
    node.stop().await;
}

#[tokio::test]
async fn headers_of_the_action_reach_the_receiver_and_nobody_else() {
    let receiver = Receiver::start(&[503]).await;
    let mut node = Home::new().start(config()).await;
    let Destination::Http { url, method, .. } = put(receiver.at) else {
        unreachable!("put makes a URL");
    };
    let to = Destination::Http {
        url,
        method,
        headers: [("X-Key".to_owned(), "s3cret".to_owned())].into(),
        metadata_query: MetadataQuery::None,
    };
    let ticket = record(&node.spool, 1, to, &|_| {});
    node.tell_ended(&ticket).await;
    for fact in [
        RecordingFact::Rendered,
        RecordingFact::Retrying,
        RecordingFact::Delivered,
    ] {
        let notice = node.hear(&[fact]).await;
        assert!(!format!("{notice:?}").contains("s3cret"), "{notice:?}");
        let picture = node.delivery.describe().await.to_string();
        assert!(!picture.contains("s3cret"), "{picture}");
    }
    for received in receiver.received() {
        assert_eq!(received.header("x-key"), "s3cret");
    }
    assert_eq!(receiver.received().len(), 2);
    let document = document(&node, &ticket).await.to_string();
    assert!(!document.contains("s3cret"), "{document}");
}

#[tokio::test]
async fn an_mp3_is_posted_with_its_own_type() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(config()).await;
    let Destination::Http { url, .. } = put(receiver.at) else {
        unreachable!("put makes a URL");
    };
    let to = Destination::http(url, HttpMethod::Post);
    let ticket = record(&node.spool, 2, to, &|promise| {
        promise.format = AudioFormat::Mp3;
        promise.file_name = "call_recording_ab12.mp3".to_owned();
    });
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    let received = receiver.received();
    assert_eq!(received[0].method, "POST");
    assert_eq!(received[0].header("content-type"), "audio/mpeg");
    assert_heard(received[0].body.to_vec(), "mp3", 2);
}

#[tokio::test]
async fn a_receiver_that_fails_gets_the_same_file_again() {
    let receiver = Receiver::start(&[500, 404]).await;
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 1, put(receiver.at), &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered]).await;
    let first = node.hear(&[RecordingFact::Retrying]).await;
    let detail = first.detail.unwrap();
    assert!(
        detail.starts_with("the receiver answered 500; next try at 20"),
        "{detail}"
    );
    node.hear(&[RecordingFact::Retrying, RecordingFact::Delivered])
        .await;
    node.assert_nothing_owed();
    let received = receiver.received();
    let attempts: Vec<&str> = received
        .iter()
        .map(|r| r.header("x-callreel-attempt"))
        .collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    let keys: Vec<&str> = received
        .iter()
        .map(|r| r.header("idempotency-key"))
        .collect();
    assert_eq!(keys, [ticket.recording_id().as_str(); 3]);
    assert_eq!(received[0].body, received[2].body);
}

#[tokio::test]
async fn a_forbidden_address_keeps_the_recording_and_names_the_setting() {
    let receiver = Receiver::start(&[]).await;
    let strict = DeliveryConfig {
        allow_networks: Vec::new(),
        ..config()
    };
    let mut node = Home::new().start(strict).await;
    let ticket = record(&node.spool, 1, put(receiver.at), &|_| {});
    node.tell_ended(&ticket).await;
    let notice = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    let detail = notice.detail.unwrap();
    assert!(detail.contains("a loopback address"), "{detail}");
    assert!(detail.contains("delivery.allow_networks"), "{detail}");
    assert!(receiver.received().is_empty());
    let kept = node
        .spool
        .view()
        .ticket(ticket.recording_id())
        .unwrap()
        .unwrap();
    assert_eq!(kept.state(), RecordingState::Delivering);
}

#[tokio::test]
async fn what_was_masked_is_silent_and_time_goes_on() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(config()).await;
    let mut call = Call::begin(&node.spool, put(receiver.at), &|_| {});
    call.talk(3);
    call.ticket.masked(1_000_000_000, None).unwrap();
    call.ticket.unmasked(1_500_000_000, None).unwrap();
    call.stop_recording(&node.spool, EndReason::Hangup);
    let ticket = call.hang_up();
    node.tell_ended(&ticket).await;
    node.hear_delivered(1).await;
    for pcm in read_audio(receiver.received()[0].body.to_vec(), Some("wav")).unwrap() {
        assert_eq!(pcm.samples.len(), 24_000);
        assert_eq!(level(&pcm.samples[8000..12_000]), 0);
        assert!(level(&pcm.samples[7900..8000]) > 3000);
        assert!(level(&pcm.samples[12_000..12_100]) > 3000);
    }
    let doc = document(&node, &ticket).await;
    assert_eq!(doc["masked_ms"], json!([[1000, 1500]]));
    let samples = (
        &doc["masked"][0]["from_sample"],
        &doc["masked"][0]["until_sample"],
    );
    assert_eq!(samples, (&json!(8000), &json!(12_000)));
}

#[tokio::test]
async fn a_recording_that_ends_before_its_call_is_delivered_before_the_call_ends() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(config()).await;
    let mut call = Call::begin(&node.spool, put(receiver.at), &|_| {});
    call.talk(2);
    call.stop_recording(&node.spool, EndReason::Stopped);
    node.tell_ended(&call.ticket).await;
    node.hear_delivered(1).await;
    assert_heard(receiver.received()[0].body.to_vec(), "wav", 2);
    call.talk(1);
    call.hang_up();
    node.assert_nothing_owed();
}

#[tokio::test]
async fn a_recording_below_its_minimum_is_discarded() {
    let mut node = Home::new().start(config()).await;
    let to = put(deserted().await);
    let ticket = record(&node.spool, 1, to, &|promise| promise.min_ms = 1001);
    node.tell_ended(&ticket).await;
    let notice = node.hear(&[RecordingFact::Discarded]).await;
    assert_eq!(notice.end_reason, Some(EndReason::TooShort));
    let rule = "shorter than the minimum of 1001 ms";
    assert_eq!(notice.detail.as_deref(), Some(rule));
    node.assert_nothing_owed();
}

#[tokio::test]
async fn two_recordings_of_one_call_are_both_cut_from_it() {
    let receiver = Receiver::start(&[]).await;
    let home = Home::new();
    let spool = home.writer();
    let mut call = Call::begin(&spool, put(receiver.at), &|_| {});
    let mut promise = call.ticket.promise().clone();
    promise.recording_id = RecordingId::random(promise.started_at);
    promise.start_ns = 1_000_000_000;
    let mut part = Ticket::new(promise, serde_json::Map::new()).unwrap();
    spool.create_ticket(&part).unwrap();
    call.talk(3);
    part.end(2_000_000_000, EndReason::Stopped).unwrap();
    spool.save_ticket(&part).unwrap();
    call.stop_recording(&spool, EndReason::Hangup);
    call.hang_up();

    let mut node = home.start_with(config(), spool).await;
    node.hear_delivered(2).await;
    node.assert_nothing_owed();
    for received in receiver.received() {
        let is_part = received.header("idempotency-key") == part.recording_id().as_str();
        let seconds = if is_part { 1 } else { 3 };
        assert_heard(received.body.to_vec(), "wav", seconds);
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other() {
    // Connections are made, because the system makes them; nobody ever reads.
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lives = Receiver::start(&[]).await;
    let settings = DeliveryConfig {
        upload_workers: 3,
        uploads_per_host: 2,
        ..config()
    };
    let mut node = Home::new().start(settings).await;
    for _ in 0..5 {
        let stuck = record(&node.spool, 1, put(hangs.local_addr().unwrap()), &|_| {});
        node.tell_ended(&stuck).await;
        node.hear(&[RecordingFact::Rendered]).await;
    }
    let ticket = record(&node.spool, 1, put(lives.at), &|_| {});
    node.tell_ended(&ticket).await;
    let done = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    assert_eq!(done.recording_id.as_ref(), Some(ticket.recording_id()));
    let picture = node.delivery.describe().await;
    assert_eq!(
        (&picture["owed"], &picture["delivering"]),
        (&5.into(), &2.into())
    );
}
