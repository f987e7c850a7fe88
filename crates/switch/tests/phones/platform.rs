//! What other applications on the bus learn of our calls: routing messages and events with all of Kazoo's fields.

use callreel_proto::{CallId, Envelope, RouteReq};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, Controller, Phone, Scene, bridge_to};

/// Fields that are there, and no empty text.
fn has(event: &Value, keys: &[&str]) {
    for key in keys {
        let value = event.get(key).unwrap_or(&Value::Null);
        let filled = !value.is_null() && value != "" && *value != json!({});
        assert!(filled, "no {key} in {event:#}");
    }
}

/// What every event of a leg carries.
const COMMON: &[&str] = &[
    "App-Name",
    "App-Version",
    "Msg-ID",
    "Node",
    "Timestamp",
    "Call-ID",
    "Call-Direction",
    "Callee-ID-Number",
    "Caller-Destination-Number",
    "Caller-ID-Name",
    "Caller-ID-Number",
    "Channel-Answer-State",
    "Channel-Call-State",
    "Channel-Created-Time",
    "Channel-Is-Loopback",
    "Channel-Name",
    "Channel-State",
    "Custom-Channel-Vars",
    "From",
    "From-Uri",
    "Media-Server",
    "Presence-ID",
    "Request",
    "Switch-Hostname",
    "Switch-Nodename",
    "Switch-URI",
    "Switch-URL",
    "To",
    "To-Uri",
];

/// What it carries when there is another leg.
const OTHER_LEG: &[&str] = &[
    "Other-Leg-Call-ID",
    "Other-Leg-Caller-ID-Name",
    "Other-Leg-Caller-ID-Number",
    "Other-Leg-Destination-Number",
    "Other-Leg-Direction",
];

fn unix_us(event: &Value) -> u64 {
    let id = event["Msg-ID"].as_str().unwrap();
    assert!(id.bytes().all(|b| b.is_ascii_digit()), "{id}");
    id.parse().unwrap()
}

fn states(event: &Value) -> [&str; 3] {
    [
        "Channel-State",
        "Channel-Call-State",
        "Channel-Answer-State",
    ]
    .map(|key| event[key].as_str().unwrap())
}

#[tokio::test]
async fn a_route_req_says_all_that_kazoo_says() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let headers = "X-Order: 4711\nx-floor: 4\nUser-Agent: Test/1.0\nP-Foo: no\n";
    let call = phone.dial_with("2000", headers, &phone.sdp()).await;
    let asked = controller.take("route_req", None).await;
    has(
        &asked,
        &[
            "Switch-Hostname",
            "Switch-Nodename",
            "Switch-URI",
            "Switch-URL",
            "To-Tag",
        ],
    );
    assert_eq!(asked["Switch-Hostname"], "test");
    assert_eq!(asked["User-Agent"], "Test/1.0");
    assert_eq!(
        asked["Custom-SIP-Headers"],
        json!({"X-Order": "4711", "x-floor": "4"})
    );
    assert!(call.from.ends_with(asked["From-Tag"].as_str().unwrap()));
    let address = phone.address();
    assert_eq!(asked["From-Network-Addr"], address.ip().to_string());
    assert_eq!(asked["From-Network-Port"], address.port().to_string());
    let vars = &asked["Custom-Channel-Vars"];
    assert_eq!(vars["Fetch-ID"], asked["Msg-ID"]);
    let new = controller.event("CHANNEL_CREATE", &call.call_id).await;
    assert_eq!(new["Custom-SIP-Headers"], asked["Custom-SIP-Headers"]);
    let interaction = vars["Call-Interaction-ID"].as_str().unwrap();
    let (seconds, random) = interaction.split_once('-').unwrap();
    assert!(seconds.parse::<i64>().unwrap() > 63_000_000_000 && random.len() == 8);
}

#[tokio::test]
async fn a_win_tells_the_winner_and_earlier_controllers() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await.named("callflow");
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    let request = controller.asked().await;
    controller
        .respond(&request, |resp| {
            let vars = json!({"CallFlow-ID": "f1", "Retries": 3, "Caller-ID-Name": "Ylva"});
            resp.custom_channel_vars = vars.as_object().cloned().unwrap();
            resp.custom_application_vars = json!({"tenant": "n"}).as_object().cloned().unwrap();
        })
        .await;
    let win = controller.wins(&call.call_id).await;
    assert_eq!(win["Switch-Hostname"], "test");
    let vars = &win["Custom-Channel-Vars"];
    for (key, value) in [
        ("CallFlow-ID", "f1"),
        ("Retries", "3"),
        ("Application-Name", "callflow"),
        ("Application-Node", "callflow@n1"),
        ("Account-ID", ACCOUNT),
    ] {
        assert_eq!(vars[key], value, "{key}");
    }
    let usurped = controller.event("usurp_control", &call.call_id).await;
    assert_eq!(usurped["Event-Category"], "call_event");
    assert_eq!(usurped["Reason"], "Route-Win");
    assert_eq!(usurped["Fetch-ID"], request.headers.msg_id);
    assert_eq!(usurped["Media-Node"], "callreel@test");
    let new = controller.event("CHANNEL_CREATE", &call.call_id).await;
    assert_eq!(new.get("Control-Queue"), None);
    controller.command(&call.call_id, "noop", json!({})).await;
    let done = controller.completion(&call.call_id, "noop").await;
    assert_eq!(done["Custom-Application-Vars"], json!({"tenant": "n"}));
    assert_eq!(done["Caller-ID-Name"], "Ylva");
    assert_eq!(done["Control-Queue"], win["Control-Queue"]);
    assert_eq!(states(&done), ["EXECUTE", "DOWN", "ringing"]);
}

