//! A switch of ours, which forks what it hears: what arrives is on disk, and ends when and as it should.

use std::{net::UdpSocket, time::Duration};

use callreel_calls::CallsConfig;
use callreel_proto::{
    Destination, EndReason, Envelope, EventName, RecordingFact, RecordingId, RecordingState,
    RouteResp,
};
use serde_json::{Value, json};

use crate::world::{ACCOUNT, World};

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&7u32.to_be_bytes());
    packet.extend_from_slice(&[0xff; 160]);
    packet
}

fn send(socket: &UdpSocket, to: std::net::SocketAddr, sequences: std::ops::Range<u16>) {
    for sequence in sequences {
        socket.send_to(&rtp(sequence), to).unwrap();
    }
}

fn record(then: Value) -> Value {
    json!({"module": "record_call", "data": {"action": "start", "url": "http://r.test/x", "format": "wav"}, "children": {"_": then}})
}

fn forever() -> Value {
    json!({"module": "sleep", "data": {"duration": 600}, "children": {}})
}

#[tokio::test]
async fn what_the_switch_forks_is_on_disk_when_the_call_ends() {
    let mut world = World::with_flow(record(forever())).await;
    world.give_call().await;
    let (fork, mut info) = world.started().await;
    let begun = world.noticed(RecordingFact::Started).await;
    let growing = world.ticket_of(&begun);
    assert_eq!(growing.state(), RecordingState::Growing);
    let url = "http://r.test/x/call_recording_3e7f%4010.0.0.1.wav";
    assert_eq!(growing.promise().destination.describe(), url);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    info.fork_source = Some(socket.local_addr().unwrap());
    world
        .says(EventName::RecordStart, |event| event.recording = Some(info))
        .await;
    send(&socket, fork.a, 0..40);
    send(&socket, fork.b, 100..120);
    socket.send_to(b"not RTP", fork.a).unwrap();
    world.says(EventName::ChannelDestroy, |_| {}).await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Hangup));
    let ticket = world.ticket_of(&ended);
    assert_eq!(ticket.state(), RecordingState::Ended);
    let [a, b] = world.journalled(&ticket);
    assert_eq!(a, (0..40).collect::<Vec<u16>>());
    assert_eq!(b, (100..120).collect::<Vec<u16>>());
    world.calls.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn once_the_switch_has_named_its_source_nobody_else_is_heard() {
    let mut world = World::with_flow(record(forever())).await;
    world.give_call().await;
    let (fork, mut info) = world.started().await;
    let (socket, intruder) = (
        UdpSocket::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    info.fork_source = Some(socket.local_addr().unwrap());
    world
        .says(EventName::RecordStart, |event| event.recording = Some(info))
        .await;
    // The recorder describes itself only after it has handled the event.
    world.calls.describe().await;
    send(&socket, fork.a, 0..5);
    send(&intruder, fork.a, 500..510);
    world.says(EventName::ChannelDestroy, |_| {}).await;
    let ended = world.noticed(RecordingFact::Ended).await;
    let [a, _] = world.journalled(&world.ticket_of(&ended));
    assert_eq!(a, (0..5).collect::<Vec<u16>>());
}

fn recording_id(text: String) -> RecordingId {
    RecordingId::try_from(text).expect("a recording id of ours")
}

#[tokio::test]
async fn two_recordings_share_a_capture_and_a_stop_ends_the_newest() {
    let stop =
        json!({"module": "record_call", "data": {"action": "stop"}, "children": {"_": forever()}});
    let mut world = World::with_flow(record(record(stop))).await;
    world.give_call().await;
    let (first_fork, first) = world.started().await;
    let (second_fork, second) = world.started().await;
    assert_eq!(first_fork, second_fork, "one capture serves both");
    let stopped = world.noticed(RecordingFact::Ended).await;
    assert_eq!(
        (stopped.recording_id.clone(), stopped.end_reason),
        (second.id.map(recording_id), Some(EndReason::Stopped))
    );
    let second = world.ticket_of(&stopped);
    assert!(second.promise().destination.describe().ends_with("_2.wav"));
    let first = world
        .spool
        .view()
        .ticket(&recording_id(first.id.unwrap()))
        .unwrap()
        .unwrap();
    assert_eq!(first.state(), RecordingState::Growing);
    assert_eq!(first.capture_id(), second.capture_id());
    world.says(EventName::ChannelDestroy, |_| {}).await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.recording_id.as_ref(), Some(first.recording_id()));
}

