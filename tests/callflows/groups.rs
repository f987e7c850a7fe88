//! Steps that ring several phones: who rings, who is connected, and where the flow goes if nobody is.

use serde_json::{Value, json};

use super::{action, caller};
use crate::support::{
    audio::listen,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, THIRD, THIRD_USER},
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::{Caller, Run, Sipp, callee_never_answers, callee_refuses},
    voice::Speech,
};

const GROUP: &str = "90000000000000000000000000000002";
/// What the caller hears where the flow goes on.
const ELSE: u16 = 850;
/// The voices of the caller and the third party.
const ALICE: f32 = 1100.0;
const CAROL: f32 = 1300.0;

/// Bob and Carol.
fn both() -> Value {
    json!([
        {"endpoint_type": "user", "id": CALLEE_USER},
        {"endpoint_type": "user", "id": THIRD_USER},
    ])
}

fn with(step: &str, data: Value, children: Value) -> Estate {
    let estate = Estate::with_flow(&json!({"module": step, "data": data, "children": children}));
    estate.tone(ELSE);
    estate
}

fn otherwise() -> Value {
    action("play", json!({"id": format!("e{ELSE:0>31}")}), None)
}

/// Bob's phone: registered, and it does this when it is rung.
fn bob(node: &Node, scenario: &str) -> (Sipp, Run) {
    let phone = Sipp::new(CALLEE, node.sip());
    phone.register();
    let run = phone.run("rung", scenario);
    (phone, run)
}

/// Bob's phone rings in vain, Carol answers and is talked to for a second.
fn carol_is_connected(node: &Node) {
    let (_bob, rung) = bob(node, &callee_never_answers());
    let carol = Phone::answers_for(THIRD, node, 1200);
    let alice = Phone::dials(CALLER, node, NUMBER);
    alice.says(Speech::tone(ALICE, 3.0));
    carol.says(Speech::tone(CAROL, 3.0));
    rung.completed();
    let heard = [carol.ends(), alice.ends()].map(|phone| phone.voice.heard());
    for (heard, hz) in heard.iter().zip([ALICE, CAROL]) {
        assert!(!heard.tone(0, hz).is_empty(), "{hz} Hz");
    }
}

#[test]
fn of_all_who_ring_the_first_to_answer_is_connected_and_recorded() {
    let receiver = Receiver::start();
    let ring = json!({"module": "ring_group", "data": {"endpoints": both()}, "children": {}});
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let node = Node::start(&with("record_call", start, json!({"_": ring})));
    carol_is_connected(&node);
    let file = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, ALICE), (1, CAROL)] {
        let (from, to) = file.only_tone(channel, hz);
        assert!(to - from > 0.8, "{hz} Hz from {from} to {to}");
    }
}

#[test]
fn one_after_the_other_the_second_rings_when_the_first_has_not_answered() {
    let data = json!({"endpoints": both(), "strategy": "single", "timeout": 1});
    carol_is_connected(&Node::start(&with("ring_group", data, json!({}))));
}

#[test]
fn a_group_that_is_busy_goes_on_at_the_child_of_that_cause() {
    let endpoints = json!([{"endpoint_type": "user", "id": CALLEE_USER}]);
    let children = json!({"USER_BUSY": otherwise(), "_": action("hangup", json!({}), None)});
    let node = Node::start(&with(
        "ring_group",
        json!({"endpoints": endpoints}),
        children,
    ));
    let (_bob, rung) = bob(&node, &callee_refuses(486, "Busy Here"));
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(ELSE);
    alice.ends();
    rung.completed();
}

#[test]
fn the_members_of_a_group_document_ring() {
    let estate = with("group", json!({"id": GROUP}), json!({}));
    let members = json!({CALLEE_USER: {"type": "user"}, THIRD_USER: {"type": "user"}});
    estate.write(
        "groups/sales.json",
        &json!({"id": GROUP, "name": "sales", "endpoints": members}),
    );
    carol_is_connected(&Node::start(&estate));
}

#[test]
fn whoever_has_the_dialled_number_as_caller_id_rings() {
    let refuse = action("response", json!({"code": 404}), None);
    let data = json!({"endpoint_types": ["user"], "cid_types": ["external"]});
    let estate = Estate::with_flow(&action("route_to_cid", data.clone(), Some(refuse.clone())));
    estate.flow("3000", &action("route_to_cid", data, Some(refuse)));
    let own = json!({"caller_id": {"external": {"number": NUMBER}}});
    estate.user("bob", CALLEE_USER, &own);
    let node = Node::start(&estate);
    let bob = Phone::answers_for(CALLEE, &node, 1000);
    let alice = Phone::dials(CALLER, &node, NUMBER);
    bob.says(Speech::tone(CAROL, 3.0));
    alice.hears(CAROL as u16);
    bob.ends();
    alice.ends();
    let nobodys = Caller::dials("3000").refused("3000", 404).scenario();
    caller(&node).run("call", &nobodys).completed();
}

#[test]
fn who_is_logged_out_of_a_ring_group_is_not_rung_until_logged_in_again() {
    let endpoints = json!([{"endpoint_type": "user", "id": CALLEE_USER}]);
    let refuse = action("response", json!({"code": 480}), None);
    let ring = action("ring_group", json!({"endpoints": endpoints}), Some(refuse));
    let estate = Estate::with_flow(&ring);
    let group = format!("f{NUMBER:0>31}");
    for (code, does) in [("*21", "logout"), ("*22", "login")] {
        let data = json!({"action": does, "callflow_id": group});
        estate.flow(code, &action("ring_group_toggle", data, None));
    }
    let node = Node::start(&estate);
    Phone::dials(CALLEE, &node, "*21").ends();
    // Bob's phone would answer.
    let bob = Phone::answers(CALLEE, &node);
    let refused = Caller::dials(NUMBER).refused(NUMBER, 480).scenario();
    caller(&node).run("call", &refused).completed();
    Phone::dials(CALLEE, &node, "*22").ends();
    let talks = Caller::dials(NUMBER).answered(NUMBER).hangs_up(NUMBER);
    caller(&node).run("call", &talks.scenario()).completed();
    bob.ends();
}
