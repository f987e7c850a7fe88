//! Which calls are answered, and how: stock callflow's rules, of which the accounts are only the first.

use std::time::Duration;

use callreel_calls::CallsConfig;
use callreel_proto::AccountId;
use serde_json::{Value, json};

use crate::{
    kazoo::{FETCH, Kazoo, Tree, forever, lay_over, play},
    world::{ACCOUNT, pass},
};

const DB: &str = "account/a0/00/0000000000000000000000000001";

fn account() -> (&'static str, Value) {
    (
        DB,
        json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test", "music_on_hold": {"media_id": "waltz"}}),
    )
}

fn fallback() -> (&'static str, Value) {
    (
        DB,
        json!({"_id": "f2", "pvt_type": "callflow", "numbers": ["no_match"], "flow": forever()}),
    )
}

fn device() -> (&'static str, Value) {
    (
        DB,
        json!({"_id": "d1", "pvt_type": "device", "sip": {"username": "bob"}}),
    )
}

async fn kazoo(docs: &[(&str, Value)]) -> Kazoo {
    Kazoo::with(Tree::V43, play(forever()), CallsConfig::default(), docs).await
}

fn vars(vars: Value) -> Value {
    json!({ "Custom-Channel-Vars": vars })
}

#[tokio::test]
async fn a_bid_says_what_stock_callflow_would() {
    let mut kazoo = kazoo(&[account(), device()]).await;
    let request = json!({
        "Custom-Channel-Vars": {"Authorizing-Type": "device", "Authorizing-ID": "d1", "Call-Interaction-ID": "63-a1"},
        "Custom-Application-Vars": {"colour": "red"}
    });
    kazoo.offer(&request).await;
    let bid = kazoo.take_bid().await;
    assert_eq!(bid["Msg-ID"], FETCH);
    assert_eq!(
        (&bid["Method"], &bid["Routes"]),
        (&json!("park"), &json!([]))
    );
    assert_eq!(
        (&bid["Pre-Park"], &bid["From-Realm"]),
        (&json!("none"), &json!("acme.test"))
    );
    let vars = &bid["Custom-Channel-Vars"];
    assert_eq!(
        (&vars["CallFlow-ID"], &vars["Fetch-ID"]),
        (&json!("f1"), &json!(FETCH))
    );
    assert_eq!(
        (&vars["Presence-ID"], &vars["Account-ID"]),
        (&json!("bob@acme.test"), &json!(ACCOUNT))
    );
    assert_eq!(vars["Call-Interaction-ID"], "63-a1");
    assert_eq!(bid["Custom-Application-Vars"], json!({"colour": "red"}));
    assert_eq!(vars["Hold-Media"], format!("/{ACCOUNT}/waltz"));
}

#[tokio::test]
async fn a_caller_from_outside_is_told_that_it_rings_unless_the_system_says_otherwise() {
    let from_outside =
        vars(json!({"Inception": "+14155550100@carrier.test", "Authorizing-Type": "resource"}));
    let mut world = kazoo(&[]).await;
    world.offer(&from_outside).await;
    assert_eq!(world.take_bid().await["Pre-Park"], "ring_ready");
    let config = json!({"_id": "callflow", "default": {"ring_ready_offnet": false}});
    let mut world = kazoo(&[("system_config", config)]).await;
    world.offer(&from_outside).await;
    assert_eq!(world.take_bid().await["Pre-Park"], "none");
}

#[tokio::test]
async fn only_calls_of_configured_accounts_are_answered() {
    let other = "b0000000000000000000000000000002";
    let flow = json!({"_id": "f1", "pvt_type": "callflow", "numbers": ["2000"], "flow": forever()});
    let docs = [("account/b0/00/0000000000000000000000000002", flow)];
    let config = CallsConfig {
        accounts: vec![AccountId::parse(ACCOUNT).unwrap()],
        ..CallsConfig::default()
    };
    let mut kazoo = Kazoo::with(Tree::V43, forever(), config, &docs).await;
    let stray = json!({"Call-ID": "b", "Msg-ID": "b", "Custom-Channel-Vars": {"Account-ID": other, "Fetch-ID": "b"}});
    kazoo.offer(&stray).await;
    // One that reaches us by a key of ours is not answered either.
    let mut misled = json!({"App-Name": "x", "App-Version": "1", "Event-Category": "dialplan", "Event-Name": "route_req",
        "From": "a@b", "To": "2000@b", "Request": "2000@b", "Server-ID": kazoo.address()});
    lay_over(&mut misled, &stray);
    let key = format!("route.req.audio.{ACCOUNT}");
    kazoo
        .publish(callreel_proto::Exchange::Callmgr, &key, &misled)
        .await;
    kazoo.offer(&json!({})).await;
    assert_eq!(kazoo.take_bid().await["Msg-ID"], FETCH);
    kazoo.nothing_more_is_said().await;
}

#[tokio::test]
async fn a_call_with_pictures_is_a_call() {
    let mut kazoo = kazoo(&[]).await;
    kazoo.offer(&json!({"Resource-Type": "video"})).await;
    kazoo.take_bid().await;
}