#[tokio::test]
async fn only_calls_with_a_callflow_are_bid_for() {
    let mut world = World::with_flow(forever()).await;
    world.ask("404").await;
    world.ask("2000").await;
    let bid = world.hears().await;
    let bid = Envelope::<RouteResp>::from_bytes(&bid).unwrap();
    assert_eq!(bid.body.custom_channel_vars["CallFlow-ID"], "f1");
    let described = world.calls.describe().await;
    let calls = described["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1, "{described}");
    assert_eq!(calls[0]["request"], "2000@acme.test");
}

#[tokio::test]
async fn a_node_that_stops_ends_its_recordings_as_interrupted() {
    let mut world = World::with_flow(record(forever())).await;
    world.give_call().await;
    let (fork, _) = world.started().await;
    let begun = world.noticed(RecordingFact::Started).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    send(&socket, fork.a, 0..10);
    let World { calls, spool, .. } = world;
    calls.stop(Duration::ZERO).await;
    let ticket = spool
        .view()
        .ticket(begun.recording_id.as_ref().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(ticket.state(), RecordingState::Ended);
    assert_eq!(ticket.end_reason(), Some(EndReason::Interrupted));
}

#[tokio::test]
async fn a_recording_without_a_place_to_go_is_skipped_and_said_to_be() {
    let flow =
        json!({"module": "record_call", "data": {"action": "start"}, "children": {"_": forever()}});
    let mut world = World::with_flow(flow).await;
    world.give_call().await;
    let skipped = world.noticed(RecordingFact::Skipped).await;
    assert_eq!(skipped.recording_id, None);
    assert!(skipped.detail.unwrap().contains("store_recordings"));
    assert!(world.spool.view().tickets().unwrap().is_empty());
}

#[tokio::test]
async fn an_account_with_a_storage_plan_needs_no_url() {
    let flow =
        json!({"module": "record_call", "data": {"action": "start"}, "children": {"_": forever()}});
    let plan = json!({
        "_id": ACCOUNT,
        "plan": {"modb": {"types": {"call_recording": {"attachments": {"handler": "u"}}}}},
        "attachments": {"u": {"handler": "folder", "settings": {"path": "/srv/recordings"}}},
    });
    let docs = [("system_data", plan)];
    let mut world = World::with(flow, CallsConfig::default(), &docs).await;
    world.give_call().await;
    let begun = world.noticed(RecordingFact::Started).await;
    assert_eq!(
        world.ticket_of(&begun).promise().destination,
        Destination::AccountDb
    );
}

#[tokio::test]
async fn a_file_name_the_spool_keeps_to_itself_does_not_cost_the_recording() {
    let flow = json!({"module": "record_call", "data": {"action": "start", "url": "http://r.test/x", "format": "wav",
        "media_name": "ticket.json"}, "children": {"_": forever()}});
    let mut world = World::with_flow(flow).await;
    world.give_call().await;
    let begun = world.noticed(RecordingFact::Started).await;
    let name = world.ticket_of(&begun).promise().file_name.clone();
    assert!(name.ends_with(".wav") && !name.contains("ticket"), "{name}");
}

#[tokio::test]
async fn a_recording_the_disk_refuses_leaves_no_capture() {
    let mut world = World::with_flow(record(forever())).await;
    let spool = world.spool.view().dir().to_owned();
    std::fs::remove_dir(spool.join("recordings")).unwrap();
    world.give_call().await;
    let refused = world.noticed(RecordingFact::Skipped).await;
    assert!(refused.detail.unwrap().contains("recordings"));
    // The recorder describes itself only after it has cleaned up.
    world.calls.describe().await;
    let left = std::fs::read_dir(spool.join("captures")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn an_end_the_disk_does_not_take_is_saved_once_it_does() {
    let mut world = World::with_flow(record(forever())).await;
    world.give_call().await;
    let (fork, _) = world.started().await;
    let begun = world.noticed(RecordingFact::Started).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    send(&socket, fork.a, 0..10);
    let growing = world.ticket_of(&begun);
    let folder = world.spool.view().rendition_path(&growing);
    let blocker = folder.parent().unwrap().join("ticket.json.tmp");
    std::fs::create_dir(&blocker).unwrap();
    world.says(EventName::ChannelDestroy, |_| {}).await;
    world
        .until(|described| described["calls"] == json!([]))
        .await;
    assert_eq!(world.ticket_of(&begun).state(), RecordingState::Growing);
    std::fs::remove_dir(&blocker).unwrap();
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Hangup));
    assert_eq!(world.ticket_of(&ended).state(), RecordingState::Ended);
}
