//! Callflow modules on real calls: what the caller hears and how the call ends.

mod branches;
mod feature_codes;
mod forwards;
mod groups;
mod menus;
mod metaflows;
mod pages;
mod parks;
mod restrictions;
mod times;
mod transfers;
mod trunks;
mod voicemail;
mod words;

use serde_json::{Value, json};

use crate::support::{
    audio,
    baresip::{Baresip, Habits},
    estate::{CALLEE, CALLER, Estate, NUMBER},
    node::Node,
    receiver::Receiver,
    sipp::{Caller, Sipp, callee_answers},
};

fn action(module: &str, data: Value, then: Option<Value>) -> Value {
    let children = then.map_or_else(|| json!({}), |next| json!({ "_": next }));
    json!({"module": module, "data": data, "children": children})
}

fn caller(node: &Node) -> Sipp {
    let phone = Sipp::new(CALLER, node.sip());
    phone.register();
    phone
}

/// A listening caller's ears after a call that the node ends.
fn heard_by_caller(node: &Node) -> audio::Heard {
    let mut phone = Baresip::start(
        CALLER,
        node.sip(),
        &Habits {
            answers: false,
            ..Habits::default()
        },
    );
    phone.dial(NUMBER);
    phone.awaits("CALL_ESTABLISHED");
    phone.awaits("CALL_CLOSED");
    phone.heard()
}

#[test]
fn a_response_refuses_the_call_with_its_code() {
    let flow = action("response", json!({"code": 503, "message": "Closed"}), None);
    let node = Node::start(&Estate::with_flow(&flow));
    let scenario = Caller::dials(NUMBER).refused(NUMBER, 503).scenario();
    caller(&node).run("call", &scenario).completed();
}

#[test]
fn modules_that_are_unknown_or_refused_are_skipped_with_a_warning() {
    let refuse = action("response", json!({"code": 480}), None);
    let modules = ["crystal_ball", "conference", "receive_fax"];
    let flow = modules
        .iter()
        .rfold(refuse, |then, module| action(module, json!({}), Some(then)));
    let node = Node::start(&Estate::with_flow(&flow));
    let scenario = Caller::dials(NUMBER).refused(NUMBER, 480).scenario();
    caller(&node).run("call", &scenario).completed();
    for module in modules {
        assert!(node.log().contains(module), "the log names {module}");
    }
}

#[test]
fn a_flow_that_runs_off_its_end_hangs_up() {
    let flow = action(
        "answer",
        json!({}),
        Some(action(
            "sleep",
            json!({"duration": 500, "unit": "ms"}),
            Some(action("noop", json!({}), None)),
        )),
    );
    let node = Node::start(&Estate::with_flow(&flow));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .awaits_bye()
        .scenario();
    caller(&node).run("call", &scenario).completed();
}

#[test]
fn a_branch_into_another_callflow_comes_back() {
    let back = action("response", json!({"code": 486}), None);
    let estate = Estate::with_flow(&action(
        "callflow",
        json!({"id": format!("f{:0>31}", "3000")}),
        Some(back),
    ));
    estate.flow("3000", &action("noop", json!({}), None));
    let node = Node::start(&estate);
    let scenario = Caller::dials(NUMBER).refused(NUMBER, 486).scenario();
    caller(&node).run("call", &scenario).completed();
}

#[test]
fn a_device_is_rung_like_a_user() {
    let flow = action(
        "device",
        json!({"id": "d0000000000000000000000000000002", "timeout": 5}),
        None,
    );
    let node = Node::start(&Estate::with_flow(&flow));
    let callee = Sipp::new(CALLEE, node.sip());
    callee.register();
    let voice = callee.audio(&audio::mulaw_tone(440.0, 3.0));
    let answering = callee.run("answer", &callee_answers(100, &voice, None));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .waits(500)
        .hangs_up(NUMBER)
        .scenario();
    caller(&node).run("call", &scenario).completed();
    answering.completed();
}

#[test]
fn a_caller_hears_a_media_document_and_the_recording_has_it() {
    let receiver = Receiver::start();
    let media = "e0000000000000000000000000000001";
    let play = action("play", json!({"id": media}), None);
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let estate = Estate::with_flow(&action("record_call", start, Some(play)));
    estate.write(
        "media/hello.json",
        &json!({"id": media, "name": "hello", "content_type": "audio/wav"}),
    );
    estate.audio("media/hello.wav", &audio::sine(620.0, 2.0));
    let node = Node::start(&estate);
    let heard = heard_by_caller(&node).only_tone(0, 620.0);
    assert!(
        heard.1 - heard.0 > 1.7,
        "the phone, slow to start, heard {heard:?}"
    );
    let file = audio::listen(&receiver.accepted().body);
    let recorded = file.only_tone(1, 620.0);
    assert!((recorded.1 - recorded.0 - 2.0).abs() < 0.06, "{recorded:?}");
}

#[test]
fn a_caller_hears_words() {
    let flow = action("tts", json!({"text": "Good morning and welcome"}), None);
    let node = Node::start(&Estate::with_flow(&flow));
    let heard = heard_by_caller(&node);
    assert!(heard.seconds() > 1.0, "{} s", heard.seconds());
    assert!(heard.loudness(0, 0.2, 1.0) > 0.02);
}
