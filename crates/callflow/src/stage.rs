//! What a module sees of its call and may do to it, and the ways it can wait. Never decides what comes next.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Display, Formatter};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callreel_proto::{
    Application, CallEvent, EndReason, EventName, HangupCause, InsertAt, Terminators, lenient_bool,
    lenient_u64,
};
use serde_json::Value;

use crate::flow::{Flow, Node, kind};
use crate::order::Slot;
use crate::pending::Recordings;
use crate::talk::{Answer, CallInfo, Effect, Input, Query, Settings};

/// Kazoo waits this long for an answer command; no completion is not fatal.
const ANSWER_GUARD: Duration = Duration::from_secs(5);
/// A channel that was told to go is given this long: the switch says BYE at once, and retransmits it for half a minute.
const LEAVE_GUARD: Duration = Duration::from_secs(40);

/// A callflow module while it runs one action.
pub(crate) trait Module: Debug + Send + Sync {
    /// Begins.
    fn start(&mut self, stage: &mut Stage) -> Turn;

    /// Goes on after what it waited for.
    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let _ = (stage, outcome);
        Turn::next()
    }
}

/// What a module wants of the cursor.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Stay here until this has happened.
    Wait(Await),
    /// Go to the child of this name, else to `_`.
    Continue(String),
    /// Go to the first child of these names that is not empty, else to `_`.
    Attempt(Vec<String>),
    /// Run that flow, then go to `_`.
    Branch(Flow),
    /// The flow ends here.
    Stop,
    /// The call has been ended by a command already sent.
    Leave,
}

impl Turn {
    /// Go to `_`.
    pub(crate) fn next() -> Self {
        Self::Continue("_".to_owned())
    }
}

/// What a module waits for.
#[derive(Debug)]
pub(crate) enum Await {
    /// Nothing: the module is being started.
    Nothing,
    /// The answer command is done.
    Answered { give_up: Instant },
    /// The switch has come to this noop; with `keys`, a key of the caller ends the wait too.
    Mark { msg_id: String, keys: bool },
    /// The bridge is over. Endless once the legs are joined.
    Bridge { give_up: Option<Instant> },
    /// The message recording is over.
    Recording(Slot),
    /// The reply to a lookup.
    Reply,
    /// This instant.
    Until(Instant),
    /// The channel to go.
    Gone { give_up: Instant },
}

/// How a wait ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// As wanted, or the command was refused and there is nothing to wait for.
    Done,
    /// At its instant.
    TimedOut,
    /// By a key of the caller.
    Key,
    /// With this reply.
    Reply(Answer),
    /// The bridge was answered, and is over.
    Talked,
    /// The bridge was not answered.
    NotAnswered(Box<CallEvent>),
    /// The message recording has ended.
    Recorded { reason: EndReason, length_ms: u64 },
    /// The message recording never began.
    NotRecorded(String),
}

impl Await {
    pub(crate) fn nothing() -> Self {
        Self::Nothing
    }

    /// When a tick is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Answered { give_up } | Self::Gone { give_up } => Some(*give_up),
            Self::Bridge { give_up } => *give_up,
            Self::Until(instant) => Some(*instant),
            Self::Nothing | Self::Mark { .. } | Self::Recording(_) | Self::Reply => None,
        }
    }

    /// Whether this ends the wait, and how.
    pub(crate) fn hear(&mut self, now: Instant, input: Input) -> Option<Outcome> {
        let heard = match input {
            Input::Event { name, event } => self.hear_event(name, event),
            Input::Found(answer) => matches!(self, Self::Reply).then_some(Outcome::Reply(answer)),
            Input::RecordingEnded {
                slot,
                reason,
                length_ms,
            } => self
                .is_recording(slot)
                .then_some(Outcome::Recorded { reason, length_ms }),
            Input::RecordingRefused { slot, reason } => self
                .is_recording(slot)
                .then_some(Outcome::NotRecorded(reason)),
            Input::Started | Input::Tick => None,
        };
        // The clock counts whatever woke us, so that a busy call cannot starve its own deadlines.
        heard.or_else(|| {
            self.deadline()
                .is_some_and(|due| now >= due)
                .then_some(Outcome::TimedOut)
        })
    }

    fn is_recording(&self, slot: Slot) -> bool {
        matches!(self, Self::Recording(awaited) if *awaited == slot)
    }

    fn hear_event(&mut self, name: EventName, event: Box<CallEvent>) -> Option<Outcome> {
        match self {
            Self::Answered { .. } => {
                let done = name == EventName::ChannelAnswer
                    || completes(name, &event, "answer")
                    || refuses(name, &event, "answer", None);
                done.then_some(Outcome::Done)
            }
            Self::Mark { msg_id, keys } => match name {
                EventName::Dtmf if *keys => Some(Outcome::Key),
                _ => {
                    let reached = completes(name, &event, "noop")
                        && event.application_response.as_deref() == Some(msg_id);
                    (reached || refuses(name, &event, "noop", Some(msg_id)))
                        .then_some(Outcome::Done)
                }
            },
            Self::Bridge { give_up } => {
                if name == EventName::ChannelBridge {
                    *give_up = None;
                }
                if completes(name, &event, "bridge") {
                    return Some(if succeeded(&event) {
                        Outcome::Talked
                    } else {
                        Outcome::NotAnswered(event)
                    });
                }
                refuses(name, &event, "bridge", None).then_some(Outcome::NotAnswered(event))
            }
            Self::Nothing
            | Self::Recording(_)
            | Self::Reply
            | Self::Until(_)
            | Self::Gone { .. } => None,
        }
    }
}

