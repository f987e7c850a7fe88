//! Menus and numbers that are hunted for: every branch, and every way out.

use callreel_callflow::{Answer, CallInfo, Captures, Dialled, Input, Slot};
use callreel_proto::EndReason;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;

fn after(seconds: u64) -> Value {
    json!({"module": "sleep", "data": {"duration": seconds}})
}

fn flow(module: &str, data: Value, children: Value) -> Value {
    json!({"module": module, "data": data, "children": children})
}

/// An answered caller in a menu with these children.
fn menu(document: Value, children: Value) -> Talk {
    let flow = flow("menu", json!({"id": "main"}), children);
    let mut talk = Talk::with(&flow, |call, _| call.answered = true);
    talk.found(0.0, Answer::Document(document));
    talk
}

fn place(talk: &Talk) -> String {
    talk.position().map(|at| at.pointer).unwrap_or_default()
}

fn extension(fallback: bool) -> Answer {
    Answer::Dialled(Box::new(Dialled {
        document: json!({"_id": "x2001", "flow": after(7)}),
        captures: Captures::default(),
        fallback,
    }))
}

#[test]
fn a_key_goes_to_the_child_of_that_name() {
    let children = json!({"1": after(1), "_": after(9)});
    let mut talk = Talk::through(&flow("menu", json!({"id": "main"}), children));
    talk.found(
        0.0,
        Answer::Document(json!({"_id": "main", "media": {"greeting": "hello"}})),
    );
    talk.done(0.1, "answer");
    talk.key(2.0, "1");
    talk.tick(4.0);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up document main
       at menu (root)
       wait
    0s > Found document main
       < answer
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < play /0123456789abcdef0123456789abcdef/hello, any key ends it
       < noop m-1
       wait until 30.1s
    2s > DTMF 1
       < noop m-2 (flush)
       wait until 4s
    4s > Tick
       at sleep /children/1
       wait until 5s
    "#);
}

#[test]
fn more_than_one_key_is_one_choice() {
    let mut talk = menu(json!({"max_extension_length": 2}), json!({"12": after(1)}));
    talk.key(1.0, "1");
    assert_eq!(place(&talk), "");
    talk.key(1.5, "2");
    assert_eq!(place(&talk), "/children/12");
}

#[test]
fn who_presses_nothing_goes_to_timeout() {
    let mut talk = menu(json!({"timeout": 3000}), json!({"timeout": after(1)}));
    talk.marked(2.0, 1);
    talk.tick(4.9);
    assert_eq!(place(&talk), "");
    talk.tick(5.0);
    assert_eq!(place(&talk), "/children/timeout");
}

#[test]
fn without_timeout_it_is_a_failed_attempt_and_the_last_leads_to_max_retries() {
    let mut talk = menu(json!({"retries": 2}), json!({"max_retries": after(1)}));
    talk.marked(2.0, 1);
    talk.tick(12.0);
    talk.key(13.0, "5");
    talk.tick(15.0);
    talk.marked(17.0, 4);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up document main
       at menu (root)
       wait
    0s > Found document ?
       < play prompt://0123456789abcdef0123456789abcdef/menu-no_prompt/en-us, any key ends it
       < noop m-1
       wait until 30s
    2s > CHANNEL_EXECUTE_COMPLETE noop m-1
       wait until 12s
    12s > Tick
       < play prompt://0123456789abcdef0123456789abcdef/menu-no_prompt/en-us, any key ends it
       < noop m-2
       wait until 42s
    13s > DTMF 5
       < noop m-3 (flush)
       wait until 15s
    15s > Tick
       < play prompt://0123456789abcdef0123456789abcdef/menu-invalid_entry/en-us, any key ends it
       < play prompt://0123456789abcdef0123456789abcdef/menu-exit/en-us, any key ends it
       < noop m-4
       wait until 45s
    17s > CHANNEL_EXECUTE_COMPLETE noop m-4
       at sleep /children/max_retries
       wait until 18s
    "#);
}

#[test]
fn without_max_retries_the_caller_is_transferred_or_bid_goodbye() {
    let lost = |children: Value| {
        let mut talk = menu(json!({"retries": 0}), children);
        talk.marked(3.0, 1);
        talk
    };
    let transferred = lost(json!({"_": after(1), "max_retries": {}}));
    assert!(transferred.text().contains("menu-transferring_call"));
    assert_eq!(place(&transferred), "/children/_");
    let gone = lost(json!({}));
    assert!(gone.text().contains("vm-goodbye"));
    assert!(gone.text().contains("hangup"));
}

