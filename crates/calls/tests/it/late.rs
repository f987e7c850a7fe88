//! What a broker that was away has kept or lost: ends that are heard of late, and orders that never arrived.

use std::{net::UdpSocket, time::Duration};

use callreel_proto::{EndReason, EventName, RecordingFact};
use serde_json::{Value, json};

use crate::world::{World, pass};

/// Longer than a switch is given to say that it forks.
const LONG: Duration = Duration::from_secs(6);

fn recorded() -> Value {
    json!({"module": "record_call", "data": {"action": "start", "url": "http://r.test/x", "format": "wav"}, "children": {
        "_": {"module": "sleep", "data": {"duration": 600}, "children": {}}}})
}

#[tokio::test]
async fn a_recording_ends_with_its_last_audio_when_its_end_is_heard_of_late() {
    for name in [EventName::ChannelDestroy, EventName::RecordStop] {
        let mut world = World::with_flow(recorded()).await;
        world.give_call().await;
        let (fork, mut info) = world.started().await;
        info.completion_cause = Some("hangup".to_owned());
        let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut packet = [0xff; 172];
        packet[..2].copy_from_slice(&[0x80, 0]);
        phone.send_to(&packet, fork.a).unwrap();
        // The recorder's clock is no test's to move.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        world
            .says(name, |event| {
                event.timestamp -= 100;
                if name == EventName::RecordStop {
                    event.recording = Some(info);
                    event.length_ms = Some(200);
                }
            })
            .await;
        let ended = world.noticed(RecordingFact::Ended).await;
        assert_eq!(ended.end_reason, Some(EndReason::Hangup));
        let length_ms = world.ticket_of(&ended).length_ms().unwrap();
        assert!(length_ms < 1000, "{name:?}: {length_ms} ms");
    }
}

#[tokio::test]
async fn a_switch_that_does_not_say_that_it_forks_is_told_again_until_it_does() {
    let mut world = World::with_flow(recorded()).await;
    world.give_call().await;
    let (fork, info) = world.started().await;
    for _ in 0..2 {
        pass(LONG).await;
        let (again, same) = world.started().await;
        assert_eq!((again, &same.id), (fork, &info.id));
    }
    world
        .says(EventName::RecordStart, |event| event.recording = Some(info))
        .await;
    // The recorder describes itself only after it has handled the event.
    world.calls.describe().await;
    pass(LONG).await;
    world.says(EventName::ChannelDestroy, |_| {}).await;
    world.noticed(RecordingFact::Ended).await;
    let more = tokio::time::timeout(Duration::ZERO, world.switch.recv()).await;
    assert!(more.is_err(), "{more:?}");
}