fn completes(name: EventName, event: &CallEvent, application: &str) -> bool {
    name == EventName::ChannelExecuteComplete
        && event.application_name.as_deref() == Some(application)
}

/// A dialplan error about a command of this name. Kazoo matches by name; where the error carries the command's `Msg-ID`, it
/// must be ours.
fn refuses(name: EventName, event: &CallEvent, application: &str, msg_id: Option<&str>) -> bool {
    if name != EventName::DialplanError {
        return false;
    }
    let refused = |key| {
        event
            .refused
            .as_ref()
            .and_then(|command| command.get(key))
            .and_then(Value::as_str)
    };
    let named = refused("Application-Name").or(event.application_name.as_deref());
    let ours = match (refused("Msg-ID"), msg_id) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => true,
    };
    named == Some(application) && ours
}

/// Kazoo's test of a bridge's result (`kapps_call_command:wait_for_bridge`).
fn succeeded(event: &CallEvent) -> bool {
    event.disposition.as_deref() == Some("SUCCESS")
        || event.application_response.as_deref() == Some("SUCCESS")
        || event.hangup_code.as_deref() == Some("sip:200")
}

impl Display for Await {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Answered { .. } => "the answer",
            Self::Mark { keys: true, .. } => "the end of playback, or a key",
            Self::Mark { .. } => "the end of playback",
            Self::Bridge { give_up: Some(_) } => "the bridge to be answered",
            Self::Bridge { .. } => "the bridge to end",
            Self::Recording(_) => "the end of the message",
            Self::Reply => "a document",
            Self::Until(_) => "time to pass",
            Self::Gone { .. } => "the channel to go",
        })
    }
}

/// The call as its modules see it.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The call.
    pub(crate) call: CallInfo,
    /// The system's settings.
    pub(crate) settings: Settings,
    /// When the last input came; none before the first.
    pub(crate) now: Option<Instant>,
    /// The running action.
    pub(crate) node: Option<Arc<Node>>,
    /// What is yet to be done. Bounded by the flow: one input walks each action at most once.
    pub(crate) outbox: VecDeque<Effect>,
    /// The recordings this flow started, and those it will start.
    pub(crate) recordings: Recordings,
    /// Whether the A leg is answered.
    pub(crate) answered: bool,
    /// Whether it talks to a B leg.
    pub(crate) bridged: bool,
    /// Why the last bridge failed.
    pub(crate) last_failure: Option<HangupCause>,
    marks: u32,
    slots: u32,
}

impl Stage {
    pub(crate) fn new(call: CallInfo, settings: Settings) -> Self {
        Self {
            answered: call.answered,
            bridged: false,
            call,
            settings,
            now: None,
            node: None,
            outbox: VecDeque::new(),
            recordings: Recordings::default(),
            last_failure: None,
            marks: 0,
            slots: 0,
        }
    }

    /// The instant this long from now. Callers keep to a day: an instant has its limits.
    pub(crate) fn after(&self, time: Duration) -> Instant {
        self.now
            .expect("modules run only while an input, which brings the time, is handled")
            + time
    }

    /// Asks for something to be done.
    pub(crate) fn effect(&mut self, effect: Effect) {
        self.outbox.push_back(effect);
    }

    /// Queues a command behind those already sent.
    pub(crate) fn command(&mut self, application: Application) {
        self.command_at(InsertAt::Tail, application);
    }

    /// Sends a command.
    pub(crate) fn command_at(&mut self, insert_at: InsertAt, application: Application) {
        self.effect(Effect::Command {
            insert_at,
            application,
            msg_id: None,
        });
    }

    /// Queues the answer command, unless the call is answered, and says how to wait for it.
    pub(crate) fn answer(&mut self) -> Option<Await> {
        if self.answered {
            return None;
        }
        self.command(Application::Answer);
        let give_up = self.after(ANSWER_GUARD);
        Some(Await::Answered { give_up })
    }

