//! The mission's four samples and its rules for them, on real calls: what must be in the file, where, and how long.

use callreel_proto::Utc;
use serde_json::{Value, json};

use crate::support::{
    audio::{self, Heard, listen},
    baresip::{Baresip, Habits},
    estate::{ACCOUNT, CALLEE, CALLEE_USER, CALLER, Estate, MAILBOX, NUMBER, filled, sample},
    eventually,
    node::Node,
    receiver::{Arrival, Receiver},
    sipp::{Caller, Sipp, callee_answers, callee_never_answers},
    site::Site,
};

/// The caller's voice.
pub(crate) const LEFT: f32 = 1000.0;
/// The callee's voice.
pub(crate) const RIGHT: f32 = 440.0;

/// What a caller hears and what a file holds may be off by so much on a busy machine, seconds.
const TOLERANCE: f64 = 0.15;

#[track_caller]
fn lasts(heard: &Heard, expected: f64) {
    let seconds = heard.seconds();
    assert!(
        (seconds - expected).abs() <= TOLERANCE,
        "{seconds} s, not {expected} s"
    );
}

/// The voice is there from the phone's first word, which a busy machine delays, to the end.
#[track_caller]
fn speaks_to_the_end(heard: &Heard) {
    let ((from, to), end) = (heard.only_tone(0, LEFT), heard.seconds());
    assert!(
        from < 0.3 && to > end - TOLERANCE,
        "it speaks from {from} to {to} of {end} s"
    );
}

/// Percent-encodes a Call-ID as the mission's URL wants it.
pub(crate) fn encoded(call_id: &str) -> String {
    call_id.replace('@', "%40")
}

pub(crate) fn kept(arrival: &Arrival, path: &str, content_type: &str) -> Heard {
    assert_eq!(arrival.method, "PUT");
    assert_eq!(arrival.path, path);
    assert_eq!(arrival.headers["content-type"], content_type);
    assert_eq!(
        arrival.headers["content-length"],
        arrival.body.len().to_string()
    );
    listen(&arrival.body)
}

/// The first sample with its server replaced, its format changed, and the flow that follows it.
pub(crate) fn start(url: &str, format: &str, then: Value) -> Value {
    let text = sample("1-start").replace("http://your.server.com/recordings", url);
    let mut action: Value = serde_json::from_str(&text).unwrap();
    action["data"]["format"] = json!(format);
    action["children"] = json!({ "_": then });
    action
}

pub(crate) fn ring(user: &str) -> Value {
    json!({"module": "user", "data": {"id": user}, "children": {}})
}

