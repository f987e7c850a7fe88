//! What happens to a recording when its call is held, described anew, or heard before it is answered.

use serde_json::{Value, json};

use crate::support::{
    audio::{self, Heard, listen},
    callee::Callee,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::{Caller, Sipp},
    voice::{Speech, Voice},
};

/// The caller's voice, and the callee's.
const VOICES: [f32; 2] = [1000.0, 440.0];

fn recorded_user(url: &str) -> Value {
    json!({"module": "record_call", "data": {"action": "start", "format": "wav", "url": url}, "children": {"_": {
        "module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}}}})
}

/// The callee speaks for ten seconds; the caller's part is `talks` and `speech`. What arrives, once the caller hung up.
fn a_call(talks: Caller, speech: Speech) -> Heard {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let callee = Phone::registered(CALLEE, &node);
    let answers = Callee::rings(0).answers().awaits_bye();
    let answering = callee.runs("answer", &answers.scenario());
    let caller = Phone::registered(CALLER, &node);
    let calling = caller.runs("call", &talks.hangs_up(NUMBER).scenario());
    caller.speaks(&calling, speech);
    callee.speaks(&answering, Speech::tone(VOICES[1], 10.0));
    calling.completed();
    answering.completed();
    listen(&receiver.accepted().body)
}

#[track_caller]
fn about(what: &str, (from, to): (f64, f64), seconds: f64) {
    let lasts = to - from;
    assert!((lasts - seconds).abs() < 0.15, "{what}: {from} to {to}");
}

#[test]
fn a_hold_is_as_long_in_the_file_as_it_was_and_both_voices_come_back() {
    let talks = Caller::dials(NUMBER)
        .answered(NUMBER)
        .waits(1000)
        .reinvites(NUMBER, "inactive")
        .waits(1500)
        .reinvites(NUMBER, "sendrecv")
        .waits(1000);
    // A phone that holds is silent itself.
    let heard = a_call(talks, Speech::tone(VOICES[0], 10.0).without(1000, 2500));
    for (channel, hz) in [(0, VOICES[0]), (1, VOICES[1])] {
        let spans = heard.tone(channel, hz);
        let [before, after] = spans[..] else {
            panic!("{hz} Hz sounds at {spans:?}");
        };
        about("before the hold", before, 1.0);
        about("the hold", (before.1, after.0), 1.5);
        about("after it", after, 1.0);
        let held = heard.loudness(channel, before.1 + 0.1, after.0 - 0.1);
        assert!(held == 0.0, "it is silent meanwhile: {held}");
    }
    let other: Vec<_> = (0..2).map(|c| heard.tone(c, VOICES[1 - c])).collect();
    assert!(other.iter().all(Vec::is_empty), "{other:?}");
}

/// Only µ-law, or only A-law.
fn only(payload_type: u8) -> String {
    format!("RTP/AVP {payload_type} 101")
}

#[test]
fn another_codec_port_and_source_in_the_middle_of_a_call_cost_nothing() {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let callee = Phone::registered(CALLEE, &node);
    let answers = Callee::rings(0).answers().awaits_bye();
    let answering = callee.runs("answer", &answers.scenario());
    // From the re-INVITE on it speaks A-law from another port.
    let (caller, before, after) = (Sipp::new(CALLER, node.sip()), Voice::new(), Voice::new());
    caller.register();
    let talks = Caller::dials(NUMBER).answered(NUMBER).waits(1500);
    let first = before
        .of(&talks.scenario())
        .replace("RTP/AVP 0 8 101", &only(0));
    let again = Caller::goes_on(2).reinvites(NUMBER, "sendrecv").waits(1500);
    let second = after
        .of(&again.hangs_up(NUMBER).scenario())
        .replace("RTP/AVP 0 8 101", &only(8));
    let calling = caller.run("call", &first.replace("</scenario>\n", &second));
    calling.established();
    before.speaks(calling.media(), Speech::tone(VOICES[0], 1.5));
    callee.speaks(&answering, Speech::tone(VOICES[1], 10.0));
    calling.sent("CSeq: 3 ACK");
    let alaw = audio::sine(VOICES[0], 10.0)
        .into_iter()
        .map(audio::alaw)
        .collect::<Vec<_>>();
    after.speaks(calling.media(), Speech::alaw(&alaw));
    calling.completed();
    answering.completed();
    let heard = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, VOICES[0]), (1, VOICES[1])] {
        let spans = heard.tone(channel, hz);
        let sounds: f64 = spans.iter().map(|(from, to)| to - from).sum();
        assert!(sounds > 2.7, "{hz} Hz sounds at {spans:?}");
        let (from, to) = (spans[0].0, spans[spans.len() - 1].1);
        assert!(to - from < 3.3, "{hz} Hz from {from} to {to}");
    }
    assert!(
        after.packets()[&8] > 50,
        "it hears A-law at its new port: {:?}",
        after.packets()
    );
}

#[test]
fn what_a_callee_says_before_it_answers_is_in_the_file() {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let callee = Phone::registered(CALLEE, &node);
    let answers = Callee::rings(200)
        .speaks_early()
        .waits(1500)
        .answers()
        .awaits_bye();
    let answering = callee.runs("answer", &answers.scenario());
    let caller = Phone::registered(CALLER, &node);
    let talks = Caller::dials(NUMBER)
        .answered(NUMBER)
        .waits(1000)
        .hangs_up(NUMBER);
    let calling = caller.runs("call", &talks.scenario());
    // The caller is told when the switch is ready for it.
    calling.received("SIP/2.0 183");
    let early = audio::mulaw_tone(620.0, 1.0);
    callee
        .voice
        .speaks(answering.media(), Speech::mulaw(&early));
    caller.speaks(&calling, Speech::tone(VOICES[0], 10.0));
    callee
        .voice
        .speaks(answering.media(), Speech::tone(VOICES[1], 10.0));
    calling.completed();
    answering.completed();
    let heard = listen(&receiver.accepted().body);
    let (announced, talk) = (heard.only_tone(1, 620.0), heard.only_tone(1, VOICES[1]));
    about("before the answer", announced, 1.0);
    assert!(announced.1 < talk.0, "{announced:?}, then {talk:?}");
    about("after it", talk, 1.0);
    about("the caller's", heard.only_tone(0, VOICES[0]), 1.0);
    assert!(
        !caller.voice.heard().tone(0, 620.0).is_empty(),
        "the caller hears it, too"
    );
}
