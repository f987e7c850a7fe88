//! `record_call`'s own keys: names, masks, channels, headers, announcements, and the branch without a recording.

use callreel_callflow::{Effect, Input, OrderDestination, RecordingOrder, Slot};
use callreel_proto::{Application, Channels, EventName, RecordingSource};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, media};

fn step(data: Value, then: Value) -> Value {
    json!({"module": "record_call", "data": data, "children": {"_": then}})
}

fn sleep() -> Value {
    json!({"module": "sleep", "data": {"duration": 60}})
}

fn order(data: Value) -> (RecordingOrder, String) {
    let talk = Talk::through(&step(data, sleep()));
    let effects = &talk.last.as_ref().unwrap().effects;
    let found = effects.iter().find_map(|effect| match effect {
        Effect::StartRecording(order) => Some((**order).clone()),
        _ => None,
    });
    (found.unwrap(), talk.text().to_owned())
}

#[test]
fn stops_and_masks_may_mean_one_recording_by_its_name() {
    let flow = step(
        json!({"url": "http://h/1", "name": "evidence"}),
        step(
            json!({"url": "http://h/2"}),
            step(
                json!({"action": "mask"}),
                step(
                    json!({"action": "unmask", "name": "evidence"}),
                    step(
                        json!({"action": "stop", "name": "evidence"}),
                        step(
                            json!({"action": "stop", "name": "nobody"}),
                            step(json!({"action": "stop"}), sleep()),
                        ),
                    ),
                ),
            ),
        ),
    );
    assert_snapshot!(Talk::through(&flow).text().replace("/children/_", "/_"), @r#"
    0s > Started
       < start recording #1: mp3 stereo, at most 10800s, to http://h/1, called "evidence"
       < start recording #2: mp3 stereo, at most 10800s, to http://h/2
       < mask the call
       < unmask the recording "evidence"
       < stop the recording "evidence"
       < stop the recording "nobody"
       < stop the newest recording
       at sleep /_/_/_/_/_/_/_
       wait until 60s
    "#);
}

#[test]
fn a_mask_says_which_step_wanted_it() {
    let talk = Talk::through(&step(json!({"action": "mask"}), sleep()));
    let effects = talk.last.unwrap().effects;
    let [Effect::Mask { by, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(by.source, RecordingSource::Callflow);
    assert_eq!(by.step.as_deref(), Some(""));
}

#[test]
fn a_stop_says_which_step_wanted_it_and_what_is_skipped_who_had_wanted_it() {
    let stop = json!({"action": "stop"});
    let talk = Talk::through(&step(
        json!({"url": "http://h/r", "record_on_answer": true}),
        step(stop.clone(), step(stop, sleep())),
    ));
    let effects = talk.last.unwrap().effects;
    let [
        Effect::Skipped { by: ordered, .. },
        Effect::StopRecording {
            by: Some(ended), ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}");
    };
    assert_eq!(ordered.step.as_deref(), Some(""));
    assert_eq!(ended.step.as_deref(), Some("/children/_/children/_"));
    assert_eq!(ended.source, RecordingSource::Callflow);
}

#[test]
fn a_named_stop_takes_back_only_the_start_of_that_name() {
    let start = |name: &str| json!({"url": "http://h/r", "name": name, "record_on_answer": true});
    let stop = json!({"action": "stop", "name": "first"});
    let mut talk = Talk::through(&step(
        start("first"),
        step(start("second"), step(stop, sleep())),
    ));
    talk.event(1.0, EventName::ChannelAnswer, |_| {});
    assert_snapshot!(talk.text().replace("/children/_", "/_"), @r#"
    0s > Started
       < not recording at (root): it was stopped before it began
       at sleep /_/_/_
       wait until 60s
    1s > CHANNEL_ANSWER
       < start recording #2: mp3 stereo, at most 10800s, to http://h/r, called "second"
       wait until 60s
    "#);
}

#[test]
fn a_recording_that_is_masked_before_it_begins_begins_masked() {
    let start = json!({"url": "http://h/r", "name": "card", "record_on_answer": true});
    let masked = |then: Value| {
        let mut talk = Talk::through(&step(
            start.clone(),
            step(json!({"action": "mask", "name": "card"}), then),
        ));
        talk.event(1.0, EventName::ChannelAnswer, |_| {});
        talk.text().contains("mask the recording #1")
    };
    assert!(masked(sleep()));
    let unmask = json!({"action": "unmask", "name": "card"});
    assert!(!masked(step(unmask, sleep())));
}

#[test]
fn the_legs_share_a_file_as_the_action_says() {
    let channels = |value: Value| {
        let (order, text) = order(json!({"url": "http://h/r", "channels": value}));
        let warned = text.contains("warn at /data/channels");
        (order.channels, order.separate, warned)
    };
    assert_eq!(channels(Value::Null), (Channels::Stereo, false, false));
    assert_eq!(channels(json!("stereo")), (Channels::Stereo, false, false));
    assert_eq!(channels(json!("mono")), (Channels::Mono, false, false));
    assert_eq!(channels(json!("separate")), (Channels::Stereo, true, false));
    assert_eq!(channels(json!("both")), (Channels::Stereo, false, true));
    let caller = |value: &str| {
        let flow =
            json!({"module": "record_caller", "data": {"url": "http://h/r", "channels": value}});
        let talk = Talk::with(&flow, |call, _| call.answered = true);
        assert!(talk.text().contains("mp3 caller only"), "{}", talk.text());
        talk.text().contains("warn at /data/channels")
    };
    assert!(!caller("mono"));
    assert!(caller("stereo") && caller("separate"));
}

#[test]
fn headers_go_with_the_order_and_their_values_are_never_printed() {
    let (order, text) = order(json!({
        "url": "http://h/r",
        "headers": {"Authorization": "Bearer hush", "Host": "hush", "X-A": "b\nhush"}
    }));
    assert!(!text.contains("hush"), "{text}");
    assert!(!format!("{order:?}").contains("hush"));
    assert!(!serde_json::to_string(&order).unwrap().contains("hush"));
    assert!(text.contains("with Authorization"), "{text}");
    assert_eq!(text.matches("left out").count(), 2, "{text}");
    let OrderDestination::Url { headers, .. } = order.destination else {
        panic!("it has a url");
    };
    assert_eq!(
        headers.into_iter().collect::<Vec<_>>(),
        [("Authorization".to_owned(), "Bearer hush".to_owned())]
    );
}

#[test]
fn a_beep_and_an_announcement_tell_the_parties_of_the_recording() {
    let told = |data: Value| {
        let mut all = json!({"url": "http://h/r"});
        all.as_object_mut()
            .unwrap()
            .extend(data.as_object().unwrap().clone());
        order(all).0.announcements
    };
    assert_eq!(told(json!({})), []);
    assert_eq!(told(json!({"beep": false, "announce": ""})), []);
    let both = told(json!({"beep": true, "announce": "This call is recorded."}));
    let [
        Application::Tones { tones, .. },
        Application::Tts {
            text, terminators, ..
        },
    ] = both.as_slice()
    else {
        panic!("{both:?}");
    };
    assert_eq!(tones[0].frequencies, ["440"]);
    assert_eq!(text, "This call is recorded.");
    assert!(terminators.0.is_empty(), "no key spares a party the word");
    let played = |announce: &str| match told(json!({"announce": announce})).as_slice() {
        [Application::Play { media_name, .. }] => Some(media_name.clone()),
        _ => None,
    };
    assert_eq!(
        played("consent").as_deref(),
        Some("/0123456789abcdef0123456789abcdef/consent")
    );
    assert_eq!(
        played("https://h/consent.wav").as_deref(),
        Some("https://h/consent.wav")
    );
    assert_eq!(played("file:///etc/passwd"), None);
}

fn guarded(data: Value) -> Value {
    let mut all = json!({"url": "http://h/r", "on_failure": "branch"});
    all.as_object_mut()
        .unwrap()
        .extend(data.as_object().unwrap().clone());
    json!({"module": "record_call", "data": all, "children": {
        "_": sleep(), "record_failed": {"module": "response", "data": {"code": 503}}
    }})
}

#[test]
fn a_flow_that_wants_to_know_waits_until_the_recording_has_begun() {
    let mut talk = Talk::through(&guarded(json!({})));
    talk.hear(0.1, Input::RecordingStarted { slot: Slot(7) });
    talk.hear(0.2, Input::RecordingStarted { slot: Slot(1) });
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < start recording #1: mp3 stereo, at most 10800s, to http://h/r
       at record_call (root)
       wait until 10s
    0.1s > RecordingStarted #7
       wait until 10s
    0.2s > RecordingStarted #1
       at sleep /children/_
       wait until 60.2s
    "#);
}

#[test]
fn without_a_recording_such_a_flow_goes_on_at_record_failed() {
    let mut refused = Talk::through(&guarded(json!({})));
    let reason = "the disk is full".to_owned();
    refused.hear(
        0.2,
        Input::RecordingRefused {
            slot: Slot(1),
            reason,
        },
    );
    assert_snapshot!(refused.text(), @r#"
    0s > Started
       < start recording #1: mp3 stereo, at most 10800s, to http://h/r
       at record_call (root)
       wait until 10s
    0.2s > RecordingRefused #1: the disk is full
       < warn at (root): the call is not recorded: the disk is full
       < respond 503 
       wait until 40.2s
    "#);
    let mut silent = Talk::through(&guarded(json!({})));
    silent.hear(10.0, Input::Tick);
    assert!(silent.text().contains("respond 503"), "{}", silent.text());
    let nowhere = Talk::through(&guarded(json!({"url": ""})));
    assert!(nowhere.text().contains("respond 503"), "{}", nowhere.text());
    let stored = Talk::with(&guarded(json!({"url": ""})), |_, settings| {
        settings.media = media(&json!({"store_recordings": true}));
    });
    assert!(
        stored.text().contains("at record_call"),
        "{}",
        stored.text()
    );
}

#[test]
fn without_that_branch_or_that_wish_the_flow_goes_on_as_ever() {
    let mut flow = guarded(json!({}));
    flow["children"]
        .as_object_mut()
        .unwrap()
        .remove("record_failed");
    let mut talk = Talk::through(&flow);
    talk.hear(10.0, Input::Tick);
    assert!(talk.text().contains("at sleep"), "{}", talk.text());
    for wish in [
        json!({"on_failure": "continue"}),
        json!({"on_failure": "panic"}),
    ] {
        let talk = Talk::through(&guarded(wish));
        assert!(talk.text().contains("at sleep"), "{}", talk.text());
    }
}

#[test]
fn a_recording_that_has_to_wait_holds_nothing_up() {
    let talk = Talk::through(&guarded(json!({"record_on_answer": true})));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /data/on_failure: the recording waits for the call, so whether it begins is not known yet; going on at "_"
       at sleep /children/_
       wait until 60s
    "#);
    let answered = Talk::with(&guarded(json!({"record_on_answer": true})), |call, _| {
        call.answered = true;
    });
    assert!(
        answered.text().contains("at record_call"),
        "{}",
        answered.text()
    );
}

#[test]
fn a_message_that_cannot_be_recorded_may_branch_too() {
    let flow = json!({"module": "record_caller", "data": {"on_failure": "branch"}, "children": {
        "_": sleep(), "record_failed": {"module": "response", "data": {"code": 503}}
    }});
    let talk = Talk::through(&flow);
    assert!(talk.text().contains("respond 503"), "{}", talk.text());
}