/// Both phones registered, the callee waiting to answer after `ring_ms` and to speak for ten seconds.
pub(crate) fn a_call(node: &Site, ring_ms: u32, talk_ms: u32) -> String {
    let callee = Sipp::new(CALLEE, node.sip());
    callee.register();
    let voice = callee.audio(&audio::mulaw_tone(RIGHT, 10.0));
    let answering = callee.run("answer", &callee_answers(ring_ms, &voice, None));
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(LEFT, 10.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .waits(talk_ms)
        .hangs_up(NUMBER)
        .scenario();
    let calling = caller.run("call", &scenario);
    let call_id = calling.call_id().to_owned();
    calling.completed();
    answering.completed();
    call_id
}

pub(crate) fn both_voices_are_where_they_belong(heard: &Heard, ring_s: f64, talk_s: f64) {
    assert_eq!(heard.channels.len(), 2);
    for (channel, own, other) in [(0, LEFT, RIGHT), (1, RIGHT, LEFT)] {
        let span = heard.only_tone(channel, own);
        assert!(
            (span.0 - ring_s).abs() < 0.3,
            "channel {channel} speaks from {}",
            span.0
        );
        assert!(
            (span.1 - span.0 - talk_s).abs() < 0.15,
            "channel {channel} speaks {span:?}"
        );
        assert!(
            heard.tone(channel, other).is_empty(),
            "channel {channel} hears the other"
        );
    }
    let (left, right) = (heard.only_tone(0, LEFT), heard.only_tone(1, RIGHT));
    assert!(
        (left.0 - right.0).abs() < 0.2,
        "{left:?} and {right:?} began together"
    );
}

#[test]
fn a_started_recording_has_both_voices_and_arrives_as_mp3() {
    let receiver = Receiver::start();
    let flow = start(&receiver.url("/recordings"), "mp3", ring(CALLEE_USER));
    let node = Node::start(&Estate::with_flow(&flow));
    let call_id = a_call(&node, 500, 3000);
    let path = format!("/recordings/call_recording_{}.mp3", encoded(&call_id));
    let heard = kept(&receiver.accepted(), &path, "audio/mpeg");
    assert_eq!((heard.codec.as_str(), heard.file_rate), ("mp3", 8000));
    both_voices_are_where_they_belong(&heard, 0.5, 3.0);
}

#[test]
fn a_started_recording_arrives_as_wav_when_that_is_asked_for() {
    let receiver = Receiver::start();
    let flow = start(&receiver.url("/recordings"), "wav", ring(CALLEE_USER));
    let node = Node::start(&Estate::with_flow(&flow));
    let call_id = a_call(&node, 500, 3000);
    let path = format!("/recordings/call_recording_{}.wav", encoded(&call_id));
    let heard = kept(&receiver.accepted(), &path, "audio/wav");
    assert_eq!(heard.codec, "pcm_s16le");
    both_voices_are_where_they_belong(&heard, 0.5, 3.0);
}

/// Start, two seconds, stop as in the second sample, one more second, hang up.
pub(crate) fn stopped_flow(url: &str, format: &str) -> Value {
    let mut stop: Value = serde_json::from_str(&sample("2-stop")).unwrap();
    stop["children"] = json!({"_": {"module": "sleep", "data": {"duration": 1}, "children": {}}});
    let then = json!({"module": "sleep", "data": {"duration": 2}, "children": {"_": stop}});
    json!({"module": "answer", "data": {}, "children": {"_": start(url, format, then)}})
}

pub(crate) fn a_caller_alone(node: &Site, voice_s: f32) -> String {
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(LEFT, voice_s));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .awaits_bye()
        .scenario();
    let calling = caller.run("call", &scenario);
    let call_id = calling.call_id().to_owned();
    calling.completed();
    call_id
}

#[test]
fn a_stop_ends_the_recording_and_the_call_goes_on() {
    for format in ["mp3", "wav"] {
        let receiver = Receiver::start();
        let node = Node::start(&Estate::with_flow(&stopped_flow(
            &receiver.url("/r"),
            format,
        )));
        a_caller_alone(&node, 10.0);
        let heard = listen(&receiver.accepted().body);
        lasts(&heard, 2.0);
        speaks_to_the_end(&heard);
    }
}

pub(crate) fn per_user(receiver: &Receiver, format: &str) -> Value {
    filled(
        "3-per-user",
        &[
            ("http://my.recording.server", &receiver.url("")),
            ("{ACCOUNT_ID}", ACCOUNT),
            ("{USER_ID}", CALLEE_USER),
            ("{VMBOX_ID}", MAILBOX),
            ("\"mp3\"", &format!("\"{format}\"")),
        ],
    )
}

#[test]
fn the_per_user_sample_records_an_answered_call_until_it_is_hung_up() {
    for format in ["mp3", "wav"] {
        let receiver = Receiver::start();
        let node = Node::start(&Estate::with_flow(&per_user(&receiver, format)));
        let call_id = a_call(&node, 300, 2000);
        let arrival = receiver.accepted();
        let path = format!(
            "/{ACCOUNT}/{CALLEE_USER}/call_recording_{}.{format}",
            encoded(&call_id)
        );
        assert_eq!(arrival.path, path);
        both_voices_are_where_they_belong(&listen(&arrival.body), 0.3, 2.0);
        assert!(
            node.log().contains("/flow/children/_/children/_/children"),
            "the leniency is named"
        );
    }
}

