//! The keys of `record_call` on real calls: when it begins and ends, what is in the file, where it goes and with what.

use serde_json::{Value, json};

use crate::support::{
    audio::listen,
    estate::{ACCOUNT, CALLEE_USER, CALLER, CALLER_USER, Estate, MAILBOX, NUMBER, sample},
    eventually,
    node::Node,
    phone::{Phone, Talk},
    receiver::{Arrival, Receiver},
    sipp::Caller,
    voice::Speech,
};

const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n";
/// The caller's voice, and the callee's.
const VOICES: [f32; 2] = [1000.0, 440.0];

fn step(module: &str, data: Value, then: Value) -> Value {
    json!({"module": module, "data": data, "children": {"_": then}})
}

/// A start of a recording that goes to this folder, with these keys.
fn record(receiver: &Receiver, folder: &str, keys: Value, then: Value) -> Value {
    let mut data = json!({"action": "start", "format": "wav", "url": receiver.url(folder)});
    let keys = keys.as_object().unwrap().clone();
    data.as_object_mut().unwrap().extend(keys);
    step("record_call", data, then)
}

fn sleep(seconds: u32, then: Value) -> Value {
    step("sleep", json!({ "duration": seconds }), then)
}

fn ring() -> Value {
    json!({"module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}})
}

fn end() -> Value {
    json!({"module": "hangup", "data": {}, "children": {}})
}

/// The arrivals that went to a folder.
fn to<'a>(arrivals: &'a [Arrival], folder: &str) -> Vec<&'a Arrival> {
    let folder = format!("{folder}/");
    arrivals
        .iter()
        .filter(|a| a.path.starts_with(&folder))
        .collect()
}

/// How long the one file is that went to a folder, seconds.
#[track_caller]
fn length(arrivals: &[Arrival], folder: &str) -> f64 {
    let [arrival] = to(arrivals, folder)[..] else {
        panic!(
            "{folder}: {:?}",
            arrivals.iter().map(|a| &a.path).collect::<Vec<_>>()
        );
    };
    listen(&arrival.body).seconds()
}

/// A caller alone speaks until the node hangs up.
fn a_caller_alone(node: &Node) -> String {
    let (_caller, calling) = Phone::calls(node, Speech::tone(VOICES[0], 10.0));
    let call_id = calling.call_id().to_owned();
    calling.completed();
    call_id.replace('@', "%40")
}

#[test]
fn recordings_begin_with_the_answer_the_bridge_or_at_once_if_that_is_past() {
    let receiver = Receiver::start();
    let (answer, bridge) = (
        json!({"record_on_answer": true}),
        json!({"record_on_bridge": true}),
    );
    let past = record(&receiver, "/past", answer.clone(), sleep(1, ring()));
    let answered = step("answer", json!({}), past);
    let waits = sleep(1, answered);
    let flow = record(
        &receiver,
        "/answer",
        answer,
        record(
            &receiver,
            "/bridge",
            bridge,
            record(&receiver, "/now", json!({}), waits),
        ),
    );
    let node = Node::start(&Estate::with_flow(&flow));
    // A second passes after the answer, half a second of ringing, and a second of talk.
    Talk::begins(&node, 500, 2500, VOICES.map(|hz| Speech::tone(hz, 10.0))).ends();
    let files = receiver.accepted_all(4);
    let [now, answer, past, bridge] =
        ["/now", "/answer", "/past", "/bridge"].map(|folder| length(&files, folder));
    assert!((0.8..1.2).contains(&bridge), "{bridge} s");
    for after_answer in [answer, past] {
        let before = after_answer - bridge;
        assert!(
            (1.4..1.9).contains(&before),
            "{after_answer} s and {bridge} s"
        );
    }
    assert!(
        (0.9..1.2).contains(&(now - answer)),
        "{now} s and {answer} s"
    );
}

