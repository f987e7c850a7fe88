//! Calls that are handed on by keys and by callflows: who talks to whom, and that what records them goes on.

use serde_json::{Value, json};

use super::action;
use super::metaflows::{ALICE, BOB, MUSIC, sounds};
use crate::support::{
    audio::listen,
    callee::Callee,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, THIRD, THIRD_USER},
    eventually,
    node::Node,
    phone::{InCall, Phone},
    receiver::Receiver,
    voice::Speech,
};

/// The number that rings the third party, and one that nobody has.
const THIRD_NUMBER: &str = "3000";
const NOBODY: &str = "4444";
/// The voice of the third party.
const CAROL: u16 = 1300;

fn ring(user: &str) -> Value {
    action("user", json!({"id": user, "timeout": 10}), None)
}

/// The call of [`NUMBER`] is recorded, and then does this.
fn estate(receiver: &Receiver, then: Value) -> Estate {
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let estate = Estate::with_flow(&action("record_call", start, Some(then)));
    estate.flow(THIRD_NUMBER, &ring(THIRD_USER));
    estate.tone(MUSIC);
    estate
}

/// Alice and Bob talk. Bob, and Carol, can transfer (`*3`), consult (`*4`), come back (`#`) and hang up (`*1`) by keys.
fn talking(receiver: &Receiver) -> (Node, InCall, InCall) {
    let estate = estate(receiver, ring(CALLEE_USER));
    let consult =
        json!({"transfer_type": "attended", "moh": format!("e{MUSIC:0>31}"), "takeback_dtmf": "#"});
    let codes = json!({"metaflows": {
        "binding_digit": "*", "digit_timeout": 500, "listen_on": "self",
        "numbers": {"1": {"module": "hangup", "data": {}}},
        "patterns": {
            r"^3(\d{4})$": {"module": "transfer", "data": {}},
            r"^4(\d{4})$": {"module": "transfer", "data": consult},
        },
    }});
    estate.user("bob", CALLEE_USER, &codes);
    estate.user("carol", THIRD_USER, &codes);
    let node = Node::start(&estate);
    let bob = Phone::answers(CALLEE, &node);
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.says(Speech::tone(f32::from(ALICE), 60.0));
    bob.says(Speech::tone(f32::from(BOB), 60.0));
    alice.hears(BOB);
    bob.hears(ALICE);
    (node, alice, bob)
}

/// And then Bob dials Carol by this code; she answers, and speaks.
fn bob_dials_carol(receiver: &Receiver, code: &str) -> (Node, InCall, InCall, InCall) {
    let (node, alice, bob) = talking(receiver);
    let carol = Phone::answers(THIRD, &node);
    bob.presses(&format!("{code}{THIRD_NUMBER}"));
    carol.says(Speech::tone(f32::from(CAROL), 60.0));
    (node, alice, bob, carol)
}

#[test]
fn a_partys_keys_hand_the_other_on_and_the_recording_has_both_parts() {
    let receiver = Receiver::start();
    let (_node, alice, bob, carol) = bob_dials_carol(&receiver, "*3");
    alice.hears(CAROL);
    carol.hears(ALICE);
    bob.ends();
    carol.presses("*1");
    carol.ends();
    alice.ends();
    let file = listen(&receiver.accepted().body);
    let bob = file.tone(1, f32::from(BOB));
    let carol = file.tone(1, f32::from(CAROL));
    let (Some(bob), Some(carol)) = (bob.last(), carol.first()) else {
        panic!("Bob {bob:?}, Carol {carol:?}");
    };
    assert!(bob.1 < carol.0, "Bob {bob:?}, Carol {carol:?}");
    assert!(sounds(&file, 0, ALICE) > 0.8 * (carol.1 - bob.0));
}