#[test]
fn an_extension_is_hunted_for_and_the_flow_comes_back() {
    let mut talk = menu(json!({"hunt": true}), json!({"_": after(1)}));
    talk.marked(1.0, 1);
    for key in ["2", "0", "0", "1"] {
        talk.key(2.0, key);
    }
    talk.found(2.0, extension(false));
    talk.marked(4.0, 2);
    talk.tick(11.0);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up document main
       at menu (root)
       wait
    0s > Found document ?
       < play prompt://0123456789abcdef0123456789abcdef/menu-no_prompt/en-us, any key ends it
       < noop m-1
       wait until 30s
    1s > CHANNEL_EXECUTE_COMPLETE noop m-1
       wait until 11s
    2s > DTMF 2
       wait until 4s
    2s > DTMF 0
       wait until 4s
    2s > DTMF 0
       wait until 4s
    2s > DTMF 1
       < look up the callflow of 2001
       wait
    2s > Found callflow x2001
       < play prompt://0123456789abcdef0123456789abcdef/menu-transferring_call/en-us, any key ends it
       < noop m-2
       wait until 32s
    4s > CHANNEL_EXECUTE_COMPLETE noop m-2
       at sleep x2001#/flow
       wait until 11s
    11s > Tick
       at sleep /children/_
       wait until 12s
    "#);
}

#[test]
fn only_an_extension_that_is_allowed_and_is_there_is_called() {
    let dialled = |document: Value| {
        let mut talk = menu(document, json!({"_": after(1)}));
        talk.key(1.0, "2");
        talk.tick(3.0);
        talk
    };
    let hunts = |document| {
        dialled(document)
            .text()
            .contains("look up the callflow of 2")
    };
    assert!(hunts(json!({"hunt": "true"})));
    assert!(hunts(
        json!({"hunt": true, "hunt_allow": "^2", "hunt_deny": "^1"})
    ));
    for denied in [
        json!({}),
        json!({"hunt": true, "hunt_allow": "^3"}),
        json!({"hunt": true, "hunt_deny": "^2"}),
        json!({"hunt": true, "hunt_deny": "("}),
    ] {
        assert!(!hunts(denied.clone()), "{denied}");
    }
    for nobody in [extension(true), Answer::Missing] {
        let mut talk = dialled(json!({"hunt": true}));
        talk.found(3.0, nobody);
        assert!(talk.text().contains("menu-invalid_entry"));
        assert_eq!(place(&talk), "");
    }
    let mut broken = dialled(json!({"hunt": true}));
    let document = json!({"_id": "x", "flow": 5});
    let (captures, fallback) = (Captures::default(), false);
    broken.found(
        3.0,
        Answer::Dialled(Box::new(Dialled {
            document,
            captures,
            fallback,
        })),
    );
    broken.marked(5.0, 3);
    assert!(broken.text().contains("menu-invalid_entry"));
}

#[test]
fn a_menu_says_what_its_document_wants_or_nothing() {
    let media = |media: Value| {
        let mut talk = menu(
            json!({"retries": 1, "media": media}),
            json!({"_": after(1)}),
        );
        talk.key(1.0, "5");
        talk.tick(3.0);
        talk.text().to_owned()
    };
    let named =
        media(json!({"invalid_media": "oops", "exit_media": "bye", "transfer_media": "go"}));
    for name in ["oops", "bye", "go"] {
        assert!(named.contains(&format!("/0123456789abcdef0123456789abcdef/{name}")));
    }
    let none = media(json!({"invalid_media": false, "exit_media": false, "transfer_media": false}));
    for prompt in ["menu-invalid_entry", "menu-exit", "menu-transferring_call"] {
        assert!(!none.contains(prompt), "{none}");
    }
    assert!(media(json!({"greeting": "file:///etc/passwd"})).contains("menu-no_prompt"));
}

#[test]
fn a_menu_that_is_missing_is_kazoos_own_and_one_without_a_name_is_passed_by() {
    let mut talk = Talk::with(
        &flow("menu", json!({"id": "x"}), json!({"1": after(1)})),
        |call, _| call.answered = true,
    );
    talk.found(0.0, Answer::Missing);
    talk.key(1.0, "1");
    talk.key(1.1, "#");
    assert_eq!(place(&talk), "/children/1");
    let unnamed = Talk::through(&flow("menu", json!({}), json!({"_": after(1)})));
    assert_eq!(place(&unnamed), "/children/_");
}

/// A menu whose pin has been dialled.
fn pin_dialled(from_outside: bool, offnet: bool) -> Talk {
    let flow = flow("menu", json!({"id": "main"}), json!({"_": after(1)}));
    let mut talk = Talk::with(&flow, |call, _| {
        call.answered = true;
        call.from_outside = from_outside;
    });
    let document = json!({"_id": "main", "name": "Main", "record_pin": "999", "allow_record_from_offnet": offnet});
    talk.found(0.0, Answer::Document(document));
    for key in ["9", "9", "9", "#"] {
        talk.key(1.0, key);
    }
    talk
}

