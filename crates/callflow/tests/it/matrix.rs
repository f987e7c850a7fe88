//! The account's, users' and devices' `call_recording` settings: every cell of Kazoo's matrix, and how settings merge.

use callreel_callflow::{EndpointRules, Mandate, Network, Standing};
use callreel_proto::{AccountId, RecordingSource};
use serde_json::{Value, json};

use Network::{Offnet, Onnet};

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

fn rules(device: Value) -> EndpointRules {
    EndpointRules {
        id: "d".to_owned(),
        user: Value::Null,
        device,
    }
}

/// Whoever is on the network is an endpoint: all that is recorded of such a call.
fn recorded(from: Network, to: Network, account: Value, endpoint: Value) -> Vec<(String, String)> {
    let account = json!({"account": account, "endpoint": endpoint});
    let standing = Standing {
        from,
        to,
        account,
        caller: (from == Onnet).then(|| rules(Value::Null)),
        feature_code: false,
    };
    let id = AccountId::parse(ACCOUNT).unwrap();
    let of_leg = |leg: &str, mandates: Vec<Mandate>| {
        let told = mandates.into_iter().map(|m| (leg.to_owned(), m.origin));
        told.collect::<Vec<_>>()
    };
    let mut all = of_leg("A", standing.of_caller(&id).wanted);
    if to == Onnet {
        all.extend(of_leg("B", standing.of_callee(&rules(Value::Null)).wanted));
    }
    all
}

/// Only this direction and network is enabled.
fn only(direction: &str, network: &str) -> Value {
    json!({direction: {network: {"enabled": true}}})
}

const CALLS: [(Network, Network); 3] = [(Onnet, Onnet), (Onnet, Offnet), (Offnet, Onnet)];
const SETTINGS: [(&str, &str); 4] = [
    ("inbound", "onnet"),
    ("outbound", "onnet"),
    ("inbound", "offnet"),
    ("outbound", "offnet"),
];

/// The legs that are recorded when a setting is enabled alone, by call (rows) and setting (columns).
const ALONE_ACCOUNT: [[&str; 4]; 3] = [["A", "A", "", ""], ["A", "", "", "A"], ["", "A", "A", ""]];
const ALONE_ENDPOINT: [[&str; 4]; 3] = [["B", "A", "", ""], ["", "", "", "A"], ["", "", "B", ""]];

#[test]
fn every_cell_of_the_matrix_records_the_leg_it_says() {
    for (row, (from, to)) in CALLS.into_iter().enumerate() {
        for (column, (direction, network)) in SETTINGS.into_iter().enumerate() {
            let cell = format!("{from} to {to}, {direction}.{network}");
            let legs = |found: Vec<(String, String)>| {
                let legs = found.into_iter().map(|(leg, _)| leg);
                legs.collect::<String>()
            };
            let account = recorded(from, to, only(direction, network), json!({}));
            assert_eq!(legs(account), ALONE_ACCOUNT[row][column], "account: {cell}");
            let endpoint = recorded(from, to, json!({}), only(direction, network));
            assert_eq!(
                legs(endpoint),
                ALONE_ENDPOINT[row][column],
                "endpoint: {cell}"
            );
        }
        assert_eq!(recorded(from, to, Value::Null, Value::Null), [], "both off");
    }
}

#[test]
fn with_all_enabled_the_account_has_one_recording_and_each_endpoint_its_own() {
    let all = json!({"any": {"any": {"enabled": true}}});
    let told = |from, to| {
        let found = recorded(from, to, all.clone(), all.clone());
        let words = found
            .into_iter()
            .map(|(leg, origin)| format!("{leg}: {origin}"));
        words.collect::<Vec<_>>()
    };
    assert_eq!(
        told(Onnet, Onnet),
        [
            "A: inbound from onnet to account",
            "A: outbound to onnet from endpoint",
            "B: inbound from onnet to endpoint"
        ]
    );
    assert_eq!(
        told(Onnet, Offnet),
        [
            "A: inbound from onnet to account",
            "A: outbound to offnet from endpoint"
        ]
    );
    assert_eq!(
        told(Offnet, Onnet),
        [
            "A: inbound from offnet to account",
            "B: inbound from offnet to endpoint"
        ]
    );
}

#[test]
fn the_accounts_recording_of_an_outbound_call_stands_in_where_the_inbound_one_is_off() {
    let outbound = |network| recorded(Onnet, Onnet, only("outbound", network), Value::Null);
    assert_eq!(
        outbound("onnet"),
        [("A".to_owned(), "outbound to onnet from account".to_owned())]
    );
    assert_eq!(outbound("offnet"), []);
    let both = json!({"inbound": {"onnet": {"enabled": false}}, "outbound": {"offnet": {"enabled": true}}});
    assert_eq!(
        recorded(Onnet, Offnet, both, Value::Null),
        [("A".to_owned(), "outbound to offnet from account".to_owned())]
    );
}