#[test]
fn a_party_consults_by_keys_and_joins_the_two_others_by_hanging_up() {
    let receiver = Receiver::start();
    let (_node, alice, bob, carol) = bob_dials_carol(&receiver, "*4");
    bob.hears(CAROL);
    alice.hears(MUSIC);
    assert!(
        alice.heard().tone(0, f32::from(CAROL)).is_empty(),
        "Alice does not hear whom Bob consults"
    );
    bob.presses("*1");
    bob.ends();
    alice.hears(CAROL);
    carol.hears(ALICE);
    carol.presses("*1");
    carol.ends();
    alice.ends();
    // The caller's recording has what it heard: Bob, the music, and Carol, one after the other.
    let file = listen(&receiver.accepted().body);
    let firsts = [BOB, MUSIC, CAROL].map(|hz| {
        let spans = file.tone(1, f32::from(hz));
        spans.first().map(|span| span.0)
    });
    assert!(firsts.iter().all(Option::is_some), "{firsts:?}");
    assert!(firsts.is_sorted(), "{firsts:?}");
}

#[test]
fn a_party_who_consults_comes_back_by_key_and_the_call_is_as_it_was() {
    let receiver = Receiver::start();
    let (_node, alice, bob, carol) = bob_dials_carol(&receiver, "*4");
    bob.hears(CAROL);
    bob.presses("#");
    carol.ends();
    alice.goes_on_hearing(BOB);
    bob.presses("*1");
    bob.ends();
    alice.ends();
    let file = listen(&receiver.accepted().body);
    assert!(file.tone(1, f32::from(CAROL)).is_empty());
    let (bob, music) = (file.tone(1, f32::from(BOB)), file.tone(1, f32::from(MUSIC)));
    assert!(
        bob[0].1 < music[0].0 && bob[bob.len() - 1].0 > music[music.len() - 1].1,
        "Bob {bob:?}, the music {music:?}"
    );
}

#[test]
fn a_party_stays_in_the_call_when_nobody_has_the_number() {
    let receiver = Receiver::start();
    let (node, alice, bob) = talking(&receiver);
    bob.presses(&format!("*3{NOBODY}"));
    eventually("the switch to refuse", || {
        node.log().contains("nobody takes the call").then_some(())
    });
    alice.goes_on_hearing(BOB);
    bob.presses(&format!("*4{NOBODY}"));
    alice.hears(MUSIC);
    alice.goes_on_hearing(BOB);
    bob.goes_on_hearing(ALICE);
    bob.presses("*1");
    bob.ends();
    alice.ends();
    receiver.accepted();
}

#[test]
fn a_callflow_hands_its_caller_on_and_the_recording_has_both_parts() {
    let receiver = Receiver::start();
    let transfer = action("transfer", json!({"target": THIRD_NUMBER}), None);
    let first = json!({"id": format!("e{MUSIC:0>31}")});
    let node = Node::start(&estate(&receiver, action("play", first, Some(transfer))));
    let does = Callee::rings(0).answers().waits(2500).hangs_up();
    let carol = Phone::callee(THIRD, &node, does);
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.says(Speech::tone(f32::from(ALICE), 60.0));
    alice.hears(MUSIC);
    carol.says(Speech::tone(f32::from(CAROL), 60.0));
    alice.hears(CAROL);
    carol.ends();
    alice.ends();
    let file = listen(&receiver.accepted().body);
    let (music, carol) = (
        file.only_tone(1, f32::from(MUSIC)),
        file.only_tone(1, f32::from(CAROL)),
    );
    assert!(music.1 - music.0 > 1.5 && carol.1 - carol.0 > 1.0);
    assert!(music.1 < carol.0, "{music:?} and then {carol:?}");
}

#[test]
fn a_callflow_that_transfers_to_nobody_goes_on() {
    let receiver = Receiver::start();
    let told = action("play", json!({"id": format!("e{MUSIC:0>31}")}), None);
    let transfer = action("transfer", json!({"target": NOBODY}), Some(told));
    let node = Node::start(&estate(
        &receiver,
        action("answer", json!({}), Some(transfer)),
    ));
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(MUSIC);
    alice.ends();
    receiver.accepted();
}
