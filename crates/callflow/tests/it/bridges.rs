//! `user` and `device`: who is rung, and where the flow goes after.

use callreel_callflow::{Answer, Effect, Input, Ringback, Trunks};
use callreel_proto::{Application, EventName};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, devices, documents_of, phone, sample};

fn ring(module: &str, data: Value) -> Value {
    let say = |text: &str| json!({"module": "tts", "data": {"text": text}});
    json!({"module": module, "data": data, "children": {
        "_": say("nobody there"), "USER_BUSY": say("busy"), "sip:404": say("unknown"), "CALL_REJECTED": {}
    }})
}

/// The phones of the sample's user.
fn of_the_sample(ids: &[&str]) -> Answer {
    let user = "{USER_ID}";
    let phone = |id: &&str| json!({"_id": id, "owner_id": user, "sip": {"username": id}});
    let phones: Vec<_> = ids.iter().map(phone).collect();
    Answer::Endpoints(documents_of(&[json!({"_id": user})], &phones))
}

fn answered(flow: &Value) -> Talk {
    Talk::with(flow, |call, _| call.answered = true)
}

#[test]
fn the_third_sample_ends_with_the_talk_of_an_answered_call() {
    let mut talk = Talk::through(&sample("3-per-user"));
    talk.found(0.0, of_the_sample(&["desk", "mobile"]));
    talk.event(5.0, EventName::ChannelAnswer, |_| {});
    talk.event(5.0, EventName::ChannelBridge, |_| {});
    talk.event(65.0, EventName::ChannelUnbridge, |_| {});
    talk.bridged(65.0, "SUCCESS", Some("sip:200"));
    talk.gone(65.1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /children/_/children/_/children: an action stands where a map of branches belongs; taken as if it were under "_"
       < start recording #1: mp3 stereo, at most 360s, to http://my.recording.server/%7BACCOUNT_ID%7D/%7BUSER_ID%7D
       < look up devices of user {USER_ID}
       at user /children/_
       wait
    0s > Found devices [desk, mobile] in acme.example
       < bridge desk@acme.example, mobile@acme.example for 20s, simultaneous, from Alice 1000
       wait until 40s
    5s > CHANNEL_ANSWER
       wait until 40s
    5s > CHANNEL_BRIDGE
       wait until 35s
    65s > CHANNEL_UNBRIDGE
       < noop m-1
       wait until 125s
    65s > CHANNEL_EXECUTE_COMPLETE bridge SUCCESS sip:200 NORMAL_UNSPECIFIED
       < hangup
       wait until 105s
    65.1s > CHANNEL_DESTROY
       finished
    "#);
}

#[test]
fn the_third_sample_takes_a_message_when_nobody_answers() {
    let mut talk = Talk::through(&sample("3-per-user"));
    talk.found(0.0, of_the_sample(&["desk"]));
    talk.bridged(20.0, "NO_ANSWER", Some("sip:480"));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /children/_/children/_/children: an action stands where a map of branches belongs; taken as if it were under "_"
       < start recording #1: mp3 stereo, at most 360s, to http://my.recording.server/%7BACCOUNT_ID%7D/%7BUSER_ID%7D
       < look up devices of user {USER_ID}
       at user /children/_
       wait
    0s > Found devices [desk] in acme.example
       < bridge desk@acme.example for 20s, simultaneous, from Alice 1000
       wait until 40s
    20s > CHANNEL_EXECUTE_COMPLETE bridge NO_ANSWER sip:480 NO_ANSWER
       < stop the newest recording
       < look up voicemail box {VMBOX_ID}
       at voicemail /children/_/children/_/children
       wait
    "#);
}

#[test]
fn a_failed_bridge_goes_to_its_cause_then_its_code_then_anywhere() {
    let after = |result: &str, code: Option<&str>| {
        let mut talk = answered(&ring("user", json!({"id": "bob"})));
        talk.found(0.0, devices(&[phone("desk")]));
        talk.bridged(3.0, result, code);
        let text = talk.text();
        ["nobody there", "busy", "unknown"]
            .into_iter()
            .find(|words| text.contains(&format!("tts {words:?}")))
            .map(str::to_owned)
            .unwrap_or_else(|| panic!("{text}"))
    };
    assert_eq!(after("USER_BUSY", Some("sip:486")), "busy");
    assert_eq!(after("UNALLOCATED_NUMBER", Some("sip:404")), "unknown");
    assert_eq!(after("NO_ANSWER", Some("sip:480")), "nobody there");
    assert_eq!(after("CALL_REJECTED", Some("sip:404")), "unknown");
    assert_eq!(after("CALL_REJECTED", Some("sip:603")), "nobody there");
    assert_eq!(after("NONE", None), "nobody there");
}

#[test]
fn a_caller_nobody_answers_is_told_why_by_the_hang_up() {
    let mut talk = Talk::through(&json!({"module": "user", "data": {"id": "bob"}}));
    talk.found(0.0, devices(&[phone("desk")]));
    talk.bridged(3.0, "USER_BUSY", Some("sip:486"));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up devices of user bob
       at user (root)
       wait
    0s > Found devices [desk] in acme.example
       < bridge desk@acme.example for 20s, simultaneous, from Alice 1000
       wait until 40s
    3s > CHANNEL_EXECUTE_COMPLETE bridge USER_BUSY sip:486 USER_BUSY
       < hangup USER_BUSY
       wait until 43s
    "#);
}

#[test]
fn a_caller_who_gave_up_is_not_led_on() {
    let mut talk = Talk::through(&ring("user", json!({"id": "bob"})));
    talk.found(0.0, devices(&[phone("desk")]));
    talk.bridged(3.0, "ORIGINATOR_CANCEL", Some("sip:487"));
    assert!(!talk.text().contains("nobody there"), "{}", talk.text());
    talk.gone(3.0);
    assert!(talk.last.unwrap().finished);
}

#[test]
fn a_silent_switch_is_given_twenty_seconds_more_than_it_may_ring() {
    let mut talk = answered(&ring("device", json!({"id": "desk", "timeout": 5})));
    talk.found(0.0, devices(&[phone("desk")]));
    assert_eq!(talk.last.as_ref().unwrap().wake_at.unwrap().as_secs(), 25);
    talk.hear(25.0, Input::Tick);
    assert!(
        talk.text().contains("tts \"nobody there\""),
        "{}",
        talk.text()
    );
}

#[test]
fn a_bridge_that_talks_has_no_end_but_its_own() {
    let mut talk = talking();
    for at in [33.0, 93.0, 9000.0] {
        talk.hear(at, Input::Tick);
    }
    assert!(!talk.last.as_ref().unwrap().finished);
    assert!(!talk.text().contains("nobody there"), "{}", talk.text());
}

#[test]
fn a_bridge_whose_end_is_lost_is_over_when_the_switch_comes_to_what_is_behind_it() {
    let mut talk = talking();
    let wakes = talk.last.as_ref().unwrap().wake_at.unwrap();
    assert_eq!(wakes.as_secs(), 33);
    talk.hear(33.0, Input::Tick);
    assert!(talk.text().contains("< noop m-1"), "{}", talk.text());
    // That the switch will not queue it says nothing of the bridge.
    talk.event(33.1, EventName::DialplanError, |event| {
        let refused = json!({"Application-Name": "noop", "Msg-ID": "m-1"});
        event.request = crate::support::refused(refused);
    });
    assert!(!talk.text().contains("< hangup"), "{}", talk.text());
    talk.marked(40.0, 1);
    assert!(talk.text().contains("< hangup"), "{}", talk.text());
}

/// The caller talks to a phone since the third second.
fn talking() -> Talk {
    let mut talk = answered(&ring("device", json!({"id": "desk"})));
    talk.found(0.0, devices(&[phone("desk")]));
    talk.event(3.0, EventName::ChannelBridge, |_| {});
    talk
}

#[test]
fn a_refused_bridge_counts_as_a_failed_one() {
    let mut talk = answered(&ring("device", json!({"id": "desk"})));
    talk.found(0.0, devices(&[phone("desk")]));
    talk.event(0.1, EventName::DialplanError, |event| {
        event.error_message = Some("registrar returned no endpoints".to_owned());
        event.request = crate::support::refused(json!({"Application-Name": "bridge"}));
    });
    assert!(
        talk.text().contains("tts \"nobody there\""),
        "{}",
        talk.text()
    );
}

#[test]
fn the_unwilling_are_not_rung() {
    let mut off = phone("off");
    off["enabled"] = json!(false);
    let mut dnd = phone("dnd");
    dnd["do_not_disturb"] = json!({"enabled": true});
    let mut fax = phone("gateway");
    fax["sip"] = json!({"invite_format": "e164"});
    let nameless = json!({"_id": "nameless", "owner_id": "bob"});
    let mut route = phone("trunk");
    route["sip"] = json!({"invite_format": "route", "route": "sip:4930@gw.example"});
    let all = [
        off,
        dnd,
        fax,
        nameless,
        route,
        phone("alices-phone"),
        phone("desk"),
    ];
    let mut talk = answered(&ring("user", json!({"id": "bob", "strategy": "single"})));
    talk.found(0.0, devices(&all));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up devices of user bob
       at user (root)
       wait
    0s > Found devices [off, dnd, gateway, nameless, trunk, alices-phone, desk] in acme.example
       < warn at (root): device gateway is not rung: sip.invite_format "e164" is not supported
       < warn at (root): device nameless is not rung: it has no sip.username
       < bridge sip:4930@gw.example, desk@acme.example for 20s, single, from Alice 1000
       wait until 60s
    "#);
}

#[test]
fn a_caller_may_ring_their_own_phone_on_request() {
    let mut talk = answered(&ring("user", json!({"id": "bob", "can_call_self": "true"})));
    talk.found(0.0, devices(&[phone("alices-phone")]));
    assert!(
        talk.text().contains("< bridge alices-phone@acme.example"),
        "{}",
        talk.text()
    );
}

#[test]
fn nobody_to_ring_goes_on_at_once() {
    let busy_owner = Answer::Endpoints(documents_of(
        &[json!({"_id": "bob", "do_not_disturb": {"enabled": true}})],
        &[phone("desk")],
    ));
    for answer in [
        devices(&[]),
        devices(&[phone("alices-phone")]),
        busy_owner,
        Answer::Missing,
    ] {
        let mut talk = answered(&ring("user", json!({"id": "bob"})));
        talk.found(0.0, answer);
        assert!(
            talk.text().contains("tts \"nobody there\""),
            "{}",
            talk.text()
        );
    }
    let talk = answered(&ring("device", json!({})));
    assert!(
        talk.text().contains("no device is named"),
        "{}",
        talk.text()
    );
}

#[test]
fn an_endpoint_carries_what_the_switch_needs() {
    let mut desk = phone("desk");
    desk["sip"]["realm"] = json!("other.example");
    desk["media"] = json!({"ignore_early_media": true, "progress_timeout": 6});
    desk["sip"]["custom_sip_headers"] =
        json!({"out": {"X-A": "1", "X-B": "1"}, "in": {"X-C": "1"}});
    let flow = ring(
        "device",
        json!({"id": "desk", "timeout": "30", "delay": 2, "static_invite": "4711", "suppress_clid": true,
               "fail_on_single_reject": true, "custom_sip_headers": {"X-B": "2"}, "dial_strategy": "single"}),
    );
    let mut talk = answered(&flow);
    talk.found(0.0, devices(&[desk]));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up device desk
       at device (root)
       wait
    0s > Found devices [desk] in acme.example
       < bridge desk@other.example as 4711 after 2s for 30s, single, one refusal is enough, from Anonymous anonymous
       wait until 52s
    "#);
    let effects = talk.last.unwrap().effects;
    let Some(Effect::Command {
        application: Application::Bridge { endpoints, .. },
        ..
    }) = effects.last()
    else {
        panic!("no bridge: {effects:?}");
    };
    assert_snapshot!(serde_json::to_string_pretty(endpoints).unwrap(), @r#"
    [
      {
        "Invite-Format": "username",
        "To-User": "4711",
        "To-Username": "desk",
        "To-Realm": "other.example",
        "Endpoint-Delay": "2",
        "Endpoint-Timeout": "30",
        "Endpoint-Progress-Timeout": "6",
        "Ignore-Early-Media": true,
        "Outbound-Call-ID": "m-b1",
        "Custom-Channel-Vars": {
          "Account-ID": "0123456789abcdef0123456789abcdef",
          "Authorizing-ID": "desk",
          "Authorizing-Type": "device",
          "Owner-ID": "bob"
        },
        "Custom-SIP-Headers": {
          "X-A": "1",
          "X-B": "2"
        }
      }
    ]
    "#);
}

#[test]
fn a_recordings_completion_that_calls_itself_a_bridge_is_not_one() {
    let mut talk = answered(&ring("device", json!({"id": "desk"})));
    talk.found(0.0, devices(&[phone("desk")]));
    talk.event(0.1, EventName::ChannelExecuteComplete, |event| {
        event.application_name = Some("bridge".to_owned());
        event.length_ms = Some(4200);
    });
    assert!(!talk.text().contains("nobody there"), "{}", talk.text());
}

#[test]
fn any_sign_of_success_means_that_the_parties_talked() {
    let after = |fill: fn(&mut callreel_proto::CallEvent)| {
        let mut talk = answered(&ring("device", json!({"id": "desk"})));
        talk.found(0.0, devices(&[phone("desk")]));
        talk.event(9.0, EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("bridge".to_owned());
            fill(event);
        });
        talk.text().contains("< hangup")
    };
    assert!(after(
        |event| event.application_response = Some("SUCCESS".into())
    ));
    assert!(after(|event| event.disposition = Some("SUCCESS".into())));
    assert!(after(|event| event.hangup_code = Some("sip:200".into())));
    assert!(!after(|event| event.disposition = Some("NO_ANSWER".into())));
}

#[test]
fn a_callflows_own_ringback_is_heard_where_the_action_names_none() {
    let heard = |module: &str, data: Value, answered: bool, ringback: &Value| {
        let flow = json!({"module": module, "data": data});
        let mut talk = Talk::with(&flow, |call, _| {
            call.answered = answered;
            call.ringback = Ringback::of(&json!({ "ringback": ringback }));
        });
        let answer = match module {
            "offnet" => Answer::Trunks(Box::new(Trunks {
                resources: vec![
                    json!({"_id": "t", "rules": [".+"], "gateways": [{"server": "gw.example"}]}),
                ],
                global: true,
                ..Trunks::default()
            })),
            _ => devices(&[phone("desk")]),
        };
        talk.found(0.0, answer);
        let effects = &talk.last.as_ref().unwrap().effects;
        let found = effects.iter().find_map(|effect| match effect {
            Effect::Command {
                application: Application::Bridge { ringback, .. },
                ..
            } => Some(ringback.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("nobody is rung:\n{}", talk.text()))
    };
    let own = json!({"early": "waltz", "transfer": "%(500,500,440)"});
    let waltz = Some("/0123456789abcdef0123456789abcdef/waltz".to_owned());
    let tones = Some("tone_stream://%(500,500,440)".to_owned());
    for module in ["user", "offnet"] {
        let data = || json!({"id": "bob"});
        assert_eq!(heard(module, data(), false, &own), waltz, "{module}");
        assert_eq!(heard(module, data(), true, &own), tones, "{module}");
        assert_eq!(heard(module, data(), false, &json!({})), None, "{module}");
        let foreign = json!({"early": "file:///etc/passwd"});
        assert_eq!(heard(module, data(), false, &foreign), None, "{module}");
    }
    let data = json!({"ringback": "%(1,1,1)"});
    let said = Some("tone_stream://%(1,1,1)".to_owned());
    assert_eq!(heard("offnet", data, false, &own), said);
}

#[test]
fn a_phone_takes_along_the_music_of_its_nearest_document() {
    let music = |device: Value, user: Value, account: Option<&str>| {
        let of = |id: &str, music: Value| json!({"_id": id, "music_on_hold": {"media_id": music}});
        let mut desk = of("desk", device);
        desk["owner_id"] = json!("bob");
        desk["sip"] = json!({"username": "desk"});
        let mut found = documents_of(&[of("bob", user)], &[desk]);
        found.hold_media = account.map(str::to_owned);
        let mut talk = Talk::through(&ring("user", json!({"id": "bob"})));
        talk.found(0.0, Answer::Endpoints(found));
        let effects = &talk.last.as_ref().unwrap().effects;
        let vars = effects.iter().find_map(|effect| match effect {
            Effect::Command {
                application: Application::Bridge { endpoints, .. },
                ..
            } => Some(endpoints[0].custom_channel_vars.clone()),
            _ => None,
        });
        vars.unwrap()["Hold-Media"].clone()
    };
    let own = |id: &str| json!(format!("/0123456789abcdef0123456789abcdef/{id}"));
    let none = Value::Null;
    assert_eq!(music(json!("d"), json!("u"), Some("a")), own("d"));
    assert_eq!(music(none.clone(), json!("u"), Some("a")), own("u"));
    assert_eq!(music(json!(""), none.clone(), Some("a")), own("a"));
}
