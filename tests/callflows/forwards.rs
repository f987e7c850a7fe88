//! Calls that are forwarded, and who says so.

use serde_json::{Value, json};

use super::{action, caller};
use crate::support::{
    audio::listen,
    callee::Callee,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, THIRD, THIRD_USER},
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::Caller,
    voice::Speech,
};

/// Where calls are forwarded to: it rings the third party.
const THIRD_NUMBER: &str = "3000";
/// The voices of the caller and the third party.
const ALICE: u16 = 1100;
const CAROL: u16 = 1300;

/// An account whose callee has calls forwarded like this.
fn estate(forward: &Value, receiver: &Receiver) -> Estate {
    let ring = |user: &str| action("user", json!({"id": user, "timeout": 10}), None);
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let estate = Estate::with_flow(&action("record_call", start, Some(ring(CALLEE_USER))));
    estate.user("bob", CALLEE_USER, &json!({"call_forward": forward}));
    estate.flow(THIRD_NUMBER, &ring(THIRD_USER));
    estate
}

/// Alice calls, and talks to Carol: that is recorded.
fn carol_is_reached(node: &Node, receiver: &Receiver) {
    let carol = Phone::answers_for(THIRD, node, 1200);
    let alice = Phone::dials(CALLER, node, NUMBER);
    carol.says(Speech::tone(f32::from(CAROL), 5.0));
    alice.says(Speech::tone(f32::from(ALICE), 5.0));
    alice.hears(CAROL);
    carol.hears(ALICE);
    carol.ends();
    alice.ends();
    let file = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, ALICE), (1, CAROL)] {
        let (from, to) = file.only_tone(channel, f32::from(hz));
        assert!(to - from > 0.8, "{hz} Hz from {from} to {to}");
    }
}

#[test]
fn calls_of_who_has_forwarded_them_go_to_that_number() {
    let forward = json!({"enabled": true, "number": THIRD_NUMBER, "substitute": true});
    let receiver = Receiver::start();
    carol_is_reached(&Node::start(&estate(&forward, &receiver)), &receiver);
}

#[test]
fn a_feature_code_forwards_the_calls_of_who_dials_it() {
    let receiver = Receiver::start();
    let estate = estate(&json!({"substitute": true}), &receiver);
    let id = format!("f{:0>31}", "call-forward");
    let forward = action("call_forward", json!({"action": "activate"}), None);
    estate.write(
        "callflows/call-forward.json",
        &json!({"id": id, "name": "forward", "patterns": ["^\\*72([0-9]*)$"], "flow": forward}),
    );
    let node = Node::start(&estate);
    Phone::dials(CALLEE, &node, "*723000").ends();
    carol_is_reached(&node, &receiver);
}

#[test]
fn who_is_forwarded_to_may_have_to_press_a_key_to_be_connected() {
    let forward = json!({"enabled": true, "number": THIRD_NUMBER, "substitute": true, "require_keypress": true});
    let node = Node::start(&estate(&forward, &Receiver::start()));
    let does = Callee::rings(0).answers().waits(5000).hangs_up();
    let carol = Phone::callee(THIRD, &node, does);
    let scenario = Caller::dials(NUMBER).answered(NUMBER).awaits_bye();
    let alice = caller(&node);
    let calling = alice.run("call", &scenario.scenario());
    carol.hears_words();
    calling.is_not_answered();
    carol.presses("1");
    calling.established();
    carol.ends();
    calling.completed();
}
