//! Calls that wait in parking slots: what they hear, who gets them, and what becomes of those whom nobody takes.

use serde_json::{Value, json};

use super::action;
use crate::support::{
    audio::listen,
    callee::Callee,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, THIRD},
    node::Node,
    phone::{InCall, Phone},
    receiver::Receiver,
    sipp::{Caller, Run},
    voice::Speech,
};

/// The voices, and the music that those hear whom Bob parks.
const ALICE: u16 = 1100;
const BOB: u16 = 1500;
const CAROL: u16 = 1300;
const MUSIC: u16 = 600;
/// A tone of the switch's own music.
const OWN_MUSIC: u16 = 880;
/// The number of the slot.
const SLOT: &str = "4007";

/// Alice's recorded call to Bob, and the slot.
fn node(receiver: &Receiver, parking: &Value) -> Node {
    let ring = action("user", json!({"id": CALLEE_USER, "timeout": 10}), None);
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let estate = Estate::with_flow(&action("record_call", start, Some(ring)));
    let music = estate.tone(MUSIC);
    let hold = json!({"music_on_hold": {"media_id": music}});
    estate.user("bob", CALLEE_USER, &hold);
    estate.flow(SLOT, &action("park", parking.clone(), None));
    Node::start(&estate)
}

fn tone(hz: u16) -> Speech {
    Speech::tone(f32::from(hz), 30.0)
}

/// Bob talks to Alice for a second and sends her to the slot. She hears his music when this returns.
fn parked_by_bob(node: &Node) -> (InCall, Phone) {
    let bob = Phone::registered(CALLEE, node);
    let sends = Callee::rings(0).answers().waits(1000).transfers_to(SLOT);
    let sent = bob.runs("answer", &sends.scenario());
    let alice = Phone::dials(CALLER, node, NUMBER);
    alice.says(tone(ALICE));
    sent.completed();
    alice.hears(MUSIC);
    (alice, bob)
}

/// Carol dials the slot, and hangs up two seconds after she was answered.
fn carol_dials(node: &Node) -> (Phone, Run) {
    let carol = Phone::registered(THIRD, node);
    let stays = Caller::of(THIRD, SLOT).answered(SLOT).waits(2000);
    let run = carol.runs("retrieve", &stays.hangs_up(SLOT).scenario());
    carol.speaks(&run, tone(CAROL));
    (carol, run)
}

#[test]
fn whoever_dials_the_slot_gets_the_call_that_waits_there_and_its_recording_goes_on() {
    let receiver = Receiver::start();
    let node = node(&receiver, &json!({"slot": "7", "action": "auto"}));
    let (alice, _bob) = parked_by_bob(&node);
    let (carol, retrieving) = carol_dials(&node);
    alice.hears(CAROL);
    retrieving.completed();
    assert!(!carol.voice.heard().tone(0, f32::from(ALICE)).is_empty());
    alice.ends();
    let file = listen(&receiver.accepted().body);
    let (music, talk) = (
        file.tone(1, f32::from(MUSIC)),
        file.tone(1, f32::from(CAROL)),
    );
    let (music, talk) = (music.last().unwrap().1, talk.last().unwrap());
    assert!(music < talk.1 && talk.1 - talk.0 > 1.0, "{music} {talk:?}");
}

#[test]
fn whoever_dials_an_empty_slot_hears_so() {
    let receiver = Receiver::start();
    let node = node(&receiver, &json!({"slot": "7", "action": "retrieve"}));
    let carol = Phone::dials(THIRD, &node, SLOT);
    carol.hears_words();
    carol.ends();
}

#[test]
fn a_call_that_nobody_takes_goes_back_to_its_parker() {
    let receiver = Receiver::start();
    let slots = json!({"7": {"ringback_timeout": 4000}});
    let node = node(&receiver, &json!({"slot": "7", "slots": slots}));
    let (alice, bob) = parked_by_bob(&node);
    let takes = Callee::rings(0).answers().waits(2000).hangs_up();
    let back = bob.runs("back", &takes.scenario());
    bob.speaks(&back, tone(BOB));
    alice.hears(BOB);
    back.completed();
    // The flow has nothing more to do.
    alice.ends();
}

#[test]
fn a_slot_has_one_call_until_that_hangs_up() {
    let receiver = Receiver::start();
    let node = node(&receiver, &json!({"slot": "7", "action": "direct_park"}));
    let alice = Phone::registered(CALLER, &node);
    let stays = Caller::dials(SLOT).answered(SLOT).waits(6000);
    let waiting = alice.runs("park", &stays.hangs_up(SLOT).scenario());
    waiting.established();
    let carol = Phone::dials(THIRD, &node, SLOT);
    carol.hears_words();
    carol.ends();
    waiting.completed();
    assert!(!alice.voice.heard().tone(0, f32::from(OWN_MUSIC)).is_empty());
    let carol = Phone::dials(THIRD, &node, SLOT);
    carol.hears(OWN_MUSIC);
}
