//! Commands of other applications: everything Kazoo's senders write, recordings they order, and what no sender should.

use callreel_proto::Exchange;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, Call, Controller, Phone, Scene};

async fn claimed(scene: &Scene, controller: &mut Controller) -> (Phone, Call) {
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    (phone, call)
}

async fn answered(scene: &Scene, controller: &mut Controller) -> (Phone, Call) {
    let (phone, call) = claimed(scene, controller).await;
    controller.command(&call.call_id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    let call = phone.ack(&call, &answer, "").await;
    controller.completion(&call.call_id, "answer").await;
    (phone, call)
}

#[tokio::test]
async fn commands_of_kazoos_senders_are_carried_out_in_turn() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (phone, call) = answered(&scene, &mut controller).await;
    let id = &call.call_id;
    let media = json!({"Media-Name": "tone_stream://%(60,0,440)", "Loop-Count": 2});
    controller.command(id, "play", media).await;
    controller.command(id, "sleep", json!({"Time": "30"})).await;
    controller.command(id, "sleep", json!({})).await;
    controller
        .command(id, "send_dtmf", json!({"DTMFs": "20#", "Duration": "100"}))
        .await;
    controller
        .command(id, "hold", json!({"Insert-At": "tail"}))
        .await;
    controller
        .command(id, "noop", json!({"Msg-ID": "last"}))
        .await;
    phone.hear().await;
    let played = controller.completion(id, "play").await;
    assert_eq!(played["Raw-Application-Name"], "playback");
    assert_eq!(played["Raw-Application-Data"], "tone_stream://%(60,0,440)");
    controller.completion(id, "sleep").await;
    controller.completion(id, "sleep").await;
    controller.completion(id, "send_dtmf").await;
    let pressed = async { while phone.hear().await.0 != 101 {} };
    pressed.await;
    controller
        .command(id, "playstop", json!({"Insert-At": "now"}))
        .await;
    let held = controller.completion(id, "hold").await;
    assert_eq!(held["Raw-Application-Name"], "endless_playback");
    assert_eq!(
        controller.completion(id, "noop").await["Application-Response"],
        "last"
    );
}

#[tokio::test]
async fn progress_lets_an_unanswered_caller_hear_and_a_park_has_its_time() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (phone, call) = claimed(&scene, &mut controller).await;
    let id = &call.call_id;
    controller.command(id, "progress", json!({})).await;
    assert_eq!(phone.response().await.status(), 183);
    let done = controller.completion(id, "progress").await;
    assert_eq!(done["Channel-Call-State"], "EARLY");
    let park = |timeout: u64| json!({"Timeout": timeout, "Hangup-Cause": "USER_BUSY"});
    controller.command(id, "park", park(1)).await;
    controller.command(id, "noop", json!({})).await;
    controller.completion(id, "noop").await;
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    controller.command(id, "noop", json!({})).await;
    controller.completion(id, "noop").await;
    controller.command(id, "park", park(1)).await;
    let refused = phone.final_response().await;
    assert_eq!(refused.status(), 486);
    phone.ack(&call, &refused, "").await;
}

#[tokio::test]
async fn a_key_ends_the_whole_group_of_a_menu() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (phone, mut call) = answered(&scene, &mut controller).await;
    let id = call.call_id.clone();
    let menu = |name: &str| json!({"Application-Name": "play", "Media-Name": name, "Group-ID": "menu", "Terminators": ["1"]});
    let endless = "tone_stream://%(100,0,440);loops=-1";
    let commands =
        json!([{"Application-Name": "noop", "Msg-ID": "after"}, menu(endless), menu(endless)]);
    controller
        .command(&id, "queue", json!({"Commands": commands}))
        .await;
    phone.hear().await;
    let info = "Content-Type: application/dtmf-relay\n";
    phone.within(&mut call, "INFO", info, "Signal=1\r\n").await;
    assert_eq!(phone.final_response().await.status(), 200);
    assert_eq!(controller.completion(&id, "play").await["DTMF-Digit"], "1");
    assert_eq!(
        controller.completion(&id, "noop").await["Application-Response"],
        "after"
    );
}

#[tokio::test]
async fn variables_are_set_shown_and_removed() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_phone, call) = claimed(&scene, &mut controller).await;
    let id = &call.call_id;
    let first = json!({"Insert-At": "now", "Custom-Channel-Vars": {"Tries": 2, "Vip": true}, "Custom-Call-Vars": {},
        "Custom-Application-Vars": {"ticket": "S-1"}});
    controller.command(id, "set", first).await;
    let second =
        json!({"Insert-At": "now", "Custom-Channel-Vars": {"Vip": ""}, "Custom-Call-Vars": null});
    controller.command(id, "set", second).await;
    controller.command(id, "noop", json!({})).await;
    let done = controller.completion(id, "noop").await;
    assert_eq!(done["Custom-Channel-Vars"]["Tries"], "2");
    assert_eq!(done["Custom-Channel-Vars"].get("Vip"), None);
    assert_eq!(done["Custom-Application-Vars"], json!({"ticket": "S-1"}));
}

