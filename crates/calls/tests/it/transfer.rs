//! A recorded call that is transferred: what goes on, where its audio comes from then, and what its new controller can do.

use std::net::{SocketAddr, UdpSocket};

use callreel_calls::CallsConfig;
use callreel_proto::{
    AccountDb, AccountId, CallEvent, CallId, Command, EndReason, Envelope, EventName, Exchange,
    Leg, RecordingFact, RecordingInfo, RecordingNotice, RecordingState,
};
use serde_json::{Value, json};

use crate::{
    kazoo::forever,
    world::{ACCOUNT, CALL, World},
};

const OTHER: &str = "other-leg@10.0.0.9";

fn record(more: Value, then: Value) -> Value {
    let mut data = json!({"action": "start", "url": "http://r.test/x", "format": "wav"});
    data.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"module": "record_call", "data": data, "children": {"_": then}})
}

fn fetch(event: &mut CallEvent, fetch_id: &str) {
    let vars = &mut event.custom_channel_vars;
    vars.insert("Fetch-ID".to_owned(), json!(fetch_id));
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&7u32.to_be_bytes());
    packet.extend_from_slice(&[0xff; 160]);
    packet
}

fn send(socket: &UdpSocket, to: SocketAddr, sequences: std::ops::Range<u16>) {
    for sequence in sequences {
        socket.send_to(&rtp(sequence), to).unwrap();
    }
}

impl World {
    /// The next `record_call`, and the leg it is about.
    async fn ordered(&mut self) -> (CallId, Value) {
        loop {
            let bytes = self.hears().await;
            let command: Value = serde_json::from_slice(&bytes).unwrap();
            if command["Application-Name"] == "record_call" {
                let envelope = Envelope::<Command>::from_bytes(&bytes).unwrap();
                return (envelope.body.call_id, command);
            }
        }
    }

    fn growing(&self, begun: &RecordingNotice) -> bool {
        self.ticket_of(begun).state() == RecordingState::Growing
    }
}

#[tokio::test]
async fn what_is_to_follow_goes_on_without_a_gap_and_the_rest_ends_when_the_call_is_transferred() {
    let stays = record(json!({"should_follow_transfer": false}), forever());
    let mut world = World::with_flow(record(json!({}), stays)).await;
    world.give_call().await;
    let (fork, _) = world.started().await;
    let (_, second) = world.started().await;
    let begun = world.noticed(RecordingFact::Started).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    send(&socket, fork.a, 0..5);
    // Another session's is none of ours.
    world
        .says(EventName::ChannelTransferee, |event| {
            fetch(event, "another")
        })
        .await;
    world
        .says(EventName::ChannelTransferee, |event| {
            fetch(event, "fetch-1")
        })
        .await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Transferred));
    assert_eq!(
        ended.recording_id.as_ref().map(|id| id.as_str()),
        second.id.as_deref()
    );
    let (leg, stop) = world.ordered().await;
    assert_eq!(
        (leg.as_str(), &stop["Record-Action"]),
        (CALL, &json!("stop"))
    );
    send(&socket, fork.a, 5..10);
    world.says(EventName::ChannelUnbridge, |_| {}).await;
    world.calls.describe().await;
    assert!(world.growing(&begun));
    world.says(EventName::ChannelDestroy, |_| {}).await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(
        (ended.recording_id, ended.end_reason),
        (begun.recording_id.clone(), Some(EndReason::Hangup))
    );
    let [a, _] = world.journalled(&world.ticket_of(&begun));
    assert_eq!(a, (0..10).collect::<Vec<u16>>());
    world
        .until(|described| described["calls"] == json!([]))
        .await;
}

#[tokio::test]
async fn when_the_recorded_leg_leaves_the_one_that_stays_is_recorded_into_the_same_journal() {
    let mut world = World::with_flow(record(json!({}), forever())).await;
    world.give_call().await;
    let (fork, info) = world.started().await;
    let begun = world.noticed(RecordingFact::Started).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    send(&socket, fork.a, 0..5);
    let queue = world.control.clone();
    world
        .says(EventName::ChannelTransferor, |event| {
            fetch(event, "fetch-1");
            event.other_leg_call_id = Some(CallId::new(OTHER));
            event.control_queue = Some(queue);
            event.transfer_type = Some("blind".to_owned());
        })
        .await;
    let (leg, start) = world.ordered().await;
    assert_eq!(
        (leg.as_str(), &start["Record-Action"]),
        (OTHER, &json!("start"))
    );
    assert_eq!(start["Media-Recording-ID"], json!(info.id));
    // What that leg sends is what ours was sent: the voices keep their sides.
    assert_eq!(start["Media-Fork"], json!({"A": fork.b, "B": fork.a}));
    let about = |leg: &'static str, info: &RecordingInfo| {
        let info = info.clone();
        move |event: &mut CallEvent| {
            event.call_id = CallId::new(leg);
            event.recording = Some(info);
            event.length_ms = Some(100);
        }
    };
    world
        .says(EventName::RecordStart, about(OTHER, &info))
        .await;
    world.says(EventName::RecordStop, about(CALL, &info)).await;
    world.says(EventName::ChannelDestroy, |_| {}).await;
    send(&socket, fork.b, 0..5);
    world.calls.describe().await;
    assert!(world.growing(&begun));
    world.says(EventName::RecordStop, about(OTHER, &info)).await;
    world
        .says(EventName::ChannelDestroy, |event| {
            event.call_id = CallId::new(OTHER)
        })
        .await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.recording_id, begun.recording_id);
    let ticket = world.ticket_of(&ended);
    assert_eq!(
        world.journalled(&ticket),
        [(0..5).collect::<Vec<u16>>(), (0..5).collect()]
    );
    world
        .until(|described| described["calls"] == json!([]))
        .await;
}

