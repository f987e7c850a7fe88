//! What the switch answers when others ask about its channels.

use callreel_proto::ChannelQuery;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REALM, Scene};

#[tokio::test]
async fn a_living_channel_is_active_and_any_other_terminated() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    let id = call.call_id.as_str();
    let name = "channel_status_req";
    let key = format!("call.status_req.{}", callreel_proto::encode_word(id));
    controller
        .ask(&key, name, json!({"Call-ID": id, "Active-Only": "true"}))
        .await;
    let answer = controller.take("channel_status_resp", None).await;
    assert_eq!(answer["Msg-ID"], "channel_status_req-1");
    assert_eq!(answer["Event-Category"], "call_event");
    for (key, value) in [
        ("Call-ID", id),
        ("Status", "active"),
        ("Switch-Nodename", "callreel@test"),
        ("Switch-Hostname", "test"),
        ("Realm", REALM),
        ("Username", "alice"),
    ] {
        assert_eq!(answer[key], value, "{key}");
    }
    assert_eq!(answer["Custom-Channel-Vars"]["Account-ID"], ACCOUNT);
    assert!(call.from.ends_with(answer["From-Tag"].as_str().unwrap()));

    // Silence about one, a word about the other: the word comes first, so the silence is one.
    let gone = |only: bool| json!({"Call-ID": format!("gone-{only}"), "Active-Only": only});
    controller.ask("call.status_req.x", name, gone(true)).await;
    controller.ask("call.status_req.x", name, gone(false)).await;
    let answer = controller.take("channel_status_resp", None).await;
    assert_eq!(answer["Call-ID"], "gone-false");
    assert_eq!(answer["Status"], "terminated");
}

async fn found(
    controller: &mut crate::support::Controller,
    way: ChannelQuery,
    fields: Value,
) -> Value {
    controller
        .ask("call.status_req.x", way.request(), fields)
        .await;
    let mut answer = controller.take(way.response(), None).await;
    answer["Channels"].take()
}

#[tokio::test]
async fn channels_are_found_by_device_user_account_and_all() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (alice, bob) = (scene.phone("alice").await, scene.phone("bob").await);
    let first = alice.dial("2000").await;
    controller.claims().await;
    let second = bob.dial("2000").await;
    controller.claims().await;
    controller
        .command(&second.call_id, "answer", json!({}))
        .await;
    controller.completion(&second.call_id, "answer").await;

    let by_device = found(
        &mut controller,
        ChannelQuery::AuthId,
        json!({"Auth-ID": "device-bob"}),
    )
    .await;
    assert_eq!(by_device[0]["Call-ID"], second.call_id.as_str());
    assert_eq!(by_device[0]["Answered"], true);
    assert_eq!(by_device[0]["Destination"], "2000");
    assert_eq!(by_device.as_array().unwrap().len(), 1);
    let user = json!({"Realm": REALM, "Usernames": ["alice"]});
    let by_user = found(&mut controller, ChannelQuery::User, user).await;
    assert_eq!(by_user[0]["Call-ID"], first.call_id.as_str());
    let account = json!({"Account-ID": ACCOUNT});
    let of_account = found(&mut controller, ChannelQuery::Account, account).await;
    assert_eq!(of_account.as_array().unwrap().len(), 2);
    let all = found(
        &mut controller,
        ChannelQuery::All,
        json!({"Fields": ["Username"]}),
    )
    .await;
    assert_eq!(
        all,
        json!({first.call_id.as_str(): {"Username": "alice"}, second.call_id.as_str(): {"Username": "bob"}})
    );
    let one = json!({"Call-ID": first.call_id, "Fields": "all"});
    let one = found(&mut controller, ChannelQuery::All, one).await;
    assert_eq!(one[first.call_id.as_str()]["Is-On-Hold"], false);
    assert_eq!(one.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_is_silent_for_users_and_an_empty_answer_otherwise() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let nobody = json!({"Realm": REALM, "Username": "carol"});
    controller
        .ask(
            "call.status_req.x",
            ChannelQuery::User.request(),
            nobody.clone(),
        )
        .await;
    let none = found(&mut controller, ChannelQuery::All, json!({})).await;
    assert_eq!(none, json!({}));
    let none = found(
        &mut controller,
        ChannelQuery::Account,
        json!({"Account-ID": ACCOUNT}),
    )
    .await;
    assert_eq!(none, json!([]));
    let answered = |name: &String| name.starts_with("query_user_channels_resp");
    assert!(!controller.names().iter().any(answered));
    let asked = json!({"Realm": REALM, "Username": "carol", "Active-Only": false});
    assert_eq!(
        found(&mut controller, ChannelQuery::User, asked).await,
        json!([])
    );
}

#[tokio::test]
async fn questions_that_cannot_be_read_are_counted_and_the_next_one_is_answered() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let name = "channel_status_req";
    for (name, fields) in [
        (name, json!({})),
        (name, json!({"Call-ID": "x".repeat(5_000)})),
        (name, json!({"Call-ID": {"a": 1}})),
        (name, json!({"Call-ID": "x", "Event-Category": "error"})),
        (name, json!({"Call-ID": "x", "Server-ID": ""})),
        (name, json!({"Call-ID": "x", "Server-ID": "y".repeat(300)})),
        ("levitate", json!({})),
    ] {
        controller.ask("call.status_req.x", name, fields).await;
    }
    let none = found(
        &mut controller,
        ChannelQuery::All,
        json!({"Fields": 7, "Call-ID": []}),
    )
    .await;
    assert_eq!(none, json!({}));
    let mishaps = scene.switch.picture().await.mishaps;
    for (kind, count) in [
        ("malformed question", 3),
        ("no question", 2),
        ("question without Server-ID", 1),
        ("answer that cannot be sent", 1),
    ] {
        assert_eq!(mishaps.get(kind), Some(&count), "{kind}: {mishaps:?}");
    }
}
