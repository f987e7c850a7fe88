//! The role among its neighbours: a switch played by the test on the embedded bus, a real store, spool and sockets.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::{net::UdpSocket, time::Duration};

use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_calls::{Calls, CallsConfig, RecordingConfig};
use callreel_proto::{
    AccountDb, AccountId, Application, CallEvent, CallId, Command, EndReason, Envelope, EventName,
    Exchange, HangupCause, Headers, Leg, MediaFork, RecordAction, RecordingFact, RecordingId,
    RecordingInfo, RecordingNotice, RecordingState, RouteReq, RouteResp, RouteWin, Utc,
};
use callreel_spool::{Record, SpoolConfig, Ticket, Writer};
use callreel_store::Store;
use serde_json::{Map, Value, json};

const ACCOUNT: &str = "a0000000000000000000000000000001";
const CALL: &str = "3e7f@10.0.0.1";
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything around the role, and the switch's queue.
struct World {
    bus: Bus,
    spool: Writer,
    calls: Calls,
    switch: Subscription,
    notices: Subscription,
    control: String,
    _dir: tempfile::TempDir,
}

impl World {
    /// A world in which number 2000 runs `flow`.
    async fn with_flow(flow: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        let account = AccountId::parse(ACCOUNT).unwrap();
        let doc = json!({"_id": "f1", "pvt_type": "callflow", "name": "test", "numbers": ["2000"], "flow": flow});
        store.save(&AccountDb::name(&account), doc).await.unwrap();
        let spool = Writer::open(dir.path().join("spool"), &SpoolConfig::default()).unwrap();
        let bus = Bus::embedded();
        let switch = queue(&bus, &[]).await;
        let own = switch.queue().to_owned();
        let binder = switch.binder();
        for exchange in [Exchange::Targeted, Exchange::Callctl] {
            binder
                .bind(Binding::new(exchange, own.clone()))
                .await
                .unwrap();
        }
        let notices = queue(&bus, &[Binding::new(Exchange::Kapps, RecordingNotice::ALL)]).await;
        let calls = Calls::start(
            CallsConfig::default(),
            RecordingConfig::default(),
            bus.clone(),
            store,
            spool.clone(),
            "callreel@test",
        )
        .await
        .unwrap();
        Self {
            bus,
            spool,
            calls,
            switch,
            notices,
            control: own,
            _dir: dir,
        }
    }

    async fn ask(&self, number: &str) {
        let mut vars = Map::new();
        vars.insert("Account-ID".to_owned(), json!(ACCOUNT));
        let dialled = format!("{number}@acme.test");
        let request = RouteReq {
            caller_id_number: "1001".to_owned(),
            caller_id_name: "Alice".to_owned(),
            switch_nodename: "switch@test".to_owned(),
            media_fork: Some(true),
            custom_channel_vars: vars,
            ..RouteReq::new(CallId::new(CALL), "alice@acme.test", &dialled, &dialled)
        };
        let key = request.routing_key();
        let headers = Headers::new("dialplan", "route_req")
            .msg_id("fetch-1")
            .server_id(self.control.clone());
        let bytes = Envelope {
            headers,
            body: request,
        }
        .to_bytes();
        self.bus
            .publish(Exchange::Callmgr, &key, bytes)
            .await
            .unwrap();
    }

    /// Plays the switch up to the point where the call is won.
    async fn give_call(&mut self) {
        self.ask("2000").await;
        let bid = self.hears().await;
        let bid = Envelope::<RouteResp>::from_bytes(&bid).unwrap();
        assert_eq!(bid.headers.msg_id, "fetch-1");
        let win = RouteWin {
            call_id: CallId::new(CALL),
            control_queue: self.control.clone(),
            switch_hostname: None,
            custom_channel_vars: Map::new(),
        };
        let headers = Headers::new("dialplan", "route_win").msg_id(CALL);
        let bytes = Envelope { headers, body: win }.to_bytes();
        let bidder = bid.headers.server_id.unwrap();
        self.bus
            .send(Exchange::Targeted, &bidder, bytes)
            .await
            .unwrap();
    }

    async fn hears(&mut self) -> bytes::Bytes {
        let heard = tokio::time::timeout(PATIENCE, self.switch.recv()).await;
        heard.expect("the switch hears something").unwrap().body
    }

    /// The next command that is not a mere marker.
    async fn commanded(&mut self) -> Application {
        let bytes = self.hears().await;
        Envelope::<Command>::from_bytes(&bytes)
            .unwrap()
            .body
            .application
    }

    async fn started(&mut self) -> (MediaFork, RecordingInfo) {
        let Application::RecordCall {
            action: RecordAction::Start,
            fork,
            terms,
            media_name,
        } = self.commanded().await
        else {
            panic!("not a start");
        };
        let info = RecordingInfo {
            id: terms.recording_id,
            name: media_name,
            ..RecordingInfo::default()
        };
        (fork.expect("a place for the audio"), info)
    }

    async fn says(&self, name: EventName, change: impl FnOnce(&mut CallEvent)) {
        let mut event = CallEvent::new(CallId::new(CALL), Utc::now());
        event.hangup_cause =
            (name == EventName::ChannelDestroy).then_some(HangupCause::NormalClearing);
        change(&mut event);
        if let Some(recording) = &event.recording {
            event.application_name = Some("record".to_owned());
            event.application_response.clone_from(&recording.name);
        }
        let key = event.routing_key(name);
        let bytes = event.into_envelope(name).to_bytes();
        self.bus
            .publish(Exchange::Callevt, &key, bytes)
            .await
            .unwrap();
    }

    async fn noticed(&mut self, fact: RecordingFact) -> RecordingNotice {
        loop {
            let delivery = tokio::time::timeout(PATIENCE, self.notices.recv()).await;
            let bytes = delivery
                .unwrap_or_else(|_| panic!("{fact:?} was never noticed"))
                .unwrap()
                .body;
            let notice = Envelope::<RecordingNotice>::from_bytes(&bytes)
                .unwrap()
                .body;
            if notice.fact == fact {
                return notice;
            }
        }
    }

    fn ticket_of(&self, notice: &RecordingNotice) -> Ticket {
        self.spool
            .view()
            .ticket(notice.recording_id.as_ref().unwrap())
            .unwrap()
            .unwrap()
    }

    /// Sequence numbers in the ticket's journal, per leg.
    fn journalled(&self, ticket: &Ticket) -> [Vec<u16>; 2] {
        let mut reader = self
            .spool
            .view()
            .read_journal(ticket.capture_id().unwrap())
            .unwrap();
        let mut found = [Vec::new(), Vec::new()];
        while let Some(record) = reader.next_record().unwrap() {
            if let Record::Packet(packet) = record {
                found[usize::from(packet.leg == Leg::B)].push(packet.sequence);
            }
        }
        found
    }
}

async fn queue(bus: &Bus, bindings: &[Binding]) -> Subscription {
    let options = QueueOptions {
        name: None,
        shared: false,
        capacity: 1000,
    };
    bus.subscribe(options, bindings.to_vec()).await.unwrap()
}

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
    while world.calls.describe().await["calls"] != json!([]) {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.ticket_of(&begun).state(), RecordingState::Growing);
    std::fs::remove_dir(&blocker).unwrap();
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Hangup));
    assert_eq!(world.ticket_of(&ended).state(), RecordingState::Ended);
}
