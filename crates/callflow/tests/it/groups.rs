//! `ring_group`, `group`, `page_group` and `route_to_cid`: who is rung in which order, how often, and where the flow goes after.

mod pages;

use callreel_callflow::{Answer, Effect, Endpoints};
use callreel_proto::{Application, EventName};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, documents_of, phone, refused};

fn flow(module: &str, data: Value) -> Value {
    let say = |text: &str| json!({"module": "tts", "data": {"text": text}});
    json!({"module": module, "data": data, "children": {
        "_": say("nobody there"), "USER_BUSY": say("busy"), "sip:404": say("unknown")
    }})
}

fn answered(module: &str, data: Value) -> Talk {
    Talk::with(&flow(module, data), |call, _| call.answered = true)
}

/// Bob has two phones, Carol one, and the lobby's is nobody's; they are a group, which is in another.
fn everybody() -> Endpoints {
    let carols = json!({"_id": "carols", "owner_id": "carol", "sip": {"username": "carols"}});
    let lobby = json!({"_id": "lobby", "sip": {"username": "lobby"}});
    Endpoints {
        groups: vec![
            json!({"_id": "all", "endpoints": {"sales": {"type": "group"}, "lobby": {"type": "device"}}}),
            json!({"_id": "sales", "ringback": "%(2000,4000,440,480)", "timeout": 7, "endpoints": {
                "bob": {"type": "user", "weight": 2, "delay": 3}, "carol": {"type": "user", "weight": 1}}}),
        ],
        ..documents_of(
            &[json!({"_id": "bob"}), json!({"_id": "carol"})],
            &[phone("desk"), phone("mobile"), carols, lobby],
        )
    }
}

/// Whom the newest bridge or page rings, with delays.
fn rung(talk: &Talk) -> Vec<String> {
    let effects = &talk.last.as_ref().unwrap().effects;
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Command { application, .. } => match application {
            Application::Bridge { endpoints, .. } => Some(endpoints),
            Application::Page(page) => Some(&page.endpoints),
            _ => None,
        },
        _ => None,
    });
    let endpoints = found.unwrap_or_else(|| panic!("nobody is rung:\n{}", talk.text()));
    let name = |endpoint: &callreel_proto::Endpoint| {
        let name = endpoint.to_username.clone().unwrap();
        match endpoint.delay_s {
            Some(s) => format!("{name}+{s}"),
            None => name,
        }
    };
    endpoints.iter().map(name).collect()
}

fn of(kind: &str, id: &str) -> Value {
    json!({"endpoint_type": kind, "id": id})
}

fn found(talk: &mut Talk) {
    talk.found(0.0, Answer::Endpoints(everybody()));
}

#[test]
fn a_ring_group_rings_each_phone_once_as_whoever_names_it_first_says() {
    let mobile = json!({"endpoint_type": "device", "id": "mobile", "delay": 9, "timeout": 5});
    let endpoints = json!([
        mobile,
        of("user", "bob"),
        of("group", "sales"),
        of("device", "mobile")
    ]);
    let mut talk = answered("ring_group", json!({"endpoints": endpoints, "timeout": 30}));
    found(&mut talk);
    assert_eq!(rung(&talk), ["mobile+9", "desk", "carols"]);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up device mobile, devices of user bob, members of group sales, device mobile
       at ring_group (root)
       wait
    0s > Found devices [desk, mobile, carols, lobby] in acme.example
       < bridge mobile@acme.example after 9s, desk@acme.example, carols@acme.example for 30s, simultaneous, from Alice 1000
       wait until 50s
    "#);
}

#[test]
fn one_by_one_the_members_of_a_group_have_their_places() {
    let data = json!({"endpoints": [of("group", "all")], "strategy": "single"});
    let mut talk = answered("ring_group", data);
    found(&mut talk);
    assert_eq!(rung(&talk), ["carols", "desk+3", "mobile+3", "lobby"]);
}

#[test]
fn an_order_of_chance_is_as_the_chance_is() {
    let order = |chance: u64, weight: u64| {
        let carol = json!({"endpoint_type": "user", "id": "carol", "weight": weight});
        let data =
            json!({"endpoints": [of("device", "lobby"), carol], "strategy": "weighted_random"});
        let mut talk = answered("ring_group", data);
        talk.found(
            0.0,
            Answer::Endpoints(Endpoints {
                chance,
                ..everybody()
            }),
        );
        rung(&talk)
    };
    assert_eq!(order(1, 20), order(1, 20));
    let firsts = |weight| {
        (0..100)
            .filter(|n| order(*n, weight)[0] == "carols")
            .count()
    };
    assert!((35..65).contains(&firsts(20)), "{}", firsts(20));
    assert!(firsts(100) > 70, "{}", firsts(100));
}

