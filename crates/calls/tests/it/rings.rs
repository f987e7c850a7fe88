//! Whom a call rings, as the account's documents say.

use callreel_calls::CallsConfig;
use callreel_proto::{AccountDb, AccountId};
use serde_json::{Value, json};

use crate::world::{ACCOUNT, World};

fn device(id: &str, owner: &str) -> Value {
    json!({"_id": id, "pvt_type": "device", "owner_id": owner, "sip": {"username": id}})
}

/// The endpoints of the bridge that a ring group of these members orders.
async fn rung(members: Value, docs: &[Value]) -> Vec<Value> {
    let db = AccountDb::name(&AccountId::parse(ACCOUNT).unwrap());
    let flow = json!({"module": "ring_group", "data": {"endpoints": members}});
    let docs: Vec<_> = docs.iter().map(|doc| (db.as_str(), doc.clone())).collect();
    let mut world = World::with(flow, CallsConfig::default(), &docs).await;
    world.give_call().await;
    loop {
        let command: Value = serde_json::from_slice(&world.hears().await).unwrap();
        if command["Application-Name"] == "bridge" {
            return command["Endpoints"].as_array().unwrap().clone();
        }
    }
}

#[tokio::test]
async fn a_group_leads_to_its_users_their_phones_and_their_forwards() {
    let account = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test", "ringtones": {"internal": "soft"}});
    let group = json!({"_id": "sales", "pvt_type": "group", "endpoints": {
        "bob": {"type": "user"}, "carol": {"type": "user"}, "inner": {"type": "group"}, "gone": {"type": "user"}}});
    let inner = json!({"_id": "inner", "pvt_type": "group", "endpoints": {"sales": {"type": "group"}, "lobby": {"type": "device"}}});
    let bob = json!({"_id": "bob", "pvt_type": "user", "call_forward": {"enabled": true, "number": "4930", "substitute": true}});
    let carol = json!({"_id": "carol", "pvt_type": "user"});
    let dave = json!({"_id": "dave", "pvt_type": "user", "do_not_disturb": {"enabled": true}});
    let docs = [
        account,
        group,
        inner,
        bob,
        carol,
        dave,
        device("bob-desk", "bob"),
        device("bob-mobile", "bob"),
        device("carol-desk", "carol"),
        device("lobby", "dave"),
    ];
    let endpoints = rung(json!([{"endpoint_type": "group", "id": "sales"}]), &docs).await;
    let place = |endpoint: &Value| {
        let user = endpoint["To-Username"]
            .as_str()
            .or(endpoint["Route"].as_str());
        user.unwrap().to_owned()
    };
    let mut places: Vec<_> = endpoints.iter().map(place).collect();
    places.sort();
    // Dave must not be disturbed, wherever his phone stands.
    assert_eq!(places, ["4930", "carol-desk"]);
    let carols = endpoints
        .iter()
        .find(|e| e["To-Username"] == "carol-desk")
        .unwrap();
    assert_eq!(carols["To-Realm"], "acme.test");
    assert_eq!(carols["Custom-SIP-Headers"]["Alert-Info"], "soft");
}
