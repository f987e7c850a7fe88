//! What feature codes and programs have done with a live call, beside its flow.

use callreel_bus::Binding;
use callreel_calls::CallsConfig;
use callreel_proto::{
    AccountDb, AccountId, ActionStatus, CallId, Envelope, EventName, Exchange, MetaflowAction,
    MetaflowActionResp, MetaflowFlow,
};
use serde_json::{Map, Value, json};

use crate::{
    kazoo::forever,
    world::{ACCOUNT, CALL, PATIENCE, World, queue},
};

fn step(module: &str, data: Value, next: Value) -> Value {
    json!({"module": module, "data": data, "children": {"_": next}})
}

/// A call with Bob's phone, who may transfer; the caller may hold, hang up, and more. Gives the leg of Bob's phone, too.
async fn talking() -> (World, String) {
    let db = AccountDb::name(&AccountId::parse(ACCOUNT).unwrap());
    let tone = "tone_stream://%(100,100,440)";
    let account = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test", "metaflows": {"numbers": {
        "1": step("hold", json!({"unhold_key": "5", "moh_bleg": tone}), step("play", json!({"id": tone, "leg": "self"}), json!({}))),
        "4": step("callflow", json!({"id": "f2"}), json!({})),
        "9": step("hangup", json!({}), json!({})),
    }}});
    let phone = json!({"_id": "bobs-phone", "pvt_type": "device", "enabled": true, "sip": {"username": "bob", "password": "x"},
        "metaflows": {"binding_digit": "#", "patterns": {r"^7(\d+)$": {"module": "transfer"}}}});
    let other = json!({"_id": "f2", "pvt_type": "callflow", "numbers": ["3000"],
        "flow": {"module": "play", "data": {"id": "tone_stream://%(1,1,440)", "answer": false}}});
    let flow =
        json!({"module": "device", "data": {"id": "bobs-phone"}, "children": {"_": forever()}});
    let docs = [account, phone, other].map(|doc| (db.as_str(), doc));
    let mut world = World::with(flow, CallsConfig::default(), &docs).await;
    world.give_call().await;
    let bridge = world.told("bridge").await;
    let leg = bridge["Endpoints"][0]["Outbound-Call-ID"].as_str().unwrap();
    world
        .says(EventName::ChannelBridge, |event| {
            event.other_leg_call_id = Some(CallId::new(leg));
        })
        .await;
    let heard = |described: &Value| described["calls"][0]["keys_heard_of"] == *leg;
    world.until(heard).await;
    (world, leg.to_owned())
}

#[tokio::test]
async fn a_code_holds_the_other_party_and_what_follows_is_done_too() {
    let (mut world, _) = talking().await;
    world.presses(CALL, "*1").await;
    let hold = world.told("soft_hold").await;
    assert_eq!(
        (&hold["Call-ID"], &hold["Insert-At"]),
        (&json!(CALL), &json!("now"))
    );
    assert_eq!(hold["Unhold-Key"], "5");
    assert_eq!(hold["B-MOH"], "tone_stream://%(100,100,440)");
    let play = world.told("play").await;
    assert_eq!(
        (&play["Leg"], &play["Insert-At"]),
        (&json!("A"), &json!("now"))
    );
}

#[tokio::test]
async fn a_callee_transfers_the_caller_to_the_keys_of_a_pattern() {
    let (mut world, leg) = talking().await;
    world.presses(&leg, "#73000").await;
    world.calls.describe().await;
    crate::world::pass(std::time::Duration::from_secs(1)).await;
    let transfer = world.told("transfer").await;
    assert_eq!(transfer["Transfer-To"], "3000");
    assert_eq!(transfer["Call-ID"], CALL);
    assert_eq!(transfer.get("Transfer-Leg"), None, "the caller goes");
}

#[tokio::test]
async fn whoever_dials_it_is_hung_up() {
    let (mut world, leg) = talking().await;
    world.presses(CALL, "*9").await;
    assert_eq!(world.told("hangup").await["Call-ID"], CALL);
    let flow = MetaflowFlow {
        call_id: CallId::new(&leg),
        flow: step("hangup", json!({}), json!({}))
            .as_object()
            .unwrap()
            .clone(),
    };
    let key = flow.routing_key();
    let bytes = flow.into_envelope().to_bytes();
    world
        .bus
        .publish(Exchange::Metaflow, &key, bytes)
        .await
        .unwrap();
    assert_eq!(world.told("hangup").await["Call-ID"], leg);
}

#[tokio::test]
async fn another_callflow_runs_when_the_parties_have_parted() {
    let (mut world, _) = talking().await;
    world.presses(CALL, "*4").await;
    world
        .until(|described| !described["calls"][0]["flows_to_come"].eq(&json!(0)))
        .await;
    world
        .says(EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("bridge".to_owned());
            event.application_response = Some("SUCCESS".to_owned());
        })
        .await;
    assert_eq!(
        world.told("play").await["Media-Name"],
        "tone_stream://%(1,1,440)"
    );
}

#[tokio::test]
async fn a_program_is_told_what_came_of_what_it_wanted() {
    let (mut world, leg) = talking().await;
    let own = world.bus.unique_queue_name();
    let mut answers = queue(&world.bus, &[Binding::new(Exchange::Targeted, &own)]).await;
    for (module, data, status) in [
        ("transfer", json!({"target": "3000"}), ActionStatus::Done),
        ("transfer", json!({}), ActionStatus::Refused),
    ] {
        let action = MetaflowAction {
            action: module.to_owned(),
            data: data.as_object().cloned().unwrap_or_else(Map::new),
            account_id: Some(AccountId::parse(ACCOUNT).unwrap()),
            ordered_by: Some(callreel_proto::OrderedBy::new(
                callreel_proto::RecordingSource::Api,
            )),
            ..MetaflowAction::record_call(CallId::new(CALL), Map::new())
        };
        let key = action.routing_key();
        let mut message = action.into_envelope();
        message.headers = message.headers.server_id(own.clone());
        world
            .bus
            .publish(Exchange::Metaflow, &key, message.to_bytes())
            .await
            .unwrap();
        let answer = tokio::time::timeout(PATIENCE, answers.recv())
            .await
            .unwrap()
            .unwrap();
        let answer = Envelope::<MetaflowActionResp>::from_bytes(&answer.body).unwrap();
        assert_eq!(answer.body.status, status, "{module}");
    }
    let transfer = world.told("transfer").await;
    assert_eq!(
        transfer["Transfer-Leg"], "bleg",
        "the other party of the leg goes: {leg}"
    );
}
