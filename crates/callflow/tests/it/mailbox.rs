//! `voicemail`, listening to messages: login, menus, messages, settings.

use callreel_callflow::{
    Answer, CallInfo, Captures, Effect, MailboxAnswer, Message, RecordingKind,
};
use callreel_proto::{EndReason, Folder, Vmbox};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;
use crate::voicemail::{counts, flow, vmbox};

const DONE: Answer = Answer::Mailbox(MailboxAnswer::Done);

fn check(data: Value, change: impl FnOnce(&mut CallInfo)) -> Talk {
    let mut data = data;
    data["action"] = json!("check");
    Talk::with(&flow(data), |call, _| {
        call.answered = true;
        change(call);
    })
}

/// The owner of a box that is set up, in the main menu with two new messages and a saved one.
fn inside(document: Value) -> Talk {
    let mut document = document;
    document["_id"] = json!("box");
    document["owner_id"] = json!("bob");
    document["is_setup"] = json!(true);
    let mut talk = check(json!({"id": "box"}), |call| {
        call.owner_id = Some("bob".to_owned());
    });
    talk.found(0.0, vmbox(&document));
    talk.found(0.0, counts(2, 1));
    talk
}

fn messages(folder: Folder, ids: &[&str]) -> Answer {
    let message = |(n, id): (i64, &&str)| Message {
        id: (*id).to_owned(),
        folder,
        received: 1_704_067_200 + n,
    };
    let found = (0..).zip(ids).map(message).collect();
    Answer::Mailbox(MailboxAnswer::Messages(found))
}

/// Listening to the first of these new messages.
fn listening(document: Value, ids: &[&str]) -> Talk {
    let mut talk = inside(document);
    talk.key(1.0, "1");
    talk.found(1.0, messages(Folder::New, ids));
    talk
}

/// What is played since the last input.
fn played(talk: &Talk) -> String {
    let text = talk.text();
    text[text.rfind(" > ").unwrap()..].to_owned()
}

fn dial(talk: &mut Talk, at: f64, keys: &str) {
    for key in keys.chars() {
        talk.key(at, &key.to_string());
    }
}

/// Lets the caller be silent until something else is asked.
pub(crate) fn silence(talk: &mut Talk, at: f64) {
    let mark = talk.text().matches("noop m-").count();
    // Markers are numbered as they are sent; each that was reached is in the text once more.
    let last = (1..=mark)
        .rev()
        .find(|n| talk.text().contains(&format!("< noop m-{n}\n")))
        .unwrap();
    talk.marked(at, last as u32);
    talk.tick(at + 5.0);
}

#[test]
fn the_owner_hears_keeps_and_deletes_messages() {
    let mut talk = listening(json!({}), &["202401-a", "202401-b"]);
    talk.key(10.0, "1");
    talk.found(10.0, DONE);
    talk.key(20.0, "7");
    talk.found(20.0, DONE);
    talk.found(20.0, counts(0, 2));
    talk.key(21.0, "#");
    assert_snapshot!("messages", talk.text());
}

#[test]
fn messages_are_gone_through_in_both_directions() {
    let mut talk = listening(json!({"skip_envelope": true}), &["202401-a", "202401-b"]);
    let hears = |talk: &Talk, id: &str| {
        assert!(
            played(talk).contains(&format!("/202401-{id},")),
            "{}",
            talk.text()
        );
        assert!(!talk.text().contains("vm-received"));
    };
    hears(&talk, "a");
    talk.key(2.0, "6");
    hears(&talk, "b");
    talk.key(3.0, "6");
    hears(&talk, "b");
    talk.key(4.0, "2");
    hears(&talk, "b");
    talk.key(5.0, "4");
    hears(&talk, "a");
    talk.key(6.0, "4");
    hears(&talk, "a");
    talk.key(7.0, "0");
    talk.found(7.0, DONE);
    assert!(talk.text().contains("move message 202401-a to saved"));
    assert!(
        played(&talk).contains("messages in box box"),
        "{}",
        talk.text()
    );
}

#[test]
fn the_oldest_message_may_come_first() {
    let talk = listening(
        json!({"oldest_message_first": true}),
        &["202401-b", "202401-a"],
    );
    assert!(played(&talk).contains("/202401-a,"), "{}", talk.text());
}

