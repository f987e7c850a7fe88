//! Walks a flow with a made-up call and writes the talk down. Never touches a real call, document or clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use callreel_proto::{
    AccountId, Application, CallEvent, CallId, Device, EndReason, EventName, HangupCause, InsertAt,
    User, Utc, Vmbox,
};
use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::flow::{Flow, MalformedFlow};
use crate::order::{RecordingOrder, Slot};
use crate::talk::{Answer, CallInfo, Captures, Dialled, Effect, Endpoints, Input, Query, Settings};
use crate::transcript::Transcript;

/// A walk of more inputs is broken off: it goes round in circles, or plays something endlessly.
const LONGEST_WALK: usize = 500;
/// The made-up phone rings this long before it is answered.
const RINGING: Duration = Duration::from_secs(5);
/// The made-up parties talk, and the made-up caller speaks after a beep, this long.
const TALKING: Duration = Duration::from_secs(10);

/// How the made-up people behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Whoever is rung answers.
    Answered,
    /// Nobody answers.
    NotAnswered,
    /// Whoever is rung is busy.
    Busy,
}

impl World {
    const ALL: [Self; 3] = [Self::Answered, Self::NotAnswered, Self::Busy];

    fn describe(self) -> &'static str {
        match self {
            Self::Answered => "whoever is rung answers",
            Self::NotAnswered => "nobody answers",
            Self::Busy => "whoever is rung is busy",
        }
    }
}

/// Walks a callflow document, or a bare action, in every world that makes a difference, and gives the talks with headings.
/// `origin` may be any instant.
///
/// # Errors
/// The document is no callflow.
pub fn explain(document: &Value, origin: Instant) -> Result<String, MalformedFlow> {
    let flow = Flow::parse(document, false)?;
    let mut told: Vec<String> = Vec::new();
    let mut text = String::new();
    for world in World::ALL {
        let talk = walk(&flow, &Settings::default(), world, origin);
        if !told.contains(&talk) {
            if !told.is_empty() {
                text.push('\n');
            }
            text += &format!("If {}:\n\n{talk}", world.describe());
            told.push(talk);
        }
    }
    // Without a bridge it makes no difference who would answer.
    if let [only] = told.as_slice() {
        return Ok(only.clone());
    }
    Ok(text)
}

/// Walks the flow in this world and gives the talk, in the form of [`Transcript`]. `origin` may be any instant.
///
/// Every document the flow names exists: a user has one device, a box is empty, a callflow does nothing.
pub fn walk(flow: &Flow, settings: &Settings, world: World, origin: Instant) -> String {
    let call = example_call();
    let cursor = Cursor::new(flow.clone(), call.clone(), settings.clone());
    let mut transcript = Transcript::new(cursor, origin);
    let mut switch = Rehearsal::new(call, world);
    let mut next = (Duration::ZERO, Input::Started);
    for _ in 0..LONGEST_WALK {
        let (now, input) = next;
        let heard = transcript.hear(now, input);
        if heard.finished {
            return transcript.text().to_owned();
        }
        for effect in heard.effects {
            switch.perform(now, effect);
        }
        next = switch.next(now, heard.wake_at);
    }
    format!("{}… and so on\n", transcript.text())
}

fn example_call() -> CallInfo {
    let account_id = AccountId::parse("0123456789abcdef0123456789abcdef")
        .expect("it is 32 lower-case hex digits");
    let call_id = CallId::new("example-call");
    CallInfo {
        caller_id_name: Some("Alice".to_owned()),
        caller_id_number: Some("1000".to_owned()),
        ..CallInfo::new(account_id, call_id, "mark".to_owned(), "2000".to_owned())
    }
}

/// A switch, an account and a caller, as far as a cursor can tell.
#[derive(Debug)]
struct Rehearsal {
    call: CallInfo,
    world: World,
    /// What will be said, soonest first. Bounded by what one action asks for.
    coming: VecDeque<(Duration, Input)>,
    /// When the switch has done what it was told.
    busy_until: Duration,
}

impl Rehearsal {
    fn new(call: CallInfo, world: World) -> Self {
        Self {
            call,
            world,
            coming: VecDeque::new(),
            busy_until: Duration::ZERO,
        }
    }

    /// What happens next: what was caused, the tick asked for, or, where nothing else ever would, the caller hangs up.
    fn next(&mut self, now: Duration, wake_at: Option<Duration>) -> (Duration, Input) {
        match (self.coming.front(), wake_at) {
            (Some((at, _)), Some(tick)) if tick < *at => (tick, Input::Tick),
            (Some(_), _) => self.coming.pop_front().expect("there is one at the front"),
            (None, Some(tick)) => (tick, Input::Tick),
            (None, None) => (now + TALKING, self.event(EventName::ChannelDestroy, |_| {})),
        }
    }

    fn perform(&mut self, now: Duration, effect: Effect) {
        match effect {
            Effect::Command {
                insert_at,
                application,
                msg_id,
            } => self.command(now, insert_at, &application, msg_id),
            Effect::Lookup(query) => {
                let found = Input::Found(look_up(&self.call, &query));
                self.say(now, found);
            }
            Effect::RecordMessage(order) => self.record(now, &order),
            Effect::StartRecording(order) => {
                let slot = order.slot;
                self.say(now, Input::RecordingStarted { slot });
            }
            Effect::StopRecording { .. }
            | Effect::Mask { .. }
            | Effect::Unmask { .. }
            | Effect::Skipped { .. }
            | Effect::Notification { .. }
            | Effect::Warn { .. } => {}
        }
    }