#[test]
fn a_group_is_rung_again_until_somebody_answers_or_the_flow_knows_better() {
    let data = json!({"endpoints": [of("device", "lobby")], "repeats": 2});
    let mut talk = answered("ring_group", data.clone());
    found(&mut talk);
    talk.bridged(20.0, "NO_ANSWER", Some("sip:480"));
    found(&mut talk);
    assert_eq!(rung(&talk), ["lobby"]);
    talk.bridged(40.0, "NO_ANSWER", Some("sip:480"));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up device lobby
       at ring_group (root)
       wait
    0s > Found devices [desk, mobile, carols, lobby] in acme.example
       < bridge lobby@acme.example for 20s, simultaneous, from Alice 1000
       wait until 40s
    20s > CHANNEL_EXECUTE_COMPLETE bridge NO_ANSWER sip:480 NO_ANSWER
       < look up device lobby
       wait
    0s > Found devices [desk, mobile, carols, lobby] in acme.example
       < bridge lobby@acme.example for 20s, simultaneous, from Alice 1000
       wait until 40s
    40s > CHANNEL_EXECUTE_COMPLETE bridge NO_ANSWER sip:480 NO_ANSWER
       < tts "nobody there" female en-us, any key ends it
       < noop m-1
       at tts /children/_
       wait until 70s
    "#);
    for (cause, code, words) in [
        ("USER_BUSY", "sip:486", "busy"),
        ("UNALLOCATED_NUMBER", "sip:404", "unknown"),
    ] {
        let mut talk = answered("ring_group", data.clone());
        found(&mut talk);
        talk.bridged(1.0, cause, Some(code));
        assert!(
            talk.text().contains(&format!("tts {words:?}")),
            "{}",
            talk.text()
        );
    }
}

#[test]
fn a_group_that_talked_ends_the_flow() {
    for (module, data) in [
        ("ring_group", json!({"endpoints": [of("user", "bob")]})),
        ("group", json!({"id": "sales"})),
        ("group", json!({"endpoints": [of("user", "bob")]})),
    ] {
        let mut talk = answered(module, data);
        found(&mut talk);
        talk.event(2.0, EventName::ChannelBridge, |_| {});
        talk.bridged(9.0, "SUCCESS", Some("sip:200"));
        assert!(
            talk.text().contains("< hangup"),
            "{module}: {}",
            talk.text()
        );
    }
}

#[test]
fn who_logged_out_is_not_rung_until_the_time_has_come() {
    let rings = |until: u64| {
        let lobby = json!({"endpoint_type": "device", "id": "lobby", "disable_until": until});
        let mut talk = answered("ring_group", json!({"endpoints": [lobby]}));
        talk.found(
            0.0,
            Answer::Endpoints(Endpoints {
                now_s: 63_900_000_000,
                ..everybody()
            }),
        );
        talk.text().contains("< bridge")
    };
    assert!(rings(0));
    assert!(rings(63_899_999_999));
    assert!(!rings(66_269_664_000));
}

