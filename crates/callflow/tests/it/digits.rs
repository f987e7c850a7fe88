//! Keys that a caller is asked for.

use callreel_callflow::{Answer, Position};
use serde_json::{Value, json};

use crate::support::Talk;

/// Collects, then goes on to a sleep whose place says that it was over.
fn collecting(data: Value) -> Value {
    let after = json!({"module": "sleep", "data": {"duration": 100}});
    json!({"module": "collect_dtmf", "data": data, "children": {"_": after}})
}

/// A call that is answered already.
fn answered(flow: &Value) -> Talk {
    Talk::with(flow, |call, _| call.answered = true)
}

fn is_over(talk: &Talk) -> bool {
    talk.position()
        .is_some_and(|at: Position| at.module == "sleep")
}

#[test]
fn so_many_keys_end_it() {
    let mut talk = answered(&collecting(json!({"max_digits": 2})));
    talk.marked(0.0, 1);
    talk.key(1.0, "4");
    assert!(!is_over(&talk));
    talk.key(2.0, "2");
    assert!(is_over(&talk));
}

#[test]
fn a_terminator_ends_it_before() {
    let mut talk = answered(&collecting(json!({"max_digits": 9, "terminators": ["*"]})));
    talk.marked(0.0, 1);
    talk.key(1.0, "#");
    assert!(!is_over(&talk));
    talk.key(1.1, "*");
    assert!(is_over(&talk));
}

#[test]
fn time_runs_from_the_end_of_what_is_played_and_then_from_key_to_key() {
    let mut talk = answered(&collecting(json!({"max_digits": 9})));
    talk.tick(60.0);
    assert!(!is_over(&talk), "it is still being played");
    talk.marked(60.0, 1);
    talk.tick(64.9);
    talk.key(64.9, "1");
    talk.tick(66.8);
    assert!(!is_over(&talk));
    talk.tick(66.9);
    assert!(is_over(&talk));
}

#[test]
fn the_first_key_silences_what_is_played() {
    let mut talk = answered(&collecting(json!({"max_digits": 2})));
    talk.key(0.5, "1");
    assert!(talk.text().contains("(flush)"), "{}", talk.text());
}

#[test]
fn keys_pressed_during_a_look_up_count() {
    let flow = json!({"module": "callflow", "data": {"id": "other"}});
    let mut talk = answered(&flow);
    talk.key(0.1, "4");
    talk.key(0.2, "2");
    talk.found(
        0.3,
        Answer::Flow(json!({"flow": collecting(json!({"max_digits": 2}))})),
    );
    assert!(is_over(&talk));
}

#[test]
fn keys_pressed_while_the_flow_speaks_count_and_the_call_is_answered_for_them() {
    let spoken = |collect: Value| json!({"module": "tts", "data": {"text": "Your order?"}, "children": {"_": collect}});
    let mut talk = Talk::through(&spoken(collecting(
        json!({"max_digits": 3, "collection_name": "order"}),
    )));
    assert!(talk.text().contains("answer"), "{}", talk.text());
    talk.done(0.1, "answer");
    talk.key(0.5, "4");
    talk.key(0.6, "2");
    talk.marked(0.7, 1);
    assert!(!is_over(&talk));
    talk.key(1.0, "7");
    assert!(is_over(&talk));
    let flushed = json!({"module": "flush_dtmf", "data": {}, "children": {"_": collecting(json!({"max_digits": 1}))}});
    let mut talk = answered(&spoken(flushed));
    talk.key(0.5, "4");
    talk.marked(0.7, 1);
    assert!(!is_over(&talk), "the key was forgotten");
}

#[test]
fn whoever_is_asked_for_keys_is_answered() {
    let talk = Talk::through(&collecting(json!({})));
    assert!(talk.text().contains("answer"), "{}", talk.text());
}