#[test]
fn the_per_user_sample_leaves_a_message_when_nobody_answers() {
    for format in ["mp3", "wav"] {
        let receiver = Receiver::start();
        let mut flow = per_user(&receiver, format);
        flow["children"]["_"]["data"]["timeout"] = json!(2);
        let estate = Estate::with_flow(&flow);
        estate.write(
            "vmboxes/callee.json",
            &json!({"id": MAILBOX, "name": "callee", "mailbox": "1002", "skip_greeting": true, "skip_instructions": true, "media_extension": format}),
        );
        let node = Node::start(&estate);
        let callee = Sipp::new(CALLEE, node.sip());
        callee.register();
        let ringing = callee.run("ring", &callee_never_answers());
        let caller = Sipp::new(CALLER, node.sip());
        caller.register();
        let voice = caller.audio(&audio::mulaw_tone(LEFT, 10.0));
        let scenario = Caller::dials(NUMBER)
            .answered(NUMBER)
            .streams(&voice)
            .waits(3000)
            .hangs_up(NUMBER)
            .scenario();
        caller.run("call", &scenario).completed();
        ringing.completed();
        let recording = listen(&receiver.accepted().body);
        assert!(
            (recording.seconds() - 2.0).abs() < 0.3,
            "{} s of ringing",
            recording.seconds()
        );
        assert!(
            recording.tone(0, LEFT).is_empty(),
            "stopped before the caller spoke"
        );
        let message = message_of(&node);
        assert_eq!(
            message.codec,
            if format == "mp3" { "mp3" } else { "pcm_s16le" }
        );
        assert_eq!(message.channels.len(), 1);
        let span = message.only_tone(0, LEFT);
        assert!(span.1 - span.0 > 1.8, "the message is {span:?}");
    }
}

/// The one voicemail message in the store.
fn message_of(node: &Site) -> Heard {
    let (doc, audio) = eventually("a voicemail message", || {
        node.stored("mailbox_message").pop()
    });
    assert_eq!(doc["source_id"], MAILBOX);
    assert_eq!(doc["metadata"]["folder"], "new");
    listen(&audio)
}

/// Dials, speaks for some seconds once the recording runs, hangs up: what the caller heard, and how long it spoke.
pub(crate) fn a_message(node: &Site) -> (Heard, f64) {
    let habits = Habits {
        answers: false,
        plays: LEFT,
        ..Habits::default()
    };
    let mut phone = Baresip::start(CALLER, node.sip(), &habits);
    phone.dial(NUMBER);
    phone.awaits("CALL_ESTABLISHED");
    eventually("the recording to begin", || {
        let growing = node.tickets().iter().any(|t| t["state"] == "growing");
        growing.then_some(())
    });
    // The message begins after the beep; it then speaks for some three seconds.
    std::thread::park_timeout(std::time::Duration::from_secs(4));
    let begun_ms = node.tickets()[0]["started_at"].as_i64().unwrap();
    phone.hang_up();
    let spoken_s = (Utc::now().unix_ms() - begun_ms) as f64 / 1000.0;
    phone.awaits("CALL_CLOSED");
    (phone.heard(), spoken_s)
}

/// The fourth sample, filled in.
pub(crate) fn caller_sample(receiver: &Receiver, format: &str) -> Value {
    filled(
        "4-caller",
        &[
            ("http://my.recording.server", &receiver.url("")),
            ("{ACCOUNT_ID}", ACCOUNT),
            ("{BOX_ID}", MAILBOX),
            ("\"mp3\"", &format!("\"{format}\"")),
        ],
    )
}

/// What the caller of the fourth sample heard, and what arrived.
pub(crate) fn a_message_is_only_the_callers(
    heard: &Heard,
    spoken_s: f64,
    arrival: &Arrival,
    format: &str,
) {
    let beep = heard.only_tone(0, 440.0);
    assert!((beep.1 - beep.0 - 0.5).abs() < 0.1, "the beep is {beep:?}");
    assert!(beep.0 > 1.0, "words come before the beep");
    let words = heard.loudness(0, 0.3, beep.0 - 0.3);
    assert!(words > 0.02, "the words are audible");
    let folder = format!("/voicemail/{ACCOUNT}/{MAILBOX}/call_recording_");
    assert!(arrival.path.starts_with(&folder), "{}", arrival.path);
    let extension = format!(".{format}");
    assert!(arrival.path.ends_with(&extension), "{}", arrival.path);
    let file = listen(&arrival.body);
    assert_eq!(file.channels.len(), 1, "only the caller");
    let seconds = file.seconds();
    assert!(
        (seconds - spoken_s).abs() < 0.25,
        "{seconds} s of {spoken_s}"
    );
    assert!(
        file.tone(0, 440.0).is_empty(),
        "the beep is not in the file"
    );
    let span = file.only_tone(0, LEFT);
    assert!(
        span.1 - span.0 > seconds - 0.2,
        "it speaks throughout: {span:?}"
    );
}

