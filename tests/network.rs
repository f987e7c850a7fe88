//! Bad networks on real calls: packets lost, late, twice and out of order, and a voice that comes and goes.

use serde_json::{Value, json};

use crate::support::{
    audio::listen,
    callee::Callee,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::Caller,
    voice::{Network, Speech},
};

fn recorded_user(url: &str) -> Value {
    json!({"module": "record_call", "data": {"action": "start", "format": "wav", "url": url}, "children": {"_": {
        "module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}}}})
}

#[test]
fn both_voices_are_whole_though_the_network_is_bad() {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let callee = Phone::registered(CALLEE, &node);
    let answering = callee.runs(
        "answer",
        &Callee::rings(0).answers().awaits_bye().scenario(),
    );
    let caller = Phone::registered(CALLER, &node);
    let talks = Caller::dials(NUMBER)
        .answered(NUMBER)
        .waits(5000)
        .hangs_up(NUMBER);
    let calling = caller.runs("call", &talks.scenario());
    let network = Network {
        loses_one_in: 20,
        repeats_one_in: 10,
        delays_up_to_ms: 60,
    };
    for (phone, run, hz) in [(&caller, &calling, 1000.0), (&callee, &answering, 440.0)] {
        run.established();
        let speech = Speech::tone(hz, 4.0);
        phone.voice.speaks_over(run.media(), speech, network);
    }
    calling.completed();
    answering.completed();
    let heard = listen(&receiver.accepted().body);
    let seconds = heard.seconds();
    assert!((4.9..5.6).contains(&seconds), "{seconds} s");
    let left = heard.only_tone(0, 1000.0);
    let right = heard.only_tone(1, 440.0);
    for (from, to) in [left, right] {
        assert!((to - from - 4.0).abs() < 0.1, "it speaks {from} to {to}");
    }
    let doc = node.recordings(1).remove(0);
    for leg in ["a", "b"] {
        let told = |what: &str| doc["gap_report"][leg][what].as_u64().unwrap_or_default();
        assert!((4..20).contains(&told("lost")), "one in 20 of 200: {doc}");
        assert!(told("duplicate") > 5 && told("concealed_ms") > 50, "{doc}");
    }
    assert!(doc["worst_misalignment_ms"].as_f64() < Some(20.0), "{doc}");
}