#[tokio::test]
async fn what_the_switch_does_not_have_is_an_error_with_the_whole_command() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_phone, call) = answered(&scene, &mut controller).await;
    let id = &call.call_id;
    for (application, fields, message) in [
        (
            "conference",
            json!({"Conference-ID": "c"}),
            "application unknown",
        ),
        (
            "play",
            json!({"Insert-At": "tail"}),
            "Could not execute dialplan action: play",
        ),
        (
            "say",
            json!({"Say-Text": "much", "Type": "currency"}),
            "is no amount of money",
        ),
        ("send_dtmf", json!({"DTMFs": "x"}), "not a telephone key"),
        ("queue", json!({"Commands": "none"}), "Commands is no list"),
    ] {
        controller.command(id, application, fields.clone()).await;
        let error = controller.event("dialplan", id).await;
        assert_eq!(error["Event-Category"], "error");
        assert_eq!(error["Msg-ID"], format!("{application}-1"));
        assert_eq!(error["Application-Name"], application);
        assert_eq!(error["Request"]["Application-Name"], application);
        assert_eq!(error["Request"]["Call-ID"], id.as_str());
        let said = error["Error-Message"].as_str().unwrap();
        assert!(said.contains(message), "{said}");
        assert_eq!(error["Dialplan-Error"], error["Error-Message"]);
        assert_eq!(error["Channel-State"], "EXECUTE");
        for (key, value) in fields.as_object().unwrap() {
            assert_eq!(error["Request"][key], *value);
        }
    }
    controller
        .command(
            &callreel_proto::CallId::new("gone"),
            "play",
            json!({"Media-Name": "/x/y"}),
        )
        .await;
    let gone = callreel_proto::CallId::new("gone");
    let error = controller.event("dialplan", &gone).await;
    assert_eq!(error["Error-Message"], "Session ID not found for play");
    assert_eq!(error["Channel-Call-State"], "DOWN");
}

fn start(fields: Value) -> Value {
    let mut start = json!({"Record-Action": "start", "Insert-At": "now", "Media-Name": "x.wav", "Media-Recorder": "compliance",
        "Media-Recording-ID": "case-1", "Time-Limit": 600, "Unheard-Of": [1]});
    start
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    start
}

#[tokio::test]
async fn a_recording_others_order_is_handed_to_the_calls_controller() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let mut bystander = scene.controller().await;
    let (_phone, call) = answered(&scene, &mut controller).await;
    let id = &call.call_id;
    for action in ["start", "mask", "unmask", "stop"] {
        let order =
            start(json!({"Record-Action": action, "Msg-ID": action, "Server-ID": "compliance-q"}));
        controller.command(id, "record_call", order.clone()).await;
        let request = controller.take("command", Some(id.as_str())).await;
        for (key, value) in order.as_object().unwrap() {
            assert_eq!(request[key], *value, "{key}");
        }
        assert_eq!(request["App-Name"], "test");
        assert!(request["Control-Queue"].is_string());
        assert_eq!(request["Call"]["Request"], "2000@acme.test");
        assert_eq!(
            request["Call"]["Custom-Channel-Vars"]["Account-ID"],
            ACCOUNT
        );
        assert_eq!(request["Call"]["Media-Fork"], true);
    }
    assert!(!controller.names().iter().any(|n| n.contains("dialplan")));
    controller
        .command(id, "noop", json!({"Msg-ID": "last"}))
        .await;
    let last = |done: &Value| done["Application-Response"] == "last";
    while !last(&bystander.event("CHANNEL_EXECUTE_COMPLETE", id).await) {}
    let others = bystander.names();
    assert!(
        !others.iter().any(|n| n.starts_with("command")),
        "{others:?}"
    );
}

#[tokio::test]
async fn a_recording_of_a_call_that_no_recorder_controls_goes_to_all_of_them() {
    let scene = Scene::new().await;
    let mut recorders = scene.controller().await;
    let mut controller = scene.controller().await.named("acdc");
    let (_phone, call) = answered(&scene, &mut controller).await;
    let id = &call.call_id;
    controller
        .command(id, "record_call", start(json!({})))
        .await;
    let request = recorders.take("command", Some(id.as_str())).await;
    assert_eq!(request["Media-Recording-ID"], "case-1");
    assert_eq!(request["Call"]["Call-ID"], id.as_str());
    // Without Kazoo's headers nobody could read it.
    let unsigned = start(json!({"App-Version": null}));
    controller.command(id, "record_call", unsigned).await;
    let error = controller.event("dialplan", id).await;
    let said = error["Error-Message"].as_str().unwrap();
    assert!(said.contains("call/command"), "{said}");
}

#[tokio::test]
async fn a_recording_before_anybody_controls_the_call_is_an_error() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_phone, _call) = claimed(&scene, &mut controller).await;
    let other = scene.phone("bob").await;
    let unrouted = other.dial("2000").await;
    controller.asked().await;
    controller
        .command(&unrouted.call_id, "record_call", start(json!({})))
        .await;
    let error = controller.event("dialplan", &unrouted.call_id).await;
    assert_eq!(error["Error-Message"], "nobody controls this call yet");
    assert_eq!(error["Request"]["Media-Name"], "x.wav");
}

