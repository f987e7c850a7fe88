//! Several recordings of one call: of each party apart, by name, and what the parties hear of them.

use callreel_calls::{CallsConfig, RecordingConfig};
use callreel_proto::{
    CallId, Channels, Destination, EndReason, EventName, MetadataQuery, RecordingFact,
    RecordingInfo, RecordingNotice,
};
use callreel_spool::Ticket;
use serde_json::{Value, json};

use crate::{
    kazoo::{Kazoo, TREES, forever},
    world::{ACCOUNT, CALL, World},
};

fn action(data: Value, then: Value) -> Value {
    json!({"module": "record_call", "data": data, "children": {"_": then}})
}

fn start(more: Value, then: Value) -> Value {
    let mut data = json!({"action": "start", "url": "http://r.test/x", "format": "wav"});
    let more = more.as_object().unwrap().clone();
    data.as_object_mut().unwrap().extend(more);
    action(data, then)
}

fn play(then: Value) -> Value {
    json!({"module": "play", "data": {"id": "silence_stream://1", "answer": false}, "children": {"_": then}})
}

impl World {
    /// The next command of this name; what comes before is not of interest.
    pub(crate) async fn told(&mut self, name: &str) -> Value {
        loop {
            let command: Value = serde_json::from_slice(&self.hears().await).unwrap();
            if command["Application-Name"] == name {
                return command;
            }
        }
    }

    async fn done(&self, name: &str, response: Option<&str>) {
        self.says(EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some(name.to_owned());
            event.application_response = response.map(str::to_owned);
        })
        .await;
    }

    /// The playback of the flow is over.
    async fn goes_on(&mut self) {
        let mark = self.told("noop").await;
        self.done("noop", mark["Msg-ID"].as_str()).await;
    }

    /// The switch says that it does what it was told.
    async fn forks(&self, start: &Value) {
        let text = |key: &str| start[key].as_str().map(str::to_owned);
        let info = RecordingInfo {
            id: text("Media-Recording-ID"),
            name: text("Media-Name"),
            ..RecordingInfo::default()
        };
        self.says(EventName::RecordStart, |event| event.recording = Some(info))
            .await;
    }

    async fn evidence(&self, begun: &RecordingNotice, is_so: impl Fn(&Ticket) -> bool) -> Ticket {
        self.until(|_| is_so(&self.ticket_of(begun))).await;
        self.ticket_of(begun)
    }
}

fn url(ticket: &Ticket) -> String {
    match &ticket.promise().destination {
        Destination::Http { url, .. } => url.to_string(),
        Destination::AccountDb => panic!("not to a URL: {ticket:?}"),
    }
}

#[tokio::test]
async fn parties_kept_apart_are_two_files_that_begin_and_end_together() {
    let flow = start(
        json!({"channels": "separate"}),
        play(action(json!({"action": "stop"}), forever())),
    );
    let mut world = World::with_flow(flow).await;
    world.give_call().await;
    let mut tickets = Vec::new();
    for _ in 0..2 {
        let begun = world.noticed(RecordingFact::Started).await;
        tickets.push(world.ticket_of(&begun));
    }
    let channels: Vec<_> = tickets.iter().map(|t| t.promise().channels).collect();
    assert_eq!(channels, [Channels::Caller, Channels::Callee]);
    assert_eq!(tickets[0].capture_id(), tickets[1].capture_id());
    assert_eq!(
        url(&tickets[0]),
        "http://r.test/x/call_recording_3e7f%4010.0.0.1.wav"
    );
    assert_eq!(
        url(&tickets[1]),
        "http://r.test/x/call_recording_3e7f%4010.0.0.1_b.wav"
    );
    world.goes_on().await;
    for ticket in &tickets {
        let ended = world.noticed(RecordingFact::Ended).await;
        assert_eq!(ended.recording_id.as_ref(), Some(ticket.recording_id()));
        assert_eq!(ended.end_reason, Some(EndReason::Stopped));
        assert!(ended.ordered_by.is_some());
    }
}

#[tokio::test]
async fn parties_kept_apart_on_a_switch_of_others_are_two_files_of_both() {
    for tree in TREES {
        let flow = start(json!({"channels": "separate"}), forever());
        let mut kazoo = Kazoo::with_call(tree, flow).await;
        for _ in 0..2 {
            let start = kazoo.commanded("record_call").await;
            assert_eq!(start["Channels-As-Stereo"], true, "{start}");
            kazoo.record("RECORD_START", &start, &json!({})).await;
            let begun = kazoo.noticed(RecordingFact::Started).await;
            let ticket = kazoo.world.ticket_of(&begun);
            assert!(!ticket.switch_file().unwrap().in_turn);
        }
    }
}

#[tokio::test]
async fn a_stop_by_name_ends_the_recording_of_that_name_and_no_other() {
    let stop = action(json!({"action": "stop", "name": "first"}), forever());
    let nobodys = action(json!({"action": "stop", "name": "nobody"}), play(stop));
    let flow = start(
        json!({"name": "first"}),
        start(json!({"name": "second"}), play(nobodys)),
    );
    let mut world = World::with_flow(flow).await;
    world.give_call().await;
    let first = world.noticed(RecordingFact::Started).await;
    let second = world.noticed(RecordingFact::Started).await;
    assert_eq!(first.time_limit_s, Some(10_800));
    let by = first.ordered_by.clone().unwrap();
    assert_eq!(by.step.as_deref(), Some("/flow"));
    world.goes_on().await;
    world.goes_on().await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.recording_id, first.recording_id);
    world.says(EventName::ChannelDestroy, |_| {}).await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.recording_id, second.recording_id);
    assert_eq!(
        (ended.end_reason, ended.ordered_by),
        (Some(EndReason::Hangup), None)
    );
}

