//! Recordings of live calls, begun, masked and ended from outside: by the API, and by the keys of either party.

use serde_json::{Value, json};

use crate::support::{
    audio::{Heard, listen},
    disk,
    estate::{ACCOUNT, CALLEE_USER, Estate, REALM},
    eventually,
    node::Node,
    phone::Talk,
    receiver::{Arrival, Receiver},
    voice::{STAR, Speech},
};

/// The caller's voice, and the callee's.
const VOICES: [f32; 2] = [1000.0, 440.0];
const STRANGER: &str = "a0000000000000000000000000000002";

fn ring() -> Value {
    json!({"module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}})
}

fn second() {
    std::thread::park_timeout(std::time::Duration::from_secs(1));
}

/// One party's channel.
fn spans(heard: &Heard, channel: usize) -> Vec<(f64, f64)> {
    heard.tone(channel, VOICES[channel])
}

#[track_caller]
fn about(what: &str, (from, to): (f64, f64), seconds: f64) {
    let lasts = to - from;
    assert!((lasts - seconds).abs() < 0.25, "{what}: {from} to {to}");
}

/// One live call as the API knows it.
struct Live<'a> {
    node: &'a Node,
    call_id: String,
}

impl Live<'_> {
    fn path(&self, account: &str) -> String {
        format!("/v2/accounts/{account}/channels/{}", self.call_id)
    }

    /// Asks for a `record_call` with this data, as Crossbar takes it; the recordings that it tells of.
    fn does(&self, data: Value) -> Vec<Value> {
        let asked = json!({"data": {"module": "record_call", "data": data}});
        let (status, answer) = self.node.put(&self.path(ACCOUNT), &asked);
        assert!((200..300).contains(&status), "{asked}: {status} {answer}");
        let recordings = answer["data"]["recordings"].as_array();
        recordings.unwrap_or_else(|| panic!("{answer}")).clone()
    }

    fn refused(&self, account: &str, data: Value) -> u16 {
        let asked = json!({"data": {"module": "record_call", "data": data}});
        self.node.put(&self.path(account), &asked).0
    }
}

/// The two files of a call, the one that began first at the front.
fn two_files(receiver: &Receiver) -> [Arrival; 2] {
    let mut files = receiver.accepted_all(2);
    files.sort_by_key(|arrival| arrival.path.contains("_2."));
    files.try_into().unwrap()
}

/// A second, a masked second, a second; and another file of one second.
fn is_masked_in_its_middle([first, second]: [Arrival; 2]) {
    let file = listen(&first.body);
    for channel in [0, 1] {
        let [before, after] = spans(&file, channel)[..] else {
            panic!("channel {channel}: {:?}", spans(&file, channel));
        };
        about("before the mask", before, 1.0);
        about("the mask", (before.1, after.0), 1.0);
        about("after it", after, 1.0);
    }
    about(
        "the second file",
        (0.0, listen(&second.body).seconds()),
        1.0,
    );
}

#[test]
fn the_api_starts_masks_and_stops_recordings_of_a_live_call() {
    let receiver = Receiver::start();
    let estate = Estate::with_flow(&ring());
    let node = Node::start(&estate);
    let speech = VOICES.map(|hz| Speech::tone(hz, 20.0).marked(b'a'));
    let talk = Talk::begins(&node, 0, 8000, speech);
    let listed = node.api(&format!("/v2/accounts/{ACCOUNT}/channels"));
    let listed = listed["data"].as_array().unwrap();
    let channel = listed.iter().find(|c| c["uuid"] == talk.call_id());
    let channel = channel.unwrap_or_else(|| panic!("{listed:?}"));
    assert_eq!(channel["answered"], true, "{channel}");
    let live = Live {
        node: &node,
        call_id: talk.call_id().replace('@', "%40"),
    };
    let mask = json!({"action": "mask"});
    assert_eq!(
        live.refused(STRANGER, mask.clone()),
        404,
        "not a stranger's call"
    );
    assert_eq!(
        live.refused(ACCOUNT, json!({"action": "stop"})),
        409,
        "nothing to stop"
    );
    assert_eq!(
        live.refused(ACCOUNT, json!({"action": "start", "format": 7})),
        400
    );
    // What waits for an answer or a bridge that is past begins at once.
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r"), "record_on_bridge": true});
    let begun = live.does(start.clone());
    second();
    let masked = live.does(mask);
    assert_eq!(masked[0]["state"], "masked", "{masked:?}");
    second();
    let unmasked = live.does(json!({"action": "unmask"}));
    assert_eq!(unmasked[0]["state"], "recording", "{unmasked:?}");
    second();
    live.does(json!({"action": "stop"}));
    let toggle = |action: &str| {
        let mut data = start.clone();
        data["action"] = json!(action);
        live.does(data)
    };
    toggle("toggle");
    second();
    let stopped = toggle("toggle");
    assert_eq!(stopped[0]["state"], "stopped", "{stopped:?}");
    talk.ends();
    is_masked_in_its_middle(two_files(&receiver));
    let docs = node.recordings(2);
    let doc = docs.iter().find(|doc| doc["id"] == begun[0]["id"]);
    let doc = doc.unwrap_or_else(|| panic!("{begun:?} in {docs:?}"));
    assert_eq!(doc["ordered_by"]["source"], "api", "{doc}");
    assert_eq!(doc["masked"][0]["by"]["source"], "api", "{doc}");
    assert_eq!(
        live.refused(ACCOUNT, json!({"action": "mask"})),
        404,
        "the call is over"
    );
}

