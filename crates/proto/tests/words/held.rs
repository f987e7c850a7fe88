//! Debug builds hold what is sent and what is read to the schemas, and say where it is wrong.

use callreel_proto::{
    Application, CallEvent, CallId, Command, Envelope, EventName, Headers, InsertAt, Requested,
    RouteWin, Utc,
};
use serde_json::{Value, json};

fn play(media_name: &str) -> Command {
    Command {
        call_id: CallId::new("a@b"),
        insert_at: InsertAt::Tail,
        application: serde_json::from_value(
            json!({"Application-Name": "play", "Media-Name": media_name}),
        )
        .unwrap(),
    }
}

/// What `to_bytes` panics with.
fn refusal(send: impl FnOnce() -> Vec<u8> + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(send).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn what_no_kazoo_takes_is_not_sent() {
    let why = refusal(|| play("").into_envelope().to_bytes());
    assert!(
        why.contains("\"/Media-Name\" of call.command.play"),
        "{why}"
    );

    let event = CallEvent::new(CallId::new("a@b"), Utc::now());
    let why = refusal(|| event.into_envelope(EventName::Dtmf).to_bytes());
    assert!(why.contains("DTMF-Digit"), "{why}");

    let headers = Headers::new("call_event", "SUPERNOVA");
    let body = json!({"Call-ID": "a@b"});
    let why = refusal(|| Envelope { headers, body }.to_bytes());
    assert!(why.contains("there is no schema for this kind"), "{why}");
}

#[test]
fn a_command_within_a_queue_is_held_like_any_other() {
    let queue = |commands: Value| Command {
        application: Application::Queue {
            commands: commands.as_array().unwrap().clone(),
        },
        ..play("x")
    };
    let noop = json!({"Application-Name": "noop", "Msg-ID": "end"});
    let good = queue(json!([noop, {"Application-Name": "play", "Media-Name": "x"}]));
    good.into_envelope().to_bytes();
    let bad =
        queue(json!([noop, {"Application-Name": "play", "Media-Name": "x", "Loop-Count": 0}]));
    let why = refusal(|| bad.into_envelope().to_bytes());
    assert!(why.contains("\"/Commands/1/Loop-Count\""), "{why}");
}

#[test]
fn the_deepest_command_that_is_read_can_be_refused() {
    let deep = format!("{}{}", "[".repeat(126), "]".repeat(126));
    let command: Value = serde_json::from_str(&format!("{{\"X-Deep\": {deep}}}")).unwrap();
    let mut event = CallEvent::new(CallId::new("a@b"), Utc::now());
    event.request = command.as_object().cloned().map(Requested::Command);
    event.error_message = Some("application unknown".to_owned());
    event.dialplan_error.clone_from(&event.error_message);
    event.channel_state = Some("EXECUTE".to_owned());
    event.channel_call_state = Some("ACTIVE".to_owned());
    event.into_envelope(EventName::DialplanError).to_bytes();
}

#[test]
fn a_malformed_message_is_told_by_its_place() {
    let wire = json!({
        "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "dialplan", "Event-Name": "route_win",
        "Msg-ID": "m", "Call-ID": 7, "Control-Queue": "q"
    });
    let error = Envelope::<RouteWin>::from_bytes(wire.to_string().as_bytes()).unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("malformed dialplan/route_win: at \"/Call-ID\""),
        "{told}"
    );
}

#[test]
fn an_error_repeats_little_of_what_a_stranger_wrote() {
    let long = "z".repeat(100_000);
    for key in ["Event-Name", "Application-Name", "Media-Name", "Call-ID"] {
        let mut message = serde_json::to_value(play("x").into_envelope()).unwrap();
        message[key] = json!(long);
        message.as_object_mut().unwrap().remove("App-Name");
        let error = Envelope::<Command>::from_bytes(message.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().len() < 1000, "{key}");
    }
}