#[test]
fn a_message_that_cannot_be_moved_stays_and_the_next_is_heard() {
    let mut talk = listening(json!({}), &["202401-a", "202401-b"]);
    talk.key(2.0, "7");
    talk.found(2.0, Answer::Missing);
    assert!(
        talk.text().contains("could not be moved"),
        "{}",
        talk.text()
    );
    assert!(played(&talk).contains("/202401-b,"), "{}", talk.text());
    assert!(!talk.text().contains("vm-deleted"));
}

#[test]
fn a_saved_message_that_is_kept_needs_no_move() {
    let mut talk = inside(json!({}));
    talk.key(1.0, "2");
    talk.found(1.0, messages(Folder::Saved, &["202401-a"]));
    talk.key(2.0, "1");
    assert!(!talk.text().contains("move message"), "{}", talk.text());
    assert!(played(&talk).contains("vm-saved"), "{}", talk.text());
}

#[test]
fn who_presses_nothing_of_use_is_said_goodbye_everywhere() {
    let mut menu = inside(json!({}));
    for round in 1..=4 {
        silence(&mut menu, f64::from(round) * 10.0);
        if round < 4 {
            menu.found(f64::from(round) * 10.0 + 5.0, counts(2, 1));
        }
    }
    assert!(menu.text().contains("vm-goodbye"), "{}", menu.text());
    let mut message = listening(json!({}), &["202401-a"]);
    for at in [2.0, 3.0, 4.0, 5.0] {
        message.key(at, "9");
    }
    assert!(message.text().contains("vm-goodbye"), "{}", message.text());
    assert_eq!(message.text().matches("menu-invalid_entry").count(), 3);
    let mut settings = inside(json!({}));
    settings.key(1.0, "5");
    for at in [2.0, 3.0, 4.0, 5.0] {
        settings.key(at, "9");
    }
    assert!(
        played(&settings).contains("messages in box"),
        "{}",
        settings.text()
    );
}

#[test]
fn a_message_is_forwarded_and_kept() {
    let mut talk = listening(json!({}), &["202401-a"]);
    talk.key(2.0, "3");
    dial(&mut talk, 3.0, "1002#");
    talk.found(3.0, vmbox(&json!({"_id": "other"})));
    talk.found(3.0, DONE);
    talk.found(3.0, DONE);
    assert_snapshot!("forwarded", talk.text());
}

#[test]
fn a_message_goes_to_no_box_that_is_not_there_and_not_to_its_own() {
    let mut talk = listening(json!({}), &["202401-a"]);
    talk.key(2.0, "3");
    dial(&mut talk, 3.0, "#");
    dial(&mut talk, 4.0, "77#");
    talk.found(4.0, Answer::Missing);
    dial(&mut talk, 5.0, "1001#");
    talk.found(5.0, vmbox(&json!({"_id": "box"})));
    assert_eq!(talk.text().matches("menu-invalid_entry").count(), 2);
    assert!(
        played(&talk).contains("vm-forward_abort"),
        "{}",
        talk.text()
    );
    let mut fails = listening(json!({}), &["202401-a"]);
    fails.key(2.0, "3");
    dial(&mut fails, 3.0, "1002#");
    fails.found(3.0, vmbox(&json!({"_id": "other"})));
    fails.found(3.0, Answer::Missing);
    assert!(
        played(&fails).contains("vm-forward_abort"),
        "{}",
        fails.text()
    );
    assert!(
        played(&fails).contains("vm-message_menu"),
        "{}",
        fails.text()
    );
}

#[test]
fn a_stranger_needs_number_and_pin() {
    let mut talk = check(json!({}), |_| {});
    dial(&mut talk, 1.0, "1001#");
    talk.found(
        1.0,
        vmbox(&json!({"_id": "box", "pin": "4711", "is_setup": true})),
    );
    dial(&mut talk, 5.0, "4711#");
    talk.found(5.0, counts(0, 0));
    talk.key(6.0, "#");
    assert_snapshot!("stranger", talk.text());
    assert!(!talk.text().contains("4711\n"), "{}", talk.text());
}

#[test]
fn three_failures_are_enough() {
    let mut talk = check(json!({}), |_| {});
    dial(&mut talk, 1.0, "#");
    dial(&mut talk, 2.0, "66#");
    talk.found(2.0, Answer::Missing);
    dial(&mut talk, 3.0, "1001#");
    talk.found(
        3.0,
        vmbox(&json!({"_id": "box", "pin": "4711", "is_setup": true})),
    );
    dial(&mut talk, 4.0, "1234#");
    assert_eq!(talk.text().matches("menu-invalid_entry").count(), 2);
    assert!(talk.text().contains("vm-fail_auth"), "{}", talk.text());
    assert!(talk.text().contains("vm-abort"), "{}", talk.text());
}