/// An answer to a `route_req` as JSON.
fn answer(request: &Envelope<RouteReq>, fields: Value) -> Vec<u8> {
    let mut message = json!({
        "App-Name": "other", "App-Version": "4.0.0", "Event-Category": "dialplan", "Event-Name": "route_resp",
        "Msg-ID": request.headers.msg_id, "Server-ID": "nowhere",
    });
    let fields = fields.as_object().unwrap().clone();
    message.as_object_mut().unwrap().extend(fields);
    message.to_string().into_bytes()
}

#[tokio::test]
async fn the_first_answer_that_can_be_acted_on_wins() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    let request = controller.asked().await;
    for useless in [
        answer(
            &request,
            json!({"Method": "bridge", "Routes": [{"Route": "sip:x@y"}]}),
        ),
        answer(&request, json!({"Method": "park", "Server-ID": ""})),
        answer(
            &request,
            json!({"Method": "park", "Defer-Response": "true"}),
        ),
        answer(&request, json!({"Method": 7})),
        answer(&request, json!({})),
        b"\xff{".to_vec(),
    ] {
        controller.answer(&request, &useless).await;
    }
    controller.respond(&request, |_| {}).await;
    controller.wins(&call.call_id).await;
    let mishaps = scene.switch.picture().await.mishaps;
    for kind in [
        "unsupported route method",
        "park without Server-ID",
        "not JSON",
    ] {
        assert_eq!(mishaps.get(kind), Some(&1), "{kind}: {mishaps:?}");
    }
    assert_eq!(mishaps.get("malformed route_resp"), Some(&2), "{mishaps:?}");
}

#[tokio::test]
async fn a_deferred_answer_counts_when_no_other_comes() {
    let scene = Scene::with(|config| config.route_timeout_ms = 300).await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    let request = controller.asked().await;
    let deferred = json!({"Method": "error", "Route-Error-Code": 604, "Route-Error-Message": "Nowhere", "Defer-Response": true});
    controller
        .answer(&request, &answer(&request, deferred))
        .await;
    let refused = phone.final_response().await;
    assert_eq!(refused.start, "SIP/2.0 604 Nowhere");
    phone.ack(&call, &refused, "").await;
}

/// A recorded talk with all its events.
async fn talk(
    scene: &Scene,
    controller: &mut Controller,
) -> (CallId, CallId, Vec<Value>, Vec<Value>) {
    let bob = scene.registered("bob").await;
    let alice: Phone = scene.phone("alice").await;
    let call = alice.dial("2000").await;
    controller.claims().await;
    let a = call.call_id.clone();
    let mut of_a = vec![controller.event("CHANNEL_CREATE", &a).await];
    let set = json!({"Custom-Channel-Vars": {}, "Custom-Call-Vars": {"Ticket": "S-1"}});
    controller.command(&a, "set", set).await;
    controller.command(&a, "bridge", bridge_to("bob")).await;
    let invite = bob.request("INVITE").await;
    let b = CallId::new(invite.header("Call-ID"));
    bob.reply(&invite, "200 OK", "Server: Desk/2.0\n", &bob.sdp())
        .await;
    bob.request("ACK").await;
    let answer = alice.final_response().await;
    let mut call = alice.ack(&call, &answer, "").await;
    for name in ["CHANNEL_ANSWER", "CHANNEL_BRIDGE"] {
        of_a.push(controller.event(name, &a).await);
    }
    alice.within(&mut call, "BYE", "", "").await;
    let bye = bob.request("BYE").await;
    bob.reply(&bye, "200 OK", "", "").await;
    let mut of_b = Vec::new();
    for name in [
        "CHANNEL_CREATE",
        "CHANNEL_ANSWER",
        "CHANNEL_BRIDGE",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_DESTROY",
    ] {
        of_b.push(controller.event(name, &b).await);
    }
    for name in ["CHANNEL_UNBRIDGE", "CHANNEL_DESTROY"] {
        of_a.push(controller.event(name, &a).await);
    }
    (a, b, of_a, of_b)
}

