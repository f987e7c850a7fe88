//! `offnet` and `resources` on a Kazoo: what stepswitch is asked for, and where the flow goes on by its answers and by events.

use callreel_callflow::{Answer, Effect, Input, Query, Trunks};
use callreel_proto::{EventName, OffnetReq, OffnetResp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// A call on a Kazoo whose flow has stepswitch call a number.
fn calling(module: &str, data: Value) -> Talk {
    let say = |text: &str| json!({"module": "tts", "data": {"text": text}});
    let flow = json!({"module": module, "data": data, "children": {
        "_": say("it failed"), "USER_BUSY": say("they talk"), "sip:503": say("trunk ill"),
        "NO_ROUTE_DESTINATION": say("no way"), "NORMAL_TEMPORARY_FAILURE": say("not now")
    }});
    let mut talk = Talk::with(&flow, |call, _| {
        call.guest = true;
        call.answered = true;
        call.request = "087012345@acme.example".to_owned();
        call.number = "087012345".to_owned();
        call.from = "1000@acme.example".to_owned();
        call.owner_id = Some("alice".to_owned());
        call.channel_vars = json!({"Inception": "a@b", "Require-Ignore-Early-Media": "true"})
            .as_object()
            .unwrap()
            .clone();
    });
    let wanted = talk
        .last
        .as_ref()
        .unwrap()
        .effects
        .iter()
        .find_map(|e| match e {
            Effect::Lookup(Query::Trunks {
                caller_only, hunt, ..
            }) => Some((*caller_only, hunt.is_none())),
            _ => None,
        });
    let (caller_only, global) = wanted.expect("it asks who the caller is");
    assert!(caller_only, "stepswitch knows the trunks");
    let trunks = Trunks {
        global,
        caller: vec![
            json!({"sip": {"custom_sip_headers": {"out": {"X-Desk": "1"}}}, "outbound_flags": ["desk"]}),
            json!({"caller_id": {"external": {"number": "+4687000204", "name": "Acme"}, "emergency": {"number": "+4687000112"}}}),
        ],
        realm: "acme.example".to_owned(),
        ..Trunks::default()
    };
    talk.found(0.0, Answer::Trunks(Box::new(trunks)));
    talk
}

fn asked(talk: &Talk) -> (OffnetReq, String) {
    let effects = &talk.last.as_ref().unwrap().effects;
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Offnet { request, msg_id } => Some((OffnetReq::clone(request), msg_id.clone())),
        _ => None,
    });
    asked.unwrap_or_else(|| panic!("stepswitch is not asked:\n{}", talk.text()))
}

fn says(talk: &mut Talk, at_s: f64, msg_id: &str, message: &str, code: Option<&str>) {
    let response = OffnetResp {
        message: message.to_owned(),
        code: code.map(str::to_owned),
        ..OffnetResp::default()
    };
    let msg_id = msg_id.to_owned();
    talk.hear(at_s, Input::Offnet { msg_id, response });
}

#[test]
fn stepswitch_is_asked_for_the_number_as_it_was_dialled() {
    let (request, _) = asked(&calling("offnet", json!({})));
    assert_eq!(request.to_did, "087012345");
    assert_eq!(request.hunt_account_id, None);
    assert_eq!(request.bypass_e164, Some(false));
    assert_eq!(request.flags, ["desk"]);
    assert_eq!(request.caller_id_number.as_deref(), Some("+4687000204"));
    assert_eq!(
        request.emergency_caller_id_number.as_deref(),
        Some("+4687000112")
    );
    assert_eq!(request.emergency_caller_id_name.as_deref(), Some("Acme"));
    assert_eq!(request.account_realm.as_deref(), Some("acme.example"));
    assert_eq!(request.inception.as_deref(), Some("a@b"));
    assert_eq!(json!(request.custom_sip_headers), json!({"X-Desk": "1"}));
    let vars = json!({"Authorizing-ID": "alices-phone", "Owner-ID": "alice", "Require-Ignore-Early-Media": "true"});
    assert_eq!(json!(request.custom_channel_vars), vars);
    assert_eq!(request.requestor_custom_channel_vars["Inception"], "a@b");
}