#[test]
fn the_caller_sample_speaks_beeps_and_records_only_the_caller() {
    for format in ["mp3", "wav"] {
        let receiver = Receiver::start();
        let node = Node::start(&Estate::with_flow(&caller_sample(&receiver, format)));
        let (heard, spoken_s) = a_message(&node);
        a_message_is_only_the_callers(&heard, spoken_s, &receiver.accepted(), format);
    }
}

#[test]
fn a_recording_ends_at_its_time_limit_and_the_call_goes_on() {
    let receiver = Receiver::start();
    let mut flow = stopped_flow(&receiver.url("/r"), "wav");
    flow["children"]["_"]["data"]["time_limit"] = json!(5);
    flow["children"]["_"]["children"]["_"] =
        json!({"module": "sleep", "data": {"duration": 7}, "children": {}});
    let node = Node::start(&Estate::with_flow(&flow));
    a_caller_alone(&node, 10.0);
    let heard = listen(&receiver.accepted().body);
    lasts(&heard, 5.0);
    speaks_to_the_end(&heard);
}

#[test]
fn no_limit_is_longer_than_the_systems() {
    let receiver = Receiver::start();
    let mut flow = stopped_flow(&receiver.url("/r"), "wav");
    flow["children"]["_"]["children"]["_"]["data"]["duration"] = json!(8);
    let estate = Estate::with_flow(&flow);
    estate.media_config(&json!({"max_recording_time_limit": 6}));
    let node = Node::start(&estate);
    a_caller_alone(&node, 10.0);
    lasts(&listen(&receiver.accepted().body), 6.0);
}

/// The second sample's flow without a `url`.
pub(crate) fn without_url() -> Value {
    let mut flow = stopped_flow("http://unused.test", "mp3");
    flow["children"]["_"]["data"]
        .as_object_mut()
        .unwrap()
        .remove("url");
    flow
}

#[test]
fn without_a_url_nothing_is_kept_unless_the_system_stores_recordings() {
    let node = Node::start(&Estate::with_flow(&without_url()));
    a_caller_alone(&node, 5.0);
    assert!(node.tickets().is_empty());
    assert!(node.recordings(0).is_empty());
    let captures =
        std::fs::read_dir(node.data().join("data/spool/captures")).map_or(0, Iterator::count);
    assert_eq!(captures, 0, "nothing was captured");
    assert!(node.log().contains("not recorded"), "and the log says so");
}

#[test]
fn without_a_url_the_recording_goes_into_the_accounts_database() {
    let estate = Estate::with_flow(&without_url());
    estate.media_config(&json!({"store_recordings": true}));
    let node = Node::start(&estate);
    let call_id = a_caller_alone(&node, 5.0);
    let doc = node.recordings(1).remove(0);
    assert_eq!(doc["call_id"], call_id);
    assert_eq!(doc["media_type"], "mp3");
    assert_eq!(doc["content_type"], "audio/mpeg");
    assert!(
        (doc["duration_ms"].as_i64().unwrap() - 2000).abs() <= 60,
        "{doc}"
    );
    let id = doc["id"].as_str().or_else(|| doc["_id"].as_str()).unwrap();
    let (status, audio) = node.fetch(
        &format!("/v2/accounts/{ACCOUNT}/recordings/{id}"),
        "audio/mpeg",
    );
    assert_eq!(status, 200);
    lasts(&listen(&audio), 2.0);
}

#[test]
fn two_recordings_of_one_call_have_names_of_their_own() {
    let receiver = Receiver::start();
    let url = receiver.url("/r");
    let mut flow = stopped_flow(&url, "wav");
    let again = start(
        &url,
        "wav",
        json!({"module": "sleep", "data": {"duration": 1}, "children": {}}),
    );
    flow["children"]["_"]["children"]["_"]["children"]["_"]["children"]["_"] = again;
    let node = Node::start(&Estate::with_flow(&flow));
    let call_id = encoded(&a_caller_alone(&node, 10.0));
    let mut paths: Vec<_> = receiver
        .accepted_all(2)
        .into_iter()
        .map(|a| a.path)
        .collect();
    paths.sort();
    let expected = [
        format!("/r/call_recording_{call_id}.wav"),
        format!("/r/call_recording_{call_id}_2.wav"),
    ];
    assert_eq!(paths, expected);
}
