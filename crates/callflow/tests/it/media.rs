//! `say`, `tts`, `play`, `answer`, `sleep`, `response`, `hangup`, `noop`.

use callreel_proto::EventName;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Talk;

fn then_noop(module: &str, data: Value) -> Value {
    json!({"module": module, "data": data, "children": {"_": {"module": "noop", "data": {}}}})
}

#[test]
fn an_unanswered_call_is_answered_before_it_is_spoken_to() {
    let mut talk = Talk::through(&then_noop(
        "tts",
        json!({"text": "Good day", "voice": "male", "language": "en-gb", "terminators": ["#"]}),
    ));
    talk.done(0.1, "answer");
    talk.done(2.0, "tts");
    talk.marked(2.0, 1);
    talk.gone(2.1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < answer
       at tts (root)
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < tts "Good day" male en-gb, # ends it
       < noop m-1
       wait until 30.1s
    2s > CHANNEL_EXECUTE_COMPLETE tts
       wait until 30.1s
    2s > CHANNEL_EXECUTE_COMPLETE noop m-1
       < hangup
       wait until 42s
    2.1s > CHANNEL_DESTROY
       finished
    "#);
}

#[test]
fn an_answer_that_never_completes_holds_nothing_up() {
    let mut talk = Talk::through(&then_noop("say", json!({"text": "Hello"})));
    talk.hear(5.0, callreel_callflow::Input::Tick);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < answer
       at say (root)
       wait until 5s
    5s > Tick
       < tts "Hello" female en-us, any key ends it
       < noop m-1
       wait until 35s
    "#);
}

#[test]
fn say_is_tts_and_a_voice_may_be_an_engines_own() {
    let talk = Talk::with(
        &then_noop(
            "say",
            json!({"text": "1234", "voice": "alloy", "engine": "http", "endless_playback": true}),
        ),
        |call, _| call.answered = true,
    );
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /data/endless_playback: a text is spoken once
       < tts "1234" female alloy en-us by http, any key ends it
       < noop m-1
       at say (root)
       wait until 30s
    "#);
}

#[test]
fn nothing_to_say_is_skipped() {
    let talk = Talk::through(&then_noop("tts", json!({"text": ""})));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /data/text: there is nothing to say; skipped
       < hangup
       wait until 40s
    "#);
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let talk = Talk::with(
        &then_noop("tts", json!({"text": "ü".repeat(5500)})),
        |call, _| {
            call.answered = true;
        },
    );
    assert!(talk.text().contains("cut after 5000 characters"));
    assert_eq!(talk.text().matches('ü').count(), 5000);
}

#[test]
fn say_says_what_is_no_text_by_its_type() {
    let said = |data: Value| {
        let talk = Talk::with(&then_noop("say", data), |call, _| {
            call.answered = true;
            call.language = Some("fr-FR".to_owned());
        });
        let all = talk.text();
        let lines = all
            .lines()
            .skip(1)
            .take_while(|line| !line.contains("noop") && !line.contains("hangup"));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        said(json!({"text": "12", "type": "number"})),
        ["< say number \"12\" fr-fr"]
    );
    assert_eq!(
        said(json!({"text": 12, "type": "number", "method": "counted", "language": "en-gb"})),
        ["< say number \"12\" counted en-gb"]
    );
    assert_eq!(
        said(json!({"text": "ab", "method": "none"})),
        ["< say name_spelled \"ab\" none fr-fr"]
    );
    let odd = said(json!({"text": "12", "type": "song"}));
    assert!(
        odd[0].starts_with("< warn at /data/type: \"song\" is nothing that can be said"),
        "{odd:?}"
    );
    let odd = said(json!({"text": "12", "type": "url", "method": "sung"}));
    assert!(
        odd[0].starts_with("< warn at /data/method") && odd[1] == "< say url \"12\" fr-fr",
        "{odd:?}"
    );
}

#[test]
fn the_parts_of_a_macro_are_heard_one_after_the_other() {
    let macros = json!([
        {"macro": "play", "id": "jingle", "terminators": ["1"]},
        {"macro": "prompt", "id": "vm-you_have", "language": "sv-SE"},
        {"macro": "say", "text": "3", "type": "number"},
        {"macro": "tts", "text": "new", "voice": "male"},
        {"macro": "tone", "frequencies": [440, "880", "x"], "duration_on": 200},
    ]);
    let flow = json!({"module": "audio_macro", "data": {"macros": macros, "terminators": ["#"]},
        "children": {"_": {"module": "sleep", "data": {"duration": 1}}}});
    let mut talk = Talk::through(&flow);
    talk.key(0.5, "1");
    talk.marked(5.0, 1);
    assert_snapshot!(talk.text(), @r##"
    0s > Started
       < play /0123456789abcdef0123456789abcdef/jingle, 1 ends it
       < play prompt://0123456789abcdef0123456789abcdef/vm-you_have/sv-se, # ends it
       < say number "3" en-us
       < tts "new" male en-us, # ends it
       < tones 440+880 Hz 200 ms
       < noop m-1
       at audio_macro (root)
       wait until 30s
    0.5s > DTMF 1
       wait until 30s
    5s > CHANNEL_EXECUTE_COMPLETE noop m-1
       at sleep /children/_
       wait until 6s
    "##);
    let mut skipped = Talk::through(&flow);
    skipped.key(0.5, "#");
    assert!(
        skipped.text().ends_with(
            "0.5s > DTMF #\n   < noop m-2 (flush)\n   at sleep /children/_\n   wait until 1.5s\n"
        ),
        "{}",
        skipped.text()
    );
}

#[test]
fn what_a_macro_cannot_play_is_left_out() {
    let warned = |macros: Value| {
        let talk = Talk::through(&then_noop("audio_macro", json!({"macros": macros})));
        talk.text()
            .replace("0123456789abcdef0123456789abcdef", "ACCOUNT")
    };
    assert_snapshot!(warned(json!([
        7,
        {"macro": "dance"},
        {},
        {"macro": "play"},
        {"macro": "play", "id": "/etc/passwd"},
        {"macro": "prompt"},
        {"macro": "say"},
        {"macro": "tts", "text": ""},
        {"macro": "tone", "frequencies": [0]},
        {"macro": "play", "id": "heard"},
    ])), @r#"
    0s > Started
       < warn at /data/macros/0: wanted an object, found a number; skipped
       < warn at /data/macros/1/macro: "dance" is nothing that can be played; use play, prompt, say, tts or tone; skipped
       < warn at /data/macros/2/macro: "" is nothing that can be played; use play, prompt, say, tts or tone; skipped
       < warn at /data/macros/3/id: nothing to play is named; skipped
       < warn at /data/macros/4/id: only the account's own media and /system_media/ can be played; skipped
       < warn at /data/macros/5/id: nothing to play is named; skipped
       < warn at /data/macros/6/text: there is nothing to say; skipped
       < warn at /data/macros/7/text: there is nothing to say; skipped
       < warn at /data/macros/8/frequencies: a tone needs at least one frequency in Hz; skipped
       < play /ACCOUNT/heard, any key ends it
       < noop m-1
       at audio_macro (root)
       wait until 30s
    "#);
    for nothing in [json!([]), json!("x"), json!(null), json!([{"macro": "x"}])] {
        assert!(warned(nothing).contains("there is nothing to play; skipped"));
    }
    let many = vec![json!({"macro": "play", "id": "a"}); 150];
    assert_eq!(warned(json!(many)).matches("< play").count(), 100);
}

#[test]
fn play_pauses_after_answering() {
    let mut talk = Talk::through(&then_noop(
        "play",
        json!({"id": "0123abcd", "loop_count": 2}),
    ));
    talk.done(0.1, "answer");
    talk.hear(0.2, callreel_callflow::Input::Tick);
    talk.marked(4.0, 7);
    talk.marked(6.0, 1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < answer
       at play (root)
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       wait until 0.2s
    0.2s > Tick
       < play /0123456789abcdef0123456789abcdef/0123abcd 2 times, any key ends it
       < noop m-1
       wait until 30.2s
    4s > CHANNEL_EXECUTE_COMPLETE noop m-7
       wait until 30.2s
    6s > CHANNEL_EXECUTE_COMPLETE noop m-1
       < hangup
       wait until 46s
    "#);
}

#[test]
fn play_may_leave_the_call_unanswered() {
    let talk = Talk::through(&then_noop(
        "play",
        json!({"id": "tone_stream://%(500,100,440)", "answer": false, "endless_playback": true, "terminators": "none"}),
    ));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < play tone_stream://%(500,100,440) endlessly
       < noop m-1
       at play (root)
       wait until 30s
    "#);
}

#[test]
fn only_keys_a_telephone_has_end_a_playback() {
    let ends = |terminators: Value| {
        let data = json!({"id": "x", "terminators": terminators});
        let talk = Talk::with(&then_noop("play", data), |call, _| call.answered = true);
        let line = talk
            .text()
            .lines()
            .find(|l| l.contains("< play"))
            .unwrap()
            .to_owned();
        line.split("/x").nth(1).unwrap().to_owned()
    };
    assert_eq!(ends(json!(["1", "x", "ab", "#"])), ", 1# ends it");
    assert_eq!(ends(json!("12")), ", 12 ends it");
    assert_eq!(ends(json!([])), "");
    assert_eq!(ends(json!({"no": 1})), ", any key ends it");
}

#[test]
fn play_finds_its_media_and_refuses_what_is_not_the_accounts() {
    let played = |id: Value| {
        let talk = Talk::with(&then_noop("play", json!({"id": id})), |call, _| {
            call.answered = true
        });
        let line = talk.text().lines().nth(1).unwrap().trim().to_owned();
        line.replace("0123456789abcdef0123456789abcdef", "ACCOUNT")
    };
    let any = ", any key ends it";
    assert_eq!(
        played(json!("greeting")),
        format!("< play /ACCOUNT/greeting{any}")
    );
    assert_eq!(
        played(json!("/system_media/vm-saved")),
        format!("< play /system_media/vm-saved{any}")
    );
    assert_eq!(
        played(json!("/0123456789abcdef0123456789abcdef/x")),
        format!("< play /ACCOUNT/x{any}")
    );
    assert_eq!(
        played(json!("https://h/a.mp3")),
        format!("< play https://h/a.mp3{any}")
    );
    for bad in [
        json!("/ffff456789abcdef0123456789abcdef/x"),
        json!("/etc/passwd"),
        json!("file:///etc/passwd"),
        json!("local_stream://x"),
        json!(""),
        Value::Null,
        json!(["x"]),
    ] {
        assert!(
            played(bad.clone()).starts_with("< warn at /data/id"),
            "{bad}"
        );
    }
}

#[test]
fn a_refused_marker_does_not_hold_the_flow_up() {
    let mut talk = Talk::with(&then_noop("play", json!({"id": "x"})), |call, _| {
        call.answered = true
    });
    talk.event(1.0, EventName::DialplanError, |event| {
        event.error_message = Some("file not found".to_owned());
        event.request = crate::support::refused(json!({"Application-Name": "play"}));
    });
    talk.event(1.0, EventName::DialplanError, |event| {
        event.error_message = Some("application unknown".to_owned());
        event.request =
            crate::support::refused(json!({"Application-Name": "noop", "Msg-ID": "another"}));
    });
    assert_eq!(talk.text().matches("   wait until 30s\n").count(), 3);
    talk.event(1.0, EventName::DialplanError, |event| {
        event.error_message = Some("application unknown".to_owned());
        event.request =
            crate::support::refused(json!({"Application-Name": "noop", "Msg-ID": "m-1"}));
    });
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < play /0123456789abcdef0123456789abcdef/x, any key ends it
       < noop m-1
       at play (root)
       wait until 30s
    1s > dialplan file not found
       < warn at (root): the switch refused a command: file not found
       wait until 30s
    1s > dialplan application unknown
       < warn at (root): the switch refused a command: application unknown
       wait until 30s
    1s > dialplan application unknown
       < warn at (root): the switch refused a command: application unknown
       < hangup
       wait until 41s
    "#);
}

#[test]
fn answer_answers_once() {
    let flow = json!({"module": "answer", "data": {}, "children": {"_": {"module": "answer", "data": {}}}});
    let mut talk = Talk::through(&flow);
    talk.event(0.1, EventName::ChannelAnswer, |_| {});
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < answer
       at answer (root)
       wait until 5s
    0.1s > CHANNEL_ANSWER
       < hangup
       wait until 40.1s
    "#);
}

#[test]
fn sleep_wakes_in_time_and_not_before() {
    let mut talk = Talk::through(&then_noop("sleep", json!({"duration": 1500, "unit": "ms"})));
    talk.hear(1.0, callreel_callflow::Input::Tick);
    talk.key(1.2, "5");
    talk.hear(1.5, callreel_callflow::Input::Tick);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       at sleep (root)
       wait until 1.5s
    1s > Tick
       wait until 1.5s
    1.2s > DTMF 5
       wait until 1.5s
    1.5s > Tick
       < hangup
       wait until 41.5s
    "#);
}

#[test]
fn sleep_knows_its_units_and_ends_within_a_day() {
    let until = |data: Value| {
        let talk = Talk::through(&then_noop("sleep", data));
        talk.last
            .and_then(|heard| heard.wake_at)
            .map(|at| at.as_secs())
    };
    assert_eq!(until(json!({"duration": 2})), Some(2));
    assert_eq!(until(json!({"duration": "2", "unit": "m"})), Some(120));
    assert_eq!(until(json!({"duration": 2, "unit": "h"})), Some(7200));
    assert_eq!(until(json!({"duration": 2, "unit": "weeks"})), Some(2));
    assert_eq!(
        until(json!({"duration": u64::MAX, "unit": "h"})),
        Some(86_400)
    );
}

#[test]
fn response_refuses_an_unanswered_call() {
    let mut talk = Talk::through(
        &json!({"module": "response", "data": {"code": 503, "message": "Try later"}}),
    );
    talk.gone(0.1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < respond 503 Try later
       wait until 40s
    0.1s > CHANNEL_DESTROY
       finished
    "#);
    let busy =
        Talk::through(&json!({"module": "response", "data": {"code": 200, "media": "busy-tone"}}));
    assert_snapshot!(busy.text(), @r#"
    0s > Started
       < play /0123456789abcdef0123456789abcdef/busy-tone, any key ends it
       < noop m-1
       at response (root)
       wait until 30s
    "#);
}

#[test]
fn response_ends_an_answered_call_with_the_nearest_cause() {
    let flow = json!({"module": "response", "data": {"media": "closed"}});
    let mut talk = Talk::with(&flow, |call, _| call.answered = true);
    talk.marked(2.0, 1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < play /0123456789abcdef0123456789abcdef/closed, any key ends it
       < noop m-1
       at response (root)
       wait until 30s
    2s > CHANNEL_EXECUTE_COMPLETE noop m-1
       < hangup USER_BUSY
       wait until 42s
    "#);
}

#[test]
fn hangup_ends_the_call_whatever_follows() {
    let mut talk = Talk::through(&then_noop("hangup", json!({})));
    talk.hear(40.0, callreel_callflow::Input::Tick);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < hangup (now)
       wait until 40s
    40s > Tick
       finished
    "#);
}
