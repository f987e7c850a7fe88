//! How a node ends when it is asked to: running calls go on, new ones are refused, recordings are complete.

use serde_json::{Value, json};

use crate::support::{
    audio::{self, listen},
    estate::{CALLER, Estate, NUMBER},
    eventually,
    node::Node,
    receiver::Receiver,
    sipp::{Caller, Sipp},
};

/// Answers, records for three seconds, hangs up.
fn three_seconds(url: &str) -> Value {
    let sleep = json!({"module": "sleep", "data": {"duration": 3}, "children": {}});
    let data = json!({"action": "start", "format": "wav", "url": url});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    json!({"module": "answer", "data": {}, "children": {"_": record}})
}

#[test]
fn a_node_told_to_end_lets_the_running_call_finish_and_takes_no_other() {
    let receiver = Receiver::start();
    let mut node = Node::start(&Estate::with_flow(&three_seconds(&receiver.url("/r"))));
    let (caller, other) = (Sipp::new(CALLER, node.sip()), Sipp::new(CALLER, node.sip()));
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(1000.0, 10.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .awaits_bye()
        .scenario();
    let calling = caller.run("call", &scenario);
    eventually("the recording to begin", || node.tickets().pop());
    node.terminate();
    eventually("the node to drain", || {
        node.log().contains("draining").then_some(())
    });
    let refused = Caller::dials(NUMBER).refused(NUMBER, 503).scenario();
    other.run("refused", &refused).completed();
    calling.completed();
    assert!(node.ended(), "an ordinary end");
    assert!(!node.log().contains("ERROR"), "nothing went wrong");
    node.launch();
    let heard = listen(&receiver.accepted().body);
    let seconds = heard.seconds();
    assert!((seconds - 3.0).abs() < 0.15, "{seconds} s");
}
