//! Control of a live call by a program: which recordings it means, what it may not end, and what it is told.

use callreel_bus::{Binding, Subscription};
use callreel_calls::CallsConfig;
use callreel_proto::{
    AccountDb, ActionStatus, CallId, Envelope, EventName, Exchange, LiveCall, LiveReq, LiveResp,
    LiveState, MetaflowAction, MetaflowActionResp, OrderedBy, RecordingFact, RecordingSource,
};
use serde_json::{Value, json};

use crate::{
    kazoo::forever,
    world::{ACCOUNT, CALL, PATIENCE, World, pass, queue},
};

/// A program with a queue of its own.
struct Program {
    world: World,
    answers: Subscription,
    asked: u32,
}

impl Program {
    async fn beside(flow: Value) -> Self {
        let mut world = World::with_flow(flow).await;
        world.give_call().await;
        let own = Binding::new(Exchange::Targeted, "a-program");
        let answers = queue(&world.bus, &[own]).await;
        let (answers, asked) = (answers, 0);
        Self {
            world,
            answers,
            asked,
        }
    }

    async fn sends(&mut self, data: Value, change: impl FnOnce(&mut MetaflowAction)) {
        self.asked += 1;
        let data = data.as_object().unwrap().clone();
        let mut action = MetaflowAction::record_call(CallId::new(CALL), data);
        action.ordered_by = Some(OrderedBy {
            who: Some("192.0.2.7".to_owned()),
            ..OrderedBy::new(RecordingSource::Api)
        });
        action.account_id = Some(callreel_proto::AccountId::parse(ACCOUNT).unwrap());
        change(&mut action);
        let key = action.routing_key();
        let mut message = action.into_envelope();
        message.headers.server_id = Some("a-program".to_owned());
        message.headers.msg_id = self.asked.to_string();
        let bytes = message.to_bytes();
        let bus = &self.world.bus;
        bus.publish(Exchange::Metaflow, &key, bytes).await.unwrap();
    }

    async fn asks(&mut self, data: Value) -> MetaflowActionResp {
        self.sends(data, |_| {}).await;
        let answer = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
        let bytes = answer.expect("an answer comes").unwrap().body;
        let answer = Envelope::<MetaflowActionResp>::from_bytes(&bytes).unwrap();
        assert_eq!(answer.headers.msg_id, self.asked.to_string());
        assert_eq!(answer.body.call_id.as_str(), CALL);
        answer.body
    }

    async fn looks(&mut self, account: &str) -> Vec<LiveCall> {
        self.asked += 1;
        let account_id = callreel_proto::AccountId::parse(account).unwrap();
        let mut question = LiveReq { account_id }.into_envelope();
        question.headers.server_id = Some("a-program".to_owned());
        question.headers.msg_id = self.asked.to_string();
        let (bus, bytes) = (&self.world.bus, question.to_bytes());
        bus.publish(Exchange::Kapps, LiveReq::KEY, bytes)
            .await
            .unwrap();
        let answer = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
        let bytes = answer.expect("an answer comes").unwrap().body;
        let answer = Envelope::<LiveResp>::from_bytes(&bytes).unwrap();
        assert_eq!(answer.headers.msg_id, self.asked.to_string());
        assert_eq!(answer.headers.node, "callreel@test");
        answer.body.calls
    }

    async fn starts(&mut self, name: &str) -> MetaflowActionResp {
        self.asks(json!({"action": "start", "url": "http://r.test/x", "name": name}))
            .await
    }
}

fn recorded_by_flow() -> Value {
    json!({"module": "record_call", "data": {"action": "start", "url": "http://r.test/x", "name": "flows"},
        "children": {"_": forever()}})
}

