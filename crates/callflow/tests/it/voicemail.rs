//! `voicemail`, taking a message: greetings, excuses, the message, its review and what follows it.

use callreel_callflow::{Answer, Effect, MailboxAnswer, OrderDestination, RecordingKind};
use callreel_proto::{AudioFormat, CallflowConfig, EndReason, Vmbox};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;

pub(crate) fn flow(data: Value) -> Value {
    json!({"module": "voicemail", "data": data, "children": {"_": {"module": "sleep", "data": {"duration": 1}}}})
}

pub(crate) fn vmbox(document: &Value) -> Answer {
    Answer::Vmbox(Box::new(Vmbox::read(document)))
}

pub(crate) fn counts(new: u64, saved: u64) -> Answer {
    Answer::Mailbox(MailboxAnswer::Counts { new, saved })
}

/// An answered call to a box without a limit that has been told of it.
fn left(document: Value) -> Talk {
    let mut document = document;
    document["max_message_count"] = json!(0);
    let mut talk = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
    talk.found(0.0, vmbox(&document));
    talk
}

/// One whose caller has spoken.
fn spoken() -> Talk {
    let mut talk = left(json!({"_id": "box", "skip_greeting": true, "skip_instructions": true}));
    talk.recorded(9.0, 1, EndReason::Stopped, 5000);
    talk
}

fn operator(number: &str, fallback: bool) -> Answer {
    Answer::Dialled(Box::new(callreel_callflow::Dialled {
        document: json!({"_id": "reception", "numbers": [number], "flow": {"module": "noop", "data": {}}}),
        captures: callreel_callflow::Captures::default(),
        fallback,
    }))
}

#[test]
fn a_message_is_taken_from_greeting_to_thanks() {
    let mut talk = Talk::through(&flow(json!({"id": "box"})));
    let document = json!({"_id": "box", "mailbox": "1001", "owner_id": "bob"});
    talk.found(0.0, vmbox(&document));
    talk.found(0.0, counts(2, 1));
    talk.done(0.1, "answer");
    talk.done(4.0, "play");
    talk.marked(9.0, 1);
    talk.recorded(20.0, 1, EndReason::Stopped, 10_000);
    talk.marked(24.0, 2);
    talk.key(25.0, "1");
    talk.marked(28.0, 3);
    assert_snapshot!("taken", talk.text());
}

#[test]
fn a_key_skips_to_the_beep() {
    let mut talk = left(json!({"_id": "box", "media": {"unavailable": "my-words"}}));
    talk.key(1.0, "1");
    talk.key(1.5, "1");
    assert_snapshot!("key", talk.text());
}

#[test]
fn a_greeting_for_the_time_being_comes_before_the_usual_one() {
    let media = json!({"unavailable": "usual", "temporary_unavailable": "away"});
    let talk = left(json!({"_id": "box", "media": media}));
    assert!(talk.text().contains("/away, any key"), "{}", talk.text());
    assert!(!talk.text().contains("usual"), "{}", talk.text());
    let talk = left(json!({"_id": "box", "use_person_not_available": true}));
    assert!(talk.text().contains("vm-person_not_available"));
    let talk = left(json!({"_id": "box", "play_greeting_intro": true, "skip_greeting": true}));
    assert!(talk.text().contains("vm-greeting_intro"), "{}", talk.text());
}

#[test]
fn a_box_may_skip_its_greeting_and_instructions() {
    let lines = |document: Value| {
        let talk = left(document);
        let text = talk.text();
        text.matches("< play").count() + text.matches("< say").count()
    };
    assert_eq!(lines(json!({"_id": "box"})), 4);
    assert_eq!(lines(json!({"_id": "box", "skip_instructions": true})), 3);
    assert_eq!(lines(json!({"_id": "box", "skip_greeting": true})), 1);
    assert_eq!(
        lines(json!({"_id": "box", "skip_greeting": true, "skip_instructions": true})),
        0
    );
}

#[test]
fn a_missing_box_excuses_itself() {
    let mut missing = Talk::through(&flow(json!({"id": "box"})));
    missing.found(0.0, Answer::Missing);
    missing.done(0.1, "answer");
    missing.marked(3.0, 1);
    assert_snapshot!("missing", missing.text());
    let unnamed = Talk::through(&flow(json!({})));
    assert!(unnamed.text().contains("no voicemail box"));
}

