//! The ladders of a call, step by step, in both trees, with a tidy Kazoo and with others.

use serde_json::json;

use super::{Guest, beside};
use crate::{
    recording::{caller_sample, per_user},
    support::{
        audio::{Heard, listen},
        ecallmgr::{CALLEE_HZ, Call, Ecallmgr, End, Tree},
        estate::{ACCOUNT, CALLEE_USER, Estate, MAILBOX, NUMBER},
        eventually,
        receiver::Receiver,
    },
};

/// What runs the mission's fourth sample.
const MESSAGES: &str = "2001";

/// The Call-ID as it stands in a file's name.
fn encoded(id: &str) -> String {
    id.replace('@', "%40")
}

/// An account whose numbers run the third and the fourth sample.
pub(super) fn estate(receiver: &Receiver, format: &str) -> Estate {
    let estate = Estate::with_flow(&per_user(receiver, format));
    estate.flow(MESSAGES, &caller_sample(receiver, format));
    estate
}

/// The delivered file of a call, heard.
fn delivered(receiver: &Receiver, folder: &str, call: &Call<'_>, format: &str) -> Heard {
    let path = format!("{folder}/call_recording_{}.{format}", encoded(&call.id));
    let arrival = eventually(&path, || {
        receiver
            .arrivals()
            .into_iter()
            .find(|arrival| arrival.path == path)
    });
    assert_eq!((arrival.method.as_str(), arrival.answered), ("PUT", 200));
    let heard = listen(&arrival.body);
    assert_eq!(
        heard.codec,
        if format == "mp3" { "mp3" } else { "pcm_s16le" }
    );
    heard
}

#[track_caller]
fn lasts(heard: &Heard, seconds: f64) {
    assert!(
        (heard.seconds() - seconds).abs() < 0.12,
        "{} s, not {seconds}",
        heard.seconds()
    );
}

/// One party a channel, from the first moment to the last.
#[track_caller]
fn has_both(heard: &Heard, caller_hz: f32, seconds: f64) {
    lasts(heard, seconds);
    assert_eq!(heard.channels.len(), 2);
    for (channel, own, other) in [(0, caller_hz, CALLEE_HZ), (1, CALLEE_HZ, caller_hz)] {
        let (from, to) = heard.only_tone(channel, own);
        assert!(to - from > seconds - 0.15, "{own} Hz from {from} to {to}");
        assert!(
            heard.tone(channel, other).is_empty(),
            "{other} Hz in channel {channel}"
        );
    }
}

/// The caller alone.
#[track_caller]
fn has_the_caller(heard: &Heard, caller_hz: f32, seconds: f64) {
    lasts(heard, seconds);
    assert_eq!(heard.channels.len(), 1);
    let (from, to) = heard.only_tone(0, caller_hz);
    assert!(
        to - from > seconds - 0.15,
        "{caller_hz} Hz from {from} to {to}"
    );
}

/// A call that the callee answers and ends: recorded from its first moment, then the flow stops, and the call with it.
pub(super) fn answered(kazoo: &Ecallmgr, receiver: &Receiver, format: &str) {
    let call = kazoo.call(NUMBER);
    let offer = call.offer();
    assert_eq!(
        (&offer["Method"], &offer["Pre-Park"]),
        (&json!("park"), &json!("none"))
    );
    assert!(
        offer["Custom-Channel-Vars"]["CallFlow-ID"].is_string(),
        "{offer:?}"
    );
    let start = call.records("start");
    assert_eq!(start["Media-Recorder"], "callreel");
    let bridge = call.runs("bridge");
    assert_eq!(bridge["Endpoints"][0]["To-Username"], "bob");
    assert_eq!(bridge["Endpoints"][0]["To-Realm"], "acme.test");

    kazoo.passes_ms(1_000);
    call.callee_answers();
    kazoo.passes_ms(2_000);
    call.callee_goes("NORMAL_CLEARING");
    call.runs("hangup");
    call.is_hung_up();

    let heard = delivered(
        receiver,
        &format!("/{ACCOUNT}/{CALLEE_USER}"),
        &call,
        format,
    );
    has_both(&heard, call.hz_of(&start), 3.0);
    assert_eq!(call.offers(), 1);
}

