//! `explain`: the whole talk of a flow with a made-up call.

use std::time::Instant;

use callreel_callflow::explain::{self, Script, World};
use callreel_callflow::{Answer, Flow, Query, Settings};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::sample;

fn walk(flow: &Value, world: World) -> String {
    let flow = Flow::parse(flow, false).unwrap();
    explain::walk(&flow, &Settings::default(), world, Instant::now())
}

#[test]
fn the_third_sample_is_explained_for_an_answered_call() {
    assert_snapshot!(walk(&sample("3-per-user"), World::Answered), @r#"
    0s > Started
       < warn at /children/_/children/_/children: an action stands where a map of branches belongs; taken as if it were under "_"
       < start recording #1: mp3 stereo, at most 360s, to http://my.recording.server/%7BACCOUNT_ID%7D/%7BUSER_ID%7D
       < look up devices of user {USER_ID}
       at user /children/_
       wait
    0s > RecordingStarted #1
       wait
    0s > Found devices [phone] in example.com
       < bridge phone@example.com for 20s, simultaneous, from Alice 1000
       wait until 40s
    5s > CHANNEL_ANSWER
       wait until 40s
    5s > CHANNEL_BRIDGE
       wait until 35s
    15s > CHANNEL_EXECUTE_COMPLETE bridge SUCCESS
       < hangup
       wait until 55s
    15s > CHANNEL_DESTROY
       finished
    "#);
}

#[test]
fn the_third_sample_is_explained_for_a_call_nobody_answers() {
    assert_snapshot!(
        "third_sample_unanswered",
        walk(&sample("3-per-user"), World::NotAnswered)
    );
}

#[test]
fn the_fourth_sample_is_explained() {
    assert_snapshot!(walk(&sample("4-caller"), World::Answered), @r#"
    0s > Started
       < answer
       at say (root)
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < tts "Please leave your message after the beep" female en-us, any key ends it
       < noop mark-1
       wait until 30.1s
    3.1s > CHANNEL_EXECUTE_COMPLETE tts
       wait until 30.1s
    3.1s > CHANNEL_EXECUTE_COMPLETE noop mark-1
       < tones 440 Hz 500 ms
       < record the caller #1: mp3 caller only, at most 360s, any key ends it, 5s of silence ends it, to http://my.recording.server/voicemail/%7BACCOUNT_ID%7D/%7BBOX_ID%7D
       at record_caller /children/_
       wait until 423.1s
    3.7s > CHANNEL_EXECUTE_COMPLETE tones
       wait until 423.1s
    13.7s > RecordingEnded #1: Silence after 10000 ms
       < hangup
       wait until 53.7s
    13.7s > CHANNEL_DESTROY
       finished
    "#);
}

#[test]
fn endless_flows_are_explained_in_finite_words() {
    let endless = json!({"module": "play", "data": {"id": "x", "endless_playback": true}});
    assert!(walk(&endless, World::Answered).ends_with("finished\n"));
    let busy = json!({"module": "device", "data": {"id": "d"}, "children": {"USER_BUSY": endless}});
    assert!(
        walk(&busy, World::Busy).contains("play /0123456789abcdef0123456789abcdef/x endlessly")
    );
}

#[test]
fn worlds_that_make_no_difference_are_not_told_apart() {
    let explained = |document: &Value| {
        explain::explain(document, &Script::default(), &mut |_| None, Instant::now()).unwrap()
    };
    let quiet = explained(&sample("4-caller"));
    assert!(quiet.starts_with("0s > Started\n"), "{quiet}");
    let rings = explained(&json!({"flow": {"module": "device", "data": {"id": "d"}}}));
    assert_snapshot!(rings, @r#"
    If whoever is rung answers:

    0s > Started
       < look up device d
       at device /flow
       wait
    0s > Found devices [d] in example.com
       < bridge phone@example.com for 20s, simultaneous, from Alice 1000
       wait until 40s
    5s > CHANNEL_ANSWER
       wait until 40s
    5s > CHANNEL_BRIDGE
       wait until 35s
    15s > CHANNEL_EXECUTE_COMPLETE bridge SUCCESS
       < hangup
       wait until 55s
    15s > CHANNEL_DESTROY
       finished

    If nobody answers:

    0s > Started
       < look up device d
       at device /flow
       wait
    0s > Found devices [d] in example.com
       < bridge phone@example.com for 20s, simultaneous, from Alice 1000
       wait until 40s
    20s > CHANNEL_EXECUTE_COMPLETE bridge NO_ANSWER sip:480
       < hangup NO_ANSWER
       wait until 60s
    20s > CHANNEL_DESTROY
       finished

    If whoever is rung is busy:

    0s > Started
       < look up device d
       at device /flow
       wait
    0s > Found devices [d] in example.com
       < bridge phone@example.com for 20s, simultaneous, from Alice 1000
       wait until 40s
    1s > CHANNEL_EXECUTE_COMPLETE bridge USER_BUSY sip:486
       < hangup USER_BUSY
       wait until 41s
    1s > CHANNEL_DESTROY
       finished
    "#);
    let nothing = explain::explain(
        &json!({}),
        &Script::default(),
        &mut |_| None,
        Instant::now(),
    );
    assert!(nothing.is_err());
}

fn scripted(flow: &Value, script: &str) -> String {
    let script = Script::read(script).unwrap();
    explain::explain(flow, &script, &mut |_| None, Instant::now()).unwrap()
}

#[test]
fn a_script_says_what_people_do() {
    let flow = json!({"module": "play", "data": {"id": "long"}, "children": {
        "_": {"module": "user", "data": {"id": "bob"}, "children": {
            "USER_BUSY": {"module": "device", "data": {"id": "desk"}, "children": {}}
        }}
    }});
    assert_snapshot!(scripted(&flow, "1s press 5\n4s busy\n6s answer\n8s part\n"), @r#"
    0s > Started
       < answer
       at play (root)
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       wait until 0.2s
    0.2s > Tick
       < play /0123456789abcdef0123456789abcdef/long, any key ends it
       < noop mark-1
       wait until 30.2s
    1s > DTMF 5
       wait until 30.2s
    1s > CHANNEL_EXECUTE_COMPLETE play
       wait until 30.2s
    1s > CHANNEL_EXECUTE_COMPLETE noop mark-1
       < look up devices of user bob
       at user /children/_
       wait
    1s > Found devices [phone] in example.com
       < bridge phone@example.com for 20s, simultaneous, from Alice 1000
       wait until 41s
    4s > CHANNEL_EXECUTE_COMPLETE bridge USER_BUSY sip:486
       < look up device desk
       at device /children/_/children/USER_BUSY
       wait
    4s > Found devices [desk] in example.com
       < bridge phone@example.com for 20s, simultaneous, from Alice 1000
       wait until 44s
    6s > CHANNEL_ANSWER
       wait until 44s
    6s > CHANNEL_BRIDGE
       wait until 36s
    8s > CHANNEL_EXECUTE_COMPLETE bridge SUCCESS
       < hangup
       wait until 48s
    8s > CHANNEL_DESTROY
       finished
    "#);
}

#[test]
fn what_is_known_of_the_account_is_not_made_up() {
    let flow = json!({"module": "callflow", "data": {"id": "other"}});
    let mut asked = Vec::new();
    let mut known = |query: &Query| {
        asked.push(query.clone());
        Some(Answer::Flow(
            json!({"flow": {"module": "hangup", "data": {}}}),
        ))
    };
    let talk = explain::explain(&flow, &Script::default(), &mut known, Instant::now()).unwrap();
    assert!(talk.contains("hangup") && !talk.contains("noop"), "{talk}");
    assert!(asked.contains(&Query::Callflow {
        id: "other".to_owned()
    }));
}
