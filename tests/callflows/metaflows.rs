//! What a party's keys do to a call that is talked in: it is ended and held, and its recording stays whole.

use serde_json::{Value, json};

use super::action;
use crate::support::{
    audio::{Heard, listen},
    estate::{ACCOUNT, CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, REALM},
    node::Node,
    phone::{InCall, Phone},
    receiver::Receiver,
    sipp::Caller,
    voice::Speech,
};

/// The voices, and the music on hold.
pub(super) const ALICE: u16 = 1100;
pub(super) const BOB: u16 = 850;
pub(super) const MUSIC: u16 = 600;
const BOBS_MUSIC: u16 = 700;

/// A recorded call to Bob, whose keys do this.
fn node(receiver: &Receiver, numbers: &Value) -> Node {
    let ring = |user: &str| action("user", json!({"id": user, "timeout": 10}), None);
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let estate = Estate::with_flow(&action("record_call", start, Some(ring(CALLEE_USER))));
    estate.tone(MUSIC);
    let metaflows = json!({"binding_digit": "*", "digit_timeout": 500, "listen_on": "self",
        "numbers": numbers});
    estate.user("bob", CALLEE_USER, &json!({"metaflows": metaflows}));
    Node::start(&estate)
}

/// Alice and Bob talk: Bob presses each of these keys at its millisecond.
fn talk(node: &Node, keys: &[(&str, u64)]) -> [InCall; 2] {
    let bob = Phone::answers(CALLEE, node);
    let alice = Phone::dials(CALLER, node, NUMBER);
    let speech = Speech::tone(f32::from(BOB), 20.0);
    let pressed = keys.iter();
    bob.says(pressed.fold(speech, |speech, (keys, ms)| speech.with_keys(keys, *ms)));
    alice.says(Speech::tone(f32::from(ALICE), 20.0));
    [alice, bob]
}

/// How long a tone sounds in a channel, seconds.
pub(super) fn sounds(heard: &Heard, channel: usize, hz: u16) -> f64 {
    let spans = heard.tone(channel, f32::from(hz));
    spans.iter().map(|(from, to)| to - from).sum()
}

#[test]
fn a_partys_keys_end_the_call_and_its_recording() {
    let receiver = Receiver::start();
    let node = node(&receiver, &json!({"1": {"module": "hangup", "data": {}}}));
    for phone in talk(&node, &[("*1", 1200)]) {
        phone.ends();
    }
    let file = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, ALICE), (1, BOB)] {
        let seconds = sounds(&file, channel, hz);
        assert!((0.8..4.0).contains(&seconds), "{hz} Hz: {seconds} s");
    }
}

#[test]
fn a_partys_keys_hold_the_other_who_hears_music_until_it_is_taken_back() {
    let receiver = Receiver::start();
    let music = format!("e{MUSIC:0>31}");
    let hold = json!({"module": "hold", "data": {"unhold_key": "5", "moh_bleg": music}});
    let end = json!({"module": "hangup", "data": {}});
    let node = node(&receiver, &json!({"4": hold, "1": end}));
    let [alice, bob] = talk(&node, &[("*4", 500), ("5", 2500), ("*1", 4000)]);
    let alice = alice.ends().voice.heard();
    bob.ends();
    let (from, to) = alice.only_tone(0, f32::from(MUSIC));
    assert!(
        (1.0..2.5).contains(&(to - from)),
        "music from {from} to {to}"
    );
    let talked = alice.tone(0, f32::from(BOB));
    assert!(talked.iter().any(|span| span.1 < from), "{talked:?}");
    assert!(talked.iter().any(|span| span.0 > to), "{talked:?}");
    // What the held one hears is in the recording.
    let file = listen(&receiver.accepted().body);
    assert!(
        sounds(&file, 1, MUSIC) > 0.9,
        "{:?}",
        file.tone(1, f32::from(MUSIC))
    );
}

/// Whom Alice holds hears her account's music; whom Bob holds, his own.
fn musical(receiver: &Receiver, numbers: &Value) -> Node {
    let ring = action("user", json!({"id": CALLEE_USER, "timeout": 10}), None);
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let estate = Estate::with_flow(&action("record_call", start, Some(ring)));
    let music = |hz: u16| json!({"media_id": estate.tone(hz)});
    let account =
        json!({"id": ACCOUNT, "name": "Acme", "realm": REALM, "music_on_hold": music(MUSIC)});
    estate.write("account.json", &account);
    let metaflows = json!({"digit_timeout": 500, "numbers": numbers});
    let bob = json!({"metaflows": metaflows, "music_on_hold": music(BOBS_MUSIC)});
    estate.user("bob", CALLEE_USER, &bob);
    Node::start(&estate)
}

#[test]
fn whom_a_code_holds_hears_the_music_of_the_holders_documents() {
    let receiver = Receiver::start();
    let hold = json!({"module": "hold", "data": {"unhold_key": "5"}});
    let end = json!({"module": "hangup", "data": {}});
    let node = musical(&receiver, &json!({"4": hold, "1": end}));
    let [alice, bob] = talk(&node, &[("*4", 500), ("5", 2500), ("*1", 4000)]);
    alice.hears(BOBS_MUSIC);
    alice.ends();
    bob.ends();
}

#[test]
fn whom_a_phone_holds_hears_the_music_of_its_account_until_the_phone_is_back() {
    let receiver = Receiver::start();
    let node = musical(&receiver, &json!({}));
    let bob = Phone::answers(CALLEE, &node);
    let alice = Phone::registered(CALLER, &node);
    let holds = Caller::dials(NUMBER)
        .answered(NUMBER)
        .waits(1500)
        .reinvites(NUMBER, "sendonly")
        .waits(2500)
        .reinvites(NUMBER, "sendrecv")
        .waits(2000);
    let calling = alice.runs("call", &holds.hangs_up(NUMBER).scenario());
    let speech = Speech::tone(f32::from(ALICE), 20.0);
    alice.speaks(&calling, speech);
    bob.says(Speech::tone(f32::from(BOB), 20.0));
    calling.completed();
    let bob = bob.ends().voice.heard();
    let (from, to) = bob.only_tone(0, f32::from(MUSIC));
    assert!((1.5..4.0).contains(&(to - from)), "{from} to {to}");
    let talked = bob.tone(0, f32::from(ALICE));
    assert!(talked.iter().any(|span| span.1 <= from), "{talked:?}");
    assert!(talked.iter().any(|span| span.0 >= to), "{talked:?}");
    // A phone that holds hears nothing, and so does its recording.
    let file = listen(&receiver.accepted().body);
    assert!(sounds(&file, 1, MUSIC) < 0.1);
}
