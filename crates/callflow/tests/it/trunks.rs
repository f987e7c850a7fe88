//! `offnet`, `resources` and `send_dtmf`: which trunks are tried in which order, as whom, and where the flow goes after.

use callreel_callflow::{Answer, Effect, Query, Trunks};
use callreel_proto::{Application, Endpoint};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;

fn flow(module: &str, data: Value) -> Value {
    let say = |text: &str| json!({"module": "tts", "data": {"text": text}});
    json!({"module": module, "data": data, "children": {
        "_": say("it failed"), "USER_BUSY": say("they talk"), "sip:503": say("trunk ill"), "NO_ROUTE_DESTINATION": say("no way")
    }})
}

fn calling(module: &str, data: Value) -> Talk {
    Talk::with(&flow(module, data), |call, _| {
        call.answered = true;
        call.request = "004687012345@acme.example".to_owned();
        call.number = "004687012345".to_owned();
        call.from = "1000@acme.example".to_owned();
    })
}

/// The cheap trunk takes Sweden alone, the dear one everything; a third is only for faxes.
fn trunks() -> Trunks {
    Trunks {
        resources: vec![
            json!({"_id": "dear", "weight_cost": 60, "rules": ["^\\+?(\\d+)$"], "flags": ["intl"], "gateways": [
                {"server": "dear.example", "port": 5070, "username": "u", "password": "secret", "prefix": "00",
                 "progress_timeout": 4, "codecs": ["PCMA"], "invite_parameters": {"static": ["transport=tcp"]}},
                {"server": "off.example", "enabled": false},
                {"server": "spare.example", "realm": "spare.realm", "suffix": "#"}]}),
            json!({"_id": "cheap", "weight_cost": "10", "rules": ["^\\+46\\d+$"], "gateways": [{"server": "cheap.example"}]}),
            json!({"_id": "fax", "require_flags": true, "flags": ["fax", "intl"], "rules": [".+"], "gateways": [{"server": "fax.example"}]}),
            json!({"_id": "gone", "enabled": "false", "rules": [".+"], "gateways": [{"server": "gone.example"}]}),
        ],
        global: true,
        caller: vec![
            json!({"_id": "desk", "sip": {"custom_sip_headers": {"out": {"X-Desk": "1"}}}}),
            json!({"_id": "alice", "caller_id": {"external": {"number": "+4687000204"}, "emergency": {"number": "+4687000112"}}}),
            json!({"_id": "account", "caller_id": {"external": {"number": "+4687000200", "name": "Acme"}}}),
        ],
        realm: "acme.example".to_owned(),
    }
}

fn found(talk: &mut Talk, trunks: Trunks) {
    talk.found(0.0, Answer::Trunks(Box::new(trunks)));
}

fn bridge(talk: &Talk) -> &Application {
    let effects = &talk.last.as_ref().unwrap().effects;
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Command { application, .. } => Some(application),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nobody is called:\n{}", talk.text()))
}

fn endpoints(talk: &Talk) -> &[Endpoint] {
    let Application::Bridge { endpoints, .. } = bridge(talk) else {
        panic!("nobody is called:\n{}", talk.text());
    };
    endpoints
}

fn routes(talk: &Talk) -> Vec<&str> {
    endpoints(talk)
        .iter()
        .map(|e| e.route.as_deref().unwrap())
        .collect()
}

#[test]
fn the_lightest_trunk_that_takes_the_number_comes_first() {
    let mut talk = calling("offnet", json!({}));
    found(&mut talk, trunks());
    assert_eq!(
        routes(&talk),
        [
            "sip:+4687012345@cheap.example",
            "sip:004687012345@dear.example:5070;transport=tcp",
            "sip:4687012345#@spare.example",
        ]
    );
    let [cheap, dear, spare] = endpoints(&talk) else {
        panic!()
    };
    assert_eq!(dear.auth_user.as_deref(), Some("u"));
    assert_eq!(
        (dear.progress_timeout_s, cheap.progress_timeout_s),
        (Some(4), Some(8))
    );
    assert_eq!(dear.codecs, ["PCMA"]);
    assert_eq!(cheap.caller_id_number.as_deref(), Some("+4687000204"));
    assert_eq!(cheap.caller_id_name.as_deref(), Some("Acme"));
    assert_eq!(cheap.custom_channel_vars["E164-Destination"], "+4687012345");
    assert_eq!(cheap.custom_channel_vars["Original-Number"], "004687012345");
    assert_eq!(
        spare.custom_channel_vars["From-URI"],
        "sip:+4687000204@spare.realm"
    );
    let Application::Bridge {
        custom_sip_headers, ..
    } = bridge(&talk)
    else {
        panic!()
    };
    assert_eq!(json!(custom_sip_headers), json!({"X-Desk": "1"}));
    assert!(!talk.text().contains("secret"), "{}", talk.text());
    assert_snapshot!(talk.text());
}

