//! Webhooks: what the system and an account are told of a real call's recording.

use serde_json::{Value, json};

use crate::support::{
    audio,
    estate::{CALLER, Estate, NUMBER},
    node::Node,
    receiver::{Arrival, Receiver},
    sipp::{Caller, Sipp},
};

fn told(arrival: &Arrival) -> Value {
    serde_json::from_slice(&arrival.body).unwrap()
}

fn events(arrivals: &[Arrival]) -> Vec<&str> {
    let headers = arrivals
        .iter()
        .map(|arrival| &arrival.headers["x-callreel-event"]);
    headers.map(|event| event.to_str().unwrap()).collect()
}

#[test]
fn the_system_and_the_account_are_told_of_a_recording_from_its_start_to_its_receiver() {
    let [system, account, receiver] = [(); 3].map(|()| Receiver::start());
    let start =
        json!({"action": "start", "format": "mp3", "time_limit": 60, "url": receiver.url("/r")});
    let stop = json!({"module": "record_call", "data": {"action": "stop"}, "children": {}});
    let flow = json!({"module": "answer", "data": {}, "children": {"_": {
        "module": "record_call", "data": start, "children": {"_": {
            "module": "sleep", "data": {"duration": 1}, "children": {"_": stop}}}}}});
    let estate = Estate::with_flow(&flow);
    estate.write(
        "webhooks/crm.json",
        &json!({
            "id": "w0000000000000000000000000000001", "name": "CRM", "hook": "recording_delivered",
            "uri": account.url("/crm"), "secret": "ours", "custom_data": {"site": "north"},
        }),
    );
    let settings = format!(
        "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n[webhooks]\nurl = \"{}\"\nsecret = \"be7ween us\"\n",
        system.url("/ops")
    );
    let node = Node::with_settings(&estate, &settings);
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(1000.0, 5.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .awaits_bye()
        .scenario();
    caller.run("call", &scenario).completed();

    let file = receiver.accepted();
    let told_system = system.accepted_all(4);
    let expected =
        ["started", "ended", "rendered", "delivered"].map(|fact| format!("recording.{fact}"));
    assert_eq!(events(&told_system), expected);
    let id = file.headers["idempotency-key"].to_str().unwrap();
    for arrival in &told_system {
        assert_eq!(
            (arrival.method.as_str(), arrival.path.as_str()),
            ("POST", "/ops")
        );
        assert_eq!(told(arrival)["recording_id"], id);
        let signature = arrival.headers["x-callreel-signature"].to_str().unwrap();
        let (instant, code) = signature.split_once(",v1=").unwrap();
        assert!(instant.starts_with("t=") && code.len() == 64, "{signature}");
    }
    let started = told(&told_system[0]);
    assert_eq!(started["ordered_by"]["source"], "callflow");
    assert_eq!(started["time_limit"], 60);
    assert_eq!(told(&told_system[1])["end_reason"], "stopped");
    let told_account = account.accepted_all(1);
    assert_eq!(events(&told_account), ["recording.delivered"]);
    let delivered = told(&told_account[0]);
    assert_eq!(delivered["bytes"], file.body.len());
    assert_eq!(delivered["destination"], receiver.url(&file.path));
    assert_eq!(delivered["custom_data"]["site"], "north");
    assert!(!node.log().contains("be7ween us"), "no secret in the log");
}