#[test]
fn a_box_without_a_pin_is_shut_to_strangers() {
    let mut talk = check(json!({"id": "box"}), |_| {});
    talk.found(0.0, vmbox(&json!({"_id": "box", "owner_id": "bob"})));
    assert!(talk.text().contains("vm-no_access"), "{}", talk.text());
    let mut owner = check(json!({"id": "box"}), |call| {
        call.owner_id = Some("bob".into())
    });
    let document =
        json!({"_id": "box", "owner_id": "bob", "is_setup": true, "require_pin": true, "pin": "1"});
    owner.found(0.0, vmbox(&document));
    assert!(owner.text().contains("vm-enter_pass"), "{}", owner.text());
}

#[test]
fn an_owner_who_calls_the_box_listens() {
    let compose = |document: Value| {
        let mut talk = Talk::with(&flow(json!({"id": "box"})), |call, _| {
            call.answered = true;
            call.owner_id = Some("bob".to_owned());
        });
        talk.found(0.0, vmbox(&document));
        talk.text().contains("messages in box box") && {
            talk.found(0.0, counts(1, 0));
            talk.text().contains("vm-main_menu")
        }
    };
    let own = json!({"_id": "box", "owner_id": "bob", "is_setup": true});
    assert!(compose(own.clone()));
    let mut told = own;
    told["check_if_owner"] = json!(false);
    assert!(!compose(told));
}

#[test]
fn whose_box_it_is_is_known_by_the_caller_or_by_the_number_dialled() {
    let bob = |call: &mut CallInfo| {
        call.owner_id = Some("bob".to_owned());
        call.caller_id_number = Some("1001".to_owned());
    };
    let boxes = |numbers: &[&str]| {
        let boxes = numbers.iter().map(|n| {
            Vmbox::read(&json!({"_id": n, "mailbox": n, "owner_id": "bob", "is_setup": true}))
        });
        Answer::Mailbox(MailboxAnswer::Boxes(boxes.collect()))
    };
    let box_of = |data: Value, found: Answer| {
        let mut talk = check(data, bob);
        talk.found(0.0, found);
        let text = talk.text();
        text.rfind("messages in box ").map(|at| {
            text[at + 16..]
                .split_whitespace()
                .next()
                .unwrap()
                .to_owned()
        })
    };
    let single = json!({"single_mailbox_login": true});
    assert_eq!(box_of(single.clone(), boxes(&["7"])).as_deref(), Some("7"));
    assert_eq!(box_of(single, boxes(&["7", "8"])), None);
    let matching = json!({"callerid_match_login": true});
    assert_eq!(
        box_of(matching.clone(), boxes(&["7", "1001"])).as_deref(),
        Some("1001")
    );
    assert_eq!(box_of(matching, boxes(&["7"])), None);
    assert_eq!(box_of(json!({}), boxes(&["1001"])), None);
    let dialled = check(json!({}), |call| {
        call.captures = Captures {
            group: Some("1005".to_owned()),
            ..Captures::default()
        };
    });
    assert!(dialled.text().contains("the voicemail box of number 1005"));
}

#[test]
fn a_new_box_is_set_up_by_its_owner() {
    let mut talk = check(json!({"id": "box"}), |call| {
        call.owner_id = Some("bob".into())
    });
    talk.found(
        0.0,
        vmbox(&json!({"_id": "box", "mailbox": "1001", "owner_id": "bob"})),
    );
    dial(&mut talk, 1.0, "1234#");
    dial(&mut talk, 2.0, "1234#");
    talk.found(2.0, DONE);
    talk.recorded(9.0, 1, EndReason::Stopped, 4000);
    talk.key(10.0, "1");
    talk.found(10.0, Answer::Document(json!({"_id": "box"})));
    talk.found(10.0, counts(0, 0));
    assert_snapshot!("setup", talk.text());
}

#[test]
fn a_pin_is_dialled_twice_the_same_and_not_too_short() {
    let mut talk = inside(json!({}));
    dial(&mut talk, 1.0, "53");
    dial(&mut talk, 2.0, "1234#");
    dial(&mut talk, 3.0, "1235#");
    dial(&mut talk, 4.0, "123#");
    dial(&mut talk, 5.0, "123#");
    dial(&mut talk, 6.0, "123456");
    dial(&mut talk, 7.0, "123456");
    talk.found(7.0, DONE);
    assert_eq!(talk.text().matches("vm-pin_invalid").count(), 2);
    assert!(played(&talk).contains("vm-pin_set"), "{}", talk.text());
    assert!(
        played(&talk).contains("vm-settings_menu"),
        "{}",
        talk.text()
    );
    let mut new = check(json!({"id": "box"}), |call| {
        call.owner_id = Some("bob".into())
    });
    new.found(0.0, vmbox(&json!({"_id": "box", "owner_id": "bob"})));
    for at in [1.0, 2.0, 3.0] {
        dial(&mut new, at, "##");
    }
    assert!(new.text().contains("vm-goodbye"), "{}", new.text());
    assert!(!new.text().contains("change the pin"), "{}", new.text());
}