#[test]
fn flags_choose_trunks_and_so_do_rules_of_callers() {
    let flags = json!({"outbound_flags": ["intl"], "dynamic_flags": ["from_realm"]});
    let mut talk = calling("offnet", flags);
    let mut two = trunks();
    two.resources[2]["flags"] = json!(["intl", "acme.example"]);
    found(&mut talk, two);
    assert_eq!(routes(&talk), ["sip:+4687012345@fax.example"]);
    let mut talk = calling("offnet", json!({"caller_id_type": "internal"}));
    let mut picky = trunks();
    picky.resources[1]["cid_rules"] = json!(["^\\+4687"]);
    found(&mut talk, picky);
    assert_eq!(routes(&talk).len(), 2, "the caller is 1000 inside");
}

#[test]
fn a_trunk_for_emergencies_goes_before_all_others_and_shows_where_the_caller_is() {
    let mut talk = calling("offnet", json!({"to_did": "112"}));
    let mut found_trunks = trunks();
    let help = json!({"_id": "help", "emergency": true, "weight_cost": 99, "rules": ["^112$"], "gateways": [{"server": "help.example"}]});
    found_trunks.resources.push(help);
    found(&mut talk, found_trunks);
    assert_eq!(routes(&talk), ["sip:112@help.example"]);
    let [help] = endpoints(&talk) else { panic!() };
    assert_eq!(help.caller_id_number.as_deref(), Some("+4687000112"));
    assert_eq!(help.custom_channel_vars["Emergency-Resource"], "true");
}

#[test]
fn a_hidden_caller_is_hidden_from_trunks() {
    let mut talk = calling(
        "offnet",
        json!({"suppress_clid": true, "format_from_uri": true}),
    );
    found(&mut talk, trunks());
    for endpoint in endpoints(&talk) {
        assert_eq!(endpoint.caller_id_number.as_deref(), Some("anonymous"));
        assert_eq!(endpoint.custom_channel_vars.get("From-URI"), None);
    }
}

#[test]
fn own_trunks_are_asked_for_and_those_of_an_account_above() {
    let asked = |module: &str, data: Value| {
        let talk = calling(module, data);
        let effects = &talk.last.as_ref().unwrap().effects;
        effects.iter().find_map(|effect| match effect {
            Effect::Lookup(Query::Trunks { hunt, .. }) => Some(hunt.clone()),
            _ => None,
        })
    };
    let own = "0123456789abcdef0123456789abcdef".to_owned();
    assert_eq!(asked("offnet", json!({})), Some(None));
    assert_eq!(asked("resources", json!({})), Some(Some(own.clone())));
    assert_eq!(
        asked("resources", json!({"use_local_resources": false})),
        Some(None)
    );
    assert_eq!(
        asked("offnet", json!({"use_local_resources": true})),
        Some(Some(own))
    );
    let above = json!({"hunt_account_id": "b"});
    assert_eq!(asked("resources", above), Some(Some("b".to_owned())));
}

#[test]
fn the_flow_goes_on_by_why_nobody_was_reached() {
    let after = |result: &str, code: Option<&str>| {
        let mut talk = calling("resources", json!({}));
        found(&mut talk, trunks());
        talk.bridged(5.0, result, code);
        talk.text().to_owned()
    };
    assert!(after("USER_BUSY", Some("sip:486")).contains("they talk"));
    assert!(after("NORMAL_TEMPORARY_FAILURE", Some("sip:503")).contains("trunk ill"));
    assert!(after("NO_ANSWER", Some("sip:480")).contains("it failed"));
    let mut talk = calling("resources", json!({}));
    found(&mut talk, trunks());
    talk.bridged(5.0, "SUCCESS", Some("sip:200"));
    assert!(talk.text().contains("hangup"), "{}", talk.text());
}

#[test]
fn without_a_trunk_the_flow_hears_of_no_route() {
    for answer in [Answer::Trunks(Box::default()), Answer::Missing] {
        let mut talk = calling("offnet", json!({}));
        talk.found(0.0, answer);
        assert!(talk.text().contains("no way"), "{}", talk.text());
    }
    let mut broken = trunks();
    broken.resources = vec![json!({"_id": "t", "rules": ["(", ".+"], "gateways": [{}]})];
    let mut talk = calling(
        "offnet",
        json!({"custom_sip_headers": 7, "outbound_flags": "x"}),
    );
    found(&mut talk, broken);
    assert_snapshot!(talk.text());
}

#[test]
fn keys_are_pressed_and_the_flow_goes_on() {
    let mut talk = calling("send_dtmf", json!({"digits": "12#"}));
    assert!(talk.text().contains("send_dtmf"), "{}", talk.text());
    assert!(talk.text().contains("it failed"), "{}", talk.text());
    talk.gone(1.0);
    let talk = calling("send_dtmf", json!({}));
    assert!(talk.text().contains("no keys are named"), "{}", talk.text());
}
