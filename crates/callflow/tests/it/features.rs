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
       wait
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