#[test]
fn a_limit_is_at_least_five_seconds_and_what_is_too_short_is_not_delivered() {
    let receiver = Receiver::start();
    let short = record(
        &receiver,
        "/short",
        json!({"record_min_sec": 20}),
        sleep(6, end()),
    );
    let limit = record(&receiver, "/limit", json!({"time_limit": 1}), short);
    let node = Node::start(&Estate::with_flow(&step("answer", json!({}), limit)));
    a_caller_alone(&node);
    let limited = length(&[receiver.accepted()], "/limit");
    assert!((limited - 5.0).abs() < 0.1, "{limited} s");
    eventually("both to be settled", || {
        node.tickets().is_empty().then_some(())
    });
    assert_eq!(
        receiver.arrivals().len(),
        1,
        "the short one is not delivered"
    );
    assert_eq!(node.recordings(1).len(), 1, "and has no document");
    let log = node.log();
    assert!(
        log.contains("shorter than the minimum of 20000 ms"),
        "but the log tells of it"
    );
    assert!(log.contains("/data/time_limit"), "and of the limit");
}

#[test]
fn channels_are_mixed_or_kept_in_files_of_their_own() {
    let receiver = Receiver::start();
    let mono = record(&receiver, "/mono", json!({"channels": "mono"}), ring());
    let separate = record(
        &receiver,
        "/separate",
        json!({"channels": "separate"}),
        mono,
    );
    let flow = record(
        &receiver,
        "/stereo",
        json!({"channels": "stereo"}),
        separate,
    );
    let node = Node::start(&Estate::with_flow(&flow));
    let talk = Talk::begins(&node, 0, 1500, VOICES.map(|hz| Speech::tone(hz, 10.0)));
    let call_id = talk.call_id().replace('@', "%40");
    talk.ends();
    let files = receiver.accepted_all(4);
    // Which voices are heard in each channel of each file.
    let voices = |path: &str| {
        let arrival = files.iter().find(|a| a.path == path);
        let arrival = arrival.unwrap_or_else(|| {
            panic!(
                "no {path}: {:?}",
                files.iter().map(|a| &a.path).collect::<Vec<_>>()
            )
        });
        let heard = listen(&arrival.body);
        let sounds = |channel| VOICES.map(|hz| heard.loudest_tone(channel, hz) > 0.05);
        (0..heard.channels.len()).map(sounds).collect::<Vec<_>>()
    };
    let name = |folder: &str, rest: &str| format!("{folder}/call_recording_{call_id}{rest}.wav");
    assert_eq!(voices(&name("/stereo", "")), [[true, false], [false, true]]);
    assert_eq!(voices(&name("/separate", "_2")), [[true, false]]);
    assert_eq!(voices(&name("/separate", "_2_b")), [[false, true]]);
    assert_eq!(voices(&name("/mono", "_3")), [[true, true]]);
}

#[test]
fn a_named_stop_ends_the_recording_of_that_name() {
    let receiver = Receiver::start();
    let stop =
        |name: &str, then| step("record_call", json!({"action": "stop", "name": name}), then);
    let stopped = stop("nobody", stop("first", sleep(1, end())));
    let newer = record(
        &receiver,
        "/newer",
        json!({"name": "second"}),
        sleep(1, stopped),
    );
    let flow = record(&receiver, "/named", json!({"name": "first"}), newer);
    let node = Node::start(&Estate::with_flow(&step("answer", json!({}), flow)));
    a_caller_alone(&node);
    let files = receiver.accepted_all(2);
    let (named, newer) = (length(&files, "/named"), length(&files, "/newer"));
    assert!((named - 1.0).abs() < 0.1, "{named} s");
    assert!((newer - 2.0).abs() < 0.1, "{newer} s");
}

#[test]
fn a_recording_that_cannot_be_made_takes_the_branch_for_that() {
    let respond = |code: u32| json!({"module": "response", "data": {"code": code}, "children": {}});
    let branch = |mut start: Value| {
        start["children"] = json!({"_": respond(486), "record_failed": respond(480)});
        start
    };
    // Nowhere to go, and somewhere.
    let nowhere = branch(
        json!({"module": "record_call", "data": {"action": "start", "on_failure": "branch"}}),
    );
    let receiver = Receiver::start();
    let good = branch(record(
        &receiver,
        "/r",
        json!({"on_failure": "branch"}),
        end(),
    ));
    for (flow, code) in [(nowhere, 480), (good, 486)] {
        let node = Node::start(&Estate::with_flow(&flow));
        let caller = Phone::registered(CALLER, &node);
        let scenario = Caller::dials(NUMBER).refused(NUMBER, code).scenario();
        caller.runs("call", &scenario).completed();
    }
}

