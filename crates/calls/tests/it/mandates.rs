//! What the account, a user or a device wants recorded, whatever the callflow says.

use callreel_calls::CallsConfig;
use callreel_proto::{AccountDb, AccountId, EndReason, RecordingFact, RecordingSource};
use serde_json::{Value, json};

use crate::{
    kazoo::{Kazoo, TREES, Tree, forever, play, stop},
    world::ACCOUNT,
};

fn db() -> String {
    AccountDb::name(&AccountId::parse(ACCOUNT).unwrap())
}

fn on(url: &str) -> Value {
    json!({"enabled": true, "format": "wav", "url": url, "time_limit": 60})
}

/// A call of alice's phone to number 2000, of an account with these documents.
async fn call(tree: Tree, flow: Value, docs: &[Value]) -> Kazoo {
    let docs: Vec<_> = docs.iter().map(|doc| (db(), doc.clone())).collect();
    let docs: Vec<_> = docs
        .iter()
        .map(|(db, doc)| (db.as_str(), doc.clone()))
        .collect();
    let mut kazoo = Kazoo::with(tree, flow, CallsConfig::default(), &docs).await;
    let vars = json!({"Custom-Channel-Vars": {"Authorizing-Type": "device", "Authorizing-ID": "alices-phone"}});
    kazoo.offer(&vars).await;
    kazoo.take_bid().await;
    kazoo.give(&json!({})).await;
    kazoo
}

#[tokio::test]
async fn what_the_account_wants_recorded_is_and_no_step_of_a_flow_ends_it() {
    let account = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test",
        "call_recording": {"account": {"inbound": {"onnet": on("http://r.test/account")}}}});
    for tree in TREES {
        let flow = play(stop(play(forever())));
        let mut kazoo = call(tree, flow, std::slice::from_ref(&account)).await;
        let start = kazoo.commanded("record_call").await;
        kazoo.record("RECORD_START", &start, &json!({})).await;
        let begun = kazoo.noticed(RecordingFact::Started).await;
        let by = begun.ordered_by.clone().unwrap();
        assert_eq!(
            (by.source, by.who.as_deref()),
            (RecordingSource::Account, Some(ACCOUNT))
        );
        assert_eq!(begun.time_limit_s, Some(60));
        kazoo.commanded("play").await;
        let mark = kazoo.commanded("noop").await;
        kazoo.done("noop", mark["Msg-ID"].as_str().unwrap()).await;
        // The flow's stop has been and gone.
        kazoo.commanded("play").await;
        kazoo.commanded("noop").await;
        kazoo.nothing_more_is_said().await;
        kazoo
            .record(
                "RECORD_STOP",
                &start,
                &json!({"Length": "900", "Channel-State": "HANGUP"}),
            )
            .await;
        let ticket = kazoo.ended().await;
        assert_eq!(ticket.end_reason(), Some(EndReason::Hangup));
        assert_eq!(ticket.document()["origin"], "inbound from onnet to account");
    }
}

#[tokio::test]
async fn the_settings_of_the_calling_phone_and_its_user_order_a_recording() {
    let phone = json!({"_id": "alices-phone", "pvt_type": "device", "owner_id": "alice",
        "call_recording": {"outbound": {"any": {"url": "http://r.test/phone"}}}});
    let alice = json!({"_id": "alice", "pvt_type": "user",
        "call_recording": {"outbound": {"any": {"enabled": true, "format": "wav"}}}});
    let mut kazoo = call(Tree::V43, forever(), &[phone, alice]).await;
    let start = kazoo.commanded("record_call").await;
    kazoo.record("RECORD_START", &start, &json!({})).await;
    let begun = kazoo.noticed(RecordingFact::Started).await;
    let by = begun.ordered_by.clone().unwrap();
    assert_eq!(
        (by.source, by.who.as_deref()),
        (RecordingSource::Endpoint, Some("alices-phone"))
    );
    let ticket = kazoo.world.ticket_of(&begun);
    assert!(
        ticket
            .promise()
            .destination
            .describe()
            .starts_with("http://r.test/phone/")
    );
}

#[tokio::test]
async fn the_called_phone_is_recorded_on_its_own_leg_while_it_is_bridged() {
    let phone = json!({"_id": "bobs-phone", "pvt_type": "device", "enabled": true,
        "sip": {"username": "bob", "password": "x"},
        "call_recording": {"inbound": {"any": on("http://r.test/bob")}}});
    let realm = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test"});
    let flow =
        json!({"module": "device", "data": {"id": "bobs-phone"}, "children": {"_": forever()}});
    let mut kazoo = call(Tree::V43, flow, &[phone, realm]).await;
    let bridge = kazoo.commanded("bridge").await;
    let leg = bridge["Endpoints"][0]["Outbound-Call-ID"]
        .as_str()
        .unwrap()
        .to_owned();
    kazoo
        .event("CHANNEL_BRIDGE", &json!({"Other-Leg-Call-ID": leg}))
        .await;
    let caller = std::mem::replace(&mut kazoo.call, leg.clone());
    let start = kazoo.commanded("record_call").await;
    assert_eq!(start["Record-Action"], "start");
    kazoo.record("RECORD_START", &start, &json!({})).await;
    let begun = kazoo.noticed(RecordingFact::Started).await;
    assert_eq!(begun.call_id.as_str(), leg);
    let ticket = kazoo.world.ticket_of(&begun);
    assert_eq!(ticket.promise().call_id.as_str(), leg);
    let legs = &ticket.document()["legs"];
    assert_eq!(
        (&legs["a"]["call_id"], &legs["b"]["call_id"]),
        (&json!(leg), &json!(caller))
    );
    // The bridge is over: so is this recording, and the call is not.
    kazoo.call.clone_from(&caller);
    kazoo.event("CHANNEL_UNBRIDGE", &json!({})).await;
    kazoo.call.clone_from(&leg);
    let stop = kazoo.commanded("record_call").await;
    assert_eq!(
        (&stop["Record-Action"], &stop["Media-Name"]),
        (&json!("stop"), &start["Media-Name"])
    );
    kazoo
        .record("RECORD_STOP", &start, &json!({"Length": "700"}))
        .await;
    let ticket = kazoo.ended().await;
    assert_eq!(
        (ticket.end_reason(), ticket.length_ms()),
        (Some(EndReason::Hangup), Some(700))
    );
}