#[test]
fn what_the_step_says_is_asked_for() {
    let (own, _) = asked(&calling("resources", json!({})));
    assert_eq!(own.hunt_account_id.as_deref(), Some(ACCOUNT));
    let data = json!({"to_did": "112", "bypass_e164": true, "timeout": 45, "outbound_flags": ["intl"], "format_from_uri": true,
        "use_local_resources": true, "hunt_account_id": "above", "ignore_early_media": true, "emit_account_id": true,
        "suppress_clid": true});
    let (request, _) = asked(&calling("offnet", data));
    assert_eq!(
        (request.to_did.as_str(), request.bypass_e164),
        ("112", Some(true))
    );
    assert_eq!(request.hunt_account_id.as_deref(), Some("above"));
    assert_eq!(request.timeout_s, Some(45));
    assert_eq!(request.flags, ["desk", "intl"]);
    assert_eq!(request.format_from_uri, Some(true));
    assert_eq!(request.from_uri_realm.as_deref(), Some("acme.example"));
    assert_eq!(request.ignore_early_media, Some(true));
    assert_eq!(request.custom_sip_headers["X-Account-ID"], ACCOUNT);
    assert_eq!(request.caller_id_number.as_deref(), Some("anonymous"));
    assert_eq!(request.custom_channel_vars["Privacy-Hide-Number"], "true");
}

#[test]
fn the_flow_goes_on_by_what_stepswitch_says() {
    let after = |message: &str, code: Option<&str>| {
        let mut talk = calling("resources", json!({}));
        let (_, msg_id) = asked(&talk);
        says(&mut talk, 3.0, "m-99", "USER_BUSY", None);
        assert!(!talk.text().contains("they talk"), "another's answer");
        says(&mut talk, 5.0, &msg_id, message, code);
        talk.text().to_owned()
    };
    assert!(after("USER_BUSY", Some("sip:486")).contains("they talk"));
    assert!(after("GATEWAY_DOWN", Some("sip:503")).contains("trunk ill"));
    assert!(after("NO_ROUTE_DESTINATION", Some("sip:404")).contains("no way"));
    assert!(after("NO_ANSWER", None).contains("it failed"));
    assert!(after("ORIGINATOR_CANCEL", Some("sip:487")).contains("hangup"));
    for over in [("SUCCESS", Some("sip:200")), ("NORMAL_CLEARING", None)] {
        let text = after(over.0, over.1);
        assert!(
            text.contains("hangup") && !text.contains("it failed"),
            "{text}"
        );
    }
}

#[test]
fn events_of_the_bridge_count_where_stepswitch_is_silent() {
    let mut talk = calling("offnet", json!({}));
    talk.bridged(5.0, "USER_BUSY", Some("sip:486"));
    assert!(talk.text().contains("they talk"), "{}", talk.text());
    let mut talk = calling("offnet", json!({}));
    talk.event(4.0, EventName::ChannelBridge, |_| {});
    talk.tick(4000.0);
    assert!(
        !talk.text().contains("not now"),
        "who talks, talks: {}",
        talk.text()
    );
    talk.bridged(4001.0, "SUCCESS", Some("sip:200"));
    assert!(talk.text().contains("hangup"), "{}", talk.text());
}

#[test]
fn a_kazoo_without_stepswitch_leaves_nobody_waiting() {
    let mut talk = calling("offnet", json!({"timeout": 20}));
    talk.tick(79.0);
    assert!(!talk.text().contains("not now"), "{}", talk.text());
    talk.tick(80.0);
    assert_snapshot!(talk.text());
    let mut talk = calling("offnet", json!({}));
    talk.gone(1.0);
    assert_eq!(talk.position(), None);
}
