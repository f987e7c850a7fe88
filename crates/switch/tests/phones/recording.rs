//! Recordings: forks that start, stop and end with the call, and messages that end by key, silence or hangup.

use serde_json::{Value, json};

use crate::support::{Call, Controller, Ears, Message, Phone, Scene, payload};

async fn answered(scene: &Scene, controller: &mut Controller) -> (Phone, Call, Message) {
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    controller.command(&call.call_id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    let call = phone.ack(&call, &answer, "").await;
    controller.completion(&call.call_id, "answer").await;
    (phone, call, answer)
}

fn id(digit: char) -> String {
    format!("202611-{}", digit.to_string().repeat(32))
}

#[tokio::test]
async fn two_recordings_share_a_fork_that_lives_as_long_as_either() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (phone, mut call, answer) = answered(&scene, &mut controller).await;
    let ears = Ears::new().await;
    let leg = call.call_id.clone();
    for digit in ['a', 'b'] {
        let start = json!({"Record-Action": "start", "Insert-At": "now", "Media-Name": format!("{digit}.mp3"),
            "Media-Recording-ID": id(digit), "Media-Recorder": "callreel", "Media-Fork": ears.fork()});
        controller.command(&leg, "record_call", start).await;
        let started = controller.event("RECORD_START", &leg).await;
        assert_eq!(started["Recording"]["ID"], id(digit));
        assert_eq!(started["Application-Response"], format!("{digit}.mp3"));
        let source = started["Recording"]["Fork-Source"].as_str().unwrap();
        assert!(source.starts_with("127.0.0.1:"), "{source}");
    }
    phone.speak(answer.rtp(), 1, 0x33).await;
    assert_eq!(payload(&ears.a).await, [0x33; 160]);
    controller
        .command(
            &leg,
            "play",
            json!({"Media-Name": "tone_stream://%(200,0,440)"}),
        )
        .await;
    assert_eq!(payload(&ears.b).await.len(), 160, "what the phone is sent");
    controller.completion(&leg, "play").await;

    let stop = |digit| json!({"Record-Action": "stop", "Insert-At": "now", "Media-Recording-ID": id(digit), "Media-Fork": ears.fork()});
    controller.command(&leg, "record_call", stop('a')).await;
    let stopped = controller.event("RECORD_STOP", &leg).await;
    assert_eq!(stopped["Recording"]["ID"], id('a'));
    assert_eq!(stopped["Recording"]["Completion-Cause"], "stopped");
    assert!(stopped["Length"].as_u64().unwrap() >= 200, "{stopped}");
    phone.speak(answer.rtp(), 2, 0x44).await;
    assert_eq!(
        payload(&ears.a).await,
        [0x44; 160],
        "the other recording goes on"
    );

    phone.within(&mut call, "BYE", "", "").await;
    let stopped = controller.event("RECORD_STOP", &leg).await;
    assert_eq!(stopped["Recording"]["ID"], id('b'));
    assert_eq!(stopped["Recording"]["Completion-Cause"], "hangup");
    assert!(
        controller.names().iter().all(|n| !n.contains("DESTROY")),
        "the stop comes first"
    );
    controller.event("CHANNEL_DESTROY", &leg).await;
}

#[tokio::test]
async fn a_recording_has_a_limit_and_stopping_none_is_no_error() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_phone, call, _) = answered(&scene, &mut controller).await;
    let ears = Ears::new().await;
    let leg = &call.call_id;
    let start = json!({"Record-Action": "start", "Insert-At": "now", "Time-Limit": "1",
        "Media-Recording-ID": id('c'), "Media-Fork": ears.fork()});
    controller.command(leg, "record_call", start).await;
    let stopped = controller.event("RECORD_STOP", leg).await;
    assert_eq!(stopped["Recording"]["Completion-Cause"], "time_limit");
    controller
        .command(
            leg,
            "record_call",
            json!({"Record-Action": "stop", "Insert-At": "now", "Media-Fork": ears.fork()}),
        )
        .await;
    controller.command(leg, "noop", json!({})).await;
    controller.completion(leg, "noop").await;
}

#[tokio::test]
async fn a_message_ends_by_key_or_silence_and_the_queue_goes_on() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (phone, mut call, _) = answered(&scene, &mut controller).await;
    let ears = Ears::new().await;
    let leg = call.call_id.clone();
    let record = |silence: u32| {
        json!({"Media-Name": "m.mp3", "Terminators": ["#"], "Time-Limit": "60", "Silence-Hits": silence,
            "Media-Recording-ID": id('d'), "Media-Fork": ears.fork()})
    };
    controller.command(&leg, "record", record(0)).await;
    controller
        .command(&leg, "noop", json!({"Msg-ID": "after"}))
        .await;
    controller.event("RECORD_START", &leg).await;
    let info = "Content-Type: application/dtmf-relay\n";
    phone.within(&mut call, "INFO", info, "Signal=#\r\n").await;
    phone.final_response().await;
    let stopped = controller.event("RECORD_STOP", &leg).await;
    assert_eq!(stopped["Terminator"], "#");
    assert_eq!(stopped["Silence-Terminated"], false);
    assert_eq!(
        controller.completion(&leg, "noop").await["Application-Response"],
        "after"
    );

    controller.command(&leg, "record", record(1)).await;
    let stopped = controller.event("RECORD_STOP", &leg).await;
    assert_eq!(stopped["Silence-Terminated"], true);
    assert_eq!(stopped["Recording"]["Completion-Cause"], "silence");
}