#[test]
fn a_full_box_says_so_to_the_caller_and_to_people() {
    let mut full = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
    full.found(0.0, vmbox(&json!({"_id": "box", "max_message_count": 2})));
    full.found(0.0, counts(1, 1));
    full.marked(3.0, 1);
    assert_snapshot!("full", full.text());
    let mut owner = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
    owner.found(
        0.0,
        vmbox(&json!({"_id": "box", "max_message_count": 2, "pin": "1234"})),
    );
    owner.found(0.0, counts(2, 0));
    owner.key(1.0, "*");
    assert!(owner.text().contains("vm-enter_pass"), "{}", owner.text());
}

#[test]
fn a_count_that_cannot_be_had_refuses_nobody() {
    let mut talk = Talk::with(&flow(json!({"id": "box"})), |call, _| call.answered = true);
    talk.found(0.0, vmbox(&json!({"_id": "box"})));
    talk.found(0.0, Answer::Missing);
    assert!(talk.text().contains("vm-record_message"), "{}", talk.text());
}

#[test]
fn a_box_that_only_announces_takes_no_message() {
    let mut talk = left(json!({"_id": "box", "announcement_only": true}));
    talk.marked(3.0, 1);
    assert!(talk.text().contains("at sleep"), "{}", talk.text());
    assert!(!talk.text().contains("record"), "{}", talk.text());
}

#[test]
fn the_operator_is_a_key_away_where_there_is_one() {
    let mut talk = left(json!({"_id": "box"}));
    talk.key(1.0, "0");
    talk.found(1.0, operator("0", false));
    talk.marked(1.0, 3);
    assert_snapshot!("operator", talk.text());
    let mut alone = left(json!({"_id": "box"}));
    alone.key(1.0, "0");
    alone.found(1.0, operator("no_match", true));
    assert!(alone.text().contains("< record the caller"));
    let mut after = spoken();
    after.key(10.0, "0");
    after.found(10.0, operator("0", false));
    assert!(
        after.text().contains("keep recording #1"),
        "{}",
        after.text()
    );
    let mut nobody = spoken();
    nobody.key(10.0, "0");
    nobody.found(10.0, Answer::Missing);
    assert!(!nobody.text().contains("keep recording"));
    assert_eq!(nobody.text().matches("vm-review_recording").count(), 2);
}

#[test]
fn a_message_may_be_heard_and_spoken_anew() {
    let mut talk = spoken();
    talk.key(10.0, "2");
    talk.marked(15.0, 3);
    talk.key(16.0, "3");
    talk.recorded(20.0, 2, EndReason::Silence, 3000);
    talk.key(21.0, "1");
    assert_snapshot!("anew", talk.text());
}

#[test]
fn a_key_ends_what_is_heard_and_counts() {
    let mut talk = spoken();
    talk.key(10.0, "2");
    talk.key(11.0, "1");
    assert!(talk.text().contains("keep recording #1"), "{}", talk.text());
}

#[test]
fn who_says_nothing_of_a_message_leaves_it() {
    let mut talk = spoken();
    for at in [10.0, 20.0, 30.0, 40.0] {
        crate::mailbox::silence(&mut talk, at);
    }
    assert!(talk.text().contains("keep recording #1"), "{}", talk.text());
    assert!(talk.text().contains("vm-thank_you"), "{}", talk.text());
}

#[test]
fn who_speaks_too_briefly_speaks_again_but_not_for_ever() {
    let mut talk = left(json!({"_id": "box", "skip_greeting": true, "skip_instructions": true}));
    for (take, reason) in [(1, EndReason::Stopped), (2, EndReason::TooShort)] {
        talk.recorded(f64::from(take), take, reason, 499);
        assert!(talk.text().contains(&format!("discard recording #{take}")));
    }
    talk.recorded(3.0, 3, EndReason::Stopped, 10);
    assert_eq!(talk.text().matches("vm-recording_to_short").count(), 3);
    assert_eq!(talk.text().matches("< record the caller").count(), 3);
    talk.marked(5.0, 1);
    assert!(talk.text().contains("at sleep"), "{}", talk.text());
}

#[test]
fn who_hangs_up_has_left_a_message() {
    let mut talk = left(json!({"_id": "box"}));
    talk.key(1.0, "#");
    talk.recorded(9.0, 1, EndReason::Hangup, 9000);
    let effects = talk.last.unwrap().effects;
    assert!(matches!(effects.as_slice(), [Effect::Command { .. }]));
}

