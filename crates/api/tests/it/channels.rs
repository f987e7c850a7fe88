//! Which live calls an account has, as the switches tell it.

use std::time::Duration;

use callreel_proto::AccountDb;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
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
