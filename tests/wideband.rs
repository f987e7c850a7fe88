//! Wideband on real calls: what a telephone cannot carry is in the file if one leg can, whatever the other speaks.

use serde_json::{Value, json};

use crate::support::{
    audio::listen_at,
    baresip::{Baresip, Habits},
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
    node::Node,
    receiver::Receiver,
};

/// Too high for a narrowband codec.
const HIGH: f32 = 5000.0;
const LOW: f32 = 440.0;

fn recorded_user(url: &str) -> Value {
    json!({"module": "record_call", "data": {"action": "start", "format": "wav", "url": url}, "children": {"_": {
        "module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}}}})
}

/// A caller and a callee, each with a codec and a tone, are recorded at 16 kHz, and hear each other's tone.
fn are_recorded_at_16_khz(caller: (&'static str, f32), callee: (&'static str, f32)) {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let phone = |user, (codecs, plays), answers| {
        let habits = Habits {
            answers,
            codecs,
            plays,
            ..Habits::default()
        };
        Baresip::start(user, node.sip(), &habits)
    };
    let (mut right, mut left) = (phone(CALLEE, callee, true), phone(CALLER, caller, false));
    left.dial(NUMBER);
    left.awaits("CALL_ESTABLISHED");
    right.awaits("CALL_ESTABLISHED");
    std::thread::park_timeout(std::time::Duration::from_secs(2));
    left.hang_up();
    right.awaits("CALL_CLOSED");
    let file = listen_at(&receiver.accepted().body, 16_000);
    assert_eq!(file.file_rate, 16_000);
    for (channel, (_, own), (_, other)) in [(0, caller, callee), (1, callee, caller)] {
        let spans = file.tone(channel, own);
        let sounds: f64 = spans.iter().map(|(from, to)| to - from).sum();
        assert!(sounds > 1.5, "{own} Hz in channel {channel}: {spans:?}");
        let leaked = file.loudest_tone(channel, other);
        assert!(leaked < 0.01, "{other} Hz in channel {channel}: {leaked}");
    }
    for (phone, (_, hz)) in [(&left, callee), (&right, caller)] {
        let heard = phone.heard().tone(0, hz);
        let sounds: f64 = heard.iter().map(|(from, to)| to - from).sum();
        assert!(hz > 4000.0 || sounds > 1.0, "{hz} Hz is heard at {heard:?}");
    }
}

#[test]
fn opus_is_recorded_with_all_that_it_carries() {
    are_recorded_at_16_khz(("opus/48000/2", HIGH), ("opus/48000/2", LOW));
}

#[test]
fn opus_and_a_telephone_are_recorded_together() {
    are_recorded_at_16_khz(("PCMU/8000", LOW), ("opus/48000/2", 1000.0));
}

#[test]
fn opus_and_g722_are_recorded_together() {
    are_recorded_at_16_khz(("opus/48000/2", LOW), ("G722/16000", HIGH));
}