#[test]
fn whoever_knows_the_pin_records_a_new_greeting() {
    let mut talk = pin_dialled(false, false);
    talk.recorded(6.0, 1, EndReason::Silence, 4000);
    talk.key(8.0, "2");
    talk.key(13.0, "1");
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up document main
       at menu (root)
       wait
    0s > Found document main
       < play prompt://0123456789abcdef0123456789abcdef/menu-no_prompt/en-us, any key ends it
       < noop m-1
       wait until 30s
    1s > DTMF 9
       < noop m-2 (flush)
       wait until 3s
    1s > DTMF 9
       wait until 3s
    1s > DTMF 9
       wait until 3s
    1s > DTMF #
       < play prompt://0123456789abcdef0123456789abcdef/vm-record_greeting/en-us, any key ends it
       < tones 440 Hz 500 ms
       < record the caller #1: mp3 caller only, at most 300s, any key ends it, 5s of silence ends it, to be reviewed, for /media/greeting of main, to the account's database
       wait until 361s
    6s > RecordingEnded #1: Silence after 4000 ms
       < play prompt://0123456789abcdef0123456789abcdef/vm-review_recording/en-us, any key ends it
       < noop m-3
       wait until 36s
    8s > DTMF 2
       < noop m-4 (flush)
       < play local_stream://1, any key ends it
       < play prompt://0123456789abcdef0123456789abcdef/vm-review_recording/en-us, any key ends it
       < noop m-5
       wait until 38s
    13s > DTMF 1
       < noop m-6 (flush)
       < keep recording #1
       < play prompt://0123456789abcdef0123456789abcdef/vm-saved/en-us, any key ends it
       < play prompt://0123456789abcdef0123456789abcdef/menu-return/en-us, any key ends it
       < play local_stream://1, any key ends it
       < noop m-7
       wait until 43s
    "#);
}

#[test]
fn a_greeting_that_is_too_short_or_not_wanted_is_recorded_anew() {
    let keep = |talk: &Talk| talk.text().matches("keep").count();
    let mut short = pin_dialled(false, false);
    short.recorded(2.0, 1, EndReason::Silence, 900);
    short.key(4.0, "1");
    assert!(short.text().contains("vm-recording_to_short"));
    short.recorded(9.0, 2, EndReason::Silence, 4000);
    short.key(10.0, "3");
    assert_eq!(short.text().matches("vm-record_greeting").count(), 3);
    short.recorded(19.0, 3, EndReason::Hangup, 4000);
    assert_eq!(keep(&short), 0);
    assert!(short.text().contains("hangup"));
}

#[test]
fn who_cannot_decide_or_be_recorded_is_back_in_the_menu() {
    let mut undecided = pin_dialled(false, false);
    undecided.recorded(6.0, 1, EndReason::Silence, 4000);
    for _ in 0..10 {
        undecided.key(8.0, "7");
    }
    assert!(undecided.text().contains("vm-deleted"));
    assert!(undecided.text().contains("menu-return"));
    let mut refused = pin_dialled(false, false);
    let reason = "no".to_owned();
    refused.hear(
        2.0,
        Input::RecordingRefused {
            slot: Slot(1),
            reason,
        },
    );
    assert!(refused.text().contains("menu-return"));
}

#[test]
fn a_pin_is_for_callers_of_the_account_unless_the_menu_says_otherwise() {
    let records = |from_outside, offnet| {
        let talk = pin_dialled(from_outside, offnet);
        let records = talk.text().contains("vm-record_greeting");
        assert_ne!(records, talk.text().contains("menu-invalid_entry"));
        records
    };
    assert!(records(false, false));
    assert!(!records(true, false));
    assert!(records(true, true));
}

/// A call that a pattern has taken `2001` out of.
fn captured(data: Value, change: impl FnOnce(&mut CallInfo)) -> Talk {
    let children = json!({"2001": after(1), "_": after(2)});
    Talk::with(&flow("branch_bnumber", data, children), |call, _| {
        call.captures.group = Some("2001".to_owned());
        change(call);
    })
}

#[test]
fn what_was_captured_is_the_branch() {
    assert_eq!(place(&captured(json!({}), |_| {})), "/children/2001");
    let other = captured(json!({}), |call| call.captures.group = Some("3".to_owned()));
    assert_eq!(place(&other), "/children/_");
    for nothing in [None, Some(String::new())] {
        let talk = captured(json!({}), |call| call.captures.group = nothing);
        assert_eq!(place(&talk), "/children/_");
    }
    let dialled = captured(json!({"hunt": true}), |call| {
        call.captures.group = None;
        call.number = "2001".to_owned();
    });
    assert_eq!(place(&dialled), "/children/2001");
}

#[test]
fn what_was_captured_is_hunted_for() {
    let hunted = |found: Answer, own: bool| {
        let mut talk = captured(json!({"hunt": true}), |call| {
            call.calling_device = call.calling_device.take().filter(|_| own);
        });
        talk.found(0.0, found);
        place(&talk)
    };
    assert_eq!(hunted(extension(false), false), "x2001#/flow");
    assert_eq!(hunted(extension(true), true), "x2001#/flow");
    assert_eq!(hunted(extension(true), false), "/children/_");
    assert_eq!(hunted(Answer::Missing, true), "/children/_");
    for denied in ["hunt_allow", "hunt_deny"] {
        let pattern = if denied == "hunt_allow" { "^3" } else { "^2" };
        let talk = captured(json!({"hunt": true, denied: pattern}), |_| {});
        assert_eq!(place(&talk), "/children/_");
    }
    let unread = captured(json!({"hunt": true, "hunt_allow": "("}), |_| {});
    assert_eq!(place(&unread), "/children/_");
    assert!(unread.text().contains("cannot be read"));
}
