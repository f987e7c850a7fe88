//! Delivery over HTTP: what a receiver sees, and what happens when it does not want it yet.

use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    audio::listen,
    disk,
    estate::{ACCOUNT, Estate, REALM},
    eventually,
    node::Node,
    receiver::Receiver,
    sipp::Sipp,
};

const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n";

fn one_second(data: &Value) -> Value {
    let stop = json!({"module": "record_call", "data": {"action": "stop"}, "children": {}});
    json!({"module": "answer", "data": {}, "children": {"_": {
        "module": "record_call", "data": data, "children": {"_": {
            "module": "sleep", "data": {"duration": 1}, "children": {"_": stop}}}}}})
}

fn call(node: &Node) {
    Sipp::calls(node.sip(), 1000.0);
}

#[test]
fn a_receiver_that_fails_is_tried_again_with_the_same_key() {
    let receiver = Receiver::answering(&[500, 404]);
    let flow = one_second(&json!({"action": "start", "format": "mp3", "url": receiver.url("/r")}));
    let node = Node::with_settings(&Estate::with_flow(&flow), SETTINGS);
    call(&node);
    let good = receiver.accepted();
    let all = receiver.arrivals();
    assert_eq!(
        all.iter().map(|a| a.answered).collect::<Vec<_>>(),
        [500, 404, 200]
    );
    for arrival in &all {
        assert_eq!(arrival.path, good.path);
        assert_eq!(arrival.body, good.body);
        assert_eq!(
            arrival.headers["idempotency-key"],
            good.headers["idempotency-key"]
        );
    }
    eventually("the ticket to be settled", || {
        node.tickets().is_empty().then_some(())
    });
}

#[test]
fn post_is_used_when_the_action_says_so_and_credentials_go_into_the_header() {
    let receiver = Receiver::start();
    let url = receiver.url("/r").replace("http://", "http://user:pa55@");
    let flow =
        one_second(&json!({"action": "start", "format": "wav", "url": url, "method": "post"}));
    let node = Node::with_settings(&Estate::with_flow(&flow), SETTINGS);
    call(&node);
    let arrival = receiver.accepted();
    assert_eq!(arrival.method, "POST");
    assert_eq!(arrival.headers["authorization"], "Basic dXNlcjpwYTU1");
    let seconds = listen(&arrival.body).seconds();
    assert!((seconds - 1.0).abs() < 0.15, "{seconds} s");
    let doc = node.recordings(1).remove(0).to_string();
    assert!(!doc.contains("pa55"), "no secret in the document: {doc}");
    assert!(!node.log().contains("pa55"), "no secret in the log");
}

#[test]
fn headers_and_metadata_of_the_action_reach_the_receiver_and_secrets_nobody_else() {
    let receiver = Receiver::start();
    let flow = one_second(&json!({
        "action": "start", "format": "wav", "url": receiver.url("/r"),
        "headers": {"Authorization": "Bearer h1dden-token", "X-Tenant": "7", "Content-Length": "1"},
    }));
    let settings = format!("{SETTINGS}[recording]\nmetadata_query = \"kazoo-4.3\"\n");
    let node = Node::with_settings(&Estate::with_flow(&flow), &settings);
    call(&node);
    let arrival = receiver.accepted();
    assert_eq!(arrival.headers["authorization"], "Bearer h1dden-token");
    assert_eq!(arrival.headers["x-tenant"], "7");
    let (path, query) = arrival.path.split_once('?').unwrap();
    assert!(path.starts_with("/r/call_recording_"), "{path}");
    let names: Vec<&str> = query
        .split('&')
        .map(|p| p.split('=').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "from",
            "to",
            "caller_id_name",
            "caller_id_number",
            "call_id",
            "cdr_id",
            "interaction_id",
            "owner_id",
            "account_id",
            "start",
            "duration_ms",
            "recording_id"
        ]
    );
    let id = arrival.headers["idempotency-key"].to_str().unwrap();
    assert!(query.ends_with(&format!("&recording_id={id}")), "{query}");
    let doc = node.recordings(1).remove(0);
    assert_eq!(doc["ordered_by"]["source"], "callflow");
    assert_eq!(doc["legs"]["a"]["channel"], "left");
    assert!(
        doc["gap_report"]["a"]["packets"].as_u64().unwrap() > 40,
        "{doc}"
    );
    assert!(
        !doc.to_string().contains("h1dden"),
        "no secret in the document: {doc}"
    );
    assert!(!node.log().contains("h1dden"), "no secret in the log");
}

#[test]
fn loopback_is_refused_unless_the_configuration_permits_it() {
    let receiver = Receiver::start();
    let flow = one_second(&json!({"action": "start", "format": "mp3", "url": receiver.url("/r")}));
    let node = Node::with_settings(&Estate::with_flow(&flow), "");
    call(&node);
    let ticket = eventually("a refused attempt", || {
        node.tickets()
            .into_iter()
            .find(|t| t["delivery"]["last_error"].is_string())
    });
    let why = ticket["delivery"]["last_error"].as_str().unwrap();
    assert!(why.contains("delivery.allow_networks"), "{why}");
    assert!(receiver.arrivals().is_empty());
    let listed = node.cli(&["deliveries", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.contains("delivery.allow_networks"),
        "an operator sees why: {listed}"
    );
}

#[test]
fn every_try_is_signed_and_shows_the_accounts_credentials_to_nobody_but_the_receiver() {
    let receiver = Receiver::answering(&[500]);
    let flow = one_second(&json!({"action": "start", "format": "mp3", "url": receiver.url("/r")}));
    let estate = Estate::with_flow(&flow);
    let secrets = json!({"signing_secret": "be7ween us", "auth": {"bearer": "t0ken-of-acme"}});
    estate.write(
        "account.json",
        &json!({"id": ACCOUNT, "name": "Acme", "realm": REALM, "call_recording": secrets}),
    );
    let node = Node::with_settings(&estate, SETTINGS);
    call(&node);
    receiver.accepted();
    let tries = receiver.arrivals();
    assert_eq!(tries.len(), 2);
    for arrival in &tries {
        assert_eq!(arrival.headers["authorization"], "Bearer t0ken-of-acme");
        let said = |name: &str| arrival.headers[name].to_str().unwrap().to_owned();
        let signature = said("x-callreel-signature");
        let (time, code) = signature.split_once(",v1=").unwrap();
        let time = time.strip_prefix("t=").unwrap();
        let checksum = hex::encode(Sha256::digest(&arrival.body));
        let (key, path) = (said("idempotency-key"), &arrival.path);
        let lines = format!("{time}\nPUT\n{path}\n{checksum}\n{key}");
        let mut mac = Hmac::<Sha256>::new_from_slice(b"be7ween us").unwrap();
        mac.update(lines.as_bytes());
        let code = hex::decode(code).unwrap();
        assert!(mac.verify_slice(&code).is_ok(), "{signature} for {lines}");
    }
    let doc = node.recordings(1).remove(0).to_string();
    for secret in ["be7ween", "t0ken"] {
        assert!(!doc.contains(secret), "no secret in the document: {doc}");
        assert!(!node.log().contains(secret), "no secret in the log");
        let spool = node.data().join("data/spool");
        assert!(
            !disk::holds(&spool, secret.as_bytes()),
            "no secret in the spool"
        );
    }
}
