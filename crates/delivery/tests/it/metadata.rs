//! Metadata of the call in the URL of the request, as Kazoo's receivers know it.

use callreel_proto::{Destination, HttpMethod, MetadataQuery, RecordingFact, RecordingId, Utc};
use serde_json::json;

use crate::{
    call::Call,
    node::{Home, config},
    receiver::Receiver,
};

/// 2024-03-05T10:00:00Z.
const STARTED_MS: i64 = 1_709_632_800_000;
const ID: &str = "202403-0123456789abcdef0123456789abcdef";

/// What a receiver is asked for when this action's `url` has a recording of two seconds, and the receiver is busy at first.
async fn paths(below: &str, query: MetadataQuery) -> Vec<String> {
    let receiver = Receiver::start(&[503]).await;
    let mut node = Home::new().start(config()).await;
    let url = format!("http://{}{below}", receiver.at);
    let to = Destination::Http {
        url: url.parse().unwrap(),
        method: HttpMethod::Put,
        headers: [].into(),
        metadata_query: query,
    };
    let mut call = Call::begin(&node.spool, to, &|promise| {
        promise.recording_id = RecordingId::parse(ID).unwrap();
        promise.started_at = Utc::from_unix_ms(STARTED_MS);
    });
    for (field, value) in [
        ("from", "1001@acme.example"),
        ("to", "+15551234@acme.example"),
        ("caller_id_name", "Åsa & Co"),
        ("caller_id_number", "1001"),
        ("cdr_id", "202403-ab12@10.0.0.5"),
    ] {
        let document = call.ticket.document_mut();
        document.insert(field.to_owned(), json!(value));
    }
    call.talk(2);
    call.stop_recording(&node.spool, callreel_proto::EndReason::Hangup);
    let ticket = call.hang_up();
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    node.hear(&[RecordingFact::Delivered]).await;
    let received = receiver.received().into_iter();
    received.map(|received| received.path).collect()
}

const COMMON: &str = "from=1001%40acme.example&to=%2B15551234%40acme.example&caller_id_name=%C3%85sa+%26+Co\
    &caller_id_number=1001&call_id=ab12%4010.0.0.5&cdr_id=202403-ab12%4010.0.0.5&interaction_id=";
const ACCOUNT: &str = "account_id=abcd0123456789abcdef0123456789ab";

#[tokio::test]
async fn without_metadata_the_url_is_the_actions() {
    let asked = paths("/r/call_recording_ab12%4010.0.0.5.wav", MetadataQuery::None).await;
    assert_eq!(asked, ["/r/call_recording_ab12%4010.0.0.5.wav"; 2]);
}

#[tokio::test]
async fn metadata_of_the_older_kazoo_are_eight() {
    let asked = paths(
        "/r/call_recording_ab12%4010.0.0.5.wav",
        MetadataQuery::Kazoo40,
    )
    .await;
    let expected = format!("/r/call_recording_ab12%4010.0.0.5.wav?{COMMON}&{ACCOUNT}");
    assert_eq!(asked, [&*expected; 2]);
}

#[tokio::test]
async fn metadata_of_the_newer_kazoo_tell_start_length_and_recording_the_same_on_every_try() {
    let asked = paths(
        "/put.php?recording=call_recording_ab12%4010.0.0.5.wav",
        MetadataQuery::Kazoo43,
    )
    .await;
    let expected = format!(
        "/put.php?recording=call_recording_ab12%4010.0.0.5.wav&{COMMON}&owner_id=u1&{ACCOUNT}\
         &start=63876852000&duration_ms=2000&recording_id={ID}"
    );
    assert_eq!(asked, [&*expected; 2]);
}
