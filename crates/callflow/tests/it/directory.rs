//! `directory`: names that are spelled, and who is called.

use callreel_callflow::Answer;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;

fn flow() -> Value {
    let after = json!({"module": "sleep", "data": {"duration": 100}});
    json!({"module": "directory", "data": {"id": "d"}, "children": {"_": after}})
}

fn user(id: &str, first: &str, last: &str) -> Value {
    json!({"_id": id, "first_name": first, "last_name": last, "directories": {"d": format!("call-{id}")}})
}

/// An answered caller who is asked for a name of these people.
fn asked(mut directory: Value, users: &[Value]) -> Talk {
    directory["_id"] = json!("d");
    let mut talk = Talk::with(&flow(), |call, _| call.answered = true);
    talk.found(0.0, Answer::Document(directory));
    talk.found(0.0, Answer::Documents(users.to_vec()));
    talk
}

fn spell(talk: &mut Talk, at: f64, keys: &str) {
    for key in keys.chars() {
        talk.key(at, &key.to_string());
    }
}

fn bo_and_cy() -> [Value; 2] {
    [user("1", "Bo", "Alm"), user("2", "Cy", "Alm")]
}

fn called(talk: &mut Talk) -> String {
    talk.found(
        9.0,
        Answer::Flow(json!({"flow": {"module": "sleep", "data": {"duration": 7}}})),
    );
    talk.position().map(|at| at.pointer).unwrap_or_default()
}

#[test]
fn whoever_is_the_only_one_of_that_name_is_called() {
    let mut talk = Talk::through(&flow());
    talk.found(0.0, Answer::Document(json!({"_id": "d"})));
    talk.found(0.0, Answer::Documents(bo_and_cy().to_vec()));
    talk.done(0.1, "answer");
    talk.marked(3.0, 1);
    spell(&mut talk, 4.0, "262#");
    assert_eq!(called(&mut talk), "call-1#/flow");
    talk.tick(16.0);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up document d
       at directory (root)
       wait
    0s > Found document d
       < look up the users in directory d
       wait
    0s > Found documents [1, 2]
       < answer
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < play prompt://0123456789abcdef0123456789abcdef/dir-enter_person_name/en-us, any key ends it
       < noop m-1
       wait until 30.1s
    3s > CHANNEL_EXECUTE_COMPLETE noop m-1
       wait until 8s
    4s > DTMF 2
       wait until 6s
    4s > DTMF 6
       wait until 6s
    4s > DTMF 2
       wait until 6s
    4s > DTMF #
       < look up callflow call-1
       wait
    9s > Found a callflow
       at sleep call-1#/flow
       wait until 16s
    16s > Tick
       at sleep /children/_
       wait until 116s
    "#);
}

#[test]
fn the_only_one_is_named_first_if_the_directory_wants_it() {
    let confirmed = |key: &str| {
        let mut talk = asked(json!({"confirm_match": true}), &bo_and_cy());
        spell(&mut talk, 1.0, "262#");
        assert!(talk.text().contains("dir-found/") && talk.text().contains("tts \"Bo Alm\""));
        talk.key(5.0, key);
        talk
    };
    assert_eq!(called(&mut confirmed("1")), "call-1#/flow");
    assert_eq!(
        confirmed("3")
            .text()
            .matches("dir-enter_person_name")
            .count(),
        2
    );
}

#[test]
fn several_are_named_one_after_the_other() {
    let mut talk = asked(json!({}), &bo_and_cy());
    spell(&mut talk, 1.0, "256#");
    talk.key(4.0, "2");
    talk.key(6.0, "1");
    assert_eq!(called(&mut talk), "call-2#/flow");
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up document d
       at directory (root)
       wait
    0s > Found document d
       < look up the users in directory d
       wait
    0s > Found documents [1, 2]
       < play prompt://0123456789abcdef0123456789abcdef/dir-enter_person_name/en-us, any key ends it
       < noop m-1
       wait until 30s
    1s > DTMF 2
       < noop m-2 (flush)
       wait until 3s
    1s > DTMF 5
       wait until 3s
    1s > DTMF 6
       wait until 3s
    1s > DTMF #
       < play prompt://0123456789abcdef0123456789abcdef/dir-result_number/en-us, any key ends it
       < tts "Bo Alm" en-us, any key ends it
       < play prompt://0123456789abcdef0123456789abcdef/dir-result_menu/en-us, any key ends it
       < noop m-3
       wait until 31s
    4s > DTMF 2
       < noop m-4 (flush)
       < play prompt://0123456789abcdef0123456789abcdef/dir-result_number/en-us, any key ends it
       < tts "Cy Alm" en-us, any key ends it
       < play prompt://0123456789abcdef0123456789abcdef/dir-result_menu/en-us, any key ends it
       < noop m-5
       wait until 34s
    6s > DTMF 1
       < noop m-6 (flush)
       < look up callflow call-2
       wait
    9s > Found a callflow
       at sleep call-2#/flow
       wait until 16s
    "#);
}