#[tokio::test]
async fn the_parties_are_told_one_thing_after_the_other_and_it_is_kept_who_heard_what() {
    let flow = start(
        json!({"beep": true, "announce": "This call is recorded."}),
        forever(),
    );
    let mut world = World::with_flow(flow).await;
    world.give_call().await;
    let begin = world.told("record_call").await;
    let begun = world.noticed(RecordingFact::Started).await;
    world
        .says(EventName::ChannelBridge, |event| {
            event.other_leg_call_id = Some(CallId::new("peer@2"));
        })
        .await;
    world.forks(&begin).await;
    let beep = world.told("tones").await;
    assert_eq!(
        (&beep["Leg"], &beep["Insert-At"]),
        (&json!("Both"), &json!("now"))
    );
    let told = |count: usize, over: bool| {
        move |ticket: &Ticket| {
            let announced = ticket.announcements();
            let last = announced.last();
            announced.len() == count && last.is_some_and(|one| one.until_ns.is_some() == over)
        }
    };
    world.evidence(&begun, told(1, false)).await;
    world.done("tones", None).await;
    let spoken = world.told("tts").await;
    assert_eq!(spoken["Text"], "This call is recorded.");
    let ticket = world.evidence(&begun, told(2, false)).await;
    world.done("tts", None).await;
    world.evidence(&begun, told(2, true)).await;
    let beep = &ticket.announcements()[0];
    assert_eq!(beep.what, "beep");
    assert_eq!(beep.heard_by, [CallId::new(CALL), CallId::new("peer@2")]);
    assert!(beep.from_ns >= ticket.promise().start_ns && beep.until_ns.unwrap() > beep.from_ns);
    assert_eq!(ticket.document()["legs"]["b"]["call_id"], "peer@2");
}

#[tokio::test]
async fn an_announcement_that_the_switch_refuses_is_not_told_as_heard() {
    let flow = start(
        json!({"beep": true, "announce": "This call is recorded."}),
        forever(),
    );
    let mut kazoo = Kazoo::with_call(crate::kazoo::Tree::V43, flow).await;
    let begin = kazoo.commanded("record_call").await;
    kazoo.record("RECORD_START", &begin, &json!({})).await;
    let begun = kazoo.noticed(RecordingFact::Started).await;
    let beep = kazoo.commanded("tones").await;
    assert_eq!(beep.get("Leg"), None, "there is nobody else");
    kazoo.refuses(&beep).await;
    kazoo.commanded("tts").await;
    kazoo.done("tts", "").await;
    kazoo.settle().await;
    let ticket = kazoo.world.ticket_of(&begun);
    let ends: Vec<_> = ticket
        .announcements()
        .iter()
        .map(|one| one.until_ns.is_some())
        .collect();
    assert_eq!(ends, [false, true]);
}

#[tokio::test]
async fn a_flow_that_waits_for_its_recording_goes_on_when_the_switch_says_that_it_records() {
    let tone = |name: &str| json!({"module": "play", "data": {"id": name, "answer": false}, "children": {}});
    let flow = json!({"module": "record_call",
        "data": {"action": "start", "url": "http://r.test/x", "on_failure": "branch"},
        "children": {"_": tone("good"), "record_failed": tone("bad")}});
    for refused in [false, true] {
        let mut kazoo = Kazoo::with_call(crate::kazoo::Tree::V50, flow.clone()).await;
        let begin = kazoo.commanded("record_call").await;
        if refused {
            kazoo.refuses(&begin).await;
        } else {
            kazoo.record("RECORD_START", &begin, &json!({})).await;
        }
        let played = kazoo.commanded("play").await;
        let name = played["Media-Name"].as_str().unwrap();
        assert!(
            name.contains(if refused { "bad" } else { "good" }),
            "{played}"
        );
    }
}

#[tokio::test]
async fn what_a_url_leaves_to_be_filled_in_is_filled_in_unless_the_system_says_otherwise() {
    for expand_url in [true, false] {
        let url = json!({"url": "http://r.test/{ACCOUNT_ID}/{DATE}?id={RECORDING_ID}&f=", "headers": {"X-Key": "k"}});
        let config = RecordingConfig {
            expand_url,
            metadata_query: MetadataQuery::Kazoo43,
            ..RecordingConfig::default()
        };
        let flow = start(url, forever());
        let mut world = World::with_settings(flow, CallsConfig::default(), config, &[]).await;
        world.give_call().await;
        let begun = world.noticed(RecordingFact::Started).await;
        let ticket = world.ticket_of(&begun);
        let Destination::Http {
            url,
            headers,
            metadata_query,
            ..
        } = &ticket.promise().destination
        else {
            panic!("not to a URL");
        };
        let id = ticket.recording_id().as_str();
        assert_eq!(
            url.as_str()
                .contains(&format!("?id={id}&f=call_recording_")),
            expand_url
        );
        assert_eq!(
            url.path().starts_with(&format!("/{ACCOUNT}/20")),
            expand_url
        );
        assert_eq!(headers["X-Key"], "k");
        assert_eq!(*metadata_query, MetadataQuery::Kazoo43);
    }
}