#[tokio::test]
async fn a_fallback_is_for_the_accounts_own_only() {
    let mut kazoo = kazoo(&[fallback(), device()]).await;
    let dialled = |call: &str, vars: Value| {
        let mut request = json!({"Call-ID": call, "Msg-ID": call, "Request": "4155550100@acme.test",
            "Custom-Channel-Vars": {"Fetch-ID": call}});
        lay_over(&mut request, &json!({ "Custom-Channel-Vars": vars }));
        request
    };
    for (call, vars) in [
        ("carrier", json!({"Authorizing-Type": "resource"})),
        ("unknown", json!({"Authorizing-Type": null})),
        ("stranger", json!({"Authorizing-Type": "trunkstore"})),
        ("system", json!({"Authorizing-Type": "sys_info"})),
        (
            "sent on by a stranger",
            json!({"Authorizing-Type": "resource", "Referred-By": "<sip:eve@acme.test>"}),
        ),
    ] {
        kazoo.offer(&dialled(call, vars)).await;
    }
    kazoo.nothing_more_is_said().await;
    for (call, vars) in [
        ("own", json!({"Authorizing-Type": "mobile"})),
        (
            "sent on by one's own",
            json!({"Authorizing-Type": "resource", "Redirected-By": "<sip:bob@acme.test>"}),
        ),
    ] {
        kazoo.offer(&dialled(call, vars)).await;
        assert_eq!(kazoo.take_bid().await["Msg-ID"], call);
    }
}

#[tokio::test]
async fn a_number_that_no_callflow_lists_runs_the_one_whose_pattern_it_fits() {
    let feature =
        json!({"_id": "f3", "pvt_type": "callflow", "patterns": ["^\\*9[78]$"], "flow": forever()});
    let mut kazoo = kazoo(&[fallback(), (DB, feature)]).await;
    kazoo.offer(&json!({"Request": "*98@acme.test"})).await;
    let bid = kazoo.take_bid().await;
    assert_eq!(bid["Custom-Channel-Vars"]["CallFlow-ID"], "f3");
}

#[tokio::test]
async fn a_request_that_is_replayed_is_answered_again_and_runs_once() {
    let mut kazoo = kazoo(&[]).await;
    kazoo.offer(&json!({})).await;
    let first = kazoo.take_bid().await;
    kazoo.offer(&json!({"App-Name": "stepswitch"})).await;
    let second = kazoo.take_bid().await;
    assert_eq!(
        (&second["Msg-ID"], &second["Method"]),
        (&first["Msg-ID"], &first["Method"])
    );
    kazoo.give(&json!({})).await;
    kazoo.commanded("play").await;
    kazoo.commanded("noop").await;
    kazoo.nothing_more_is_said().await;
}

#[tokio::test]
async fn a_win_that_comes_too_late_is_no_win() {
    let mut kazoo = kazoo(&[]).await;
    kazoo.offer(&json!({})).await;
    kazoo.take_bid().await;
    let queue = kazoo.queue().await;
    pass(Duration::from_secs(4)).await;
    kazoo.over().await;
    let win = json!({
        "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "dialplan", "Event-Name": "route_win",
        "Msg-ID": kazoo.call, "Call-ID": kazoo.call, "Control-Queue": kazoo.address()
    });
    let bus = kazoo.world.bus.clone();
    bus.send(callreel_proto::Exchange::Targeted, &queue, win.to_string())
        .await
        .unwrap();
    kazoo.nothing_more_is_said().await;
}

#[tokio::test]
async fn a_callflow_document_says_what_rings_and_which_codes_its_caller_has() {
    let ring = json!({"module": "device", "data": {"id": "d1"}});
    let flow = json!({"_id": "f9", "pvt_type": "callflow", "numbers": ["2009"], "flow": ring,
        "ringback": {"early": "waltz"}, "metaflows": {"numbers": {"9": {"module": "hangup"}}}});
    let mut kazoo = kazoo(&[account(), device(), (DB, flow)]).await;
    kazoo
        .offer(&json!({"Request": "2009@acme.test", "To": "2009@acme.test"}))
        .await;
    kazoo.take_bid().await;
    kazoo.give(&json!({})).await;
    let bridge = kazoo.hears().await;
    assert_eq!(bridge["Application-Name"], "bridge");
    assert_eq!(bridge["Ringback"], format!("/{ACCOUNT}/waltz"));
    for key in ["*", "9"] {
        kazoo.event("DTMF", &json!({"DTMF-Digit": key})).await;
    }
    kazoo.commanded("hangup").await;
}

#[tokio::test]
async fn the_system_says_how_often_a_call_may_branch() {
    let go = |id: &str, number: &str, to: &str| {
        let flow = json!({"module": "callflow", "data": {"id": to}});
        (
            DB,
            json!({"_id": id, "pvt_type": "callflow", "numbers": [number], "flow": flow}),
        )
    };
    for (most, told) in [(1, "hangup"), (2, "respond")] {
        let last = json!({"_id": "f7", "pvt_type": "callflow", "numbers": ["7"],
            "flow": {"module": "response", "data": {"code": 486}}});
        let config = json!({"_id": "callflow", "default": {"max_branch_count": most}});
        let docs = [
            go("f5", "2009", "f6"),
            go("f6", "6", "f7"),
            (DB, last),
            ("system_config", config),
        ];
        let mut kazoo = kazoo(&docs).await;
        kazoo.offer(&json!({"Request": "2009@acme.test"})).await;
        kazoo.take_bid().await;
        kazoo.give(&json!({})).await;
        assert_eq!(kazoo.hears().await["Application-Name"], told);
    }
}