#[test]
fn a_feature_code_is_never_recorded_and_a_stranger_is_no_endpoint() {
    let all = json!({"any": {"any": {"enabled": true}}});
    let id = AccountId::parse(ACCOUNT).unwrap();
    let mut standing = Standing {
        account: json!({"account": all, "endpoint": all}),
        caller: Some(rules(Value::Null)),
        feature_code: true,
        ..Standing::default()
    };
    assert_eq!(standing.of_caller(&id).wanted, []);
    assert_eq!(standing.of_callee(&rules(Value::Null)).wanted, []);
    standing.feature_code = false;
    standing.caller = None;
    let sources: Vec<_> = standing.of_caller(&id).wanted;
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0].by.source, RecordingSource::Account);
    assert_eq!(sources[0].by.who.as_deref(), Some(ACCOUNT));
}

/// What the three trees of a called endpoint settle, of a call from the network.
fn settled(everyones: Value, user: Value, device: Value) -> Option<Value> {
    let standing = Standing {
        account: json!({"endpoint": everyones}),
        ..Standing::default()
    };
    let id = "d".to_owned();
    let found = standing.of_callee(&EndpointRules { id, user, device });
    assert_eq!(found.warnings, []);
    let mandate = found.wanted.into_iter().next()?;
    assert_eq!(mandate.by.source, RecordingSource::Endpoint);
    assert_eq!(mandate.by.who.as_deref(), Some("d"));
    Some(Value::Object(mandate.parameters))
}

#[test]
fn the_specific_goes_before_the_general() {
    let say = |format: &str| json!({"enabled": true, "format": format});
    let of = |tree: Value| settled(tree, Value::Null, Value::Null).unwrap()["format"].clone();
    let tree = json!({"any": {"any": say("1"), "onnet": say("3")}, "inbound": {"any": say("2"), "onnet": say("4")}});
    assert_eq!(of(tree.clone()), "4");
    let without = |paths: &[(&str, &str)]| {
        let mut tree = tree.clone();
        for (way, net) in paths {
            tree[way].as_object_mut().unwrap().remove(*net);
        }
        of(tree)
    };
    assert_eq!(without(&[("inbound", "onnet")]), "3");
    assert_eq!(without(&[("inbound", "onnet"), ("any", "onnet")]), "2");
    assert_eq!(
        without(&[("inbound", "onnet"), ("any", "onnet"), ("inbound", "any")]),
        "1"
    );
}

#[test]
fn a_device_goes_before_its_user_and_that_before_the_account_key_by_key() {
    let all = |settings: Value| json!({"any": {"any": settings}});
    let merged = settled(
        all(json!({"enabled": true, "format": "mp3", "url": "http://h/all", "time_limit": 600})),
        all(json!({"format": "wav", "url": "http://h/user"})),
        all(json!({"url": "http://h/device"})),
    );
    assert_eq!(
        merged,
        Some(json!({"format": "wav", "url": "http://h/device", "time_limit": 600}))
    );
    let off = all(json!({"enabled": false}));
    let on = only("inbound", "onnet");
    assert_eq!(settled(on.clone(), off.clone(), Value::Null), None);
    assert_eq!(settled(on.clone(), Value::Null, off.clone()), None);
    assert_eq!(
        settled(off.clone(), on.clone(), Value::Null),
        Some(json!({}))
    );
    assert_eq!(settled(off, Value::Null, on), Some(json!({})));
}

#[test]
fn what_says_nothing_switches_nothing_off() {
    let on = only("inbound", "onnet");
    for silent in [
        json!({}),
        json!({"inbound": {}}),
        json!({"any": {"any": {}}}),
        json!({"inbound": {"onnet": {"enabled": null}}}),
        only("outbound", "offnet"),
    ] {
        assert_eq!(
            settled(on.clone(), silent.clone(), silent.clone()),
            Some(json!({})),
            "{silent}"
        );
    }
}

#[test]
fn settings_that_cannot_be_read_are_told_and_do_not_hide_the_others() {
    let standing = Standing {
        account: json!({"endpoint": only("inbound", "onnet")}),
        ..Standing::default()
    };
    for (device, place) in [
        (json!("always"), "d#/call_recording"),
        (json!({"inbound": true}), "d#/call_recording/inbound"),
        (json!({"any": {"onnet": []}}), "d#/call_recording/any/onnet"),
        (
            json!({"inbound": {"onnet": {"enabled": "maybe"}}}),
            "d#/call_recording/inbound/onnet/enabled",
        ),
    ] {
        let found = standing.of_callee(&rules(device));
        assert_eq!(found.wanted.len(), 1, "{place}");
        let places: Vec<_> = found.warnings.iter().map(|w| w.pointer.as_str()).collect();
        assert_eq!(places, [place]);
    }
}
