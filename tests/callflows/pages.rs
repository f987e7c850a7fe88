//! Pages: phones that answer by themselves hear the caller, and are heard if the flow wants it.

use serde_json::{Value, json};

use super::action;
use crate::support::{
    PATIENCE,
    audio::listen,
    callee::Callee,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, THIRD, THIRD_USER},
    eventually,
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::{Caller, Sipp, callee_never_answers},
    voice::Speech,
};

/// What the caller hears where the flow goes on.
const ELSE: u16 = 850;
/// The voices of the caller and the third party.
const ALICE: u16 = 1100;
const CAROL: u16 = 1300;

/// A page of Bob and Carol.
fn page(more: &Value, otherwise: Option<Value>) -> Value {
    let endpoints = [CALLEE_USER, THIRD_USER].map(|id| json!({"endpoint_type": "user", "id": id}));
    let mut data = json!({ "endpoints": endpoints });
    let more = more.as_object().unwrap().clone();
    data.as_object_mut().unwrap().extend(more);
    action("page_group", data, otherwise)
}

fn voice(hz: u16) -> Speech {
    Speech::tone(f32::from(hz), PATIENCE.as_secs_f32())
}

#[test]
fn a_page_is_heard_by_all_whose_phones_answer_by_themselves() {
    let node = Node::start(&Estate::with_flow(&page(&json!({}), None)));
    let paged = [CALLEE, THIRD].map(|user| Phone::answers(user, &node));
    let alice = Phone::registered(CALLER, &node);
    let speaks = Caller::dials(NUMBER).answered(NUMBER).waits(3000);
    let calling = alice.runs("call", &speaks.hangs_up(NUMBER).scenario());
    alice.speaks(&calling, voice(ALICE));
    for phone in &paged {
        phone.received("answer-after=0");
        phone.says(voice(CAROL));
        phone.hears(ALICE);
    }
    calling.completed();
    for phone in paged {
        phone.ends();
    }
    let talked_back = alice.voice.heard().tone(0, f32::from(CAROL));
    assert!(talked_back.is_empty(), "{talked_back:?}");
}

#[test]
fn a_page_both_ways_goes_on_when_one_leaves_and_its_caller_is_recorded() {
    let receiver = Receiver::start();
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let page = page(&json!({"audio": "two-way"}), None);
    let node = Node::start(&Estate::with_flow(&action(
        "record_call",
        start,
        Some(page),
    )));
    let bob = Phone::answers_for(CALLEE, &node, 3000);
    let carol = Phone::callee(
        THIRD,
        &node,
        Callee::rings(0).answers().waits(8000).hangs_up(),
    );
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.says(voice(ALICE));
    carol.says(voice(CAROL));
    alice.hears(CAROL);
    for hz in [ALICE, CAROL] {
        eventually(&format!("Bob to hear {hz} Hz among others"), || {
            (bob.heard().loudest_tone(0, f32::from(hz)) > 0.2).then_some(())
        });
    }
    bob.ends();
    carol.goes_on_hearing(ALICE);
    // Nobody is left then: the page is over, and with it the call.
    carol.ends();
    alice.ends();
    let file = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, ALICE), (1, CAROL)] {
        let share = file.share_of(channel, f32::from(hz)).unwrap_or_default();
        assert!(share > 0.9, "{hz} Hz: {share}");
    }
}

#[test]
fn a_page_that_nobody_answers_goes_on() {
    let play = action("play", json!({"id": format!("e{ELSE:0>31}")}), None);
    let estate = Estate::with_flow(&page(&json!({"timeout": 1}), Some(play)));
    estate.tone(ELSE);
    let node = Node::start(&estate);
    let bob = Sipp::new(CALLEE, node.sip());
    bob.register();
    let rung = bob.run("rung", &callee_never_answers());
    // Carol's phone is not there at all.
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(ELSE);
    alice.ends();
    rung.completed();
}