#[tokio::test]
async fn a_program_starts_masks_and_stops_its_own_recording() {
    let mut program = Program::beside(recorded_by_flow()).await;
    program.world.noticed(RecordingFact::Started).await;
    let started = program.starts("mine").await;
    assert_eq!(started.status, ActionStatus::Done, "{started:?}");
    let [mine] = started.recordings.as_slice() else {
        panic!("one recording: {started:?}");
    };
    assert_eq!(
        (mine.state, mine.name.as_deref()),
        (LiveState::Recording, Some("mine"))
    );
    assert_eq!(mine.source, RecordingSource::Api);
    let begun = program.world.noticed(RecordingFact::Started).await;
    assert_eq!(begun.recording_id.as_ref(), Some(&mine.id));
    assert_eq!(begun.ordered_by.unwrap().who.as_deref(), Some("192.0.2.7"));

    let masked = program.asks(json!({"action": "mask"})).await;
    let states: Vec<_> = masked.recordings.iter().map(|one| one.state).collect();
    assert_eq!(
        states,
        [LiveState::Masked, LiveState::Masked],
        "the call is masked"
    );
    let toggled = program.asks(json!({"action": "toggle_mask"})).await;
    assert!(
        toggled
            .recordings
            .iter()
            .all(|one| one.state == LiveState::Recording)
    );

    let stopped = program.asks(json!({"action": "stop"})).await;
    assert_eq!(stopped.recordings.len(), 1);
    assert_eq!(
        (&stopped.recordings[0].id, stopped.recordings[0].state),
        (&mine.id, LiveState::Stopped)
    );
    let ended = program.world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.recording_id.as_ref(), Some(&mine.id));
    assert_eq!(ended.ordered_by.unwrap().source, RecordingSource::Api);
    // Then what the flow began, though it is not named.
    let stopped = program.asks(json!({"action": "stop"})).await;
    assert_eq!(stopped.recordings[0].source, RecordingSource::Callflow);
    assert_eq!(stopped.recordings[0].name.as_deref(), Some("flows"));
    let refused = program.asks(json!({"action": "stop"})).await;
    assert_eq!(refused.status, ActionStatus::Refused);
    assert!(refused.detail.is_some());
    let none = program.asks(json!({"action": "mask"})).await;
    assert_eq!(none.status, ActionStatus::Refused);
}

#[tokio::test]
async fn a_toggle_starts_what_does_not_run_and_stops_what_does() {
    let mut program = Program::beside(forever()).await;
    let toggle = json!({"action": "toggle", "url": "http://r.test/x"});
    let first = program.asks(toggle.clone()).await;
    assert_eq!(first.recordings[0].state, LiveState::Recording);
    let second = program.asks(toggle.clone()).await;
    assert_eq!(second.recordings[0].state, LiveState::Stopped);
    assert_eq!(first.recordings[0].id, second.recordings[0].id);
    let third = program.asks(toggle).await;
    assert_ne!(first.recordings[0].id, third.recordings[0].id);
}

#[tokio::test]
async fn what_nobody_would_keep_is_refused_with_the_reason() {
    let mut program = Program::beside(forever()).await;
    let refused = program.asks(json!({"action": "start"})).await;
    assert_eq!(refused.status, ActionStatus::Refused);
    assert!(refused.detail.unwrap().contains("store_recordings"));
}

#[tokio::test]
async fn a_call_that_is_not_here_or_of_another_account_is_answered_by_nobody() {
    let mut program = Program::beside(recorded_by_flow()).await;
    let stop = || json!({"action": "mask"});
    program
        .sends(stop(), |action| action.call_id = CallId::new("unheard-of"))
        .await;
    let other = ACCOUNT.replace("a0", "b0");
    program
        .sends(stop(), |action| {
            action.account_id = Some(callreel_proto::AccountId::parse(&other).unwrap());
        })
        .await;
    // The first answer is to the third question.
    let own = program.asks(stop()).await;
    assert_eq!(own.status, ActionStatus::Done);
    program.world.says(EventName::ChannelDestroy, |_| {}).await;
    program.world.noticed(RecordingFact::Ended).await;
}

impl World {
    pub(crate) async fn presses(&self, leg: &str, keys: &str) {
        for key in keys.chars() {
            self.says(EventName::Dtmf, |event| {
                event.call_id = CallId::new(leg);
                event.dtmf_digit = Some(key.to_string());
            })
            .await;
        }
    }
}

fn code(action: &str) -> Value {
    let data = json!({"action": action, "url": "http://r.test/x"});
    json!({"module": "record_call", "data": data})
}