    fn record(&mut self, now: Duration, order: &RecordingOrder) {
        let length = TALKING.min(order.time_limit);
        let at = self.take(now, length);
        self.say(at, recorded(order.slot, length));
    }

    fn command(
        &mut self,
        now: Duration,
        insert_at: InsertAt,
        application: &Application,
        msg_id: Option<String>,
    ) {
        if insert_at == InsertAt::Flush {
            self.coming.clear();
            self.busy_until = now;
        }
        let done_at = match insert_at {
            InsertAt::Now => now,
            _ => self.take(now, how_long(application)),
        };
        match application {
            Application::Bridge { timeout_s, .. } => self.bridge(done_at, timeout_s.unwrap_or(20)),
            Application::Hangup { .. } | Application::Respond { .. } => {
                let gone = self.event(EventName::ChannelDestroy, |_| {});
                self.say(done_at, gone);
            }
            Application::Play {
                endless: Some(true),
                ..
            } => self.busy_until = Duration::MAX,
            _ => {
                let done = self.event(EventName::ChannelExecuteComplete, |event| {
                    event.application_name = Some(application.name().to_owned());
                    event.application_response = msg_id;
                });
                self.say(done_at, done);
            }
        }
    }

    fn bridge(&mut self, now: Duration, timeout_s: u64) {
        let (after, result) = match self.world {
            World::Answered => (RINGING, None),
            World::NotAnswered => (
                Duration::from_secs(timeout_s),
                Some((HangupCause::NoAnswer, "sip:480")),
            ),
            World::Busy => (
                Duration::from_secs(1),
                Some((HangupCause::UserBusy, "sip:486")),
            ),
        };
        let mut at = self.take(now, after);
        if result.is_none() {
            for name in [EventName::ChannelAnswer, EventName::ChannelBridge] {
                let event = self.event(name, |_| {});
                self.say(at, event);
            }
            at = self.take(at, TALKING);
        }
        let complete = self.event(EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("bridge".to_owned());
            event.application_response = Some(
                result
                    .map_or("SUCCESS", |(cause, _)| cause.name())
                    .to_owned(),
            );
            event.hangup_code = result.map(|(_, code)| code.to_owned());
        });
        self.say(at, complete);
    }

    /// Occupies the switch for this long after what it is doing, and says until when.
    fn take(&mut self, now: Duration, length: Duration) -> Duration {
        self.busy_until = self.busy_until.max(now).saturating_add(length);
        self.busy_until
    }

    fn say(&mut self, at: Duration, input: Input) {
        // What an endless playback holds up never happens.
        if at < Duration::MAX {
            let place = self.coming.partition_point(|(other, _)| *other <= at);
            self.coming.insert(place, (at, input));
        }
    }

    fn event(&self, name: EventName, fill: impl FnOnce(&mut CallEvent)) -> Input {
        let mut event = CallEvent::new(self.call.call_id.clone(), Utc::from_unix_ms(0));
        fill(&mut event);
        Input::Event {
            name,
            event: Box::new(event),
        }
    }
}

fn recorded(slot: Slot, length: Duration) -> Input {
    Input::RecordingEnded {
        slot,
        reason: EndReason::Silence,
        length_ms: length.as_secs() * 1000,
    }
}

/// Made-up lengths: 15 characters are spoken in a second, a file lasts three.
fn how_long(application: &Application) -> Duration {
    match application {
        Application::Answer => Duration::from_millis(100),
        Application::Play { loop_count, .. } => {
            let times = loop_count.unwrap_or(1).clamp(1, 1000);
            Duration::from_secs(3 * times)
        }
        Application::Tts { text, .. } | Application::Say { text, .. } => {
            Duration::from_secs(text.chars().count().div_ceil(15) as u64)
        }
        Application::Tones { .. } => Duration::from_millis(600),
        _ => Duration::ZERO,
    }
}

fn look_up(call: &CallInfo, query: &Query) -> Answer {
    match query {
        Query::Callflow { .. } => Answer::Flow(json!({"flow": {"module": "noop", "data": {}}})),
        Query::UserEndpoints { id } => Answer::Endpoints(Endpoints {
            realm: "example.com".to_owned(),
            owner: Some(User::read(&json!({"_id": id}))),
            devices: vec![device("phone", "phone")],
        }),
        Query::DeviceEndpoint { id } => Answer::Endpoints(Endpoints {
            realm: "example.com".to_owned(),
            owner: None,
            devices: vec![device(id, "phone")],
        }),
        Query::Vmbox { id } => {
            let number: &Value = &json!(call.number);
            Answer::Vmbox(Vmbox::read(&json!({"_id": id, "mailbox": number})))
        }
        Query::MessageCount { .. } => Answer::Count(0),
        Query::Document { id } | Query::Change { id, .. } => Answer::Document(json!({"_id": id})),
        Query::Documents { .. } | Query::DocumentsOf { .. } => Answer::Documents(Vec::new()),
        Query::Dialled { number } => Answer::Dialled(Box::new(Dialled {
            document: json!({"_id": number, "flow": {"module": "noop", "data": {}}}),
            captures: Captures::default(),
            fallback: false,
        })),
        // A Monday at noon: most rules of time mean working hours.
        Query::LocalTime { .. } => Answer::LocalTime(jiff::civil::date(2024, 1, 8).at(12, 0, 0, 0)),
    }
}

fn device(id: &str, username: &str) -> Device {
    Device::read(&json!({"_id": id, "sip": {"username": username}}))
}
