//! Webhooks: what the system and an account are told of a real call's recording, signed, and never before it is true.

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{
    estate::{ACCOUNT, Estate},
    eventually,
    node::Node,
    phone::Phone,
    receiver::{Arrival, Receiver},
    sipp::Sipp,
    voice::Speech,
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
    Sipp::calls(node.sip(), 1000.0);

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

const SECRET: &str = "of the system, told to nobody";

fn step(module: &str, data: Value, then: Value) -> Value {
    json!({"module": module, "data": data, "children": {"_": then}})
}

/// Three recordings of a second: one is delivered at the second try, one is too short, one has nowhere to go.
fn flow(receiver: &Receiver) -> Value {
    let end = json!({"module": "sleep", "data": {"duration": 1}, "children": {}});
    let start = |keys: Value, then| {
        let mut data = json!({"action": "start", "format": "wav"});
        data.as_object_mut()
            .unwrap()
            .extend(keys.as_object().unwrap().clone());
        step("record_call", data, then)
    };
    let good = start(json!({"url": receiver.url("/good")}), end);
    let short = start(
        json!({"url": receiver.url("/short"), "record_min_sec": 20}),
        good,
    );
    step("answer", json!({}), start(json!({}), short))
}

/// Whether a webhook is signed with this secret, as docs/webhooks.md says.
fn is_signed_with(hook: &Arrival, secret: &str) -> bool {
    let signature = hook.headers["x-callreel-signature"].to_str().unwrap();
    let part = |name: &str| {
        let mut parts = signature.split(',');
        parts
            .find_map(|part| part.strip_prefix(name))
            .unwrap()
            .to_owned()
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(part("t=").as_bytes());
    mac.update(b".");
    mac.update(&hook.body);
    let signature: Vec<u8> = hex::decode(part("v1=")).unwrap();
    mac.verify_slice(&signature).is_ok()
}

#[test]
fn every_fact_is_told_signed_and_delivered_only_when_it_is() {
    let receiver = Receiver::answering(&[500]);
    // A hook that is refused is sent again.
    let system = Receiver::answering(&[503]);
    let node = Node::with_settings(
        &Estate::with_flow(&flow(&receiver)),
        &format!(
            "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n[webhooks]\nurl = \"{}\"\nsecret = \"{SECRET}\"\n",
            system.url("/hook")
        ),
    );
    let (_caller, calling) = Phone::calls(&node, Speech::tone(1000.0, 5.0));
    let call_id = calling.call_id().to_owned();
    calling.completed();
    let hooks = eventually("the hook of the delivery", || {
        let hooks = system.arrivals().into_iter();
        let hooks: Vec<_> = hooks.filter(|hook| hook.answered == 200).collect();
        let all = |fact| hooks.iter().any(|hook| told(hook)["fact"] == fact);
        (all("delivered") && all("discarded")).then_some(hooks)
    });
    for hook in &hooks {
        assert_eq!(hook.method, "POST");
        assert!(is_signed_with(hook, SECRET) && !is_signed_with(hook, "another"));
        let fact = told(hook);
        assert_eq!(fact["account_id"], ACCOUNT, "{fact}");
        assert_eq!(fact["call_id"], call_id, "{fact}");
        let event = hook.headers["x-callreel-event"].to_str().unwrap();
        assert!(
            event.ends_with(fact["fact"].as_str().unwrap()),
            "{event}: {fact}"
        );
    }
    let delivered = hooks
        .iter()
        .find(|hook| told(hook)["fact"] == "delivered")
        .unwrap();
    assert!(delivered.at > receiver.accepted().at, "not before the 2xx");
    let good = told(delivered)["recording_id"].clone();
    let (of_good, others): (Vec<_>, Vec<_>) = hooks
        .iter()
        .map(told)
        .partition(|fact| fact["recording_id"] == good);
    let facts = |hooks: &[Value]| {
        hooks
            .iter()
            .map(|t| t["fact"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        facts(&of_good),
        ["started", "ended", "rendered", "retrying", "delivered"]
    );
    let others = facts(&others);
    assert!(others.contains(&"skipped".to_owned()), "{others:?}");
    assert_eq!(others.last().unwrap(), "discarded", "{others:?}");
    assert_eq!(
        receiver.arrivals().len(),
        2,
        "what is too short is not delivered"
    );
    refused_first(&system);
}

/// The hook that was refused came again with the same name.
fn refused_first(system: &Receiver) {
    let hooks = system.arrivals();
    let refused = hooks.iter().find(|hook| hook.answered == 503).unwrap();
    let name = |hook: &Arrival| hook.headers["x-callreel-delivery"].clone();
    let again = hooks.iter().filter(|hook| hook.answered == 200);
    let again = again.filter(|hook| name(hook) == name(refused)).count();
    assert_eq!(again, 1);
}
