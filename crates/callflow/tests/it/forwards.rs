//! Call forwarding: where the calls of a phone and of its owner go instead of it, or beside it.

use callreel_callflow::{Answer, Effect};
use callreel_proto::{Application, Endpoint};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, documents_of, phone};

fn forwarding(id: &str, said: Value) -> Value {
    json!({"_id": id, "call_forward": said})
}

fn bob(talk: &mut Talk, user: &Value, devices: &[Value]) {
    talk.found(
        0.0,
        Answer::Endpoints(documents_of(std::slice::from_ref(user), devices)),
    );
}

fn ring_bob() -> Talk {
    let say = json!({"module": "tts", "data": {"text": "nobody there"}});
    let flow = json!({"module": "user", "data": {"id": "bob"}, "children": {"_": say}});
    Talk::with(&flow, |call, _| call.answered = true)
}

fn endpoints(talk: &Talk) -> &[Endpoint] {
    let effects = &talk.last.as_ref().unwrap().effects;
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Command {
            application: Application::Bridge { endpoints, .. },
            ..
        } => Some(endpoints.as_slice()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no bridge:\n{}", talk.text()))
}

/// Whom a call for Bob rings.
fn rung(user: &Value, devices: &[Value]) -> Vec<String> {
    let mut talk = ring_bob();
    bob(&mut talk, user, devices);
    let name = |endpoint: &Endpoint| {
        let number = endpoint.route.clone();
        number.or(endpoint.to_username.clone()).unwrap()
    };
    endpoints(&talk).iter().map(name).collect()
}

#[test]
fn a_forward_rings_beside_the_phones_or_instead_of_them_and_once() {
    let phones = [phone("desk"), phone("mobile")];
    let beside = forwarding("bob", json!({"enabled": true, "number": "4930"}));
    assert_eq!(rung(&beside, &phones), ["desk", "4930", "mobile"]);
    let instead = forwarding(
        "bob",
        json!({"enabled": true, "number": "4930", "substitute": true}),
    );
    assert_eq!(rung(&instead, &phones), ["4930"]);
    assert_eq!(rung(&instead, &[]), ["4930"], "no phone is needed");
    let off = forwarding("bob", json!({"enabled": false, "number": "4930"}));
    assert_eq!(rung(&off, &phones), ["desk", "mobile"]);
}

#[test]
fn a_phones_own_forward_is_that_of_its_calls_alone() {
    let mut desk = phone("desk");
    desk["call_forward"] = json!({"enabled": true, "number": "1", "substitute": true});
    let user = forwarding(
        "bob",
        json!({"enabled": true, "number": "2", "substitute": true}),
    );
    assert_eq!(rung(&user, &[desk, phone("mobile")]), ["1", "2"]);
}

#[test]
fn who_must_not_be_disturbed_is_not_forwarded() {
    let mut user = forwarding("bob", json!({"enabled": true, "number": "4930"}));
    user["do_not_disturb"] = json!({"enabled": true});
    let mut talk = ring_bob();
    bob(&mut talk, &user, &[phone("desk")]);
    assert!(
        talk.text().contains("tts \"nobody there\""),
        "{}",
        talk.text()
    );
}

#[test]
fn a_forwarded_call_carries_what_the_switch_needs() {
    let user = forwarding(
        "bob",
        json!({"enabled": true, "number": "4930", "substitute": true, "require_keypress": true, "keep_caller_id": true}),
    );
    let mut talk = ring_bob();
    bob(&mut talk, &user, &[phone("desk")]);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up devices of user bob
       at user (root)
       wait
    0s > Found devices [desk] in acme.example
       < bridge the callflow of 4930 if confirmed for 20s, simultaneous, from Alice 1000
       wait until 40s
    "#);
    assert_snapshot!(serde_json::to_string_pretty(endpoints(&talk)).unwrap(), @r#"
    [
      {
        "Invite-Format": "loopback",
        "Route": "4930",
        "Endpoint-Timeout": "20",
        "Ignore-Early-Media": true,
        "To-DID": "2000",
        "Custom-Channel-Vars": {
          "Account-ID": "0123456789abcdef0123456789abcdef",
          "Authorizing-ID": "desk",
          "Authorizing-Type": "device",
          "Owner-ID": "bob",
          "Call-Forward": "true",
          "Call-Forward-Count": "1",
          "Require-Ignore-Early-Media": "true",
          "Retain-CID": "true",
          "Confirm-Key": "1",
          "Confirm-Cancel-Timeout": "true",
          "Confirm-Read-Timeout": "7000",
          "Confirm-File": "prompt://0123456789abcdef0123456789abcdef/ivr-group_confirm/en-us"
        }
      }
    ]
    "#);
}

#[test]
fn who_has_no_phone_forwards_as_a_user() {
    let user = forwarding("bob", json!({"enabled": true, "number": "4930"}));
    let mut talk = ring_bob();
    bob(&mut talk, &user, &[]);
    let variables = &endpoints(&talk)[0].custom_channel_vars;
    let words = ["Authorizing-Type", "Authorizing-ID", "Owner-ID"].map(|key| &variables[key]);
    assert_eq!(words, ["user", "bob", "bob"]);
}

#[test]
fn two_who_forward_to_each_other_do_not_ring_for_ever() {
    let user = forwarding("bob", json!({"enabled": true, "number": "4930"}));
    let rung = |before: Value| {
        let flow = json!({"module": "user", "data": {"id": "bob"}});
        let mut talk = Talk::with(&flow, |call, _| {
            call.channel_vars
                .insert("Call-Forward-Count".to_owned(), before);
        });
        bob(&mut talk, &user, &[phone("desk")]);
        let count = endpoints(&talk)
            .last()
            .unwrap()
            .custom_channel_vars
            .get("Call-Forward-Count");
        (
            count.cloned(),
            talk.text().contains("forwarded 5 times already"),
        )
    };
    assert_eq!(rung(json!("4")), (Some(json!("5")), false));
    assert_eq!(rung(json!("5")), (None, true));
}

#[test]
fn whoever_calls_themselves_reaches_none_of_their_phones() {
    let flow = json!({"module": "user", "data": {"id": "bob"}});
    let mut talk = Talk::with(&flow, |call, _| call.owner_id = Some("bob".to_owned()));
    let user = forwarding("bob", json!({"enabled": true, "number": "4930"}));
    bob(&mut talk, &user, &[phone("desk")]);
    assert!(!talk.text().contains("bridge"), "{}", talk.text());
}