#[test]
fn after_the_last_one_and_on_3_it_starts_over() {
    let again = |keys: &[&str]| {
        let mut talk = asked(json!({"search_fields": "last_name"}), &bo_and_cy());
        spell(&mut talk, 1.0, "256#");
        keys.iter().for_each(|key| talk.key(4.0, key));
        assert_eq!(talk.text().matches("dir-enter_person_lastname").count(), 2);
        talk.text().contains("dir-no_more_results")
    };
    assert!(again(&["2", "2"]));
    assert!(!again(&["3"]));
}

#[test]
fn who_chooses_nobody_is_asked_three_times() {
    let mut talk = asked(json!({}), &bo_and_cy());
    spell(&mut talk, 1.0, "256#");
    talk.key(2.0, "7");
    assert_eq!(talk.text().matches("dir-invalid_key").count(), 1);
    talk.key(3.0, "#");
    talk.key(4.0, "#");
    assert_eq!(talk.text().matches("dir-result_menu").count(), 3);
    talk.marked(6.0, 9);
    assert!(talk.text().contains("dir-no_more_results"));
    assert!(talk.text().contains("hangup"), "{}", talk.text());
}

#[test]
fn a_name_is_as_its_owner_spoke_it_if_there_is_audio() {
    let named = |answer: Answer| {
        let mut bo = user("1", "Bo", "Alm");
        bo["media"] = json!({"name": "bo-spoken"});
        let mut talk = asked(json!({"confirm_match": true}), &[bo]);
        spell(&mut talk, 1.0, "262#");
        talk.found(1.1, answer);
        talk.text()
            .contains("play /0123456789abcdef0123456789abcdef/bo-spoken")
    };
    let audio = json!({"_id": "bo-spoken", "_attachments": {"a.mp3": {}}});
    assert!(named(Answer::Document(audio)));
    assert!(!named(Answer::Document(json!({"_id": "bo-spoken"}))));
    assert!(!named(Answer::Missing));
}

#[test]
fn a_name_that_is_too_short_or_nobodys_can_be_spelled_three_times() {
    let mut talk = asked(json!({"search_fields": "first_name"}), &bo_and_cy());
    spell(&mut talk, 1.0, "26#");
    assert!(talk.text().contains("dir-specify_minimum"));
    spell(&mut talk, 2.0, "999#");
    assert!(talk.text().contains("dir-no_results_found"));
    talk.marked(4.0, 5);
    talk.tick(9.0);
    assert_eq!(talk.text().matches("dir-enter_person_firstname").count(), 3);
    talk.marked(11.0, 6);
    assert!(talk.text().contains("hangup"), "{}", talk.text());
}

#[test]
fn zero_an_empty_directory_and_a_missing_one_go_on() {
    let mut zero = asked(json!({}), &bo_and_cy());
    spell(&mut zero, 1.0, "0#");
    let mut empty = asked(json!({}), &[]);
    empty.marked(2.0, 1);
    assert!(empty.text().contains("dir-no_results_found"));
    let mut missing = Talk::through(&flow());
    missing.found(0.0, Answer::Missing);
    let mut nobody = asked(json!({}), &bo_and_cy());
    spell(&mut nobody, 1.0, "262#");
    nobody.found(2.0, Answer::Missing);
    let unnamed =
        Talk::through(&json!({"module": "directory", "data": {}, "children": flow()["children"]}));
    for talk in [zero, empty, missing, nobody, unnamed] {
        assert_eq!(talk.position().unwrap().module, "sleep", "{}", talk.text());
    }
}