#[tokio::test]
async fn a_leg_that_stays_and_is_gone_without_a_word_of_its_recording_ends_it_all_the_same() {
    let mut world = World::with_flow(record(json!({}), forever())).await;
    world.give_call().await;
    world.started().await;
    let begun = world.noticed(RecordingFact::Started).await;
    world
        .says(EventName::ChannelTransferor, |event| {
            fetch(event, "fetch-1");
            event.other_leg_call_id = Some(CallId::new(OTHER));
        })
        .await;
    world.ordered().await;
    world.says(EventName::ChannelDestroy, |_| {}).await;
    world.calls.describe().await;
    assert!(world.growing(&begun));
    world
        .says(EventName::ChannelDestroy, |event| {
            event.call_id = CallId::new(OTHER)
        })
        .await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Hangup));
    world
        .until(|described| described["calls"] == json!([]))
        .await;
}

#[tokio::test]
async fn a_mask_of_the_new_controller_is_one_of_what_was_recorded_before_the_transfer_too() {
    let mut world = World::with_flow(record(json!({}), forever())).await;
    world.give_call().await;
    let (fork, _) = world.started().await;
    let first = world.noticed(RecordingFact::Started).await;
    world
        .says(EventName::ChannelTransferee, |event| {
            fetch(event, "fetch-1")
        })
        .await;
    world.give_call_as("fetch-2").await;
    let (other, _) = world.started().await;
    assert_ne!(fork, other, "each recorder has its own");
    let second = world.noticed(RecordingFact::Started).await;
    let mut action = callreel_proto::MetaflowAction::record_call(
        CallId::new(CALL),
        json!({"action": "mask"}).as_object().unwrap().clone(),
    );
    action.account_id = Some(first.account_id.clone());
    action.ordered_by = first.ordered_by.clone();
    let key = action.routing_key();
    let mut message = action.into_envelope();
    message.headers.server_id = Some("nobody-waits".to_owned());
    let bytes = message.to_bytes();
    world
        .bus
        .publish(Exchange::Metaflow, &key, bytes)
        .await
        .unwrap();
    let mut masked = Vec::new();
    for _ in 0..2 {
        masked.push(world.noticed(RecordingFact::Masked).await.recording_id);
    }
    for begun in [&first, &second] {
        assert!(masked.contains(&begun.recording_id), "{masked:?}");
    }
}

#[tokio::test]
async fn the_recording_of_the_called_phone_ends_with_its_leg_when_that_transfers_the_caller_away() {
    let phone = json!({"_id": "bobs-phone", "pvt_type": "device", "enabled": true,
        "sip": {"username": "bob", "password": "x"},
        "call_recording": {"inbound": {"any": {"enabled": true, "url": "http://r.test/bob"}}}});
    let realm = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test"});
    let db = AccountDb::name(&AccountId::parse(ACCOUNT).unwrap());
    let device =
        json!({"module": "device", "data": {"id": "bobs-phone"}, "children": {"_": forever()}});
    let flow = record(json!({}), device);
    let docs = [(db.as_str(), phone), (db.as_str(), realm)];
    let mut world = World::with(flow, CallsConfig::default(), &docs).await;
    world.give_call().await;
    let callers = world.noticed(RecordingFact::Started).await;
    let leg = loop {
        let command: Value = serde_json::from_slice(&world.hears().await).unwrap();
        if command["Application-Name"] == "bridge" {
            break command["Endpoints"][0]["Outbound-Call-ID"]
                .as_str()
                .unwrap()
                .to_owned();
        }
    };
    world
        .says(EventName::ChannelBridge, |event| {
            event.other_leg_call_id = Some(CallId::new(leg.clone()));
        })
        .await;
    let callees = world.noticed(RecordingFact::Started).await;
    assert_eq!(callees.call_id.as_str(), leg);
    let (of_caller, of_callee) = (world.ticket_of(&callers), world.ticket_of(&callees));
    assert_eq!(of_caller.capture_id(), of_callee.capture_id());
    let sides = [of_caller.promise().of_leg, of_callee.promise().of_leg];
    assert_eq!(sides, [Leg::A, Leg::B]);
    world
        .says(EventName::ChannelTransferee, |event| {
            fetch(event, "fetch-1")
        })
        .await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.recording_id, callees.recording_id);
    assert_eq!(ended.end_reason, Some(EndReason::Hangup));
    world.calls.describe().await;
    assert!(world.growing(&callers));
}
