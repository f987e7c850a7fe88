//! `voicemail`: greetings, excuses, the message and what follows it.

use callreel_callflow::{Answer, Effect, OrderDestination, RecordingKind};
use callreel_proto::{AudioFormat, EndReason, Vmbox};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;

fn flow(data: Value) -> Value {
    json!({"module": "voicemail", "data": data, "children": {"_": {"module": "sleep", "data": {"duration": 1}}}})
}

fn vmbox(document: &Value) -> Answer {
    Answer::Vmbox(Vmbox::read(document))
}

#[test]
fn a_message_is_taken_from_greeting_to_thanks() {
    let mut talk = Talk::through(&flow(json!({"id": "box"})));
    talk.found(
        0.0,
        vmbox(&json!({"_id": "box", "mailbox": "1001", "owner_id": "bob"})),
    );
    talk.found(0.0, Answer::Count(3));
    talk.done(0.1, "answer");
    talk.done(4.0, "play");
    talk.marked(9.0, 1);
    talk.recorded(20.0, 1, EndReason::Stopped, 10_000);
    talk.marked(24.0, 2);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up voicemail box box
       at voicemail (root)
       wait
    0s > Found box box
       < look up messages in box box
       wait
    0s > Found 3 messages
       < answer
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < play prompt://0123456789abcdef0123456789abcdef/vm-person/en-us, any key ends it
       < say name_spelled "1001"
       < play prompt://0123456789abcdef0123456789abcdef/vm-not_available/en-us, any key ends it
       < play prompt://0123456789abcdef0123456789abcdef/vm-record_message/en-us, any key ends it
       < noop m-1
       wait
    4s > CHANNEL_EXECUTE_COMPLETE play
       wait
    9s > CHANNEL_EXECUTE_COMPLETE noop m-1
       < tones 440 Hz 500 ms
       < record the caller #1: mp3 caller only, at most 500s, at least 0.5s, any key ends it, 5s of silence ends it, for box box, to the account's database
       wait until 569s
    20s > RecordingEnded #1: Stopped after 10000 ms
       < play prompt://0123456789abcdef0123456789abcdef/vm-saved/en-us, any key ends it
       < play prompt://0123456789abcdef0123456789abcdef/vm-thank_you/en-us, any key ends it
       < noop m-2
       wait
    24s > CHANNEL_EXECUTE_COMPLETE noop m-2
       at sleep /children/_
       wait until 25s
    "#);
}

#[test]
fn a_key_skips_to_the_beep() {
    let mut talk = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
    let document =
        json!({"_id": "box", "media": {"unavailable": "my-words"}, "max_message_count": 0});
    talk.found(0.0, vmbox(&document));
    talk.key(1.0, "1");
    talk.key(1.5, "1");
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up voicemail box box
       at voicemail (root)
       wait
    0s > Found box box
       < play /0123456789abcdef0123456789abcdef/my-words, any key ends it
       < play prompt://0123456789abcdef0123456789abcdef/vm-record_message/en-us, any key ends it
       < noop m-1
       wait
    1s > DTMF 1
       < noop m-2 (flush)
       < tones 440 Hz 500 ms
       < record the caller #1: mp3 caller only, at most 500s, at least 0.5s, any key ends it, 5s of silence ends it, for box box, to the account's database
       wait until 561s
    1.5s > DTMF 1
       wait until 561s
    "#);
}

#[test]
fn a_box_may_skip_its_greeting_and_instructions() {
    let lines = |document: Value| {
        let mut talk = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
        talk.found(0.0, vmbox(&document));
        talk.text().matches("< play").count()
    };
    let unlimited = |mut document: Value| {
        document["max_message_count"] = json!(0);
        lines(document)
    };
    assert_eq!(unlimited(json!({"_id": "box"})), 3);
    assert_eq!(
        unlimited(json!({"_id": "box", "skip_instructions": true})),
        2
    );
    assert_eq!(unlimited(json!({"_id": "box", "skip_greeting": true})), 1);
    assert_eq!(
        unlimited(json!({"_id": "box", "skip_greeting": true, "skip_instructions": true})),
        0
    );
}

