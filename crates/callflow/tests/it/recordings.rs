//! `record_call` and `record_caller`: orders, limits, destinations, deferred starts, stops.

use callreel_callflow::{Effect, Input, OrderDestination, RecordingKind, RecordingOrder, Slot};
use callreel_proto::{AudioFormat, Channels, EndReason, EventName, Terminators};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, media, sample};

fn record(data: Value) -> Value {
    json!({"module": "record_call", "data": data, "children": {"_": {"module": "sleep", "data": {"duration": 60}}}})
}

fn order(talk: &Talk) -> RecordingOrder {
    let effects = &talk.last.as_ref().unwrap().effects;
    let found = effects.iter().find_map(|effect| match effect {
        Effect::StartRecording(order) | Effect::RecordMessage(order) => Some((**order).clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing is recorded:\n{}", talk.text()))
}

#[test]
fn the_first_sample_starts_a_recording_and_runs_off_its_end() {
    let mut talk = Talk::through(&sample("1-start"));
    talk.gone(0.1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < start recording #1: mp3 stereo, at most 1200s, to http://your.server.com/recordings
       < hangup
       wait until 40s
    0.1s > CHANNEL_DESTROY
       finished
    "#);
}

#[test]
fn the_second_sample_stops_whatever_runs() {
    let talk = Talk::through(&sample("2-stop"));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < stop the newest recording
       < hangup
       wait until 40s
    "#);
}

#[test]
fn the_fourth_sample_speaks_beeps_and_records_the_caller_alone() {
    let mut talk = Talk::through(&sample("4-caller"));
    talk.done(0.1, "answer");
    talk.done(3.0, "tts");
    talk.marked(3.0, 1);
    talk.recorded(15.0, 1, EndReason::Silence, 11_400);
    talk.gone(15.1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < answer
       at say (root)
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < tts "Please leave your message after the beep" female en-us, any key ends it
       < noop m-1
       wait until 30.1s
    3s > CHANNEL_EXECUTE_COMPLETE tts
       wait until 30.1s
    3s > CHANNEL_EXECUTE_COMPLETE noop m-1
       < tones 440 Hz 500 ms
       < record the caller #1: mp3 caller only, at most 360s, any key ends it, 5s of silence ends it, to http://my.recording.server/voicemail/%7BACCOUNT_ID%7D/%7BBOX_ID%7D
       at record_caller /children/_
       wait until 423s
    15s > RecordingEnded #1: Silence after 11400 ms
       < hangup
       wait until 55s
    15.1s > CHANNEL_DESTROY
       finished
    "#);
    let talk_order = {
        let mut talk = Talk::with(&sample("4-caller"), |call, _| call.answered = true);
        talk.marked(1.0, 1);
        order(&talk)
    };
    assert_eq!(talk_order.kind, RecordingKind::Message);
    assert_eq!(talk_order.channels, Channels::Caller);
}

#[test]
fn every_key_of_an_order_is_read() {
    let talk = Talk::through(&record(json!({
        "action": "start", "format": "wav", "url": "https://u:pw@h/r?token=x", "method": "POST", "time_limit": "30",
        "label": "sales", "media_name": "sales", "record_min_sec": 2, "record_sample_rate": 16000,
        "should_follow_transfer": false
    })));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < start recording #1: wav stereo 16000 Hz, at most 30s, at least 2s, not beyond a transfer, to https://h/r, named sales.wav
       at sleep /children/_
       wait until 60s
    "#);
    let order = order(&talk);
    assert_eq!(order.origin, "callflow : sales");
    assert_eq!(order.pointer, "");
}

#[test]
fn an_origin_is_the_label_else_the_callflow_else_the_number() {
    let data = json!({"url": "http://h/r"});
    let named = Talk::with(&record(data.clone()), |call, _| {
        call.callflow_name = Some("main menu".to_owned());
    });
    assert_eq!(order(&named).origin, "callflow : main menu");
    assert_eq!(
        order(&Talk::through(&record(data))).origin,
        "callflow : 2000"
    );
    let claimed = json!({"url": "http://h/r", "origin": "inbound from onnet to account"});
    assert_eq!(
        order(&Talk::through(&record(claimed))).origin,
        "callflow : 2000"
    );
}

#[test]
fn a_time_limit_stays_within_five_seconds_and_the_systems_limit() {
    let limited = |limit: Value, most: u64| {
        let talk = Talk::with(
            &record(json!({"url": "http://h/r", "time_limit": limit})),
            |_, settings| settings.media = media(&json!({"max_recording_time_limit": most})),
        );
        let warned = talk.text().contains("warn at /data/time_limit");
        (order(&talk).time_limit.as_secs(), warned)
    };
    assert_eq!(limited(Value::Null, 10_800), (10_800, false));
    assert_eq!(limited(json!(1200), 10_800), (1200, false));
    assert_eq!(limited(json!("1200"), 10_800), (1200, false));
    assert_eq!(limited(json!(5), 10_800), (5, false));
    assert_eq!(limited(json!(4), 10_800), (5, true));
    assert_eq!(limited(json!(0), 10_800), (5, true));
    assert_eq!(limited(json!(-7), 10_800), (5, true));
    assert_eq!(limited(json!(10_800), 10_800), (10_800, false));
    assert_eq!(limited(json!(10_801), 10_800), (10_800, true));
    assert_eq!(limited(json!(1e300), 10_800), (10_800, true));
    assert_eq!(limited(json!(7.9), 10_800), (7, false));
    assert_eq!(limited(json!("7.9"), 10_800), (7, false));
    assert_eq!(limited(json!(4.9), 10_800), (5, true));
    assert_eq!(limited(json!("soon"), 10_800), (10_800, true));
    assert_eq!(limited(json!(9000), 600), (600, true));
    assert_eq!(limited(json!(9000), 3), (3, true));
}

#[test]
fn the_shortest_length_and_the_rate_are_the_actions_else_the_systems() {
    let read = |data: Value| {
        let mut all = json!({"url": "http://h/r"});
        all.as_object_mut()
            .unwrap()
            .extend(data.as_object().unwrap().clone());
        let talk = Talk::with(&record(all), |_, settings| {
            settings.media = media(&json!({"record_min_sec": 3}));
        });
        let order = order(&talk);
        let warned = talk.text().contains("warn at");
        (order.min.as_secs(), order.sample_rate, warned)
    };
    assert_eq!(read(json!({})), (3, None, false));
    assert_eq!(read(json!({"record_min_sec": 0})), (0, None, false));
    assert_eq!(read(json!({"record_min_sec": "7"})), (7, None, false));
    assert_eq!(read(json!({"record_min_sec": -1})), (3, None, true));
    assert_eq!(
        read(json!({"record_sample_rate": 16_000})),
        (3, Some(16_000), false)
    );
    for rate in [7_999, 48_001, 0] {
        assert_eq!(read(json!({"record_sample_rate": rate})), (3, None, true));
    }
}

#[test]
fn a_format_that_is_none_becomes_the_systems() {
    let format = |format: Value, usual: &str| {
        let talk = Talk::with(
            &record(json!({"url": "http://h/r", "format": format})),
            |_, settings| settings.media = media(&json!({"call_recording": {"extension": usual}})),
        );
        (order(&talk).format, talk.text().contains("warn at"))
    };
    assert_eq!(format(json!("wav"), "mp3"), (AudioFormat::Wav, false));
    assert_eq!(format(Value::Null, "wav"), (AudioFormat::Wav, false));
    assert_eq!(format(json!("mp4"), "wav"), (AudioFormat::Wav, true));
    assert_eq!(format(json!("MP3"), "wav"), (AudioFormat::Mp3, false));
    assert_eq!(format(json!(7), "mp3"), (AudioFormat::Mp3, true));
    assert_eq!(format(Value::Null, "ogg"), (AudioFormat::Mp3, true));
}

#[test]
fn without_a_url_store_recordings_decides() {
    let stored = Talk::with(&record(json!({})), |_, settings| {
        settings.media = media(&json!({"default": {"store_recordings": true}}));
    });
    assert_snapshot!(stored.text(), @r#"
    0s > Started
       < start recording #1: mp3 stereo, at most 10800s, to the account's database
       at sleep /children/_
       wait until 60s
    "#);
    let empty = Talk::with(&record(json!({"url": ""})), |_, settings| {
        settings.media = media(&json!({"store_recordings": true}));
    });
    assert_eq!(order(&empty).destination, OrderDestination::AccountDb);
    let skipped = Talk::through(&record(json!({"url": ""})));
    assert_snapshot!(skipped.text(), @r#"
    0s > Started
       < not recording at (root): there is no "url", store_recordings in system_config/media is false, and no storage plan of the account says where recordings go
       at sleep /children/_
       wait until 60s
    "#);
}

#[test]
fn a_url_that_is_not_http_is_not_stored_even_if_the_account_would_store() {
    for url in [
        json!("ftp://h/r"),
        json!("recordings"),
        json!({"h": 1}),
        json!("http://"),
    ] {
        let talk = Talk::with(&record(json!({"url": url})), |_, settings| {
            settings.media = media(&json!({"store_recordings": true}));
        });
        let text = talk.text();
        assert!(text.contains("warn at /data/url"), "{text}");
        assert!(text.contains("not recording at"), "{text}");
        assert!(!text.contains("start recording"), "{text}");
    }
}

#[test]
fn a_start_may_wait_for_the_answer() {
    let flow = record(json!({"url": "http://h/r", "record_on_answer": true}));
    let mut talk = Talk::through(&flow);
    talk.event(2.0, EventName::ChannelAnswer, |_| {});
    talk.event(2.1, EventName::ChannelBridge, |_| {});
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       at sleep /children/_
       wait until 60s
    2s > CHANNEL_ANSWER
       < start recording #1: mp3 stereo, at most 10800s, to http://h/r
       wait until 60s
    2.1s > CHANNEL_BRIDGE
       wait until 60s
    "#);
    let answered = Talk::with(&flow, |call, _| call.answered = true);
    assert!(
        answered.text().contains("start recording #1"),
        "{}",
        answered.text()
    );
}

#[test]
fn a_start_may_wait_for_the_bridge() {
    let flow = record(json!({"url": "http://h/r", "record_on_bridge": true}));
    let mut talk = Talk::with(&flow, |call, _| call.answered = true);
    assert!(!talk.text().contains("start recording"));
    talk.event(2.0, EventName::ChannelBridge, |_| {});
    assert!(talk.text().contains("start recording #1"));
}

#[test]
fn a_stop_takes_back_a_start_that_still_waits_and_only_that() {
    let start = |url: &str, deferred: bool, then: Value| json!({"module": "record_call", "data": {"url": url, "record_on_answer": deferred}, "children": {"_": then}});
    let stop = |then: Value| json!({"module": "record_call", "data": {"action": "stop"}, "children": {"_": then}});
    let sleep = json!({"module": "sleep", "data": {"duration": 9}});
    let mut talk = Talk::through(&start(
        "http://h/1",
        false,
        start("http://h/2", true, stop(stop(sleep))),
    ));
    talk.event(2.0, EventName::ChannelAnswer, |_| {});
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < start recording #1: mp3 stereo, at most 10800s, to http://h/1
       < not recording at /children/_: it was stopped before it began
       < stop the newest recording
       at sleep /children/_/children/_/children/_/children/_
       wait until 9s
    2s > CHANNEL_ANSWER
       wait until 9s
    "#);
}

#[test]
fn a_stop_passes_over_recordings_that_have_ended_by_themselves() {
    let flow = json!({
        "module": "record_call", "data": {"url": "http://h/1", "record_on_bridge": true}, "children": {"_": {
            "module": "record_call", "data": {"url": "http://h/2"}, "children": {"_": {
                "module": "sleep", "data": {"duration": 9}, "children": {"_": {
                    "module": "record_call", "data": {"action": "stop"}}}}}}}
    });
    let mut talk = Talk::through(&flow);
    talk.recorded(5.0, 2, EndReason::TimeLimit, 5000);
    talk.hear(9.0, Input::Tick);
    assert!(
        talk.text().contains("it was stopped before it began"),
        "{}",
        talk.text()
    );
    assert!(!talk.text().contains("stop the newest"), "{}", talk.text());
}

#[test]
fn a_start_that_waited_in_vain_is_told() {
    let mut talk = Talk::through(&record(
        json!({"url": "http://h/r", "record_on_bridge": true}),
    ));
    talk.gone(3.0);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       at sleep /children/_
       wait until 60s
    3s > CHANNEL_DESTROY
       < not recording at (root): the call ended before what the recording waited for
       finished
    "#);
}

#[test]
fn an_unknown_action_starts_as_in_kazoo_and_a_skipped_one_does_nothing() {
    let talk = Talk::through(&record(json!({"action": "pause", "url": "http://h/r"})));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /data/action: "pause" is no action; taken as "start"
       < start recording #1: mp3 stereo, at most 10800s, to http://h/r
       at sleep /children/_
       wait until 60s
    "#);
    let talk = Talk::through(&record(json!({"skip_module": true, "url": "http://h/r"})));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       at sleep /children/_
       wait until 60s
    "#);
}

#[test]
fn a_caller_with_nowhere_to_go_is_not_recorded() {
    let talk = Talk::through(&json!({"module": "record_caller", "data": {}}));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < not recording at (root): there is no "url", store_recordings in system_config/media is false, and no storage plan of the account says where recordings go
       < hangup
       wait until 40s
    "#);
}

#[test]
fn a_caller_can_be_recorded_without_a_beep_and_the_flow_goes_on() {
    let flow = json!({
        "module": "record_caller", "data": {"url": "http://h/r", "beep": false},
        "children": {"_": {"module": "sleep", "data": {"duration": 1}}}
    });
    let mut talk = Talk::with(&flow, |call, _| call.answered = true);
    talk.recorded(4.0, 7, EndReason::Stopped, 1000);
    talk.recorded(5.0, 1, EndReason::Stopped, 5000);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < record the caller #1: mp3 caller only, at most 10800s, any key ends it, 5s of silence ends it, to http://h/r
       at record_caller (root)
       wait until 10860s
    4s > RecordingEnded #7: Stopped after 1000 ms
       wait until 10860s
    5s > RecordingEnded #1: Stopped after 5000 ms
       at sleep /children/_
       wait until 6s
    "#);
}

#[test]
fn a_key_silence_and_the_limit_end_a_message_and_the_flow_goes_on() {
    let flow = json!({
        "module": "record_caller", "data": {"url": "http://h/r", "time_limit": 30},
        "children": {"_": {"module": "sleep", "data": {"duration": 1}}}
    });
    for reason in [
        EndReason::Stopped,
        EndReason::Silence,
        EndReason::TimeLimit,
        EndReason::TooShort,
    ] {
        let mut talk = Talk::with(&flow, |call, _| call.answered = true);
        let message = order(&talk);
        assert_eq!(message.terminators, Terminators::any());
        let silence = message.silence.unwrap();
        assert_eq!((silence.threshold, silence.after.as_secs()), (200, 5));
        assert_eq!(message.time_limit.as_secs(), 30);
        talk.recorded(9.0, 1, reason, 8000);
        assert!(talk.text().contains("at sleep"), "{}", talk.text());
    }
}

#[test]
fn a_refused_message_does_not_hold_the_flow_up() {
    let flow = json!({
        "module": "record_caller", "data": {"url": "http://h/r"},
        "children": {"_": {"module": "sleep", "data": {"duration": 1}}}
    });
    let mut talk = Talk::with(&flow, |call, _| call.answered = true);
    talk.hear(
        1.0,
        Input::RecordingRefused {
            slot: Slot(1),
            reason: "the disk is full".to_owned(),
        },
    );
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < tones 440 Hz 500 ms
       < record the caller #1: mp3 caller only, at most 10800s, any key ends it, 5s of silence ends it, to http://h/r
       at record_caller (root)
       wait until 10860s
    1s > RecordingRefused #1: the disk is full
       < warn at (root): the caller could not be recorded: the disk is full
       at sleep /children/_
       wait until 2s
    "#);
}

#[test]
fn a_caller_who_hangs_up_during_the_message_ends_the_flow() {
    let flow = json!({
        "module": "record_caller", "data": {"url": "http://h/r"},
        "children": {"_": {"module": "tts", "data": {"text": "thank you"}}}
    });
    let mut talk = Talk::with(&flow, |call, _| call.answered = true);
    talk.recorded(5.0, 1, EndReason::Hangup, 4000);
    talk.gone(5.0);
    assert!(!talk.text().contains("thank you"), "{}", talk.text());
    assert!(talk.last.unwrap().finished);
}

#[test]
fn a_recording_whose_end_is_never_heard_does_not_hold_the_flow_up() {
    let flow = json!({
        "module": "record_caller", "data": {"url": "http://h/r", "time_limit": 30},
        "children": {"_": {"module": "sleep", "data": {"duration": 1}}}
    });
    let mut talk = Talk::with(&flow, |call, _| call.answered = true);
    assert_eq!(talk.last.as_ref().unwrap().wake_at.unwrap().as_secs(), 90);
    talk.hear(90.0, Input::Tick);
    assert!(talk.text().contains("nothing was heard"), "{}", talk.text());
    assert!(talk.text().contains("at sleep"), "{}", talk.text());
    let forever = json!({"max_recording_time_limit": u64::MAX});
    let talk = Talk::with(
        &json!({"module": "record_caller", "data": {"url": "http://h/r"}}),
        |call, settings| {
            call.answered = true;
            settings.media = media(&forever);
        },
    );
    assert_eq!(talk.last.unwrap().wake_at.unwrap().as_secs(), 366 * 86_400);
}
