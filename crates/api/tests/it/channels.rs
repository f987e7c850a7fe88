//! Which live calls an account has, as the switches tell it.

use std::time::Duration;

use callreel_api::Nodes;
use callreel_bus::{Binding, Bus, QueueOptions};
use callreel_proto::{
    AccountDb, CallId, Envelope, Exchange, FlowPosition, LiveCall, LiveRecording, LiveReq,
    LiveResp, LiveState, RecordingId, RecordingSource, Utc,
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    nodes::{beat, until},
    switches::{CALL, OTHER_LEG, Switch, call, other_leg},
    world::{ACCOUNT, World, account},
};

const STRANGER: &str = "beef0123456789abcdef0123456789ab";

fn path(rest: &str) -> String {
    format!("/v2/accounts/{ACCOUNT}/{rest}")
}

fn uuids(answer: &crate::world::Answer) -> Vec<String> {
    let body = answer.json();
    let all = body["data"].as_array().expect("a listing").iter();
    all.map(|channel| channel["uuid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_channels_of_an_account_are_told_in_crossbars_words() {
    let world = World::new().await;
    // ecallmgr's lists have Crossbar's own names.
    let foreign = json!({
        "account_id": ACCOUNT, "answered": "false", "direction": "inbound", "uuid": "fs-1", "other_leg": "",
        "owner_id": "u2", "timestamp": "63961833500", "username": "desk-9", "node": "freeswitch@m",
    });
    let of_another = json!({"Account-ID": STRANGER, "Call-ID": "not-ours"});
    let channels = vec![other_leg(), call(), of_another];
    let _one = Switch::start(&world.bus, "callreel@one", channels).await;
    // Two controllers of one switch tell of the same channel.
    let _two = Switch::start(&world.bus, "ecallmgr@a", vec![foreign.clone()]).await;
    let _three = Switch::start(&world.bus, "ecallmgr@b", vec![foreign]).await;
    tokio::time::pause();
    let answer = world.get(&path("channels")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(uuids(&answer), ["fs-1", CALL, OTHER_LEG], "oldest first");
    let body = answer.json();
    assert_eq!(body["page_size"], 3);
    assert_eq!(
        body["data"][0],
        json!({
            "answered": false, "direction": "inbound", "owner_id": "u2", "timestamp": "63961833500",
            "timestamp_unix": 1_794_614_300, "username": "desk-9", "uuid": "fs-1",
        })
    );
    assert_eq!(
        body["data"][1],
        json!({
            "answered": true, "authorizing_id": "d1", "authorizing_type": "device", "caller_id_name": "Ylva Ek",
            "destination": "230", "direction": "inbound", "elapsed_s": 7, "other_leg": OTHER_LEG, "owner_id": "u1",
            "presence_id": "204@north.test", "timestamp": 63_961_833_600_u64, "timestamp_unix": 1_794_614_400,
            "username": "desk-204", "uuid": CALL,
        })
    );
}

#[tokio::test]
async fn the_channels_of_a_user_and_of_a_device_are_told() {
    let world = World::new().await;
    let device = json!({"_id": "d2", "pvt_type": "device"});
    let db = AccountDb::name(&account());
    world.store.put(&db, device).await.unwrap();
    let _switch = Switch::start(&world.bus, "callreel@one", vec![call(), other_leg()]).await;
    tokio::time::pause();
    for (rest, expected) in [
        ("users/u1/channels", CALL),
        ("devices/d2/channels", OTHER_LEG),
    ] {
        assert_eq!(uuids(&world.get(&path(rest)).await), [expected], "{rest}");
    }
    for (rest, says) in [
        ("users/d2/channels", "no user"),
        ("devices/u1/channels", "no device"),
    ] {
        let answer = world.get(&path(rest)).await;
        assert_eq!(answer.status, 404, "{rest}");
        assert!(answer.message().contains(says), "{}", answer.message());
    }
}

#[tokio::test]
async fn one_channel_is_found_by_its_call_id_in_its_own_account_only() {
    let world = World::new().await;
    let of_another = json!({"Account-ID": STRANGER, "Call-ID": "not-ours"});
    let _switch = Switch::start(&world.bus, "callreel@one", vec![call(), of_another]).await;
    tokio::time::pause();
    let answer = world.get(&path("channels/zT4k%2Fq8.1%40192.0.2.44")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["data"]["uuid"], CALL);
    assert!(!String::from_utf8_lossy(&answer.body).contains("s3cret"));
    for call in ["not-ours", "never-was"] {
        let answer = world.get(&path(&format!("channels/{call}"))).await;
        assert_eq!(answer.status, 404, "{call}");
        assert!(answer.message().contains("no live channel"));
    }
}

#[tokio::test]
async fn a_switch_that_is_gone_is_waited_for_once() {
    let world = World::new().await;
    let slow = Duration::from_millis(900);
    let first = Switch::slow(&world.bus, "callreel@one", vec![call()], slow).await;
    let _second = Switch::start(&world.bus, "callreel@two", vec![other_leg()]).await;
    tokio::time::pause();
    let ask = async || {
        let began = Instant::now();
        let answer = world.get(&path("channels")).await;
        (uuids(&answer).len(), began.elapsed().as_millis() / 100)
    };
    assert_eq!(ask().await, (2, 20), "nobody knows yet how many there are");
    assert_eq!(ask().await, (2, 9), "all have answered");
    drop(first);
    assert_eq!(ask().await, (1, 20), "it may still be there");
    assert_eq!(ask().await, (1, 2), "it is gone");
}

#[tokio::test]
async fn without_a_switch_nobody_says_that_there_are_no_calls() {
    let world = World::new().await;
    tokio::time::pause();
    for rest in ["channels", "channels/x"] {
        let answer = world.get(&path(rest)).await;
        assert_eq!(answer.status, 504, "{rest}");
        assert!(answer.message().contains("no switch answered"));
    }
    let answer = world
        .get(&format!("/v2/accounts/{STRANGER}/channels"))
        .await;
    assert_eq!(answer.status, 404);
    world.bus.close();
    let answer = world.get(&path("channels")).await;
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn what_no_switch_would_say_is_passed_over() {
    let world = World::new().await;
    let nonsense = json!({"Account-ID": ACCOUNT, "Call-ID": {"deep": [1]}});
    let channels: Vec<Value> = vec![nonsense, json!({"Account-ID": ACCOUNT}), call()];
    let _switch = Switch::start(&world.bus, "callreel@one", channels).await;
    tokio::time::pause();
    assert_eq!(uuids(&world.get(&path("channels")).await), [CALL]);
}

/// A node with these calls, which the test plays: answers the first question.
async fn calls_at(bus: &Bus, node: &str, calls: Vec<LiveCall>) -> JoinHandle<()> {
    let binding = Binding::new(Exchange::Kapps, LiveReq::KEY);
    let subscribed = bus.subscribe(QueueOptions::private(8), vec![binding]);
    let (mut questions, bus, node) = (subscribed.await.unwrap(), bus.clone(), node.to_owned());
    tokio::spawn(async move {
        let question = questions.recv().await.unwrap();
        let question = Envelope::<LiveReq>::from_bytes(&question.body).unwrap();
        assert_eq!(question.body.account_id, account());
        let mut answer = LiveResp { calls }.into_envelope(&question.headers.msg_id);
        answer.headers.node = node;
        let to = question.headers.server_id.unwrap();
        let sent = bus.send(Exchange::Targeted, &to, answer.to_bytes());
        sent.await.unwrap();
    })
}

fn recorded(name: &str, state: LiveState) -> LiveRecording {
    LiveRecording {
        id: RecordingId::random(Utc::from_unix_ms(1_764_000_000_000)),
        state,
        name: Some(name.to_owned()),
        source: RecordingSource::Callflow,
    }
}

#[tokio::test]
async fn each_channel_says_where_its_call_stands_and_what_is_recorded_of_it() {
    let world = World::new().await;
    let of_nobody =
        json!({"Account-ID": ACCOUNT, "Call-ID": "lone", "Timestamp": 63_961_833_999_u64});
    let channels = vec![call(), other_leg(), of_nobody];
    let _switch = Switch::start(&world.bus, "callreel@one", channels).await;
    let nodes = Nodes::start(&world.bus).await.unwrap();
    beat(&world.bus, "callreel@a", &["calls"], 15_000).await;
    beat(&world.bus, "callreel@b", &["calls"], 15_000).await;
    beat(&world.bus, "callreel@silent", &["calls"], 15_000).await;
    until(
        &nodes,
        "calls",
        &["callreel@a", "callreel@b", "callreel@silent"],
    )
    .await;
    let flow = FlowPosition {
        pointer: "/flow/children/_".to_owned(),
        module: "user".to_owned(),
        waiting_for: "the bridge to end".to_owned(),
    };
    let here = LiveCall {
        call_id: CallId::new(CALL),
        flow: Some(flow.clone()),
        recordings: vec![recorded("desk", LiveState::Masked)],
    };
    // Another application records it at another node, too.
    let beside = LiveCall {
        flow: None,
        recordings: vec![recorded("quality", LiveState::Recording)],
        ..here.clone()
    };
    let _a = calls_at(&world.bus, "callreel@a", vec![here]).await;
    let _b = calls_at(&world.bus, "callreel@b", vec![beside]).await;
    tokio::time::pause();
    let listed = world.get(&path("channels")).await.json();
    for leg in [0, 1] {
        let channel = &listed["data"][leg];
        assert_eq!(channel["flow"], json!(flow), "{channel}");
        let recordings = channel["recordings"].as_array().unwrap();
        let mut told: Vec<_> = recordings
            .iter()
            .map(|r| (&r["name"], &r["state"]))
            .collect();
        told.sort_by_key(|(name, _)| name.as_str().map(str::to_owned));
        assert_eq!(
            told,
            [
                (&json!("desk"), &json!("masked")),
                (&json!("quality"), &json!("recording"))
            ]
        );
    }
    let alone = listed["data"][2].as_object().unwrap();
    assert!(!alone.contains_key("flow") && !alone.contains_key("recordings"));
}
