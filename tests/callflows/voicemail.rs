//! Voicemail by telephone: what a caller leaves is what the owner hears, and the owner's phone knows how much there is.

use serde_json::{Value, json};

use super::action;
use crate::support::{
    audio::listen,
    baresip::{Baresip, Habits},
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, MAILBOX, NUMBER},
    eventually,
    node::Node,
    phone::Phone,
    voice::Speech,
};

/// Where the owner listens.
const CHECK: &str = "*97";
/// What sounds before a message.
const BEEP: u16 = 440;
/// The caller's voice.
const ALICE: f32 = 1100.0;

/// A number that takes messages, and one where they are heard.
fn estate(vmbox: &Value) -> Estate {
    let estate = Estate::with_flow(&action("voicemail", json!({"id": MAILBOX}), None));
    estate.flow(
        CHECK,
        &action("voicemail", json!({"id": MAILBOX, "action": "check"}), None),
    );
    let mut doc = json!({"id": MAILBOX, "name": "callee", "mailbox": "1002",
        "owner_id": CALLEE_USER, "pin": "2718", "is_setup": true, "skip_greeting": true,
        "skip_instructions": true, "skip_envelope": true, "media_extension": "wav"});
    let keys = doc.as_object_mut().unwrap();
    keys.extend(vmbox.as_object().unwrap().clone());
    estate.write("vmboxes/callee.json", &doc);
    estate
}

/// Alice speaks for more than two seconds after the beep, and keeps what she said.
fn leaves_a_message(node: &Node) {
    let alice = Phone::dials(CALLER, node, NUMBER);
    alice.hears(BEEP);
    alice.says(Speech::tone(ALICE, 3.0).with_key(1, 2800, 80));
    // Of the review: 1 keeps it.
    alice.hears_words();
    alice.presses("1");
    alice.ends();
}

/// The box's messages in a folder, each with its audio.
fn messages(node: &Node, folder: &str) -> Vec<(Value, Vec<u8>)> {
    let mut found = node.stored("mailbox_message");
    found.retain(|(doc, _)| doc["metadata"]["folder"] == folder);
    found
}

#[test]
fn what_a_caller_leaves_is_what_the_owner_hears_and_deletes() {
    let node = Node::start(&estate(&json!({})));
    leaves_a_message(&node);
    let (doc, audio) = eventually("the message", || messages(&node, "new").pop());
    assert_eq!(doc["source_id"], MAILBOX);
    let left = listen(&audio).only_tone(0, ALICE);
    let left_s = left.1 - left.0;
    assert!((2.0..2.9).contains(&left_s), "{left:?}");
    // The owner's own phone needs no PIN.
    let bob = Phone::dials(CALLEE, &node, CHECK);
    bob.presses("1");
    eventually("the whole message to be heard", || {
        let spans = bob.heard().tone(0, ALICE);
        let (from, to) = spans.first()?;
        ((to - from - left_s).abs() < 0.1).then_some(())
    });
    bob.presses("7");
    eventually("the message to be deleted", || {
        messages(&node, "deleted").pop()
    });
    bob.presses("#");
    bob.ends();
    assert!(messages(&node, "new").is_empty());
}

#[test]
fn a_stranger_hears_messages_only_with_the_box_s_number_and_pin() {
    let node = Node::start(&estate(&json!({"require_pin": true})));
    leaves_a_message(&node);
    eventually("the message", || messages(&node, "new").pop());
    let stranger = Phone::dials(CALLER, &node, CHECK);
    stranger.presses("0000#1111#2222#");
    let phone = stranger.ends();
    assert!(phone.voice.heard().tone(0, ALICE).is_empty());
    let owner = Phone::dials(CALLER, &node, CHECK);
    owner.presses("2718#1");
    owner.hears(ALICE as u16);
    owner.presses("1");
    eventually("the message to be saved", || messages(&node, "saved").pop());
    owner.presses("#");
    owner.ends();
}

#[test]
fn the_owners_phone_is_told_how_many_messages_wait() {
    let node = Node::start(&estate(&json!({})));
    let habits = Habits {
        answers: false,
        asks_for_messages: true,
        ..Habits::default()
    };
    let bob = Baresip::start(CALLEE, node.sip(), &habits);
    bob.is_told("Voice-Message: 0/0");
    leaves_a_message(&node);
    bob.is_told("Voice-Message: 1/0");
}
