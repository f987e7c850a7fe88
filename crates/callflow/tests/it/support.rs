//! Builds the talks the tests read. Owns no assertion.

use std::time::{Duration, Instant};

use callreel_callflow::{
    Answer, CallInfo, Cursor, Endpoints, Flow, Heard, Input, Position, Settings, Slot, Transcript,
};
use callreel_proto::{
    AccountId, CallEvent, CallId, Device, EndReason, EventName, HangupCause, MediaConfig, User, Utc,
};
use serde_json::{Value, json};

/// A call whose inputs the test tells and whose talk it reads.
pub(crate) struct Talk {
    transcript: Transcript,
    call_id: CallId,
    /// Whether the last input ended it.
    pub(crate) last: Option<Heard>,
}

impl Talk {
    /// A fresh, unanswered call with Kazoo's defaults, already started.
    pub(crate) fn through(flow: &Value) -> Self {
        Self::with(flow, |_, _| {})
    }

    /// The same, with something changed.
    pub(crate) fn with(flow: &Value, change: impl FnOnce(&mut CallInfo, &mut Settings)) -> Self {
        let mut call = call();
        let mut settings = Settings::default();
        change(&mut call, &mut settings);
        let flow = Flow::parse(flow, settings.strict).expect("the test's flow is well formed");
        let call_id = call.call_id.clone();
        let transcript = Transcript::new(Cursor::new(flow, call, settings), Instant::now());
        let mut talk = Self {
            transcript,
            call_id,
            last: None,
        };
        talk.hear(0.0, Input::Started);
        talk
    }

    pub(crate) fn hear(&mut self, at_s: f64, input: Input) {
        let heard = self.transcript.hear(Duration::from_secs_f64(at_s), input);
        self.last = Some(heard);
    }

    pub(crate) fn found(&mut self, at_s: f64, answer: Answer) {
        self.hear(at_s, Input::Found(answer));
    }

    /// An event about this call.
    pub(crate) fn event(&mut self, at_s: f64, name: EventName, fill: impl FnOnce(&mut CallEvent)) {
        let event = event(&self.call_id, fill);
        self.hear(at_s, Input::Event { name, event });
    }

    /// A command has been done.
    pub(crate) fn done(&mut self, at_s: f64, application: &str) {
        self.event(at_s, EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some(application.to_owned());
        });
    }

    /// The switch has come to this marker.
    pub(crate) fn marked(&mut self, at_s: f64, number: u32) {
        self.event(at_s, EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("noop".to_owned());
            event.application_response = Some(format!("m-{number}"));
        });
    }

    /// The bridge is over; `SUCCESS` or a cause, and the SIP code.
    pub(crate) fn bridged(&mut self, at_s: f64, result: &str, code: Option<&str>) {
        self.event(at_s, EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("bridge".to_owned());
            event.application_response = Some(result.to_owned());
            event.hangup_code = code.map(str::to_owned);
            event.hangup_cause = serde_json::from_value::<HangupCause>(json!(result)).ok();
        });
    }

    pub(crate) fn key(&mut self, at_s: f64, digit: &str) {
        self.event(at_s, EventName::Dtmf, |event| {
            event.dtmf_digit = Some(digit.to_owned());
        });
    }

    pub(crate) fn recorded(&mut self, at_s: f64, slot: u32, reason: EndReason, length_ms: u64) {
        self.hear(
            at_s,
            Input::RecordingEnded {
                slot: Slot(slot),
                reason,
                length_ms,
                media_name: Some(format!("local_stream://{slot}")),
            },
        );
    }

    pub(crate) fn gone(&mut self, at_s: f64) {
        self.event(at_s, EventName::ChannelDestroy, |_| {});
    }

    pub(crate) fn tick(&mut self, at_s: f64) {
        self.hear(at_s, Input::Tick);
    }

    pub(crate) fn position(&self) -> Option<Position> {
        self.transcript.position()
    }

    pub(crate) fn text(&self) -> &str {
        self.transcript.text()
    }
}

pub(crate) fn event(call_id: &CallId, fill: impl FnOnce(&mut CallEvent)) -> Box<CallEvent> {
    let mut event = CallEvent::new(call_id.clone(), Utc::from_unix_ms(0));
    fill(&mut event);
    Box::new(event)
}

pub(crate) fn call() -> CallInfo {
    let account = AccountId::parse("0123456789abcdef0123456789abcdef").expect("hex digits");
    let call_id = CallId::new("a-leg");
    CallInfo {
        caller_id_name: Some("Alice".to_owned()),
        caller_id_number: Some("1000".to_owned()),
        calling_device: Some("alices-phone".to_owned()),
        ..CallInfo::new(account, call_id, "m".to_owned(), "2000".to_owned())
    }
}

/// `system_config/media` as Kazoo would hold it.
pub(crate) fn media(config: &Value) -> MediaConfig {
    MediaConfig::read(config)
}

/// Bob and the devices, as the account holds them.
pub(crate) fn devices(documents: &[Value]) -> Answer {
    Answer::Endpoints(documents_of(&[json!({"_id": "bob"})], documents))
}

/// Users and devices, as the account holds them.
pub(crate) fn documents_of(users: &[Value], devices: &[Value]) -> Endpoints {
    Endpoints {
        realm: "acme.example".to_owned(),
        users: users.iter().map(User::read).collect(),
        devices: devices.iter().map(Device::read).collect(),
        ..Endpoints::default()
    }
}

pub(crate) fn phone(id: &str) -> Value {
    json!({"_id": id, "owner_id": "bob", "sip": {"username": id}})
}

/// One of the mission's four samples, with nothing changed.
pub(crate) fn sample(name: &str) -> Value {
    let path = format!(
        "{}/../../tests/data/mission/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What a dialplan error says was refused.
pub(crate) fn refused(command: serde_json::Value) -> Option<callreel_proto::Requested> {
    let command = command.as_object().expect("a command is an object").clone();
    Some(callreel_proto::Requested::Command(command))
}
