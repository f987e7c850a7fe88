//! Whose voice is in which channel, in the file and by the document.

use callreel_media::read_audio;
use callreel_proto::{Channels, Destination, EndReason, Leg, RecordingFact, month_db};
use futures::TryStreamExt as _;
use serde_json::{Value, json};

use crate::{
    call::{CALLER_HZ, Call, OTHER_HZ, strength},
    node::{Home, config},
};

/// What each channel of such a recording hums, and what its document says of its legs.
async fn heard(channels: Channels, of_leg: Leg) -> (Vec<f64>, Value) {
    let mut node = Home::new().start(config()).await;
    let mut call = Call::begin(&node.spool, Destination::AccountDb, &|promise| {
        promise.channels = channels;
        promise.of_leg = of_leg;
    });
    let legs = json!({"a": {"call_id": "ours"}, "b": {"call_id": "theirs"}});
    call.ticket.document_mut().insert("legs".to_owned(), legs);
    call.talk(2);
    call.stop_recording(&node.spool, EndReason::Hangup);
    let ticket = call.hang_up();
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    let promise = ticket.promise();
    let db = month_db(&promise.account_id, promise.recording_id.month());
    let id = promise.recording_id.as_str();
    let doc = node.store.get(&db, id).await.unwrap().unwrap();
    let audio = node.store.attachment(&db, id, &promise.file_name).await;
    let blocks: Vec<_> = audio.unwrap().unwrap().body.try_collect().await.unwrap();
    let hums = read_audio(blocks.concat(), Some("wav")).unwrap();
    let hums = hums.iter().map(|pcm| {
        let (caller, other) = (strength(pcm, CALLER_HZ), strength(pcm, OTHER_HZ));
        assert!(
            caller.min(other) < 300.0,
            "{caller} and {other} in one channel"
        );
        if caller > other { CALLER_HZ } else { OTHER_HZ }
    });
    (hums.collect(), doc)
}

#[tokio::test]
async fn a_recording_of_the_b_leg_has_that_party_on_the_left() {
    let (hums, doc) = heard(Channels::Stereo, Leg::A).await;
    assert_eq!(hums, [CALLER_HZ, OTHER_HZ]);
    let of_a = doc["legs"].clone();
    let (hums, doc) = heard(Channels::Stereo, Leg::B).await;
    assert_eq!(hums, [OTHER_HZ, CALLER_HZ]);
    let expected = json!({
        "a": {"call_id": "ours", "channel": "left"},
        "b": {"call_id": "theirs", "channel": "right"},
    });
    assert_eq!((&doc["legs"], &of_a), (&expected, &expected));
}

#[tokio::test]
async fn legs_that_are_kept_apart_are_one_party_each() {
    let (hums, doc) = heard(Channels::Caller, Leg::A).await;
    assert_eq!((hums, &doc["channels"]), (vec![CALLER_HZ], &json!(1)));
    assert_eq!(doc["gap_report"].as_object().unwrap().len(), 1);
    assert_eq!(doc["gap_report"]["a"]["packets"], 100);
    let (hums, doc) = heard(Channels::Callee, Leg::A).await;
    assert_eq!((hums, &doc["channels"]), (vec![OTHER_HZ], &json!(1)));
    assert_eq!(doc["gap_report"]["b"]["packets"], 100);
    assert_eq!(doc["legs"]["b"]["channel"], "only");
    let (hums, _) = heard(Channels::Callee, Leg::B).await;
    assert_eq!(hums, [CALLER_HZ]);
}
