//! Who controls a call: a usurper, a transfer, a leg that takes another's place, and a channel that is gone without a word.

use std::time::Duration;

use callreel_proto::{CallId, EndReason, Exchange, RecordingFact, encode_word};
use serde_json::{Value, json};

use crate::{
    kazoo::{FETCH, Kazoo, TREES, Tree, forever, play, record},
    world::{ACCOUNT, World, pass},
};

impl Kazoo {
    async fn usurp(&self, fetch_id: &str) {
        let usurp = json!({
            "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "call_event", "Event-Name": "usurp_control",
            "Msg-ID": "u", "Call-ID": self.call, "Fetch-ID": fetch_id, "Reason": "Route-Win"
        });
        let key = format!("call.usurp_control.{}", encode_word(&self.call));
        self.publish(Exchange::Callevt, &key, &usurp).await;
    }

    /// A recorded call whose flow plays something; the playback's mark.
    async fn recorded_and_playing(tree: Tree) -> (Self, Value, Value) {
        let mut kazoo = Self::with_call(tree, record(play(forever()))).await;
        let start = kazoo.commanded("record_call").await;
        kazoo.record("RECORD_START", &start, &json!({})).await;
        kazoo.noticed(RecordingFact::Started).await;
        kazoo.commanded("play").await;
        let mark = kazoo.commanded("noop").await;
        (kazoo, start, mark)
    }
}

#[tokio::test]
async fn our_own_win_usurps_nothing() {
    let (kazoo, ..) = Kazoo::recorded_and_playing(Tree::V43).await;
    kazoo.usurp(FETCH).await;
    let described = kazoo.described().await;
    assert_eq!(described["over"], false, "{described}");
}

#[tokio::test]
async fn a_usurped_call_is_left_alone_and_its_file_is_whole() {
    for tree in TREES {
        let (mut kazoo, start, mark) = Kazoo::recorded_and_playing(tree).await;
        kazoo.usurp("another-control-session").await;
        // What the flow waited for comes: it goes on no more.
        kazoo.done("noop", mark["Msg-ID"].as_str().unwrap()).await;
        assert_eq!(kazoo.described().await["over"], true);
        kazoo
            .record("RECORD_STOP", &start, &json!({"Length": "9000"}))
            .await;
        let ticket = kazoo.ended().await;
        assert_eq!(
            (ticket.end_reason(), ticket.length_ms()),
            (Some(EndReason::Stopped), Some(9000))
        );
        kazoo.over().await;
        kazoo.nothing_more_is_said().await;
    }
}

#[tokio::test]
async fn the_file_of_a_usurped_call_ends_at_the_latest_some_time_after_its_channel() {
    let (mut kazoo, ..) = Kazoo::recorded_and_playing(Tree::V43).await;
    kazoo.usurp("another-control-session").await;
    kazoo
        .event(
            "CHANNEL_DESTROY",
            &json!({"Custom-Channel-Vars": {"Fetch-ID": "another-control-session"}}),
        )
        .await;
    kazoo.settle().await;
    pass(Duration::from_secs(31)).await;
    assert_eq!(kazoo.ended().await.end_reason(), Some(EndReason::Hangup));
    kazoo.over().await;
    kazoo.nothing_more_is_said().await;
}

#[tokio::test]
async fn not_even_at_its_limit_is_a_usurped_calls_switch_told_anything() {
    let (mut kazoo, ..) = Kazoo::recorded_and_playing(Tree::V50).await;
    kazoo.usurp("another-control-session").await;
    kazoo.settle().await;
    pass(Duration::from_secs(606)).await;
    kazoo.nothing_more_is_said().await;
    pass(Duration::from_secs(31)).await;
    assert_eq!(kazoo.ended().await.end_reason(), Some(EndReason::TimeLimit));
}

#[tokio::test]
async fn a_call_that_was_transferred_away_is_left_alone() {
    let (mut kazoo, start, mark) = Kazoo::recorded_and_playing(Tree::V50).await;
    let other = json!({"Custom-Channel-Vars": {"Fetch-ID": "another-control-session"}});
    kazoo.event("CHANNEL_TRANSFEREE", &other).await;
    assert_eq!(
        kazoo.described().await["over"],
        false,
        "that was another session's"
    );
    kazoo.event("CHANNEL_TRANSFEREE", &json!({})).await;
    kazoo.done("noop", mark["Msg-ID"].as_str().unwrap()).await;
    // The file goes on with the transferred leg, and ends under its id.
    let leg = json!({"Call-ID": "a-leg-nobody-told-us-of", "Length": "9000"});
    kazoo.record("RECORD_STOP", &start, &leg).await;
    assert_eq!(kazoo.ended().await.length_ms(), Some(9000));
    kazoo.over().await;
    kazoo.nothing_more_is_said().await;
}

