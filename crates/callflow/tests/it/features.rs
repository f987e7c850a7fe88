//! Feature codes: what a caller switches by dialling, and what is said about it.

use callreel_callflow::Answer;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;

/// The action, then a sleep whose place says that it went on.
fn feature(module: &str, data: Value) -> Value {
    let after = json!({"module": "sleep", "data": {"duration": 100}});
    json!({"module": module, "data": data, "children": {"_": after}})
}

fn bob(on: bool) -> Value {
    json!({"_id": "bob", "pvt_type": "user", "do_not_disturb": {"enabled": on}})
}

/// An answered call of Alice's phone, which belongs to Bob.
fn dialled(module: &str, data: Value) -> Talk {
    Talk::with(&feature(module, data), |call, _| {
        call.owner_id = Some("bob".to_owned());
        call.answered = true;
    })
}

#[test]
fn the_owner_of_the_calling_phone_is_not_disturbed_from_now_on() {
    let flow = feature("do_not_disturb", json!({"action": "activate"}));
    let mut talk = Talk::with(&flow, |call, _| call.owner_id = Some("bob".to_owned()));
    talk.found(0.0, Answer::Documents(vec![bob(false)]));
    talk.done(0.1, "answer");
    talk.found(0.2, Answer::Document(bob(true)));
    talk.marked(2.0, 1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up documents bob, alices-phone
       at do_not_disturb (root)
       wait
    0s > Found documents [bob]
       < answer
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < look up change document bob: /do_not_disturb/enabled=true
       wait
    0.2s > Found document bob
       < play prompt://0123456789abcdef0123456789abcdef/dnd-activated/en-us, any key ends it
       < noop m-1
       wait until 30.2s
    2s > CHANNEL_EXECUTE_COMPLETE noop m-1
       at sleep /children/_
       wait until 102s
    "#);
}

#[test]
fn do_not_disturb_ends_as_the_action_says() {
    let said = |action: &str, was: bool| {
        let mut talk = dialled("do_not_disturb", json!({"action": action, "id": "bob"}));
        talk.found(0.0, Answer::Documents(vec![bob(was)]));
        let changed = talk.text().contains("change document bob");
        if changed {
            talk.found(0.1, Answer::Document(bob(!was)));
        }
        let on = talk.text().contains("dnd-activated");
        assert_ne!(on, talk.text().contains("dnd-deactivated"));
        talk.marked(1.0, 1);
        assert_eq!(talk.position().unwrap().module, "sleep");
        (changed, on)
    };
    assert_eq!(said("activate", false), (true, true));
    assert_eq!(said("activate", true), (false, true));
    assert_eq!(said("deactivate", true), (true, false));
    assert_eq!(said("deactivate", false), (false, false));
    assert_eq!(said("toggle", false), (true, true));
    assert_eq!(said("toggle", true), (true, false));
}

#[test]
fn only_a_user_or_a_device_is_switched_and_the_caller_hears_of_it() {
    let mailbox = json!({"_id": "bob", "pvt_type": "vmbox"});
    let mut nobody = dialled("do_not_disturb", json!({"action": "toggle"}));
    nobody.found(0.0, Answer::Documents(vec![mailbox]));
    nobody.marked(1.0, 1);
    assert!(nobody.text().contains("dnd-not_available"));
    assert!(nobody.text().contains("hangup"));
    for answer in [Answer::Missing, Answer::Failed("no".to_owned())] {
        let mut unread = dialled("do_not_disturb", json!({"action": "toggle"}));
        unread.found(0.0, Answer::Documents(vec![bob(false)]));
        unread.found(0.1, answer);
        assert!(unread.text().contains("dnd-not_available"));
    }
    let mut unknown = dialled("do_not_disturb", json!({"action": "dance"}));
    unknown.found(0.0, Answer::Documents(vec![bob(false)]));
    unknown.marked(1.0, 1);
    assert!(unknown.text().contains("dnd-not_available"));
    assert_eq!(unknown.position().unwrap().module, "sleep");
}

fn forwards(enabled: bool, number: &str) -> Value {
    json!({"_id": "bob", "call_forward": {"enabled": enabled, "number": number}})
}

/// A call to the feature code with these keys behind it.
fn forwarding(action: &str, captured: &str, was: Value) -> Talk {
    let flow = feature("call_forward", json!({"action": action}));
    let mut talk = Talk::with(&flow, |call, _| {
        call.owner_id = Some("bob".to_owned());
        call.answered = true;
        call.captures.group = Some(captured.to_owned());
    });
    talk.found(0.0, Answer::Documents(vec![was]));
    talk
}

#[test]
fn calls_go_to_the_number_that_the_caller_is_asked_for() {
    let mut talk = forwarding("activate", "", forwards(false, ""));
    talk.marked(2.0, 1);
    talk.key(3.0, "7");
    talk.key(3.5, "#");
    for key in ["2", "0", "0", "1", "#"] {
        talk.key(5.0, key);
    }
    talk.found(5.1, Answer::Document(forwards(true, "2001")));
    talk.marked(7.0, 4);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up documents bob
       at call_forward (root)
       wait
    0s > Found documents [bob]
       < play prompt://0123456789abcdef0123456789abcdef/cf-enter_number/en-us, any key ends it
       < noop m-1
       wait until 30s
    2s > CHANNEL_EXECUTE_COMPLETE noop m-1
       wait until 10s
    3s > DTMF 7
       wait until 5s
    3.5s > DTMF #
       < play prompt://0123456789abcdef0123456789abcdef/cf-enter_number/en-us, any key ends it
       < noop m-2
       wait until 33.5s
    5s > DTMF 2
       < noop m-3 (flush)
       wait until 7s
    5s > DTMF 0
       wait until 7s
    5s > DTMF 0
       wait until 7s
    5s > DTMF 1
       wait until 7s
    5s > DTMF #
       < look up change document bob: /call_forward/enabled=true /call_forward/number="2001"
       wait
    5.1s > Found document bob
       < play prompt://0123456789abcdef0123456789abcdef/cf-now_forwarded_to/en-us, any key ends it
       < say name_spelled "2001" en-us
       < noop m-4
       wait until 35.1s
    7s > CHANNEL_EXECUTE_COMPLETE noop m-4
       at sleep /children/_
       wait until 107s
    "#);
}

#[test]
fn each_action_forwards_as_it_says() {
    let changed = |action: &str, captured: &str, enabled: bool, number: &str| {
        let mut talk = forwarding(action, captured, forwards(enabled, number));
        talk.found(0.1, Answer::Document(json!({"_id": "bob"})));
        talk.marked(3.0, 1);
        assert_eq!(talk.position().unwrap().module, "sleep", "{}", talk.text());
        let text = talk.text().to_owned();
        let line = text.lines().find(|line| line.contains("change document"));
        let (_, set) = line.unwrap().split_once("bob: ").unwrap();
        let said = ["now_forwarded_to", "cf-disabled", "vm-saved"];
        let said = said.into_iter().find(|prompt| text.contains(prompt));
        (set.replace("/call_forward/", ""), said.unwrap())
    };
    let on = |number: &str| {
        (
            format!("enabled=true number=\"{number}\""),
            "now_forwarded_to",
        )
    };
    let off = |number: &str| (format!("enabled=false number=\"{number}\""), "cf-disabled");
    assert_eq!(changed("activate", "3001", false, "2001"), on("3001"));
    assert_eq!(changed("deactivate", "", true, "2001"), off("2001"));
    assert_eq!(changed("toggle", "", true, "2001"), off("2001"));
    assert_eq!(changed("toggle", "3001", false, "2001"), on("2001"));
    assert_eq!(changed("toggle", "3001", false, ""), on("3001"));
    assert_eq!(changed("update", "3001", true, "2001"), on("3001"));
    let silently = ("enabled=false number=\"3001\"".to_owned(), "vm-saved");
    assert_eq!(changed("update", "3001", false, "2001"), silently);
}

#[test]
fn a_menu_toggles_and_changes_until_the_caller_says_no_more() {
    let mut talk = forwarding("menu", "", forwards(true, "2001"));
    talk.key(1.0, "1");
    talk.found(1.1, Answer::Document(forwards(false, "2001")));
    assert!(talk.text().contains("cf-disabled/"));
    talk.marked(3.0, 3);
    assert!(talk.text().contains("cf-disabled_menu"));
    talk.key(4.0, "2");
    for key in ["3", "0", "0", "1", "#"] {
        talk.key(5.0, key);
    }
    assert!(talk.text().contains("number=\"3001\""));
    talk.found(5.1, Answer::Document(forwards(false, "3001")));
    talk.marked(7.0, 8);
    for at in [10, 20, 30] {
        assert_eq!(talk.position().unwrap().module, "call_forward");
        talk.key(f64::from(at), "9");
    }
    assert_eq!(talk.position().unwrap().module, "sleep", "{}", talk.text());
}

#[test]
fn who_dials_no_number_is_not_asked_for_ever() {
    let mut talk = forwarding("activate", "", forwards(false, ""));
    for question in 0..6 {
        assert_eq!(talk.text().matches("cf-enter_number").count(), question + 1);
        talk.key(10.0, "#");
    }
    assert!(talk.text().contains("fault-too_many_invalid_entries"));
    talk.marked(20.0, 13);
    assert_eq!(talk.position().unwrap().module, "sleep", "{}", talk.text());
}

#[test]
fn calls_of_nobody_are_not_forwarded() {
    let mut nobody = dialled("call_forward", json!({"action": "toggle"}));
    nobody.found(0.0, Answer::Documents(vec![]));
    nobody.marked(1.0, 1);
    assert!(nobody.text().contains("cf-not_available"));
    assert!(nobody.text().contains("hangup"));
    let mut unwritten = forwarding("deactivate", "", forwards(true, "2001"));
    unwritten.found(0.1, Answer::Missing);
    unwritten.marked(1.0, 1);
    assert!(unwritten.text().contains("cf-not_available"));
    assert_eq!(unwritten.position().unwrap().module, "sleep");
    let odd = forwarding("dance", "", forwards(true, "2001"));
    assert_eq!(odd.position().unwrap().module, "sleep");
}

/// A callflow that rings Bob and Eve, and Bob again behind them.
fn group() -> Value {
    let ring = |users: &[&str]| {
        let endpoints: Vec<_> = users
            .iter()
            .map(|user| json!({"endpoint_type": "user", "id": user}))
            .collect();
        json!({"module": "ring_group", "data": {"endpoints": endpoints}})
    };
    let mut flow = ring(&["eve", "bob"]);
    flow["children"] =
        json!({"_": {"module": "noop", "data": {}, "children": {"a/b": ring(&["bob"])}}});
    json!({"_id": "support", "flow": flow})
}

#[test]
fn a_member_leaves_the_ring_groups_of_a_callflow() {
    let data = json!({"action": "logout", "callflow_id": "support"});
    let mut talk = dialled("ring_group_toggle", data);
    talk.found(0.0, Answer::Document(group()));
    talk.found(0.1, Answer::Document(group()));
    talk.marked(2.0, 1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up document support
       at ring_group_toggle (root)
       wait
    0s > Found document support
       < look up change document support: /flow/data/endpoints/1/disable_until=66269664000 /flow/children/_/children/a~1b/data/endpoints/0/disable_until=66269664000
       wait
    0.1s > Found document support
       < play prompt://0123456789abcdef0123456789abcdef/agent-logged_out/en-us, any key ends it
       < noop m-1
       wait until 30.1s
    2s > CHANNEL_EXECUTE_COMPLETE noop m-1
       at sleep /children/_
       wait until 102s
    "#);
}

#[test]
fn only_a_member_is_logged_in_or_out() {
    let toggled = |data: Value, found: Answer, changed: Answer| {
        let mut talk = dialled("ring_group_toggle", data);
        talk.found(0.0, found);
        talk.found(0.1, changed);
        talk.marked(2.0, 1);
        assert_eq!(talk.position().unwrap().module, "sleep", "{}", talk.text());
        talk.text().to_owned()
    };
    let support = |action: &str| json!({"action": action, "callflow_id": "support"});
    let done = || Answer::Document(group());
    let entered = toggled(support("login"), done(), done());
    assert!(entered.contains("disable_until=0") && entered.contains("agent-logged_in"));
    let strangers = Answer::Document(
        json!({"_id": "support", "flow": {"module": "user", "data": {"endpoints": [
            {"endpoint_type": "user", "id": "bob"}
        ]}}}),
    );
    for refused in [
        toggled(support("login"), strangers, done()),
        toggled(support("login"), Answer::Missing, done()),
        toggled(support("login"), done(), Answer::Missing),
        toggled(json!({"action": "login"}), done(), done()),
    ] {
        assert!(refused.contains("agent-invalid_choice"), "{refused}");
    }
    let odd = dialled("ring_group_toggle", support("dance"));
    assert_eq!(odd.position().unwrap().module, "sleep");
}