#[test]
fn what_cannot_be_recorded_ends_no_call() {
    let mut talk = left(json!({"_id": "box"}));
    talk.key(1.0, "#");
    let slot = callreel_callflow::Slot(1);
    let reason = "the disk is full".to_owned();
    talk.hear(
        1.1,
        callreel_callflow::Input::RecordingRefused { slot, reason },
    );
    talk.marked(1.2, 3);
    assert!(talk.text().contains("the disk is full"), "{}", talk.text());
    assert!(talk.text().contains("at sleep"), "{}", talk.text());
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
    assert!(plain.review);
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
        json!({"_id": "b", "media_extension": "wav", "max_message_length": 90}),
    );
    assert_eq!(
        (wished.format, wished.time_limit.as_secs()),
        (AudioFormat::Wav, 30)
    );
    let boxed = order(
        json!({"id": "b"}),
        json!({"_id": "b", "max_message_length": 90}),
    );
    assert_eq!(boxed.time_limit.as_secs(), 90);
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
fn an_action_that_nobody_knows_is_passed_by() {
    let talk = Talk::through(&flow(json!({"id": "box", "action": "shred"})));
    assert!(talk.text().contains("there is no action \"shred\""));
    assert!(talk.text().contains("at sleep"), "{}", talk.text());
}

/// An answered call to a box that says nothing, where the system does.
fn under(system: Value, document: Value) -> Talk {
    let mut talk = Talk::with(&flow(json!({"id": "box"})), |call, settings| {
        call.answered = true;
        settings.callflow = CallflowConfig::read(&system);
    });
    talk.found(0.0, vmbox(&document));
    talk
}

#[test]
fn what_a_box_does_not_say_the_system_does() {
    let silent = json!({"_id": "box", "skip_greeting": true, "skip_instructions": true});
    let mut full = under(
        json!({"voicemail": {"max_message_count": 1}}),
        silent.clone(),
    );
    full.found(0.0, counts(1, 0));
    assert!(full.text().contains("vm-mailbox_full"), "{}", full.text());
    let system = json!({"operator_key": "9", "voicemail": {"max_message_count": 0, "max_message_length": 77,
        "extension": "wav", "min_message_size": 3000}});
    let mut talk = under(system.clone(), silent);
    let effects = &talk.last.as_ref().unwrap().effects;
    let order = effects.iter().find_map(|effect| match effect {
        Effect::RecordMessage(order) => Some((order.time_limit.as_secs(), order.format)),
        _ => None,
    });
    assert_eq!(order, Some((77, AudioFormat::Wav)));
    talk.recorded(9.0, 1, EndReason::Stopped, 2000);
    assert!(
        talk.text().contains("vm-recording_to_short"),
        "{}",
        talk.text()
    );
    let mut greeted = under(system, json!({"_id": "box"}));
    greeted.key(1.0, "0");
    assert!(
        greeted.text().contains("the callflow of 9"),
        "{}",
        greeted.text()
    );
    let odd = json!({"voicemail": {"max_message_count": 0, "extension": "ogg"}});
    let talk = under(
        odd,
        json!({"_id": "box", "skip_greeting": true, "skip_instructions": true}),
    );
    assert!(talk.text().contains("mp3 is used"), "{}", talk.text());
}

#[test]
fn how_often_and_with_what_somebody_may_try_to_get_in_is_the_systems_to_say() {
    let strict = json!({"voicemail": {"max_login_attempts": 1, "max_pin_length": 5, "max_box_number_length": 2,
        "force_require_pin": true}});
    let check = |data: Value| {
        let mut data = data;
        data["action"] = json!("check");
        Talk::with(&flow(data), |call, settings| {
            call.answered = true;
            call.owner_id = Some("bob".to_owned());
            settings.callflow = CallflowConfig::read(&strict);
        })
    };
    let mut owner = check(json!({"id": "box"}));
    owner.found(
        0.0,
        vmbox(&json!({"_id": "box", "owner_id": "bob", "is_setup": true, "pin": "12"})),
    );
    assert!(owner.text().contains("vm-enter_pass"), "{}", owner.text());
    for (at, key) in [(1.0, "9"), (1.1, "9"), (1.2, "9"), (1.3, "9")] {
        owner.key(at, key);
    }
    assert!(!owner.text().contains("vm-fail_auth"), "{}", owner.text());
    owner.key(1.4, "9");
    assert!(owner.text().contains("vm-fail_auth"), "{}", owner.text());
    assert!(owner.text().contains("vm-abort"), "{}", owner.text());
    let mut anybody = check(json!({}));
    anybody.found(0.0, Answer::Missing);
    anybody.key(1.0, "4");
    anybody.key(1.1, "5");
    assert!(
        anybody.text().contains("voicemail box of number 45"),
        "{}",
        anybody.text()
    );
}
