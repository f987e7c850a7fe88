//! Recordings that the platform orders beside the callflow's own: each is whole, and no callflow ends what is not its own.

use serde_json::{Value, json};

use crate::support::{
    audio::listen,
    estate::{ACCOUNT, CALLEE, CALLEE_USER, Estate, PASSWORD, REALM},
    node::Node,
    phone::Talk,
    receiver::Receiver,
    voice::Speech,
};

/// The caller's voice, and the callee's.
const VOICES: [f32; 2] = [1000.0, 440.0];

fn step(module: &str, data: Value, then: Value) -> Value {
    json!({"module": module, "data": data, "children": {"_": then}})
}

/// Starts, lets a second pass, stops twice, and rings the callee: the second stop finds nothing that is the flow's own.
fn flow(receiver: &Receiver) -> Value {
    let ring =
        json!({"module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}});
    let stop = |then| step("record_call", json!({"action": "stop"}), then);
    let second = step("sleep", json!({"duration": 1}), stop(stop(ring)));
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/flow")});
    step("answer", json!({}), step("record_call", start, second))
}

/// An account that records all calls, and a callee whose device records those it gets.
fn estate(receiver: &Receiver) -> Estate {
    let estate = Estate::with_flow(&flow(receiver));
    let to = |folder: &str| json!({"enabled": true, "format": "wav", "url": receiver.url(folder)});
    estate.write(
        "account.json",
        &json!({"id": ACCOUNT, "name": "Acme", "realm": REALM,
            "call_recording": {"account": {"inbound": {"onnet": to("/account")}}}}),
    );
    estate.write(
        "devices/bob.json",
        &json!({"id": "d0000000000000000000000000000002", "name": CALLEE, "owner_id": CALLEE_USER,
            "mwi_unsolicited_updates": false, "sip": {"username": CALLEE, "password": PASSWORD},
            "call_recording": {"inbound": {"onnet": to("/callee")}}}),
    );
    estate
}

#[test]
fn what_account_device_and_callflow_order_is_recorded_beside_each_other() {
    let receiver = Receiver::start();
    let node = Node::start(&estate(&receiver));
    let talk = Talk::begins(&node, 300, 3000, VOICES.map(|hz| Speech::tone(hz, 10.0)));
    let call_id = talk.call_id().replace('@', "%40");
    talk.ends();
    let files = receiver.accepted_all(3);
    let file = |folder: &str| {
        let arrival = files.iter().find(|a| a.path.starts_with(folder));
        let arrival = arrival.unwrap_or_else(|| panic!("nothing came to {folder}"));
        (arrival.path.clone(), listen(&arrival.body))
    };
    let ((first, account), (second, own), (other, callee)) =
        (file("/account/"), file("/flow/"), file("/callee/"));
    assert_eq!(
        first,
        format!("/account/call_recording_{call_id}.wav"),
        "the first has the plain name"
    );
    assert_eq!(second, format!("/flow/call_recording_{call_id}_2.wav"));
    assert!(
        !other.contains(&call_id),
        "the callee's leg has an id of its own: {other}"
    );
    assert!((own.seconds() - 1.0).abs() < 0.1, "{} s", own.seconds());
    assert!(
        (2.8..3.4).contains(&account.seconds()),
        "{} s",
        account.seconds()
    );
    assert!(
        (1.3..1.9).contains(&callee.seconds()),
        "{} s",
        callee.seconds()
    );
    // The recorded party is on the left: the caller, and on the callee's own leg the callee.
    for (heard, [left, right]) in [(&account, VOICES), (&callee, [VOICES[1], VOICES[0]])] {
        for (channel, hz, other) in [(0, left, right), (1, right, left)] {
            assert!(
                !heard.tone(channel, hz).is_empty(),
                "{hz} Hz in channel {channel}"
            );
            assert!(
                heard.loudest_tone(channel, other) < 0.01,
                "{other} Hz in channel {channel}"
            );
        }
    }
    for (folder, source, origin) in [
        ("/account/", "account", "inbound from onnet to account"),
        ("/flow/", "callflow", "callflow : flow 2000"),
        ("/callee/", "endpoint", "inbound from onnet to endpoint"),
    ] {
        let docs = node.recordings(3);
        let own = docs
            .iter()
            .find(|doc| doc["url"].to_string().contains(folder));
        let doc = own.unwrap_or_else(|| panic!("{folder} in {docs:?}"));
        assert_eq!(doc["ordered_by"]["source"], source, "{doc}");
        assert_eq!(doc["origin"], origin, "{doc}");
    }
}