#[test]
fn a_ring_group_rings_as_it_says() {
    let data = json!({"endpoints": [of("device", "lobby")], "ringtones": {"internal": "int", "external": "ext"},
        "ringback": "%(2000,4000,440,480)", "ignore_forward": false, "fail_on_single_reject": true});
    let mut talk = answered("ring_group", data);
    found(&mut talk);
    let effects = &talk.last.as_ref().unwrap().effects;
    let Some(Effect::Command { application, .. }) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_snapshot!(serde_json::to_string_pretty(application).unwrap(), @r#"
    {
      "Application-Name": "bridge",
      "Endpoints": [
        {
          "Invite-Format": "username",
          "To-User": "lobby",
          "To-Username": "lobby",
          "To-Realm": "acme.example",
          "Endpoint-Timeout": "20",
          "Outbound-Call-ID": "m-b1",
          "Custom-Channel-Vars": {
            "Account-ID": "0123456789abcdef0123456789abcdef",
            "Authorizing-ID": "lobby",
            "Authorizing-Type": "device"
          },
          "Custom-SIP-Headers": {
            "Alert-Info": "int"
          }
        }
      ],
      "Timeout": 20,
      "Dial-Endpoint-Method": "simultaneous",
      "Fail-On-Single-Reject": true,
      "Caller-ID-Name": "Alice",
      "Caller-ID-Number": "1000",
      "Ignore-Early-Media": true,
      "Ringback": "tone_stream://%(2000,4000,440,480)",
      "Ignore-Forward": false
    }
    "#);
}

#[test]
fn a_forward_for_direct_calls_is_none_of_a_groups() {
    let forward =
        json!({"enabled": true, "number": "4930", "substitute": true, "direct_calls_only": true});
    let users = [json!({"_id": "bob", "call_forward": forward})];
    let rung = |module: &str, data: Value| {
        let mut talk = answered(module, data);
        talk.found(
            0.0,
            Answer::Endpoints(documents_of(&users, &[phone("desk")])),
        );
        talk.text().contains("< bridge desk@")
    };
    assert!(!rung("user", json!({"id": "bob"})));
    assert!(rung(
        "ring_group",
        json!({"endpoints": [of("user", "bob")]})
    ));
}

#[test]
fn a_group_without_anybody_goes_on_at_once() {
    for data in [
        json!({}),
        json!({"endpoints": []}),
        json!({"endpoints": 7}),
        json!({"endpoints": [7, {"id": ""}, {"id": "x", "endpoint_type": "robot"}]}),
    ] {
        for module in ["ring_group", "group", "page_group"] {
            let talk = answered(module, data.clone());
            assert!(
                talk.text().contains("tts \"nobody there\""),
                "{module} {}",
                talk.text()
            );
        }
    }
    let mut talk = answered(
        "ring_group",
        json!({"endpoints": [of("user", "nobody")], "repeats": 3}),
    );
    found(&mut talk);
    assert!(
        talk.text()
            .contains("there is no user nobody in the account; not rung"),
        "{}",
        talk.text()
    );
    assert!(
        talk.text().contains("tts \"nobody there\""),
        "{}",
        talk.text()
    );
}

#[test]
fn groups_that_hold_each_other_end() {
    let round = |id: &str, other: &str| json!({"_id": id, "endpoints": {other: {"type": "group"}, "lobby": {"type": "device"}}});
    let mut talk = answered("ring_group", json!({"endpoints": [of("group", "a")]}));
    let groups = vec![round("a", "b"), round("b", "a")];
    talk.found(
        0.0,
        Answer::Endpoints(Endpoints {
            groups,
            ..everybody()
        }),
    );
    assert_eq!(rung(&talk), ["lobby"]);
}

#[test]
fn a_group_document_goes_before_the_action_and_the_call_is_answered_first() {
    let mut talk = Talk::through(&flow("group", json!({"id": "sales", "timeout": 60})));
    found(&mut talk);
    talk.done(0.1, "answer");
    assert_eq!(rung(&talk), ["desk+3", "mobile+3", "carols"]);
    talk.bridged(9.0, "NO_ANSWER", None);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up members of group sales
       at group (root)
       wait
    0s > Found devices [desk, mobile, carols, lobby] in acme.example
       < answer
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < bridge desk@acme.example after 3s, mobile@acme.example after 3s, carols@acme.example for 7s, simultaneous, from Alice 1000
       wait until 27.1s
    9s > CHANNEL_EXECUTE_COMPLETE bridge NO_ANSWER NO_ANSWER
       < tts "nobody there" female en-us, any key ends it
       < noop m-1
       at tts /children/_
       wait until 39s
    "#);
}

fn with_cid(id: &str, kind: &str, number: &str) -> Value {
    json!({"_id": id, "caller_id": {kind: {"number": number}}})
}

#[test]
fn whoever_has_the_number_as_caller_id_is_rung() {
    let data = json!({"endpoint_types": ["user", "device"], "cid_types": ["internal", "external"]});
    let mut talk = answered("route_to_cid", data);
    talk.found(
        0.0,
        Answer::Documents(vec![
            with_cid("lobby", "external", "2000"),
            with_cid("desk", "emergency", "2000"),
        ]),
    );
    talk.found(
        0.0,
        Answer::Documents(vec![
            with_cid("carol", "internal", "2000"),
            with_cid("bob", "internal", "2001"),
        ]),
    );
    found(&mut talk);
    assert_eq!(rung(&talk), ["lobby", "carols"]);
    talk.bridged(9.0, "USER_BUSY", Some("sip:486"));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up all documents of type device
       at route_to_cid (root)
       wait
    0s > Found documents [lobby, desk]
       < look up all documents of type user
       wait
    0s > Found documents [carol, bob]
       < look up device lobby, devices of user carol
       wait
    0s > Found devices [desk, mobile, carols, lobby] in acme.example
       < bridge lobby@acme.example, carols@acme.example for 20s, simultaneous, from Alice 1000
       wait until 40s
    9s > CHANNEL_EXECUTE_COMPLETE bridge USER_BUSY sip:486 USER_BUSY
       < tts "busy" female en-us, any key ends it
       < noop m-1
       at tts /children/USER_BUSY
       wait until 39s
    "#);
}

#[test]
fn a_number_that_is_nobodys_goes_on() {
    let talk = answered("route_to_cid", json!({}));
    assert!(
        talk.text().contains("tts \"nobody there\""),
        "{}",
        talk.text()
    );
    let mut talk = answered("route_to_cid", json!({"endpoint_types": ["user"]}));
    talk.found(
        0.0,
        Answer::Documents(vec![with_cid("carol", "external", "2000")]),
    );
    assert!(
        talk.text().contains("tts \"nobody there\""),
        "{}",
        talk.text()
    );
}

#[test]
fn a_log_is_not_filled_by_one_flow() {
    let member =
        json!({"endpoint_type": "device", "id": "bob", "delay": "soon", "timeout": "late"});
    let flow = json!({"module": "ring_group", "data": {"endpoints": vec![member; 5000]}});
    let talk = Talk::through(&flow);
    assert_eq!(talk.text().matches("   < warn at").count(), 101);
    assert!(talk.text().contains("more is wrong here than is told"));
}