#[tokio::test]
async fn a_recorders_order_is_carried_out_under_the_name_of_whoever_wanted_it() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_phone, call) = answered(&scene, &mut controller).await;
    let id = &call.call_id;
    let fork = json!({"A": "127.0.0.1:40000", "B": "127.0.0.1:40002"});
    let order = json!({"Media-Fork": fork, "Media-Recording-Origin": "inbound from Kazoo",
        "Media-Recording-Endpoint-ID": "e1", "Recording-Variables": {"Case": "88121", "Name": "other"}});
    controller.command(id, "record_call", start(order)).await;
    let started = controller.event("RECORD_START", id).await;
    let stop = json!({"Record-Action": "stop", "Insert-At": "now", "Media-Name": "x.wav", "Media-Fork": fork});
    controller.command(id, "record_call", stop).await;
    let stopped = controller.event("RECORD_STOP", id).await;
    for event in [&started, &stopped] {
        assert_eq!(event["Application-Name"], "record");
        assert_eq!(event["Application-Response"], "x.wav");
        let recording = &event["Recording"];
        for (key, value) in [
            ("ID", "case-1"),
            ("Name", "x.wav"),
            ("Recorder", "compliance"),
            ("Origin", "inbound from Kazoo"),
            ("Endpoint-ID", "e1"),
            ("Case", "88121"),
        ] {
            assert_eq!(recording[key], value, "{key}");
        }
        let vars = &event["Custom-Channel-Vars"];
        for (key, value) in [
            ("Media-Name", "x.wav"),
            ("Media-Recorder", "compliance"),
            ("Media-Recording-ID", "case-1"),
            ("Media-Recording-Origin", "inbound from Kazoo"),
            ("Media-Recording-Endpoint-ID", "e1"),
        ] {
            assert_eq!(vars[key], value, "{key}");
        }
    }
    assert!(stopped["Length"].is_u64());
    assert_eq!(stopped["Recording"]["Completion-Cause"], "stopped");
    controller
        .command(id, "hangup", json!({"Insert-At": "now"}))
        .await;
    let end = controller.event("CHANNEL_DESTROY", id).await;
    assert_eq!(end["Media-Recordings"], json!(["x.wav"]));
    assert!(
        !controller.names().iter().any(|n| n.starts_with("command")),
        "nothing was handed on"
    );
}

#[tokio::test]
async fn hostile_messages_are_counted_and_the_call_goes_on() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_phone, call) = claimed(&scene, &mut controller).await;
    let deep = "[".repeat(100_000);
    let many: Vec<_> = (0..300)
        .map(|_| json!({"Application-Name": "noop"}))
        .collect();
    let of_call = |fields: Value| {
        let mut message =
            json!({"Event-Category": "call", "Event-Name": "command", "Call-ID": call.call_id});
        message
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        message.to_string()
    };
    for body in [
        "\u{fffd} no json".to_owned(),
        deep,
        "[]".to_owned(),
        "{}".to_owned(),
        of_call(json!({"Event-Category": "call_event"})),
        of_call(json!({"Call-ID": 7})),
        of_call(json!({"Call-ID": "y".repeat(2_000)})),
        of_call(json!({"Application-Name": "z".repeat(1_000)})),
        of_call(json!({"Application-Name": {"a": "b"}})),
        of_call(json!({"Application-Name": "queue", "Commands": many})),
        of_call(
            json!({"Application-Name": "queue", "Commands": [{"Application-Name": "queue", "Commands": []}, 7, null]}),
        ),
        of_call(json!({"Application-Name": "play", "Media-Name": "a".repeat(300_000)})),
        of_call(
            json!({"Application-Name": "respond", "Response-Code": {"a": []}, "Response-Message": 7}),
        ),
        of_call(
            json!({"Application-Name": "bridge", "Insert-At": "now", "Timeout": u64::MAX, "Endpoints": [
                {"Invite-Format": "route", "Route": "sip:nobody@127.0.0.1:9", "Endpoint-Delay": u64::MAX, "Endpoint-Timeout": u64::MAX}
            ]}),
        ),
    ] {
        for exchange in [Exchange::Callctl, Exchange::Targeted] {
            controller.throw(exchange, body.clone()).await;
        }
    }
    controller
        .command(&call.call_id, "noop", json!({"Msg-ID": "alive"}))
        .await;
    let done = controller.completion(&call.call_id, "noop").await;
    assert_eq!(done["Application-Response"], "alive");
    let mishaps = scene.switch.picture().await.mishaps;
    for (kind, count) in [
        ("not JSON", 6),
        ("neither command nor answer", 4),
        ("command without call", 4),
        ("unknown application", 2),
        ("too many commands wait", 2),
        ("larger than any command", 2),
    ] {
        assert_eq!(mishaps.get(kind), Some(&count), "{kind}: {mishaps:?}");
    }
}