/// A call that nobody answers: the recording is stopped before the caller leaves a message, and each goes its own way.
pub(super) fn unanswered(
    kazoo: &Ecallmgr,
    guest: &Guest,
    receiver: &Receiver,
    format: &str,
    cause: &str,
) {
    let messages = guest.stored("mailbox_message").len();
    let call = kazoo.call(NUMBER);
    let start = call.records("start");
    call.runs("bridge");
    kazoo.passes_ms(1_500);
    call.callee_goes(cause);
    assert_eq!(call.records("stop")["Media-Name"], start["Media-Name"]);
    for name in ["answer", "play", "say", "play", "play", "noop", "tones"] {
        call.runs(name);
    }
    let record = call.runs("record");
    assert_ne!(record["Media-Name"], start["Media-Name"]);
    kazoo.passes_ms(2_500);
    call.presses('#');
    // The caller is asked what to do with the message, and keeps it.
    for name in ["play", "noop"] {
        call.runs(name);
    }
    call.presses('1');
    for name in ["play", "play", "noop", "hangup"] {
        call.runs(name);
    }
    call.is_hung_up();

    let heard = delivered(
        receiver,
        &format!("/{ACCOUNT}/{CALLEE_USER}"),
        &call,
        format,
    );
    has_both(&heard, call.hz_of(&start), 1.5);
    let (doc, audio) = eventually("the message is in the store", || {
        guest
            .stored("mailbox_message")
            .into_iter()
            .find(|(doc, _)| doc["metadata"]["call_id"] == call.id)
    });
    assert_eq!(guest.stored("mailbox_message").len(), messages + 1);
    for (name, field, value) in [
        ("voicemail_new", "Voicemail-ID", &doc["_id"]),
        ("voicemail_saved", "Voicemail-ID", &doc["_id"]),
        ("mwi_update", "Messages-New", &json!(messages + 1)),
    ] {
        eventually(&format!("{name} to be told"), || {
            let told = kazoo.notices(name);
            told.iter().find(|told| told[field] == *value).map(drop)
        });
    }
    assert_eq!(
        (&doc["source_id"], &doc["metadata"]["folder"]),
        (&json!(MAILBOX), &json!("new"))
    );
    has_the_caller(&listen(&audio), call.hz_of(&record), 2.5);
}

/// The mission's fourth sample: words, a beep, and the caller is recorded until this.
pub(super) fn message(kazoo: &Ecallmgr, receiver: &Receiver, format: &str, end: End) {
    let call = kazoo.call(MESSAGES);
    call.runs("answer");
    let words = call.runs("tts");
    assert_eq!(words["Text"], "Please leave your message after the beep");
    call.runs("noop");
    call.runs("tones");
    let record = call.runs("record");
    kazoo.passes_ms(2_000);
    match end {
        End::Key(key) => call.presses(key),
        End::Hangup => call.caller_hangs_up(),
        end => call.tape_ends(record["Media-Name"].as_str().unwrap(), end),
    }
    if end != End::Hangup {
        call.runs("hangup");
    }
    call.is_hung_up();
    let heard = delivered(
        receiver,
        &format!("/voicemail/{ACCOUNT}/{MAILBOX}"),
        &call,
        format,
    );
    has_the_caller(&heard, call.hz_of(&record), 2.0);
}

/// The whole ladder in one tree and format, with this cause of an unanswered call and this key to end a message.
fn climbed(tree: Tree, format: &str, cause: &str, key: char) {
    let receiver = Receiver::start();
    let (kazoo, guest) = beside(tree, &estate(&receiver, format));
    answered(&kazoo, &receiver, format);
    unanswered(&kazoo, &guest, &receiver, format, cause);
    for end in [End::Key(key), End::Silence, End::Limit, End::Hangup] {
        message(&kazoo, &receiver, format, end);
    }
    eventually("nothing is owed", || {
        guest.tickets().is_empty().then_some(())
    });
}

#[test]
fn a_guest_on_kazoo_4_3_records_calls_and_messages() {
    climbed(Tree::V43, "wav", "NO_ANSWER", '1');
}

#[test]
fn a_guest_on_kazoo_5_0_records_calls_and_messages() {
    climbed(Tree::V50, "mp3", "USER_BUSY", '#');
}

#[test]
fn a_caller_who_presses_a_key_need_not_hear_the_greeting_out() {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let (kazoo, _guest) = beside(tree, &estate(&receiver, "wav"));
        let call = kazoo.call(NUMBER);
        kazoo.behaves(|quirks| quirks.lasting = vec!["play"]);
        call.runs("bridge");
        kazoo.passes_ms(1_000);
        call.callee_goes("NO_ANSWER");
        call.runs("answer");
        call.runs("play");
        call.played();
        call.runs("say");
        call.runs("play");
        call.presses('5');
        // The rest of the greeting waits in the queue, and is flushed from it.
        let (skipped, _) = call.runs_to("tones");
        assert!(
            skipped.len() <= 2 && skipped.last().is_some_and(|name| name == "noop"),
            "{skipped:?}"
        );
        call.runs("record");
        call.caller_hangs_up();
    }
}