#[test]
fn a_missing_box_and_a_full_one_excuse_themselves() {
    let mut missing = Talk::through(&flow(json!({"id": "box"})));
    missing.found(0.0, Answer::Missing);
    missing.done(0.1, "answer");
    missing.marked(3.0, 1);
    assert_snapshot!(missing.text(), @r#"
    0s > Started
       < look up voicemail box box
       at voicemail (root)
       wait
    0s > Found nothing
       < warn at /data/id: there is no such voicemail box in the account
       < answer
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < play prompt://0123456789abcdef0123456789abcdef/vm-not_available_no_voicemail/en-us, any key ends it
       < noop m-1
       wait
    3s > CHANNEL_EXECUTE_COMPLETE noop m-1
       at sleep /children/_
       wait until 4s
    "#);
    let mut full = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
    full.found(0.0, vmbox(&json!({"_id": "box", "max_message_count": 2})));
    full.found(0.0, Answer::Count(2));
    full.marked(3.0, 1);
    assert_snapshot!(full.text(), @r#"
    0s > Started
       < look up voicemail box box
       at voicemail (root)
       wait
    0s > Found box box
       < look up messages in box box
       wait
    0s > Found 2 messages
       < warn at (root): the voicemail box is full: it may hold 2 messages
       < play prompt://0123456789abcdef0123456789abcdef/vm-mailbox_full/en-us, any key ends it
       < noop m-1
       wait
    3s > CHANNEL_EXECUTE_COMPLETE noop m-1
       at sleep /children/_
       wait until 4s
    "#);
}

#[test]
fn a_count_that_cannot_be_had_refuses_nobody() {
    let mut talk = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
    talk.found(0.0, vmbox(&json!({"_id": "box"})));
    talk.found(0.0, Answer::Missing);
    assert!(talk.text().contains("vm-record_message"), "{}", talk.text());
}

#[test]
fn a_message_is_ordered_as_box_and_action_wish() {
    let order = |data: Value, mut document: Value| {
        document["max_message_count"] = json!(0);
        document["skip_greeting"] = json!(true);
        document["skip_instructions"] = json!(true);
        let mut talk = Talk::with(&flow(data), |call, _| call.answered = true);
        talk.found(0.0, vmbox(&document));
        let effects = talk.last.unwrap().effects;
        effects
            .into_iter()
            .find_map(|effect| match effect {
                Effect::RecordMessage(order) => Some(*order),
                _ => None,
            })
            .unwrap()
    };
    let plain = order(
        json!({"id": "b"}),
        json!({"_id": "b", "mailbox": "1001", "owner_id": "bob"}),
    );
    assert_eq!(plain.format, AudioFormat::Mp3);
    assert_eq!(plain.time_limit.as_secs(), 500);
    assert_eq!(plain.min.as_millis(), 500);
    assert_eq!(plain.destination, OrderDestination::AccountDb);
    assert_eq!(
        plain.kind,
        RecordingKind::Voicemail {
            box_id: "b".into(),
            mailbox: Some("1001".into()),
            owner_id: Some("bob".into())
        }
    );
    let wished = order(
        json!({"id": "b", "max_message_length": 30}),
        json!({"_id": "b", "media_extension": "wav"}),
    );
    assert_eq!(
        (wished.format, wished.time_limit.as_secs()),
        (AudioFormat::Wav, 30)
    );
    let odd = order(
        json!({"id": "b", "max_message_length": 99_999}),
        json!({"_id": "b", "media_extension": "mp4"}),
    );
    assert_eq!(
        (odd.format, odd.time_limit.as_secs()),
        (AudioFormat::Mp3, 10_800)
    );
}

#[test]
fn thanks_are_only_for_messages_that_are_kept() {
    let after = |reason: EndReason, length_ms: u64| {
        let mut talk = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
        talk.found(0.0, vmbox(&json!({"_id": "box", "max_message_count": 0})));
        talk.key(1.0, "#");
        talk.recorded(9.0, 1, reason, length_ms);
        let effects = talk.last.as_ref().unwrap().effects.len();
        (talk.text().contains("vm-saved"), effects)
    };
    assert!(after(EndReason::Silence, 500).0);
    assert!(after(EndReason::TimeLimit, 500_000).0);
    assert_eq!(after(EndReason::Stopped, 499), (false, 0));
    assert_eq!(after(EndReason::TooShort, 0), (false, 0));
    assert_eq!(after(EndReason::Hangup, 9000), (false, 1));
}

#[test]
fn checking_messages_is_passed_by() {
    let talk = Talk::through(&flow(json!({"id": "box", "action": "check"})));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /data/action: the action "check" is not built yet; skipped
       at sleep /children/_
       wait until 1s
    "#);
    let talk = Talk::through(&flow(json!({})));
    assert!(
        talk.text().contains("no voicemail box is named"),
        "{}",
        talk.text()
    );
}
