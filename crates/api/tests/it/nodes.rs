//! Which nodes and accounts there are, as the operator is shown it.

use std::time::Duration;

use callreel_api::{ApiConfig, Auth, Grant, Nodes, Scopes, Tokens};
use callreel_bus::Bus;
use callreel_proto::{Exchange, NodeAdvertise, Secret, Utc};
use callreel_store::ACCOUNTS;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, World, account};

const ADMIN: &str = "an-admin-token-of-enough-characters";

pub(crate) async fn beat(bus: &Bus, node: &str, roles: &[&str], expires_ms: u64) {
    let said = NodeAdvertise {
        expires_ms: Some(expires_ms),
        owed: Some(3),
        draining: Some(false),
        ..NodeAdvertise::of(Utc::from_unix_ms(1_764_000_000_000), roles)
    };
    let mut beat = said.into_envelope();
    beat.headers.node = node.to_owned();
    let sent = bus.publish(Exchange::Nodes, "", beat.to_bytes());
    sent.await.unwrap();
}

/// Waits until that many nodes run this role.
pub(crate) async fn until(nodes: &Nodes, role: &str, names: &[&str]) {
    let seen = async {
        while !nodes.with(role).iter().eq(names) {
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
    assert!(seen.is_ok(), "{:?} instead of {names:?}", nodes.with(role));
}

async fn names(world: &World, headers: &[(&str, &str)]) -> Vec<Value> {
    let answer = world.call("GET", "/nodes", headers).await;
    assert_eq!(answer.status, 200);
    answer.json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_node_whose_heartbeat_holds_is_shown_with_what_it_said() {
    let world = World::new().await;
    let nodes = Nodes::start(&world.bus).await.unwrap();
    beat(&world.bus, "callreel@a", &["calls", "delivery"], 15_000).await;
    beat(&world.bus, "callreel@b", &["api"], 15_000).await;
    let kazoo = json!({
        "App-Name": "kz_nodes", "App-Version": "4.0.0", "Event-Category": "nodes", "Event-Name": "advertise",
        "Msg-ID": "1", "Node": "kazoo_apps@c", "Expires": "9000", "WhApps": {"ecallmgr": {"Startup": 63_961_820_009_u64}},
    });
    let sent = world.bus.publish(Exchange::Nodes, "", kazoo.to_string());
    sent.await.unwrap();
    until(&nodes, "delivery", &["callreel@a"]).await;
    until(&nodes, "api", &["callreel@b"]).await;
    let shown = loop {
        let shown = names(&world, &[]).await;
        if shown.len() == 3 {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(shown[0]["roles"], json!(["calls", "delivery"]));
    assert_eq!(shown[0]["owed"], 3);
    assert_eq!(shown[0]["started_unix"], 1_764_000_000);
    assert_eq!(shown[2]["apps"], json!(["ecallmgr"]));
    assert_eq!(shown[2]["roles"], Value::Null, "it is no Callreel");
}

#[tokio::test]
async fn a_node_is_forgotten_after_its_farewell_or_when_it_falls_silent() {
    let world = World::new().await;
    let nodes = Nodes::start(&world.bus).await.unwrap();
    beat(&world.bus, "callreel@a", &["calls"], 60_000).await;
    beat(&world.bus, "callreel@b", &["calls"], 15_000).await;
    until(&nodes, "calls", &["callreel@a", "callreel@b"]).await;
    beat(&world.bus, "callreel@a", &["calls"], 0).await;
    until(&nodes, "calls", &["callreel@b"]).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(14)).await;
    assert_eq!(nodes.with("calls").len(), 1, "its word still holds");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(nodes.with("calls").len(), 0);
}

#[tokio::test]
async fn nodes_and_accounts_are_shown_to_the_operator_only() {
    let world = World::with(ApiConfig {
        auth: Auth::On,
        admin_token: Some(Secret::new(ADMIN)),
        ..ApiConfig::default()
    })
    .await;
    let grant = Grant {
        account: account(),
        owner: None,
        name: "quality desk".to_owned(),
        expires: None,
        scopes: Scopes::All,
    };
    let token = Tokens::new(world.store.clone()).issue(&grant).await;
    let token = token.unwrap();
    let gone = json!({"_id": "0".repeat(32), "pvt_type": "account", "pvt_deleted": true});
    world.store.put(ACCOUNTS, gone).await.unwrap();
    for path in ["/nodes", "/v2/accounts"] {
        assert_eq!(world.get(path).await.status, 401);
        let of_account = [("x-auth-token", token.reveal())];
        assert_eq!(world.call("GET", path, &of_account).await.status, 403);
        let of_admin = [("x-auth-token", ADMIN)];
        assert_eq!(world.call("GET", path, &of_admin).await.status, 200);
    }
    let accounts = world
        .call("GET", "/v2/accounts", &[("x-auth-token", ADMIN)])
        .await;
    assert_eq!(accounts.ids(), [ACCOUNT], "none that was deleted");
}
