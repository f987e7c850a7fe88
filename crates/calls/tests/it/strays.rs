//! Messages that nobody should send: each is counted, and none costs a call anything.

use callreel_proto::{Exchange, RecordingFact, encode_word};
use serde_json::{Value, json};

use crate::{
    kazoo::{Kazoo, Tree, forever, record},
    world::CALL,
};

#[tokio::test]
async fn a_recorded_call_goes_on_under_a_hail_of_strays() {
    let mut kazoo = Kazoo::with_call(Tree::V50, record(forever())).await;
    let start = kazoo.commanded("record_call").await;
    kazoo.record("RECORD_START", &start, &json!({})).await;
    kazoo.noticed(RecordingFact::Started).await;
    let queue = kazoo.queue().await;
    let event = |name: &str| format!("call.{name}.{}", encode_word(CALL));
    let valid = json!({"App-Name": "x", "App-Version": "1", "Event-Category": "call_event",
        "Event-Name": "CHANNEL_ANSWER", "Msg-ID": "1", "Call-ID": CALL});
    let with = |change: Value| {
        let mut message = valid.clone();
        crate::kazoo::lay_over(&mut message, &change);
        message.to_string().into_bytes()
    };
    let deep = format!("{{\"Call-ID\": {}", "[".repeat(10_000));
    let strays: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"[1, 2]".to_vec(),
        deep.into_bytes(),
        vec![b' '; 1 << 20],
        with(json!({"Call-ID": 7})),
        with(json!({"Call-ID": "x".repeat(1 << 16)})),
        with(json!({"Event-Category": "dialplan", "Event-Name": "route_win"})),
        with(json!({"Event-Name": "usurp_control", "Fetch-ID": {}})),
        with(
            json!({"Event-Name": "RECORD_STOP", "Application-Response": [], "Recording": 5, "Length": "long"}),
        ),
        with(json!({"Event-Name": "CHANNEL_REPLACED", "Replaced-By": {}})),
        with(json!({"Event-Category": "error", "Event-Name": "dialplan", "Request": 3})),
        with(
            json!({"Event-Category": "call", "Event-Name": "command", "Application-Name": "record_call"}),
        ),
    ];
    for _ in 0..20 {
        for stray in &strays {
            let bus = &kazoo.world.bus;
            bus.publish(Exchange::Callevt, &event("CHANNEL_ANSWER"), stray.clone())
                .await
                .unwrap();
            bus.publish(Exchange::Callmgr, "route.req.audio.x", stray.clone())
                .await
                .unwrap();
            bus.publish(Exchange::Kapps, "callreel.record.none", stray.clone())
                .await
                .unwrap();
            bus.send(Exchange::Targeted, &queue, stray.clone())
                .await
                .unwrap();
        }
    }
    kazoo.settle().await;
    let described = kazoo.world.calls.describe().await;
    let refused = described["refused"].as_object().unwrap();
    assert!(
        refused["no envelope"].as_u64().unwrap() >= 20 * 5 * 3,
        "{refused:?}"
    );
    assert!(
        refused.contains_key("malformed call_event/CHANNEL_ANSWER"),
        "{refused:?}"
    );
    assert_eq!(
        described["calls"][0]["recorder"]["recordings"][0]["stage"],
        "recording"
    );
    kazoo
        .record("RECORD_STOP", &start, &json!({"Length": "2500"}))
        .await;
    assert_eq!(kazoo.ended().await.length_ms(), Some(2500));
}