#[tokio::test]
async fn others_can_follow_a_call_by_its_events() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (a, b, of_a, of_b) = talk(&scene, &mut controller).await;
    for event in of_a.iter().chain(&of_b) {
        has(event, COMMON);
        assert_eq!(event["App-Name"], "callreel");
        assert_eq!(event["Channel-Is-Loopback"], false);
        let seconds = event["Timestamp"].as_u64().unwrap() - 62_167_219_200;
        assert_eq!(unix_us(event) / 1_000_000, seconds);
        assert!(event["Channel-Created-Time"].as_u64().unwrap() <= unix_us(event));
        let vars = event["Custom-Channel-Vars"].as_object().unwrap();
        assert!(vars.values().all(Value::is_string), "{vars:?}");
        for key in ["Account-ID", "Call-Interaction-ID", "Fetch-ID", "Bridge-ID"] {
            assert_eq!(vars[key], of_a[0]["Custom-Channel-Vars"][key], "{key}");
        }
        assert_eq!(vars["Bridge-ID"], a.as_str());
    }
    for events in [&of_a, &of_b] {
        assert!(events.is_sorted_by(|one, next| unix_us(one) < unix_us(next)));
        for joined in &events[1..] {
            has(joined, &["From-Tag", "To-Tag"]);
        }
    }
    for event in &of_b {
        has(event, OTHER_LEG);
        assert_eq!(event["Other-Leg-Destination-Number"], "2000");
        let vars = &event["Custom-Channel-Vars"];
        assert_eq!(vars["Authorizing-ID"], "device-bob");
        assert_eq!(vars["Authorizing-Type"], "device");
        assert_eq!(vars["Owner-ID"], "user-bob");
        assert_eq!(vars["Username"], "bob");
        assert_eq!(vars["Ticket"], "S-1");
    }
    let bridged = of_a
        .iter()
        .find(|e| e["Event-Name"] == "CHANNEL_BRIDGE")
        .unwrap();
    has(bridged, OTHER_LEG);
    assert_eq!(bridged["Other-Leg-Call-ID"], b.as_str());
    assert_eq!(bridged["Other-Leg-Destination-Number"], "bob");
    assert_eq!(bridged["Bridge-B-Unique-ID"], b.as_str());
    assert_eq!(of_b[2]["Bridge-B-Unique-ID"], b.as_str());
    let all: Vec<_> = of_a.iter().map(states).collect();
    assert_eq!(
        all,
        [
            ["ROUTING", "DOWN", "ringing"],
            ["EXECUTE", "ACTIVE", "answered"],
            ["EXECUTE", "ACTIVE", "answered"],
            ["EXECUTE", "ACTIVE", "answered"],
            ["REPORTING", "HANGUP", "hangup"],
        ]
    );
    assert_eq!(states(&of_b[0]), ["CONSUME_MEDIA", "DOWN", "ringing"]);
    assert_eq!(states(&of_b[2]), ["EXCHANGE_MEDIA", "ACTIVE", "answered"]);
}

#[tokio::test]
async fn the_last_event_sums_a_leg_up() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_, _, of_a, of_b) = talk(&scene, &mut controller).await;
    for (event, disposition) in [(&of_a[4], "SUCCESS"), (&of_b[4], "ANSWER")] {
        assert_eq!(event["Event-Name"], "CHANNEL_DESTROY");
        assert_eq!(event["Hangup-Cause"], "NORMAL_CLEARING");
        assert_eq!(event["Hangup-Code"], "sip:200");
        assert_eq!(event["Disposition"], disposition);
        for key in ["Duration-Seconds", "Billing-Seconds", "Ringing-Seconds"] {
            assert!(event[key].is_u64(), "{key} in {event:#}");
        }
        for key in ["Remote-SDP", "Local-SDP"] {
            assert!(event[key].as_str().unwrap().starts_with("v=0"), "{key}");
        }
        assert!(event["Local-SDP"].as_str().unwrap().contains("callreel"));
        assert!(event["Remote-SDP"].as_str().unwrap().contains("phone"));
    }
    assert_eq!(of_b[4]["User-Agent"], "Desk/2.0");
    for event in [&of_a[3], &of_b[3]] {
        assert_eq!(event["Event-Name"], "CHANNEL_UNBRIDGE");
        assert_eq!(event["Disposition"], "SUCCESS");
        has(event, &["Bridge-B-Unique-ID", "Hangup-Cause"]);
    }
}

#[tokio::test]
async fn an_invite_whose_call_id_fits_no_message_is_refused() {
    let scene = Scene::new().await;
    let _controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let long = "x".repeat(226);
    phone.dial_as(&long, "2000").await;
    assert_eq!(phone.final_response().await.status(), 400);
    phone.dial_as(&long[1..], "2000").await;
    assert_eq!(scene.controller().await.names(), Vec::<String>::new());
}