#[tokio::test]
async fn a_message_is_heard_by_its_speaker_at_once_and_by_its_name_alone() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (phone, mut call, answer) = answered(&scene, &mut controller).await;
    let ears = Ears::new().await;
    let leg = call.call_id.clone();
    let record = json!({"Media-Name": "m.mp3", "Terminators": ["#"], "Time-Limit": "60", "Silence-Hits": 0,
        "Media-Recording-ID": id('d'), "Media-Fork": ears.fork()});
    controller.command(&leg, "record", record).await;
    controller.event("RECORD_START", &leg).await;
    for sequence in 1..=3 {
        phone.speak(answer.rtp(), sequence, 0x44).await;
        assert_eq!(payload(&ears.a).await, [0x44; 160]);
    }
    let info = "Content-Type: application/dtmf-relay\n";
    phone.within(&mut call, "INFO", info, "Signal=#\r\n").await;
    phone.final_response().await;
    controller.event("RECORD_STOP", &leg).await;
    let play = |name: &str| json!({"Media-Name": format!("local_stream://{name}")});
    controller.command(&leg, "play", play("m.mp3")).await;
    // A frame of silence may come before.
    while phone.hear().await.1 != [0x44; 160] {}
    controller.completion(&leg, "play").await;
    controller.command(&leg, "play", play("another.mp3")).await;
    controller.event("dialplan", &leg).await;
}

/// An order of this recorder.
fn order(action: &str, digit: char, recorder: &str, ears: &Ears) -> Value {
    json!({"Record-Action": action, "Insert-At": "now", "Server-ID": recorder,
        "Media-Recording-ID": id(digit), "Media-Fork": ears.fork()})
}

#[tokio::test]
async fn recorders_know_nothing_of_each_other() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (phone, call, answer) = answered(&scene, &mut controller).await;
    let leg = &call.call_id;
    let (one, two) = (Ears::new().await, Ears::new().await);
    // Even under the same name.
    for (recorder, ears) in [("one", &one), ("two", &two)] {
        let start = order("start", 'e', recorder, ears);
        controller.command(leg, "record_call", start).await;
        controller.event("RECORD_START", leg).await;
    }
    phone.speak(answer.rtp(), 1, 0x55).await;
    assert_eq!(payload(&one.a).await, [0x55; 160]);
    assert_eq!(payload(&two.a).await, [0x55; 160]);
    // A stranger's stop is nobody's.
    for recorder in ["three", "one"] {
        let stop = order("stop", 'e', recorder, &one);
        controller.command(leg, "record_call", stop).await;
    }
    controller.event("RECORD_STOP", leg).await;
    phone.speak(answer.rtp(), 2, 0x56).await;
    assert_eq!(payload(&two.a).await, [0x56; 160]);
    one.assert_deaf();
    assert!(
        controller
            .names()
            .iter()
            .all(|n| !n.contains("RECORD_STOP")),
        "one stop ends one recording"
    );
}

#[tokio::test]
async fn a_recorder_that_moves_is_followed_and_a_fifth_is_refused() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (phone, call, answer) = answered(&scene, &mut controller).await;
    let leg = &call.call_id;
    let (before, after) = (Ears::new().await, Ears::new().await);
    for ears in [&before, &after] {
        let start = order("start", 'e', "one", ears);
        controller.command(leg, "record_call", start).await;
        controller.event("RECORD_START", leg).await;
    }
    phone.speak(answer.rtp(), 1, 0x55).await;
    assert_eq!(payload(&after.a).await, [0x55; 160]);
    before.assert_deaf();
    let mut others = Vec::new();
    for digit in ['1', '2', '3'] {
        let ears = Ears::new().await;
        let start = order("start", digit, &format!("r{digit}"), &ears);
        controller.command(leg, "record_call", start).await;
        controller.event("RECORD_START", leg).await;
        others.push(ears);
    }
    let fifth = order("start", '4', "r4", &before);
    controller.command(leg, "record_call", fifth).await;
    let refused = controller.event("dialplan", leg).await;
    let said = refused["Error-Message"].as_str().unwrap();
    assert!(said.contains("4 recorders"), "{said}");
    phone.speak(answer.rtp(), 2, 0x56).await;
    for ears in others.iter().chain([&after]) {
        assert_eq!(payload(&ears.a).await, [0x56; 160]);
    }
    before.assert_deaf();
}
