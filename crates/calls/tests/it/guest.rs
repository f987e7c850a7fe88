//! Recording on a switch of others: what it is told, and every end its file can have.

use std::time::Duration;

use callreel_calls::{CallsConfig, SwitchFormat};
use callreel_proto::{EndReason, RecordingFact, RecordingState};
use serde_json::{Value, json};

use crate::{
    kazoo::{Kazoo, NODE, TREES, Tree, forever, play, record, stop},
    world::pass,
};

const WHITELIST: &[&str] = &[
    "App-Name",
    "App-Version",
    "Event-Category",
    "Event-Name",
    "Msg-ID",
    "Node",
    "Server-ID",
    "Call-ID",
    "Insert-At",
    "Application-Name",
    "Record-Action",
    "Media-Name",
    "Media-Recorder",
    "Media-Recording-ID",
    "Media-Recording-Origin",
    "Recording-Variables",
    "Time-Limit",
    "Record-Min-Sec",
    "Record-Sample-Rate",
    "Channels-As-Stereo",
    "Follow-Transfer",
];

fn keys(message: &Value) -> Vec<&str> {
    message
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn a_switch_of_others_is_told_to_record_in_words_it_knows() {
    let mut kazoo = Kazoo::with_call(Tree::V43, record(forever())).await;
    let start = kazoo.commanded("record_call").await;
    for key in keys(&start) {
        assert!(WHITELIST.contains(&key), "{key} is not Kazoo's");
    }
    assert_eq!(
        (&start["Record-Action"], &start["Insert-At"]),
        (&json!("start"), &json!("now"))
    );
    assert_eq!(start["Media-Recorder"], "callreel");
    assert_eq!(
        (&start["Time-Limit"], &start["Record-Min-Sec"]),
        (&json!("600"), &json!("0"))
    );
    assert_eq!(
        (&start["Channels-As-Stereo"], &start["Follow-Transfer"]),
        (&json!(true), &json!(true))
    );
    let name = start["Media-Name"].as_str().unwrap();
    let (stem, extension) = name.split_once('.').unwrap();
    assert!(
        stem.len() == 32 && stem.bytes().all(|b| b.is_ascii_hexdigit()),
        "{name}"
    );
    assert_eq!(extension, "wav");
    let variables =
        json!({"Name": name, "Recorder": "callreel", "ID": start["Media-Recording-ID"]});
    assert_eq!(start["Recording-Variables"], variables);
}

#[tokio::test]
async fn a_file_ends_when_the_switch_says_so_and_is_known_by_what_it_says() {
    for tree in TREES {
        let mut kazoo = Kazoo::with_call(tree, record(forever())).await;
        let start = kazoo.commanded("record_call").await;
        kazoo.record("RECORD_START", &start, &json!({})).await;
        let begun = kazoo.noticed(RecordingFact::Started).await;
        let growing = kazoo.world.ticket_of(&begun);
        assert_eq!(growing.state(), RecordingState::Growing);
        assert_eq!(growing.capture_id(), None);
        let figures = match tree {
            Tree::V43 => json!({"Length": "4200", "Channel-State": "HANGUP"}),
            Tree::V50 => json!({"Length": "0", "Channel-Call-State": "HANGUP", "Recording": {
                "File-MilliSeconds": 4200, "File-Size": "268844"}}),
        };
        kazoo.record("RECORD_STOP", &start, &figures).await;
        kazoo.event("CHANNEL_DESTROY", &json!({})).await;
        let ticket = kazoo.ended().await;
        assert_eq!(ticket.end_reason(), Some(EndReason::Hangup));
        assert_eq!(ticket.length_ms(), Some(4200));
        let file = ticket.switch_file().unwrap();
        let name = start["Media-Name"].as_str().unwrap();
        assert_eq!((file.node.as_str(), file.media_name.as_str()), (NODE, name));
        assert_eq!(file.path, Some(format!("/tmp/{name}")));
        assert_eq!(file.bytes, (tree == Tree::V50).then_some(268_844));
        kazoo.over().await;
        kazoo.nothing_more_is_said().await;
    }
}

#[tokio::test]
async fn a_stop_names_the_file_and_the_recording_ends_when_it_is_closed() {
    for tree in TREES {
        let mut kazoo = Kazoo::with_call(tree, record(play(stop(forever())))).await;
        let start = kazoo.commanded("record_call").await;
        kazoo.record("RECORD_START", &start, &json!({})).await;
        kazoo.commanded("play").await;
        let mark = kazoo.commanded("noop").await;
        kazoo.done("noop", mark["Msg-ID"].as_str().unwrap()).await;
        let stop = kazoo.commanded("record_call").await;
        assert_eq!(
            (&stop["Record-Action"], &stop["Media-Name"]),
            (&json!("stop"), &start["Media-Name"])
        );
        let growing = kazoo.world.spool.view().tickets().unwrap();
        assert_eq!(growing[0].state(), RecordingState::Growing);
        kazoo
            .record("RECORD_STOP", &start, &json!({"Length": 1500}))
            .await;
        let ticket = kazoo.ended().await;
        assert_eq!(
            (ticket.end_reason(), ticket.length_ms()),
            (Some(EndReason::Stopped), Some(1500))
        );
    }
}

#[tokio::test]
async fn a_stop_that_is_never_confirmed_ends_the_recording_all_the_same() {
    let mut kazoo = Kazoo::with_call(Tree::V43, record(stop(forever()))).await;
    let start = kazoo.commanded("record_call").await;
    kazoo.commanded("record_call").await;
    kazoo.record("RECORD_START", &start, &json!({})).await;
    kazoo.noticed(RecordingFact::Started).await;
    pass(Duration::from_secs(31)).await;
    let ended = kazoo.noticed(RecordingFact::Ended).await;
    assert!(
        ended.detail.as_deref().unwrap().contains("did not say"),
        "{ended:?}"
    );
    let ticket = kazoo.world.ticket_of(&ended);
    assert_eq!(ticket.end_reason(), Some(EndReason::Stopped));
    assert!(ticket.switch_file().unwrap().path.is_some());
}

#[tokio::test]
async fn a_hangup_waits_for_the_file_and_does_not_wait_for_ever() {
    for tree in TREES {
        let mut kazoo = Kazoo::with_call(tree, record(forever())).await;
        let start = kazoo.commanded("record_call").await;
        kazoo.record("RECORD_START", &start, &json!({})).await;
        kazoo.noticed(RecordingFact::Started).await;
        kazoo.event("CHANNEL_DESTROY", &json!({})).await;
        let described = kazoo.described().await;
        let stage = &described["recorder"]["recordings"][0]["stage"];
        assert_eq!(*stage, json!({"ending": "hangup"}), "{described}");
        if tree == Tree::V43 {
            kazoo
                .record("RECORD_STOP", &start, &json!({"Length": "900"}))
                .await;
        } else {
            pass(Duration::from_secs(31)).await;
        }
        let ticket = kazoo.ended().await;
        assert_eq!(ticket.end_reason(), Some(EndReason::Hangup));
        kazoo.over().await;
        kazoo.nothing_more_is_said().await;
    }
}

#[tokio::test]
async fn a_file_the_switch_never_named_is_fetched_from_where_it_usually_is() {
    let mut kazoo = Kazoo::with_call(Tree::V43, record(forever())).await;
    let start = kazoo.commanded("record_call").await;
    // Longer than the switch is given to say that it records: an event can be lost.
    pass(Duration::from_secs(6)).await;
    kazoo.event("CHANNEL_DESTROY", &json!({})).await;
    kazoo.settle().await;
    pass(Duration::from_secs(31)).await;
    let ended = kazoo.noticed(RecordingFact::Ended).await;
    assert!(
        ended
            .detail
            .as_deref()
            .unwrap()
            .contains("where it usually is"),
        "{ended:?}"
    );
    let ticket = kazoo.world.ticket_of(&ended);
    let name = start["Media-Name"].as_str().unwrap();
    assert_eq!(
        ticket.switch_file().unwrap().path,
        Some(format!("/tmp/{name}"))
    );
}

#[tokio::test]
async fn a_recording_the_switch_refuses_is_skipped_and_nothing_is_owed() {
    for tree in TREES {
        let mut kazoo = Kazoo::with_call(tree, record(forever())).await;
        let start = kazoo.commanded("record_call").await;
        kazoo.refuses(&start).await;
        let skipped = kazoo.noticed(RecordingFact::Skipped).await;
        assert!(skipped.detail.unwrap().contains("the switch refused"));
        kazoo.settle().await;
        assert!(kazoo.world.spool.view().tickets().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_refusal_of_another_command_refuses_no_recording() {
    for tree in TREES {
        let mut kazoo = Kazoo::with_call(tree, record(play(forever()))).await;
        kazoo.commanded("record_call").await;
        let refused = kazoo.commanded("play").await;
        kazoo.refuses(&refused).await;
        kazoo.settle().await;
        assert_eq!(kazoo.world.spool.view().tickets().unwrap().len(), 1);
    }
}

fn caller() -> Value {
    json!({"module": "record_caller", "data": {"url": "http://r.test/x", "format": "mp3", "time_limit": 60}, "children": {"_": forever()}})
}

#[tokio::test]
async fn a_message_is_recorded_in_its_turn_and_the_flow_waits_for_its_end() {
    for tree in TREES {
        let mut kazoo = Kazoo::with_call(tree, caller()).await;
        kazoo.commanded("answer").await;
        kazoo.done("answer", "").await;
        kazoo.commanded("tones").await;
        let message = kazoo.commanded("record").await;
        let extra: Vec<&str> = keys(&message);
        assert!(
            !extra.contains(&"Media-Fork") && !extra.contains(&"Media-Recording-ID"),
            "{message}"
        );
        assert_eq!(
            (&message["Time-Limit"], &message["Silence-Hits"]),
            (&json!("60"), &json!("5"))
        );
        assert_eq!(message["Silence-Threshold"], "200");
        kazoo.record("RECORD_START", &message, &json!({})).await;
        // 4.3 calls the completion of `record` that of a bridge.
        let quirk = json!({"Application-Name": "bridge", "Application-Response": "SUCCESS", "Length": "3000"});
        kazoo.event("CHANNEL_EXECUTE_COMPLETE", &quirk).await;
        assert_eq!(
            kazoo.described().await["position"]["module"],
            "record_caller"
        );
        kazoo
            .record(
                "RECORD_STOP",
                &message,
                &json!({"Length": "3000", "Terminator": "#"}),
            )
            .await;
        let ticket = kazoo.ended().await;
        assert_eq!(
            (ticket.end_reason(), ticket.length_ms()),
            (Some(EndReason::Stopped), Some(3000))
        );
        assert_eq!(kazoo.described().await["position"]["module"], "sleep");
    }
}

#[tokio::test]
async fn a_switch_that_overlooks_the_limit_is_told_to_stop() {
    let mut kazoo = Kazoo::with_call(Tree::V50, record(forever())).await;
    let start = kazoo.commanded("record_call").await;
    kazoo.record("RECORD_START", &start, &json!({})).await;
    kazoo.noticed(RecordingFact::Started).await;
    pass(Duration::from_secs(606)).await;
    let stop = kazoo.commanded("record_call").await;
    assert_eq!(stop["Record-Action"], "stop");
    kazoo
        .record("RECORD_STOP", &start, &json!({"Length": "605000"}))
        .await;
    assert_eq!(kazoo.ended().await.end_reason(), Some(EndReason::TimeLimit));
}

#[tokio::test]
async fn two_recordings_of_a_call_end_each_with_its_own_file() {
    for tree in TREES {
        let mut kazoo = Kazoo::with_call(tree, record(record(forever()))).await;
        let first = kazoo.commanded("record_call").await;
        let second = kazoo.commanded("record_call").await;
        for start in [&first, &second] {
            kazoo.record("RECORD_START", start, &json!({})).await;
        }
        // 4.3 has the newest recording's variables in every event of the channel.
        let ccvs = json!({"Length": "1", "Custom-Channel-Vars": {
            "Media-Name": second["Media-Name"], "Media-Recording-ID": second["Media-Recording-ID"]}});
        kazoo.record("RECORD_STOP", &first, &ccvs).await;
        let ticket = kazoo.ended().await;
        assert_eq!(json!(ticket.recording_id()), first["Media-Recording-ID"]);
        kazoo
            .record("RECORD_STOP", &second, &json!({"Length": "2"}))
            .await;
        assert_eq!(
            json!(kazoo.ended().await.recording_id()),
            second["Media-Recording-ID"]
        );
    }
}

#[tokio::test]
async fn everything_said_twice_counts_once() {
    for tree in TREES {
        let mut kazoo = Kazoo::with_call(tree, record(forever())).await;
        let start = kazoo.commanded("record_call").await;
        for _ in 0..2 {
            kazoo.record("RECORD_START", &start, &json!({})).await;
        }
        for _ in 0..2 {
            kazoo
                .record("RECORD_STOP", &start, &json!({"Length": "700"}))
                .await;
        }
        for _ in 0..2 {
            kazoo.event("CHANNEL_DESTROY", &json!({})).await;
        }
        kazoo.over().await;
        let mut facts = Vec::new();
        while let Ok(Some(notice)) =
            tokio::time::timeout(Duration::from_millis(50), kazoo.world.notices.recv()).await
        {
            let notice: Value = serde_json::from_slice(&notice.body).unwrap();
            facts.push(notice["Fact"].clone());
        }
        assert_eq!(facts, [json!("started"), json!("ended")]);
    }
}

#[tokio::test]
async fn the_switch_records_in_the_format_the_settings_say() {
    for (format, extension) in [
        (SwitchFormat::Wav, "wav"),
        (SwitchFormat::Mp3, "mp3"),
        (SwitchFormat::Asked, "mp3"),
    ] {
        let config = CallsConfig {
            switch_format: format,
            ..CallsConfig::default()
        };
        let mut kazoo = Kazoo::with(Tree::V43, record(forever()), config, &[]).await;
        kazoo.offer(&json!({})).await;
        kazoo.take_bid().await;
        kazoo.give(&json!({})).await;
        let start = kazoo.commanded("record_call").await;
        assert!(
            start["Media-Name"].as_str().unwrap().ends_with(extension),
            "{start}"
        );
    }
}

#[tokio::test]
async fn a_command_that_nobody_takes_comes_back_as_its_error() {
    let flow = record(play(forever()));
    let mut kazoo = Kazoo::with(Tree::V43, flow, CallsConfig::default(), &[]).await;
    kazoo.offer(&json!({})).await;
    kazoo.take_bid().await;
    kazoo
        .give(&json!({"Control-Queue": "a-queue-that-is-gone"}))
        .await;
    let skipped = kazoo.noticed(RecordingFact::Skipped).await;
    assert!(skipped.detail.unwrap().contains("never reached the switch"));
    // The playback's mark was lost too, so that there is nothing to wait for.
    assert_eq!(kazoo.described().await["position"]["module"], "sleep");
}