#[test]
fn what_the_api_masks_is_not_on_the_disk() {
    let receiver = Receiver::start();
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let flow = json!({"module": "record_call", "data": start, "children": {"_": ring()}});
    let node = Node::start(&Estate::with_flow(&flow));
    let speech =
        [b'a', b'b'].map(|who| Speech::tone(VOICES[usize::from(who - b'a')], 20.0).marked(who));
    let talk = Talk::begins(&node, 0, 3500, speech);
    let live = Live {
        node: &node,
        call_id: talk.call_id().replace('@', "%40"),
    };
    second();
    live.does(json!({"action": "mask"}));
    second();
    live.does(json!({"action": "unmask"}));
    let data = node.data().join("data");
    // Both voices were about a second old at the mask, and two at its end.
    let now = |who| {
        let found = disk::marks(&data, who, 400);
        (
            found.range(5..35).count(),
            found.range(55..90).count(),
            found,
        )
    };
    for who in [b'a', b'b'] {
        let (open, masked, _) = now(who);
        assert_eq!(
            (open, masked),
            (30, 0),
            "before and in the mask: {:?}",
            now(who).2
        );
        eventually("speech after the mask", || {
            (now(who).2.range(110..).count() > 5).then_some(())
        });
    }
    talk.ends();
    let file = listen(&receiver.accepted().body);
    for channel in [0, 1] {
        assert_eq!(
            spans(&file, channel).len(),
            2,
            "{:?}",
            spans(&file, channel)
        );
    }
}

/// An account whose parties start and stop a recording with `*2`.
fn with_feature_code(receiver: &Receiver) -> Estate {
    let estate = Estate::with_flow(&ring());
    let data = json!({"action": "toggle", "format": "wav", "url": receiver.url("/r")});
    let metaflows = json!({
        "binding_digit": "*", "listen_on": "both", "digit_timeout": 2000,
        "numbers": {"2": {"module": "record_call", "data": data}},
    });
    estate.write(
        "account.json",
        &json!({"id": ACCOUNT, "name": "Acme", "realm": REALM, "metaflows": metaflows}),
    );
    estate
}

/// `*2`, pressed that long after the first word.
fn pressing(speech: Speech, at_ms: u64) -> Speech {
    speech
        .with_key(STAR, at_ms, 100)
        .with_key(2, at_ms + 200, 100)
}

#[test]
fn either_party_starts_and_stops_a_recording_by_its_keys() {
    let receiver = Receiver::start();
    let node = Node::start(&with_feature_code(&receiver));
    let [caller, callee] = VOICES.map(|hz| Speech::tone(hz, 10.0));
    // The caller starts, the callee stops; then the other way round.
    let speech = [
        pressing(pressing(caller, 300), 3500),
        pressing(pressing(callee, 1500), 2500),
    ];
    Talk::begins(&node, 0, 4500, speech).ends();
    let files = two_files(&receiver).map(|arrival| listen(&arrival.body));
    about(
        "the caller's, ended by the callee",
        (0.0, files[0].seconds()),
        1.2,
    );
    about(
        "the callee's, ended by the caller",
        (0.0, files[1].seconds()),
        1.0,
    );
    for file in &files {
        assert!(!spans(file, 0).is_empty() && !spans(file, 1).is_empty());
    }
    for doc in node.recordings(2) {
        assert_eq!(doc["ordered_by"]["source"], "feature_code", "{doc}");
        assert_eq!(doc["ordered_by"]["step"], "*2", "{doc}");
    }
}
