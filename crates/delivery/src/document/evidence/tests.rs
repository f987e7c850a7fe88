//! Evidence of tickets with masks, announcements and reports.

use callreel_proto::{CallId, EndReason, LegAudio, OrderedBy, RecordingSource};
use callreel_spool::{Promise, SwitchFile};

use super::*;
use crate::testing;

const S: u64 = 1_000_000_000;

fn told(
    change: impl FnOnce(&mut Promise),
    evidence: impl FnOnce(&mut Ticket),
    file: &RenditionInfo,
) -> Value {
    let mut ticket = testing::ticket(change);
    evidence(&mut ticket);
    let end = ticket.promise().start_ns + 10 * S;
    ticket.end(end, EndReason::Hangup).unwrap();
    let mut doc = ticket.document().clone();
    describe(&mut doc, &ticket, file);
    Value::Object(doc)
}

fn file() -> RenditionInfo {
    RenditionInfo {
        bytes: 1,
        sha256: String::new(),
        sealed_bytes: None,
        duration_ms: 10_000,
        sample_rate: 16_000,
        channels: 2,
        report: None,
    }
}

fn keys(pressed: &str) -> Option<OrderedBy> {
    Some(OrderedBy {
        step: Some(pressed.to_owned()),
        ..OrderedBy::new(RecordingSource::FeatureCode)
    })
}

#[test]
fn masks_say_which_samples_and_by_whose_hand() {
    let doc = told(
        |promise| promise.start_ns = 5 * S,
        |ticket| {
            ticket.masked(4 * S, keys("*1")).unwrap();
            ticket.unmasked(6 * S + 31_249, keys("*2")).unwrap();
            ticket.masked(8 * S, None).unwrap();
        },
        &file(),
    );
    assert_eq!(doc["masked_ms"], json!([[0, 1000], [3000, 10_000]]));
    let expected = json!([
        {
            "from_ms": 0, "until_ms": 1000, "from_sample": 0, "until_sample": 16_001,
            "by": {"source": "feature_code", "step": "*1"},
            "ended_by": {"source": "feature_code", "step": "*2"},
        },
        {"from_ms": 3000, "until_ms": 10_000, "from_sample": 48_000, "until_sample": 160_000},
    ]);
    assert_eq!(doc["masked"], expected);
}

#[test]
fn consent_says_who_heard_what_and_where_in_the_file() {
    let beep = |until_ns| Announcement {
        what: "beep".to_owned(),
        heard_by: vec![CallId::new("x@y"), CallId::new("b@y")],
        from_ns: 2 * S,
        until_ns,
    };
    let doc = told(
        |_| {},
        |ticket| {
            let heard = beep(Some(2 * S + 400_000_000));
            ticket.announcing(heard).unwrap();
            ticket.announcing(beep(None)).unwrap();
        },
        &file(),
    );
    let expected = json!({
        "what": "beep", "heard_by": ["x@y", "b@y"],
        "from_ms": 2000, "until_ms": 2400, "from_sample": 32_000, "until_sample": 38_400,
    });
    assert_eq!(doc["announcements"][0], expected);
    assert_eq!(doc["announcements"][1]["until_ms"], Value::Null);
}

#[test]
fn a_file_of_a_switch_is_measured_by_its_own_length() {
    let shorter = RenditionInfo {
        duration_ms: 9500,
        sample_rate: 8000,
        ..file()
    };
    let doc = told(
        |promise| promise.source = Source::Switch(SwitchFile::default()),
        |ticket| ticket.masked(9 * S, None).unwrap(),
        &shorter,
    );
    assert_eq!(doc["masked_ms"], json!([[9000, 9500]]));
    assert_eq!(doc["masked"][0]["until_sample"], 76_000);
    assert!(doc.get("gap_report").is_none());
}

#[test]
fn every_leg_says_in_which_channel_it_is_heard() {
    let known = json!({"a": {"call_id": "x@y"}, "b": {"call_id": "b@y", "device_id": "d"}});
    for (channels, a, b) in [
        (Channels::Stereo, "left", "right"),
        (Channels::Mono, "only", "only"),
        (Channels::Caller, "only", "none"),
        (Channels::Callee, "none", "only"),
    ] {
        let doc = told(
            |promise| promise.channels = channels,
            |ticket| {
                ticket.document_mut().insert("legs".into(), known.clone());
            },
            &file(),
        );
        let expected = json!({
            "a": {"call_id": "x@y", "channel": a},
            "b": {"call_id": "b@y", "device_id": "d", "channel": b},
        });
        assert_eq!(doc["legs"], expected);
    }
    let unknown = told(|_| {}, |_| {}, &file());
    let expected = json!({"a": {"call_id": "x@y", "channel": "left"}});
    assert_eq!(unknown["legs"], expected);
}

#[test]
fn what_was_lost_and_what_was_taken_out_is_told() {
    let audio = LegAudio {
        packets: 498,
        lost: 2,
        gaps_ms: vec![(60, 100)],
        concealed_ms: 40,
        ..LegAudio::default()
    };
    let report = AudioReport {
        legs: [(Leg::A, audio)].into(),
        worst_misalignment_us: 1250,
        redacted_ms: vec![(100, 250)],
    };
    let file = RenditionInfo {
        report: Some(report),
        ..file()
    };
    let doc = told(|promise| promise.redact_dtmf = true, |_| {}, &file);
    assert_eq!(doc["gap_report"]["a"]["lost"], 2);
    assert_eq!(doc["gap_report"]["a"]["concealed_ms"], 40);
    assert_eq!(doc["gap_report"]["a"]["gaps_ms"], json!([[60, 100]]));
    assert!(doc["gap_report"].get("b").is_none());
    assert_eq!(doc["worst_misalignment_ms"], 1.25);
    assert_eq!(doc["redacted"], json!([{"from_ms": 100, "until_ms": 250}]));
    let off = told(|_| {}, |_| {}, &file);
    assert!(off.get("redacted").is_none());
}
