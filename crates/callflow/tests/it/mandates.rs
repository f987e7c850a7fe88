//! Recordings the account's documents want, as a call's legs come and go: when they begin, what they are, what ends them.

use callreel_callflow::{Effect, EndpointRules, Input, RecordedLeg, RecordingOrder, Slot};
use callreel_proto::{AudioFormat, CallId, EndReason, EventName, RecordingSource};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, devices, media, phone};

fn all(settings: Value) -> Value {
    let mut all = json!({"enabled": true, "url": "http://h/all"});
    all.as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    json!({"any": {"any": all}})
}

/// A call whose account wants all of its calls recorded with these settings.
fn with_account(flow: &Value, settings: Value) -> Talk {
    Talk::with(flow, |call, _| {
        call.standing.account = json!({"account": all(settings)});
    })
}

fn sleep() -> Value {
    json!({"module": "sleep", "data": {"duration": 60}})
}

fn order(talk: &Talk) -> RecordingOrder {
    let effects = &talk.last.as_ref().unwrap().effects;
    let found = effects.iter().find_map(|effect| match effect {
        Effect::StartRecording(order) => Some((**order).clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing is recorded:\n{}", talk.text()))
}

#[test]
fn a_mandate_begins_before_the_flow_and_no_step_ends_it() {
    let flow = json!({"module": "record_call", "data": {"action": "stop"}, "children": {"_": {
        "module": "record_call", "data": {"url": "http://h/own"}, "children": {"_": {
            "module": "record_call", "data": {"action": "stop"}, "children": {"_": sleep()}}}}}});
    let talk = Talk::with(&flow, |call, _| {
        call.standing.account = json!({"account": all(json!({"name": "a"}))});
        call.standing.caller = Some(EndpointRules {
            id: "alices-phone".to_owned(),
            user: json!({"outbound": {"onnet": {"enabled": true, "format": "wav", "url": "http://h/user"}}}),
            device: Value::Null,
        });
    });
    assert_snapshot!(talk.text().replace("/children/_", "/_"), @r#"
    0s > Started
       < start recording #1: mp3 stereo, at most 10800s, to http://h/all, called "a", inbound from onnet to account
       < start recording #2: wav stereo, at most 10800s, to http://h/user, outbound to onnet from endpoint
       < stop the newest recording
       < start recording #3: mp3 stereo, at most 10800s, to http://h/own
       < stop the newest recording
       at sleep /_/_/_
       wait until 60s
    "#);
}

#[test]
fn a_mandate_that_waits_is_not_taken_back_by_a_stop() {
    let stop =
        |data: Value| json!({"module": "record_call", "data": data, "children": {"_": sleep()}});
    for step in [
        json!({"action": "stop"}),
        json!({"action": "stop", "name": "a"}),
    ] {
        let mut talk = with_account(&stop(step), json!({"record_on_answer": true, "name": "a"}));
        assert!(!talk.text().contains("not recording"), "{}", talk.text());
        talk.event(2.0, EventName::ChannelAnswer, |_| {});
        assert_eq!(order(&talk).by.source, RecordingSource::Account);
    }
}

#[test]
fn a_mandate_may_wait_for_the_answer_or_the_bridge() {
    let begins = |settings: Value| {
        let mut talk = with_account(&sleep(), settings);
        let starts = |talk: &Talk| talk.text().matches("start recording").count();
        let at_once = starts(&talk);
        talk.event(1.0, EventName::ChannelAnswer, |_| {});
        let answered = starts(&talk);
        talk.event(2.0, EventName::ChannelBridge, |_| {});
        (at_once, answered, starts(&talk))
    };
    assert_eq!(begins(json!({})), (1, 1, 1));
    assert_eq!(begins(json!({"record_on_answer": true})), (0, 1, 1));
    assert_eq!(begins(json!({"record_on_bridge": true})), (0, 0, 1));
    let either = json!({"record_on_answer": true, "record_on_bridge": "true"});
    assert_eq!(begins(either), (0, 1, 1));
    let odd = with_account(&sleep(), json!({"record_on_answer": "soon"}));
    assert!(
        odd.text()
            .contains("/account/inbound/onnet/record_on_answer: wanted"),
        "{}",
        odd.text()
    );
}

#[test]
fn a_mandates_parameters_are_those_of_the_action() {
    let talk = with_account(
        &sleep(),
        json!({"format": "wav", "url": "https://h/x", "time_limit": 99_999, "record_min_sec": 4, "record_sample_rate": 16_000}),
    );
    let order = order(&talk);
    assert_eq!(order.format, AudioFormat::Wav);
    assert_eq!(order.time_limit.as_secs(), 10_800);
    assert_eq!(order.min.as_secs(), 4);
    assert_eq!(order.sample_rate, Some(16_000));
    assert_eq!(order.destination.describe(), "https://h/x");
    assert_eq!(order.leg, RecordedLeg::A);
    assert_eq!(order.origin, "inbound from onnet to account");
    assert!(
        talk.text()
            .contains("account/inbound/onnet/time_limit: 99999s is outside 5s to 10800s"),
        "{}",
        talk.text()
    );
}

#[test]
fn a_mandate_without_a_url_is_stored_if_the_system_stores_else_told_of() {
    let with = |stores: bool| {
        Talk::with(&sleep(), |call, settings| {
            call.standing.account = json!({"account": all(json!({"url": null}))});
            settings.media = media(&json!({"store_recordings": stores}));
        })
    };
    assert!(with(true).text().contains("to the account's database"));
    let effects = with(false).last.unwrap().effects;
    let [Effect::Skipped { by, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(by.source, RecordingSource::Account);
    assert_snapshot!(with(false).text(), @r#"
    0s > Started
       < not recording at 0123456789abcdef0123456789abcdef#/call_recording/account/inbound/onnet: there is no "url", store_recordings in system_config/media is false, and no storage plan of the account says where recordings go
       at sleep (root)
       wait until 60s
    "#);
}

/// A flow that rings two phones, of which the second is recorded when it is called.
fn ringing() -> Talk {
    let flow = json!({"module": "user", "data": {"id": "bob"}, "children": {"_": sleep()}});
    let mut talk = Talk::with(&flow, |call, _| call.talk_id = "t".to_owned());
    let mut recorded = phone("mobile");
    recorded["call_recording"] = all(json!({"record_on_bridge": false}));
    talk.found(0.0, devices(&[phone("desk"), recorded]));
    talk
}

fn joined(talk: &mut Talk, at_s: f64, leg: &str) {
    talk.event(at_s, EventName::ChannelBridge, |event| {
        event.other_leg_call_id = Some(CallId::new(leg));
    });
}

#[test]
fn a_called_endpoints_recording_is_of_its_own_leg_and_ends_with_the_bridge() {
    let mut talk = ringing();
    joined(&mut talk, 3.0, "t-b2");
    let made = order(&talk);
    assert_eq!(
        made.leg,
        RecordedLeg::B {
            call_id: CallId::new("t-b2")
        }
    );
    assert_eq!(made.by.who.as_deref(), Some("mobile"));
    talk.event(4.0, EventName::ChannelUnbridge, |_| {});
    talk.bridged(4.0, "SUCCESS", Some("sip:200"));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up devices of user bob
       at user (root)
       wait
    0s > Found devices [desk, mobile] in acme.example
       < bridge desk@acme.example, mobile@acme.example for 20s, simultaneous, from Alice 1000
       wait until 40s
    3s > CHANNEL_BRIDGE
       < start recording #1: mp3 stereo, at most 10800s, of leg t-b2, to http://h/all, inbound from onnet to endpoint
       wait until 33s
    4s > CHANNEL_UNBRIDGE
       < stop the recording #1
       wait until 33s
    4s > CHANNEL_EXECUTE_COMPLETE bridge SUCCESS sip:200 NORMAL_UNSPECIFIED
       < hangup
       wait until 44s
    "#);
}

#[test]
fn only_the_endpoint_that_answers_is_recorded_under_whatever_registration() {
    let starts = |leg: &str| {
        let mut talk = ringing();
        joined(&mut talk, 3.0, leg);
        talk.text().matches("start recording").count()
    };
    assert_eq!(starts("t-b1"), 0);
    assert_eq!(starts("t-b2"), 1);
    assert_eq!(starts("t-b2-2"), 1);
    assert_eq!(starts("t-b22"), 0);
    assert_eq!(starts("somebody"), 0);
}

#[test]
fn a_called_endpoints_recording_that_is_over_is_not_ended_again() {
    let mut talk = ringing();
    joined(&mut talk, 3.0, "t-b2");
    // The same news again is no news.
    joined(&mut talk, 3.1, "t-b2");
    talk.recorded(4.0, 1, EndReason::TimeLimit, 1000);
    talk.bridged(5.0, "SUCCESS", Some("sip:200"));
    assert!(
        !talk.text().contains("stop the recording"),
        "{}",
        talk.text()
    );
    let mut refused = ringing();
    joined(&mut refused, 3.0, "t-b2");
    let reason = "no".to_owned();
    let slot = Slot(1);
    refused.hear(3.1, Input::RecordingRefused { slot, reason });
    refused.bridged(5.0, "SUCCESS", Some("sip:200"));
    assert!(
        !refused.text().contains("stop the recording"),
        "{}",
        refused.text()
    );
}

#[test]
fn no_two_legs_of_one_call_are_rung_under_one_id() {
    let user =
        |then: Value| json!({"module": "user", "data": {"id": "bob"}, "children": {"_": then}});
    let mut talk = Talk::through(&user(user(sleep())));
    talk.found(0.0, devices(&[phone("one"), phone("two")]));
    let mut ids = rung(&talk);
    talk.bridged(1.0, "NO_ANSWER", Some("sip:480"));
    talk.found(1.0, devices(&[phone("one")]));
    ids.extend(rung(&talk));
    assert_eq!(ids, ["m-b1", "m-b2", "m-b3"]);
}

fn rung(talk: &Talk) -> Vec<String> {
    let effects = &talk.last.as_ref().unwrap().effects;
    let bridge = effects.iter().find_map(|effect| match effect {
        Effect::Command {
            application: callreel_proto::Application::Bridge { endpoints, .. },
            ..
        } => Some(endpoints),
        _ => None,
    });
    let ids = bridge
        .unwrap()
        .iter()
        .map(|e| e.outbound_call_id.clone().unwrap());
    ids.map(String::from).collect()
}
