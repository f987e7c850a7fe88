//! Calls that are handed on: the recording goes with the party that stays, or ends, as its step says.

use serde_json::{Value, json};

use crate::support::{
    audio::{Heard, listen},
    baresip::{Baresip, Habits},
    callee::Callee,
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, THIRD, THIRD_USER},
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::Caller,
    voice::Speech,
};

/// The caller's voice, the callee's, and that of the third party.
const ALICE: f32 = 1000.0;
const BOB: f32 = 440.0;
const CAROL: f32 = 620.0;
/// The number that rings the third party.
const THIRD_NUMBER: &str = "3000";

/// A recorded call to the callee, and a number of the third party's.
fn estate(receiver: &Receiver, keys: &Value) -> Estate {
    let mut data = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let keys = keys.as_object().unwrap().clone();
    data.as_object_mut().unwrap().extend(keys);
    let ring =
        |user: &str| json!({"module": "user", "data": {"id": user, "timeout": 10}, "children": {}});
    let estate = Estate::with_flow(
        &json!({"module": "record_call", "data": data, "children": {"_": ring(CALLEE_USER)}}),
    );
    estate.flow(THIRD_NUMBER, &ring(THIRD_USER));
    estate
}

/// How long a voice sounds in a channel, seconds.
fn sounds(heard: &Heard, channel: usize, hz: f32) -> f64 {
    let spans = heard.tone(channel, hz);
    spans.iter().map(|(from, to)| to - from).sum()
}

/// Bob, who was called, hands Alice on to Carol after a second; Alice talks to her for some two seconds. What arrives.
fn handed_on_by_the_callee(keys: Value) -> Heard {
    let receiver = Receiver::start();
    let node = Node::start(&estate(&receiver, &keys));
    let third = Phone::registered(THIRD, &node);
    let answers = Callee::rings(0).answers().awaits_bye();
    let third_run = third.runs("answer", &answers.scenario());
    let callee = Phone::registered(CALLEE, &node);
    let answers = Callee::rings(0)
        .answers()
        .waits(1000)
        .transfers_to(THIRD_NUMBER);
    let callee_run = callee.runs("answer", &answers.scenario());
    let caller = Phone::registered(CALLER, &node);
    let talks = Caller::dials(NUMBER)
        .answered(NUMBER)
        .waits(4000)
        .hangs_up(NUMBER);
    let calling = caller.runs("call", &talks.scenario());
    caller.speaks(&calling, Speech::tone(ALICE, 20.0));
    callee.speaks(&callee_run, Speech::tone(BOB, 20.0));
    third.speaks(&third_run, Speech::tone(CAROL, 20.0));
    callee_run.completed();
    calling.completed();
    third_run.completed();
    assert!(
        !caller.voice.heard().tone(0, CAROL).is_empty(),
        "Alice hears Carol"
    );
    assert!(
        !third.voice.heard().tone(0, ALICE).is_empty(),
        "Carol hears Alice"
    );
    listen(&receiver.accepted().body)
}

#[test]
fn a_recording_follows_the_caller_whom_the_callee_hands_on() {
    let heard = handed_on_by_the_callee(json!({}));
    assert!(
        (3.9..4.5).contains(&heard.seconds()),
        "{} s",
        heard.seconds()
    );
    let (from, to) = heard.only_tone(0, ALICE);
    assert!(
        to - from > 3.7,
        "the caller is heard throughout: {from} to {to}"
    );
    let (bob, carol) = (heard.only_tone(1, BOB), heard.only_tone(1, CAROL));
    assert!(
        bob.1 - bob.0 > 0.4 && carol.1 - carol.0 > 1.5,
        "{bob:?} and {carol:?}"
    );
    assert!(bob.1 < carol.0, "{bob:?} and then {carol:?}");
}

#[test]
fn a_recording_that_shall_not_follow_ends_with_the_transfer() {
    let heard = handed_on_by_the_callee(json!({"should_follow_transfer": false}));
    assert!(
        (0.9..1.8).contains(&heard.seconds()),
        "{} s",
        heard.seconds()
    );
    assert!(heard.tone(1, CAROL).is_empty(), "Carol is not recorded");
    assert!(sounds(&heard, 1, BOB) > 0.4, "Bob is, before that");
}

#[test]
fn a_recording_follows_the_callee_whom_the_caller_hands_on() {
    let receiver = Receiver::start();
    let node = Node::start(&estate(&receiver, &json!({})));
    let third = Phone::registered(THIRD, &node);
    let answers = Callee::rings(0).answers().waits(1500).hangs_up();
    let third_run = third.runs("answer", &answers.scenario());
    let callee = Phone::registered(CALLEE, &node);
    let answers = Callee::rings(0).answers().awaits_bye();
    let callee_run = callee.runs("answer", &answers.scenario());
    // A phone of others hands the callee on.
    let habits = Habits {
        answers: false,
        plays: ALICE,
        ..Habits::default()
    };
    let mut caller = Baresip::start(CALLER, node.sip(), &habits);
    caller.dial(NUMBER);
    caller.awaits("CALL_ESTABLISHED");
    callee.speaks(&callee_run, Speech::tone(BOB, 20.0));
    std::thread::park_timeout(std::time::Duration::from_millis(1200));
    caller.transfer(THIRD_NUMBER);
    third.speaks(&third_run, Speech::tone(CAROL, 20.0));
    third_run.completed();
    callee_run.completed();
    caller.awaits("CALL_CLOSED");
    assert!(
        !callee.voice.heard().tone(0, CAROL).is_empty(),
        "Bob hears Carol"
    );
    let heard = listen(&receiver.accepted().body);
    assert!(
        (2.4..4.0).contains(&heard.seconds()),
        "{} s",
        heard.seconds()
    );
    let voices = [ALICE, BOB, CAROL].map(|hz| sounds(&heard, 0, hz) + sounds(&heard, 1, hz));
    let [alice, bob, carol] = voices;
    assert!(alice > 0.7 && bob > 2.0 && carol > 1.0, "{voices:?}");
    assert!(
        sounds(&heard, 0, BOB) < 0.1 || sounds(&heard, 1, BOB) < 0.1,
        "Bob stays where he is"
    );
}