#[test]
fn greetings_and_the_name_are_recorded_by_phone() {
    let kind = |key: &str| {
        let mut talk = inside(json!({"mailbox": "1001"}));
        talk.key(1.0, "5");
        talk.key(2.0, key);
        let effects = talk.last.as_ref().unwrap().effects.clone();
        let order = effects.into_iter().find_map(|effect| match effect {
            Effect::RecordMessage(order) => Some(order),
            _ => None,
        });
        let RecordingKind::Greeting { name, used_by, .. } = order.unwrap().kind else {
            panic!("a greeting");
        };
        (name, used_by.id, used_by.pointer)
    };
    let own = |name: &str, id: &str, place: &str| (name.into(), id.into(), place.into());
    assert_eq!(
        kind("1"),
        own(
            "mailbox 1001 unavailable greeting",
            "box",
            "/media/unavailable"
        )
    );
    assert_eq!(
        kind("2"),
        own("mailbox 1001 users name", "bob", "/media/name")
    );
    assert_eq!(
        kind("4"),
        own(
            "mailbox 1001 temporary unavailable greeting",
            "box",
            "/media/temporary_unavailable"
        )
    );
}

#[test]
fn a_greeting_that_nobody_approves_of_is_not_used() {
    let mut talk = inside(json!({}));
    dial(&mut talk, 1.0, "51");
    talk.recorded(5.0, 1, EndReason::Stopped, 3000);
    dial(&mut talk, 6.0, "9999");
    assert!(
        talk.text().contains("discard recording #1"),
        "{}",
        talk.text()
    );
    assert!(played(&talk).contains("vm-deleted"), "{}", talk.text());
    assert!(
        played(&talk).contains("vm-settings_menu"),
        "{}",
        talk.text()
    );
    let mut operator = inside(json!({}));
    dial(&mut operator, 1.0, "51");
    operator.recorded(5.0, 1, EndReason::Stopped, 3000);
    operator.key(6.0, "0");
    assert!(
        !operator.text().contains("callflow of 0"),
        "{}",
        operator.text()
    );
}

#[test]
fn the_greeting_for_the_time_being_is_deleted_by_phone() {
    let mut talk = inside(json!({"media": {"temporary_unavailable": "t"}}));
    dial(&mut talk, 1.0, "55");
    talk.found(1.0, Answer::Document(json!({"_id": "box"})));
    assert!(talk.text().contains("/media/temporary_unavailable=null"));
    talk.key(2.0, "0");
    assert!(played(&talk).contains("messages in box"), "{}", talk.text());
}

#[test]
fn a_box_may_have_no_settings_by_phone() {
    let mut talk = inside(json!({"not_configurable": true}));
    assert!(played(&talk).contains("vm-main_menu_not_configurable"));
    talk.key(1.0, "5");
    assert!(!talk.text().contains("vm-settings_menu"), "{}", talk.text());
}

#[test]
fn counts_are_said_as_people_say_them() {
    let said = |new, saved| {
        let mut talk = check(json!({"id": "box"}), |call| {
            call.owner_id = Some("bob".into())
        });
        talk.found(
            0.0,
            vmbox(&json!({"_id": "box", "owner_id": "bob", "is_setup": true})),
        );
        talk.found(0.0, counts(new, saved));
        let words = played(&talk);
        let prompts = words.split("vm-").skip(1);
        let names = prompts.map(|p| p.split(['/', ',']).next().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(said(0, 0), "no_messages main_menu");
    assert_eq!(said(1, 0), "you_have new_message main_menu");
    assert_eq!(said(2, 0), "you_have new_messages main_menu");
    assert_eq!(said(0, 1), "you_have saved_message main_menu");
    assert_eq!(said(0, 9), "you_have saved_messages main_menu");
    assert_eq!(said(1, 1), "you_have new_and saved_message main_menu");
    assert_eq!(said(3, 2), "you_have new_and saved_messages main_menu");
}