#[tokio::test]
async fn a_call_that_is_replaced_goes_on_under_the_other_id() {
    for tree in TREES {
        let flow = play(play(forever()));
        let mut kazoo = Kazoo::with_call(tree, flow).await;
        kazoo.commanded("play").await;
        let mark = kazoo.commanded("noop").await;
        let other = json!({"Replaced-By": "b", "Custom-Channel-Vars": {"Fetch-ID": "another"}});
        kazoo.event("CHANNEL_REPLACED", &other).await;
        kazoo
            .event("CHANNEL_REPLACED", &json!({"Replaced-By": "leg@2"}))
            .await;
        // The old leg goes; that is not the end of the call.
        kazoo.event("CHANNEL_DESTROY", &json!({})).await;
        kazoo.settle().await;
        kazoo.call = "leg@2".to_owned();
        kazoo.done("noop", mark["Msg-ID"].as_str().unwrap()).await;
        kazoo.commanded("play").await;
        kazoo.event("CHANNEL_DESTROY", &json!({})).await;
        kazoo.over().await;
    }
}

#[tokio::test]
async fn a_lost_switch_ends_the_call() {
    let (mut kazoo, ..) = Kazoo::recorded_and_playing(Tree::V43).await;
    kazoo.event("CHANNEL_DISCONNECTED", &json!({})).await;
    kazoo.settle().await;
    pass(Duration::from_secs(31)).await;
    assert_eq!(kazoo.ended().await.end_reason(), Some(EndReason::Hangup));
    kazoo.over().await;
    kazoo.nothing_more_is_said().await;
}

#[tokio::test]
async fn a_blind_transfer_that_comes_back_is_a_call_of_its_own() {
    let (mut kazoo, ..) = Kazoo::recorded_and_playing(Tree::V43).await;
    let again = json!({"Msg-ID": "fetch-2", "Custom-Channel-Vars": {"Fetch-ID": "fetch-2"}});
    kazoo.offer(&again).await;
    assert_eq!(kazoo.take_bid().await["Msg-ID"], "fetch-2");
    kazoo
        .give(&json!({"Custom-Channel-Vars": {"Fetch-ID": "fetch-2"}}))
        .await;
    // The newcomer's flow begins, and the older one's is over, without anybody having said so.
    kazoo.commanded("play").await;
    kazoo.settle().await;
    let described = kazoo.world.calls.describe().await;
    let over: Vec<_> = described["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| &call["over"])
        .collect();
    assert_eq!(over.len(), 2, "{described}");
    assert!(
        over.contains(&&json!(true)) && over.contains(&&json!(false)),
        "{described}"
    );
}

impl Kazoo {
    /// Waits for a `channel_status_req`, on a queue of its own.
    async fn asked(questions: &mut callreel_bus::Subscription) -> Value {
        let asked = tokio::time::timeout(crate::world::PATIENCE, questions.recv()).await;
        serde_json::from_slice(&asked.expect("the switches are asked").unwrap().body).unwrap()
    }

    async fn says_it_is(&self, question: &Value, status: &str) {
        let answer = json!({
            "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "call_event", "Event-Name": "channel_status_resp",
            "Msg-ID": question["Msg-ID"], "Call-ID": question["Call-ID"], "Status": status
        });
        let to = question["Server-ID"].as_str().unwrap();
        self.world
            .bus
            .send(Exchange::Targeted, to, answer.to_string())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_silent_call_is_asked_after_and_ends_when_every_switch_denies_it() {
    let (mut kazoo, ..) = Kazoo::recorded_and_playing(Tree::V50).await;
    let all = callreel_bus::Binding::new(Exchange::Callevt, "call.status_req.*");
    let mut questions = crate::world::queue(&kazoo.world.bus, &[all]).await;
    pass(Duration::from_secs(61)).await;
    let question = Kazoo::asked(&mut questions).await;
    assert_eq!(question["Event-Name"], "channel_status_req");
    for status in ["terminated", "active"] {
        kazoo.says_it_is(&question, status).await;
    }
    kazoo.settle().await;
    pass(Duration::from_secs(30)).await;
    assert_eq!(kazoo.described().await["over"], false, "one switch has it");
    pass(Duration::from_secs(40)).await;
    for _ in 0..2 {
        let question = Kazoo::asked(&mut questions).await;
        kazoo.says_it_is(&question, "terminated").await;
        kazoo.settle().await;
        pass(Duration::from_secs(4)).await;
        pass(Duration::from_secs(6)).await;
    }
    kazoo.settle().await;
    pass(Duration::from_secs(31)).await;
    assert_eq!(kazoo.ended().await.end_reason(), Some(EndReason::Hangup));
    kazoo.over().await;
}

#[tokio::test]
async fn what_our_own_switch_forks_ends_when_the_call_is_usurped() {
    let flow = json!({"module": "record_call", "data": {"url": "http://r.test/x"}, "children": {"_": forever()}});
    let mut world = World::with_flow(flow).await;
    world.give_call().await;
    let (fork, _) = world.started().await;
    let usurp = callreel_proto::UsurpControl {
        call_id: CallId::new(crate::world::CALL),
        fetch_id: "another".to_owned(),
        reason: None,
        media_node: None,
    };
    let key = usurp.routing_key();
    let headers = callreel_proto::Headers::new("call_event", callreel_proto::UsurpControl::NAME);
    let bytes = callreel_proto::Envelope {
        headers,
        body: usurp,
    }
    .to_bytes();
    world
        .bus
        .publish(Exchange::Callevt, &key, bytes)
        .await
        .unwrap();
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Usurped));
    assert_eq!(ended.account_id.as_str(), ACCOUNT);
    let callreel_proto::Application::RecordCall { fork: released, .. } = world.commanded().await
    else {
        panic!("the fork is not given back");
    };
    assert_eq!(released, Some(fork));
}