#[test]
fn headers_arrive_and_are_told_to_nobody_else() {
    let receiver = Receiver::answering(&[500]);
    let (token, secret) = ("X-Receiver-Token", "hush-hush-42");
    let keys =
        json!({"headers": {(token): secret, "Content-Length": "3", "Host": "elsewhere.test"}});
    let flow = record(&receiver, "/r", keys, sleep(1, end()));
    let node = Node::with_settings(
        &Estate::with_flow(&step("answer", json!({}), flow)),
        SETTINGS,
    );
    a_caller_alone(&node);
    let deliveries = eventually("a delivery that failed once", || {
        let listed = node.fetch("/deliveries", "application/json").1;
        let listed = String::from_utf8(listed).unwrap();
        listed.contains("500").then_some(listed)
    });
    let arrival = receiver.accepted();
    for tried in receiver.arrivals() {
        assert_eq!(tried.headers[token], secret);
        assert_eq!(
            tried.headers["content-length"],
            tried.body.len().to_string()
        );
        assert_eq!(tried.headers["host"], receiver.address().to_string());
    }
    assert!((listen(&arrival.body).seconds() - 1.0).abs() < 0.1);
    let doc = node.recordings(1).remove(0).to_string();
    for (place, told) in [
        ("deliveries", deliveries),
        ("the document", doc),
        ("the log", node.log()),
    ] {
        assert!(!told.contains(secret), "{place} tells the secret");
    }
}

#[test]
fn placeholders_of_the_missions_url_are_filled_in_and_others_left_alone() {
    let receiver = Receiver::start();
    let text = sample("3-per-user").replace("http://my.recording.server", &receiver.url(""));
    let mut flow: Value = serde_json::from_str(&text).unwrap();
    let url = flow["data"]["url"].as_str().unwrap().to_owned();
    assert!(
        url.ends_with("/{ACCOUNT_ID}/{USER_ID}"),
        "the sample's own: {url}"
    );
    flow["data"]["url"] = json!(format!("{url}/{{COLOUR}}"));
    flow["children"]["_"] = sleep(1, end());
    let node = Node::start(&Estate::with_flow(&step("answer", json!({}), flow)));
    let call_id = a_caller_alone(&node);
    let arrival = receiver.accepted();
    let path = format!("/{ACCOUNT}/{CALLER_USER}/%7BCOLOUR%7D/call_recording_{call_id}.mp3");
    assert_eq!(arrival.path, path);
    assert!(!arrival.path.contains(MAILBOX));
}

#[test]
fn the_metadata_query_is_kazoos() {
    let receiver = Receiver::start();
    let flow = record(&receiver, "/r", json!({}), sleep(1, end()));
    let settings = format!("{SETTINGS}[recording]\nmetadata_query = \"kazoo-4.3\"\n");
    let node = Node::with_settings(
        &Estate::with_flow(&step("answer", json!({}), flow)),
        &settings,
    );
    let call_id = a_caller_alone(&node);
    let arrival = receiver.accepted();
    let doc = node.recordings(1).remove(0);
    let text = |key: &str| {
        doc[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key}: {doc}"))
    };
    let number = |key: &str| {
        doc[key]
            .as_u64()
            .unwrap_or_else(|| panic!("no {key}: {doc}"))
    };
    let expected = format!(
        "/r/call_recording_{call_id}.wav?from=alice%40acme.test&to={NUMBER}%40acme.test&caller_id_name=Alice&caller_id_number=alice&call_id={call_id}&cdr_id={}-{call_id}&interaction_id={}&owner_id={CALLER_USER}&account_id={ACCOUNT}&start={}&duration_ms={}&recording_id={}",
        &text("id")[..6],
        text("interaction_id"),
        number("start"),
        number("duration_ms"),
        text("id"),
    );
    assert_eq!(arrival.path, expected);
}
