//! Menus: what callers hear, the keys they press, and where these lead.

use serde_json::{Value, json};

use super::action;
use crate::support::{
    audio::listen,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
    eventually,
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::Caller,
    voice::Speech,
};

const MENU: &str = "90000000000000000000000000000001";
/// What the menu plays: its greeting, that a choice is none, and its goodbye.
const GREETING: u16 = 500;
const INVALID: u16 = 600;
const EXIT: u16 = 700;
/// What sounds before a greeting is recorded.
const BEEP: u16 = 440;
/// What the caller hears where a choice leads.
const CHOSEN: u16 = 850;
const LATE: u16 = 950;
/// The voices of who talks.
const ALICE: f32 = 1100.0;
const BOB: f32 = 1300.0;

/// An account whose number is a menu with these choices.
fn estate(menu: &Value, children: &Value) -> Estate {
    let estate = Estate::with_flow(&menu_step(children));
    let media = json!({
        "greeting": estate.tone(GREETING),
        "invalid_media": estate.tone(INVALID),
        "exit_media": estate.tone(EXIT),
    });
    let mut doc = json!({"id": MENU, "name": "main", "retries": 2, "timeout": 800,
        "interdigit_timeout": 500, "max_extension_length": 1, "media": media});
    let keys = doc.as_object_mut().unwrap();
    keys.extend(menu.as_object().unwrap().clone());
    estate.write("menus/main.json", &doc);
    for hz in [CHOSEN, LATE] {
        estate.tone(hz);
    }
    estate
}

fn menu_step(children: &Value) -> Value {
    json!({"module": "menu", "data": {"id": MENU}, "children": children})
}

/// The id of a tone ([`Estate::tone`]).
fn id(hz: u16) -> String {
    format!("e{hz:0>31}")
}

fn play(hz: u16) -> Value {
    action("play", json!({"id": id(hz)}), None)
}

#[test]
fn a_key_silences_the_greeting_and_leads_to_its_child() {
    let node = Node::start(&estate(&json!({}), &json!({"7": play(CHOSEN)})));
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(GREETING);
    alice.presses("7");
    alice.hears(CHOSEN);
    let heard = alice.ends().voice.heard();
    let (from, to) = heard.only_tone(0, f32::from(GREETING));
    assert!(to - from < 1.5, "the greeting went on: {from} to {to}");
}

#[test]
fn a_key_sent_by_sip_info_is_a_key() {
    let refuse = action("response", json!({"code": 486}), None);
    let node = Node::start(&estate(
        &json!({}),
        &json!({"7": play(CHOSEN), "_": refuse}),
    ));
    let alice = Phone::registered(CALLER, &node);
    let presses = Caller::dials(NUMBER).answered(NUMBER);
    let presses = presses.presses_by_info(NUMBER, '7').awaits_bye();
    alice.runs("call", &presses.scenario()).completed();
    alice.voice.heard().only_tone(0, f32::from(CHOSEN));
}

#[test]
fn who_presses_nothing_or_wrong_keys_is_told_and_taken_on() {
    let children = json!({"7": play(CHOSEN), "max_retries": play(LATE)});
    let node = Node::start(&estate(&json!({}), &children));
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(GREETING);
    alice.presses("3");
    alice.hears(INVALID);
    alice.hears(EXIT);
    alice.hears(LATE);
    let heard = alice.ends().voice.heard();
    let greetings = heard.tone(0, f32::from(GREETING));
    assert_eq!(greetings.len(), 2, "{greetings:?}");
    assert!(heard.tone(0, f32::from(CHOSEN)).is_empty());
}

#[test]
fn a_child_for_silence_takes_who_presses_nothing() {
    let children = json!({"timeout": play(LATE), "max_retries": play(CHOSEN)});
    let node = Node::start(&estate(&json!({}), &children));
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(LATE);
    let heard = alice.ends().voice.heard();
    assert!(heard.tone(0, f32::from(CHOSEN)).is_empty());
}

#[test]
fn a_call_through_a_menu_to_an_extension_is_recorded_whole_and_without_the_keys() {
    let receiver = Receiver::start();
    let hunts = json!({"hunt": true, "max_extension_length": 4,
        "media": {"greeting": id(GREETING), "transfer_media": false}});
    let estate = estate(&hunts, &json!({}));
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    estate.flow(
        NUMBER,
        &action("record_call", start, Some(menu_step(&json!({})))),
    );
    let ring = json!({"id": CALLEE_USER, "timeout": 10});
    estate.flow("3000", &action("user", ring, None));
    let node = Node::start(&estate);
    let bob = Phone::answers_for(CALLEE, &node, 1500);
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(GREETING);
    alice.presses("3000");
    bob.says(Speech::tone(BOB, 5.0));
    alice.says(Speech::tone(ALICE, 5.0));
    bob.ends();
    alice.ends();
    let file = listen(&receiver.accepted().body);
    let greeting = file.only_tone(1, f32::from(GREETING));
    let (alice, bob) = (file.only_tone(0, ALICE), file.only_tone(1, BOB));
    assert!(greeting.1 < bob.0, "{greeting:?} and then {bob:?}");
    for (from, to) in [alice, bob] {
        assert!(to - from > 1.1, "{from} to {to}");
    }
    // 697 Hz and 1336 Hz make the 3, 941 Hz the 0.
    for hz in [697.0, 941.0, 1336.0] {
        let loud = file.loudest_tone(0, hz);
        assert!(loud < 0.02, "{hz} Hz: {loud}");
    }
}

#[test]
fn a_greeting_recorded_by_telephone_is_what_the_next_caller_hears() {
    let children = json!({"timeout": play(CHOSEN)});
    let node = Node::start(&estate(
        &json!({"record_pin": "7777", "max_extension_length": 4}),
        &children,
    ));
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(GREETING);
    alice.presses("7777");
    alice.hears(BEEP);
    alice.says(Speech::tone(ALICE, 3.0).with_key(1, 2800, 80));
    alice.hears_words();
    alice.presses("1");
    // The menu begins anew, with what was just said.
    alice.hears(ALICE as u16);
    alice.ends();
    eventually("the next caller to hear it", || {
        let bob = Phone::dials(CALLEE, &node, NUMBER).ends();
        let heard = bob.voice.heard();
        let (from, to) = *heard.tone(0, ALICE).first()?;
        assert!((2.0..3.0).contains(&(to - from)), "from {from} to {to}");
        assert!(heard.tone(0, f32::from(GREETING)).is_empty());
        Some(())
    });
}