#[tokio::test]
async fn a_feature_code_of_either_party_controls_the_recording() {
    let db = AccountDb::name(&callreel_proto::AccountId::parse(ACCOUNT).unwrap());
    let account = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test",
        "metaflows": {"numbers": {"2": code("toggle")}}});
    let phone = json!({"_id": "bobs-phone", "pvt_type": "device", "enabled": true,
        "sip": {"username": "bob", "password": "x"},
        "metaflows": {"binding_digit": "#", "numbers": {"3": code("toggle_mask"), "33": code("stop")}}});
    let flow =
        json!({"module": "device", "data": {"id": "bobs-phone"}, "children": {"_": forever()}});
    let docs = [(db.as_str(), account), (db.as_str(), phone)];
    let mut world = World::with(flow, CallsConfig::default(), &docs).await;
    world.give_call().await;
    let bridge: Value = loop {
        let command: Value = serde_json::from_slice(&world.hears().await).unwrap();
        if command["Application-Name"] == "bridge" {
            break command;
        }
    };
    let leg = bridge["Endpoints"][0]["Outbound-Call-ID"].as_str().unwrap();
    world.presses(CALL, "1*2").await;
    let begun = world.noticed(RecordingFact::Started).await;
    let by = begun.ordered_by.clone().unwrap();
    assert_eq!(by.source, RecordingSource::FeatureCode);
    assert_eq!(
        (by.step.as_deref(), by.who.as_deref()),
        (Some("*2"), Some(CALL))
    );

    world
        .says(EventName::ChannelBridge, |event| {
            event.other_leg_call_id = Some(CallId::new(leg));
        })
        .await;
    let heard = |described: &Value| described["calls"][0]["keys_heard_of"] == *leg;
    world.until(heard).await;
    // Another key might follow: the code counts when none has come in time.
    world.presses(leg, "#3").await;
    world.calls.describe().await;
    pass(std::time::Duration::from_secs(1)).await;
    let masked = world.noticed(RecordingFact::Masked).await;
    assert_eq!(masked.ordered_by.unwrap().who.as_deref(), Some(leg));
    // The bridge is over, and with it what that party may do.
    world.says(EventName::ChannelUnbridge, |_| {}).await;
    let deaf = |described: &Value| described["calls"][0]["keys_heard_of"].is_null();
    world.until(deaf).await;
    world.presses(leg, "#33").await;
    world.presses(CALL, "*2").await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.recording_id, begun.recording_id);
    assert_eq!(
        ended.ordered_by.unwrap().source,
        RecordingSource::FeatureCode
    );
}

#[tokio::test]
async fn whoever_asks_is_told_where_the_calls_of_an_account_stand_and_what_is_recorded() {
    let mut program = Program::beside(recorded_by_flow()).await;
    program.world.noticed(RecordingFact::Started).await;
    let [call] = program.looks(ACCOUNT).await.try_into().unwrap();
    assert_eq!(call.call_id.as_str(), CALL);
    let flow = call.flow.as_ref().expect("it is controlled here");
    assert_eq!(
        (flow.pointer.as_str(), flow.module.as_str()),
        ("/flow/children/_", "sleep"),
        "{flow:?}"
    );
    let [recording] = call.recordings.as_slice() else {
        panic!("one recording: {call:?}");
    };
    assert_eq!(
        (recording.state, recording.name.as_deref(), recording.source),
        (
            LiveState::Recording,
            Some("flows"),
            RecordingSource::Callflow
        )
    );

    program.asks(json!({"action": "mask"})).await;
    let [masked] = program.looks(ACCOUNT).await.try_into().unwrap();
    assert_eq!(masked.recordings[0].state, LiveState::Masked);

    let id = masked.recordings[0].id.as_str();
    program
        .asks(json!({"action": "stop", "recording_id": id}))
        .await;
    let [stopped] = program.looks(ACCOUNT).await.try_into().unwrap();
    assert_eq!(stopped.recordings, []);
    assert!(stopped.flow.is_some());

    assert_eq!(program.looks(&"0".repeat(32)).await, []);
}