    /// Queues a marker and waits until the switch has done all that was queued before it.
    pub(crate) fn mark(&mut self) -> Await {
        let msg_id = self.marker(InsertAt::Tail);
        let keys = false;
        Await::Mark { msg_id, keys }
    }

    /// The same, but a key of the caller ends the wait.
    pub(crate) fn mark_or_key(&mut self) -> Await {
        let msg_id = self.marker(InsertAt::Tail);
        let keys = true;
        Await::Mark { msg_id, keys }
    }

    /// Silences the switch: breaks the running media and drops what is queued.
    pub(crate) fn flush(&mut self) {
        self.marker(InsertAt::Flush);
    }

    fn marker(&mut self, insert_at: InsertAt) -> String {
        self.marks += 1;
        let id = format!("{}-{}", self.call.talk_id, self.marks);
        self.effect(Effect::Command {
            insert_at,
            application: Application::Noop,
            msg_id: Some(id.clone()),
        });
        id
    }

    /// Looks something up.
    pub(crate) fn ask(&mut self, query: Query) -> Await {
        self.effect(Effect::Lookup(query));
        Await::Reply
    }

    /// Ends the call.
    pub(crate) fn hang_up(&mut self, insert_at: InsertAt, cause: Option<HangupCause>) -> Turn {
        let hangup = Application::Hangup {
            hangup_cause: cause,
            other_leg_only: None,
        };
        self.command_at(insert_at, hangup);
        Turn::Leave
    }

    /// Waits for the channel to go.
    pub(crate) fn leaving(&self) -> Await {
        let give_up = self.after(LEAVE_GUARD);
        Await::Gone { give_up }
    }

    /// The next recording's name.
    pub(crate) fn slot(&mut self) -> Slot {
        self.slots += 1;
        Slot(self.slots)
    }

    /// The A leg is answered: recordings that waited for it begin.
    pub(crate) fn set_answered(&mut self) {
        self.answered = true;
        self.start_due();
    }

    /// The legs are joined, or parted: recordings that waited for a bridge begin.
    pub(crate) fn set_bridged(&mut self, bridged: bool) {
        self.bridged = bridged;
        self.start_due();
    }

    /// Starts the recordings whose time has come.
    pub(crate) fn start_due(&mut self) {
        for order in self.recordings.due(self.answered, self.bridged) {
            self.effect(Effect::StartRecording(Box::new(order)));
        }
    }

    /// The call is gone: recordings that still waited never begin.
    pub(crate) fn abandon(&mut self) {
        for order in self.recordings.abandon() {
            self.effect(Effect::Skipped {
                pointer: order.pointer,
                reason: "the call ended before what the recording waited for".to_owned(),
            });
        }
    }

    /// The running action's place.
    pub(crate) fn pointer(&self) -> String {
        self.node
            .as_ref()
            .map(|node| node.pointer.clone())
            .unwrap_or_default()
    }

    /// Warns about the running action.
    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        let pointer = self.pointer();
        self.warn_at(&pointer, message);
    }

    /// Warns about one of the running action's data keys.
    pub(crate) fn warn_of(&mut self, key: &str, message: impl Into<String>) {
        let pointer = self
            .node
            .as_ref()
            .map(|node| node.pointer_to(key))
            .unwrap_or_default();
        self.warn_at(&pointer, message);
    }

    /// Warns about a place.
    pub(crate) fn warn_at(&mut self, pointer: &str, message: impl Into<String>) {
        self.effect(Effect::Warn {
            pointer: pointer.to_owned(),
            message: message.into(),
        });
    }

    /// A data key's value; JSON null counts as absent.
    pub(crate) fn value(&self, key: &str) -> Option<Value> {
        self.node
            .as_ref()
            .and_then(|node| node.data.get(key))
            .filter(|value| !value.is_null())
            .cloned()
    }

    /// A data key's text; empty counts as absent, a number as its digits.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let read = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        self.read(key, "a string", read).filter(|s| !s.is_empty())
    }

    /// A data key's whole number.
    pub(crate) fn whole(&mut self, key: &str) -> Option<u64> {
        self.read(key, "a whole number", lenient_u64)
    }

    /// A data key's truth.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", lenient_bool)
    }

    /// The keys that end a playback; all of them when the data names none.
    pub(crate) fn terminators(&mut self) -> Terminators {
        let read = |value: &Value| serde_json::from_value::<Terminators>(value.clone()).ok();
        let mut keys = self
            .read("terminators", "an array of keys", read)
            .unwrap_or_else(Terminators::any);
        keys.0.retain(|key| Terminators::any().contains(key));
        keys
    }

    fn read<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let found = read(&value);
        if found.is_none() {
            let message = format!("wanted {wanted}, found {}; ignored", kind(&value));
            self.warn_of(key, message);
        }
        found
    }
}
