//! What a module sees of its call and may do to it. Never decides what comes next.

mod action;
mod keys;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callreel_proto::{Application, CallEvent, HangupCause, InsertAt};

use crate::caller::Caller;
use crate::flow::{Flow, Node};
use crate::mandated::Callees;
use crate::missed::Missed;
use crate::order::{Meant, RecordingOrder, Slot};
use crate::pending::Recordings;
use crate::talk::{CallInfo, Effect, Query, Recorded, Settings};
use crate::wait::{Await, Outcome};

pub(crate) use keys::COLLECTION;

/// Kazoo waits this long for an answer command; no completion is not fatal.
const ANSWER_GUARD: Duration = Duration::from_secs(5);
/// Kazoo's `record` wait gives a lost RECORD_STOP this long; ours counts from the time limit, after the beep.
const MESSAGE_GUARD: Duration = Duration::from_secs(60);
/// A recording that has not begun after this has failed: our switch says so within milliseconds, one of others is given five
/// seconds by the recorder.
const START_GUARD: Duration = Duration::from_secs(10);
/// No call lasts longer, and an instant has its limits.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 24 * 60 * 60);
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

    /// The channel is gone while it waits: what it must give back. Nothing is said to the switch any more.
    fn hung_up(&mut self, stage: &mut Stage) {
        let _ = stage;
    }
}

/// What a module wants of the cursor.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Stay here until this has happened.
    Wait(Await),
    /// Stay here and go on with this: there is nothing to wait for.
    Resume(Outcome),
    /// Go to the child of this name, else to `_`.
    Continue(String),
    /// Go to the first child of these names that is not empty, else to `_`.
    Attempt(Vec<String>),
    /// Run that flow, then go to `_`.
    Branch(Flow),
    /// Run that flow instead of this one.
    Replace(Flow),
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
    /// How often it was warned about.
    warnings: usize,
    /// What is yet to be done. Bounded by the flow: one input walks each action at most once.
    pub(crate) outbox: VecDeque<Effect>,
    /// The recordings this flow started, and those it will start.
    pub(crate) recordings: Recordings,
    /// Who is rung, and who of them is recorded.
    pub(crate) callees: Callees,
    /// Whether the A leg is answered.
    pub(crate) answered: bool,
    /// Whether it talks to a B leg.
    pub(crate) bridged: bool,
    /// Who the flow makes of the caller.
    pub(crate) caller: Caller,
    /// Whether it was missed, and who wants to know.
    pub(crate) missed: Missed,
    /// Why the last bridge failed.
    pub(crate) last_failure: Option<HangupCause>,
    /// What the caller was asked to dial, by the name of the collection.
    pub(crate) collections: BTreeMap<String, String>,
    /// The last recording that has ended.
    pub(crate) last_recording: Option<Recorded>,
    /// How often a Pivot server was asked.
    pub(crate) pivots: u32,
    /// Keys that were pressed while a flow's own media was played: they are in Kazoo's default collection.
    pub(crate) kept_keys: String,
    /// Keys that were pressed while the flow was between two questions.
    early_keys: VecDeque<char>,
    marks: u32,
    slots: u32,
}

impl Stage {
    pub(crate) fn new(call: CallInfo, settings: Settings) -> Self {
        Self {
            answered: call.answered,
            bridged: false,
            caller: Caller::of(&call),
            call,
            settings,
            now: None,
            node: None,
            warnings: 0,
            outbox: VecDeque::new(),
            recordings: Recordings::default(),
            callees: Callees::default(),
            missed: Missed::default(),
            last_failure: None,
            collections: BTreeMap::new(),
            last_recording: None,
            pivots: 0,
            kept_keys: String::new(),
            early_keys: VecDeque::new(),
            marks: 0,
            slots: 0,
        }
    }

    /// The instant this long from now.
    pub(crate) fn after(&self, time: Duration) -> Instant {
        self.now
            .expect("modules run only while an input, which brings the time, is handled")
            + time.min(LONGEST_WAIT)
    }

    /// Asks for something to be done.
    pub(crate) fn effect(&mut self, effect: Effect) {
        let needs_a_channel = matches!(
            effect,
            Effect::Command { .. } | Effect::StartRecording(_) | Effect::RecordMessage(_)
        );
        if needs_a_channel && self.missed.end.is_some() {
            return;
        }
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

    /// Silences the switch: breaks the running media and drops what is queued.
    pub(crate) fn flush(&mut self) {
        self.marker(InsertAt::Flush);
    }

    /// A message id that no other message of this call has.
    pub(crate) fn request_id(&mut self) -> String {
        self.marks += 1;
        format!("{}-{}", self.call.talk_id, self.marks)
    }

    /// Sends a noop and gives its message id.
    pub(crate) fn marker(&mut self, insert_at: InsertAt) -> String {
        let id = self.request_id();
        self.effect(Effect::Command {
            insert_at,
            application: Application::Noop { filter: Vec::new() },
            msg_id: Some(id.clone()),
        });
        id
    }

    /// Looks something up.
    pub(crate) fn ask(&mut self, query: Query) -> Await {
        self.effect(Effect::Lookup(query));
        Await::Reply
    }

    /// Records the caller alone and says how to wait for the end.
    pub(crate) fn record_message(&mut self, order: RecordingOrder) -> Await {
        let slot = order.slot;
        let give_up = self.after(order.time_limit.saturating_add(MESSAGE_GUARD));
        self.effect(Effect::RecordMessage(Box::new(order)));
        Await::Recording { slot, give_up }
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
        for due in self.recordings.due(self.answered, self.bridged) {
            let slot = due.order.slot;
            self.effect(Effect::StartRecording(due.order));
            if let Some(by) = due.masked {
                let meant = Meant::Slot(slot);
                self.effect(Effect::Mask { meant, by });
            }
        }
    }

    /// Waits until a recording has begun, or has not.
    pub(crate) fn recording_begun(&self, slot: Slot) -> Await {
        let give_up = self.after(START_GUARD);
        Await::Begun { slot, give_up }
    }

    /// The channel is gone: recordings that still waited never begin, and nothing more is said to the switch.
    pub(crate) fn gone(&mut self, event: &CallEvent) {
        self.missed.end.get_or_insert_with(|| event.clone());
        for order in self.recordings.abandon() {
            self.effect(Effect::Skipped {
                pointer: order.pointer,
                reason: "the call ended before what the recording waited for".to_owned(),
                by: order.by,
            });
        }
    }
}
