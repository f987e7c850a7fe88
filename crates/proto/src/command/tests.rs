//! Commands as others write them, and as they come back.

use serde_json::json;

use super::*;

#[test]
fn a_command_of_a_stock_kazoo_is_read() {
    let wire = json!({
        "App-Name": "callflow", "App-Version": "4.0.0", "Event-Category": "call", "Event-Name": "command",
        "Msg-ID": "m", "Node": "kazoo@h", "Application-Name": "record_call", "Call-ID": "a", "Insert-At": "now",
        "Record-Action": "start", "Media-Name": "x.mp3", "Time-Limit": "600", "Follow-Transfer": "true"
    });
    let read = Envelope::<Command>::from_bytes(wire.to_string().as_bytes()).unwrap();
    assert_eq!(read.body.insert_at, InsertAt::Now);
    let Application::RecordCall { action, terms, .. } = read.body.application else {
        panic!("not a record_call");
    };
    assert_eq!(
        (terms.time_limit_s, action),
        (Some(600), RecordAction::Start)
    );
    assert_eq!(terms.follow_transfer, Some(true));
}

#[test]
fn every_command_survives_the_wire() {
    for application in [
        Application::Answer,
        Application::Noop { filter: Vec::new() },
        Application::Tones {
            tones: vec![Tone::beep()],
            terminators: Terminators::none(),
            leg: Some(Hearers::Both),
        },
        Application::Play {
            media_name: "/system_media/vm-saved".into(),
            terminators: Terminators::any(),
            endless: None,
            loop_count: Some(2),
            leg: None,
        },
        Application::Hangup {
            hangup_cause: Some(HangupCause::UserBusy),
            other_leg_only: None,
        },
    ] {
        let sent = Command {
            call_id: CallId::new("a@b"),
            insert_at: InsertAt::Tail,
            application,
        }
        .into_envelope();
        let read = Envelope::<Command>::from_bytes(&sent.to_bytes()).unwrap();
        assert_eq!(read, sent);
    }
}
