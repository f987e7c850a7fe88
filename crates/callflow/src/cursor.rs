//! The cursor: where in its callflow a call is. Knows Kazoo's verbs (continue, branch, stop); never a module by name.

mod walk;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callreel_proto::{CallEvent, CallId, EventName};
use serde::Serialize;

use crate::flow::{Flow, Node};
use crate::stage::{Module, Stage, Turn};
use crate::talk::{CallInfo, Input, Output, Settings};
use crate::wait::{Await, Outcome};

/// Where a call is in its flow, for people and for the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The action's place in its document; in a branched-to document, the document's id and `#` stand before it.
    pub pointer: String,
    /// Its module.
    pub module: String,
    /// What it waits for.
    pub waiting_for: String,
}

/// So long a call whose channel is gone may take to see a recording through: delivery's disk may be slow, and a caller may call
/// again meanwhile.
const ENDING_GUARD: Duration = Duration::from_secs(60);

/// Walks one call through its callflow.
///
/// The verbs are Kazoo's. An action *continues* at the child named by its result, else at `_`; where there is neither, or the
/// child is `{}`, the flow *stops*. An action may *branch* into another flow; then its own `_` child is saved, and a stop
/// goes on there instead of ending the call. A stop with nothing saved hangs up.
#[derive(Debug)]
pub struct Cursor {
    stage: Stage,
    phase: Phase,
    flow: Flow,
    saved: Vec<Arc<Node>>,
    branches_left: u32,
    /// Actions entered so far.
    steps: u64,
    /// The modules begun since somebody asked last, each with the number of the effect that follows.
    begun: VecDeque<(usize, &'static str)>,
    /// Effects that were taken.
    taken: usize,
    exhausted: bool,
}

#[derive(Debug)]
enum Phase {
    Fresh,
    Walking(Box<dyn Module>, Await),
    /// The channel is gone, and the running module sees a recording through until this instant.
    Ending(Box<dyn Module>, Await, Instant),
    /// The flow has ended the call and waits for the channel to go.
    Leaving(Await),
    Over,
}

impl Cursor {
    /// A cursor at the flow's first action; nothing happens before [`Input::Started`].
    pub fn new(flow: Flow, call: CallInfo, settings: Settings) -> Self {
        Self {
            branches_left: settings.callflow.max_branches,
            stage: Stage::new(call, settings),
            phase: Phase::Fresh,
            flow,
            saved: Vec::new(),
            steps: 0,
            begun: VecDeque::new(),
            taken: 0,
            exhausted: false,
        }
    }

    /// Tells the cursor what happened. Ask [`Cursor::poll_output`] until it says wait or finished.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        self.stage.now = Some(now);
        if input == Input::Exhausted {
            self.exhausted = true;
        }
        if let Input::Event { name, event } = &input {
            if event.call_id != self.stage.call.call_id {
                return;
            }
            self.note(now, *name, event);
            if *name == EventName::ChannelPivot && self.pivot(event) {
                return;
            }
        }
        if let Input::Recorded(recorded) = &input {
            self.stage.last_recording = Some(recorded.clone());
        }
        if let Input::Overlay(document) = &input {
            return self.overlay(document);
        }
        if let Input::RecordingEnded { slot, .. } | Input::RecordingRefused { slot, .. } = &input {
            self.stage.recording_over(*slot);
        }
        self.go_on(now, input);
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Output {
        if let Some(effect) = self.stage.outbox.pop_front() {
            self.taken += 1;
            return Output::Effect(effect);
        }
        match &self.phase {
            Phase::Fresh => Output::Wait(None),
            Phase::Walking(_, awaited) | Phase::Leaving(awaited) => {
                Output::Wait(awaited.deadline())
            }
            Phase::Ending(_, _, give_up) => Output::Wait(Some(*give_up)),
            Phase::Over => Output::Finished,
        }
    }

    /// How many actions it has entered so far: each costs the account one token (Kazoo's token bucket).
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Where the call is; none before the start and after the end of the flow.
    pub fn position(&self) -> Option<Position> {
        let Phase::Walking(_, awaited) = &self.phase else {
            return None;
        };
        let node = self.stage.node.as_ref()?;
        Some(Position {
            pointer: node.pointer.clone(),
            module: node.module.clone(),
            waiting_for: awaited.to_string(),
        })
    }

    /// Whether it waits for the answer to what it asked last.
    pub fn awaits_answer(&self) -> bool {
        match &self.phase {
            Phase::Walking(_, awaited) | Phase::Ending(_, awaited, _) => {
                matches!(awaited, Await::Reply)
            }
            Phase::Fresh | Phase::Leaving(_) | Phase::Over => false,
        }
    }

    /// The modules that were begun since this was asked last, and before what [`Cursor::poll_output`] gives next.
    pub fn take_begun(&mut self) -> Option<&'static str> {
        let due = |(before, _): &mut (usize, &str)| *before <= self.taken;
        self.begun.pop_front_if(due).map(|(_, module)| module)
    }

    /// How many flows wait until what runs is over.
    pub fn to_come(&self) -> usize {
        self.saved.len()
    }

    /// The id of the device that the flow rang under this Call-ID, in its newest bridge.
    pub fn device_of(&self, leg: &CallId) -> Option<&str> {
        self.stage.device_of(leg)
    }

    /// What is true of the channel whatever the running module waits for.
    fn note(&mut self, now: Instant, name: EventName, event: &CallEvent) {
        match name {
            EventName::ChannelAnswer => self.stage.set_answered(),
            EventName::ChannelExecuteComplete
                if event.application_name.as_deref() == Some("answer") =>
            {
                self.stage.set_answered();
            }
            EventName::ChannelExecuteComplete
                if event.application_name.as_deref() == Some("bridge")
                    && event.length_ms.is_none() =>
            {
                self.stage.parted();
            }
            EventName::ChannelBridge => {
                self.stage.set_bridged(true);
                self.stage.missed.bridged = true;
                if let Some(leg) = &event.other_leg_call_id {
                    self.stage.joined(leg);
                }
            }
            EventName::ChannelUnbridge => {
                self.stage.set_bridged(false);
                self.stage.parted();
            }
            // Kazoo takes a channel whose switch is lost for one that is gone.
            EventName::ChannelDestroy | EventName::ChannelDisconnected => {
                self.stage.gone(event);
                self.phase = match std::mem::replace(&mut self.phase, Phase::Over) {
                    Phase::Walking(module, awaited @ Await::Recording { .. }) => {
                        Phase::Ending(module, awaited, now + ENDING_GUARD)
                    }
                    Phase::Ending(module, awaited, give_up) => {
                        Phase::Ending(module, awaited, give_up)
                    }
                    Phase::Walking(mut module, _) => {
                        module.hung_up(&mut self.stage);
                        self.stage.tell_missed();
                        Phase::Over
                    }
                    Phase::Fresh | Phase::Leaving(_) | Phase::Over => {
                        self.stage.tell_missed();
                        Phase::Over
                    }
                };
            }
            EventName::ChannelReplaced => {
                if let Some(successor) = &event.replaced_by {
                    self.stage.call.call_id = successor.clone();
                }
            }
            EventName::DialplanError => {
                let what = event.error_message.as_deref().unwrap_or("no reason given");
                self.stage
                    .warn(format!("the switch refused a command: {what}"));
            }
            _ => {}
        }
    }

    fn go_on(&mut self, now: Instant, input: Input) {
        match &mut self.phase {
            Phase::Fresh if input == Input::Started => self.begin(),
            Phase::Walking(module, awaited) => {
                let Some(outcome) = awaited.hear(&mut self.stage, now, input) else {
                    return;
                };
                let turn = module.resume(&mut self.stage, outcome);
                self.follow(turn);
            }
            Phase::Ending(module, awaited, give_up) => {
                let over = match awaited.hear(&mut self.stage, now, input) {
                    Some(outcome) => {
                        !sees_through(module.as_mut(), &mut self.stage, outcome, awaited)
                    }
                    None => now >= *give_up,
                };
                if over {
                    self.stage.tell_missed();
                    self.phase = Phase::Over;
                }
            }
            Phase::Leaving(awaited) => {
                if let Some(Outcome::TimedOut) = awaited.hear(&mut self.stage, now, input) {
                    self.phase = Phase::Over;
                }
            }
            Phase::Fresh | Phase::Over => {}
        }
    }
}

/// Lets a module whose channel is gone finish what a recording's end needs: documents, notifications. Says whether it still
/// waits for something that comes without a channel.
fn sees_through(
    module: &mut dyn Module,
    stage: &mut Stage,
    mut outcome: Outcome,
    awaited: &mut Await,
) -> bool {
    loop {
        match module.resume(stage, outcome) {
            Turn::Resume(next) => outcome = next,
            Turn::Wait(next @ (Await::Recording { .. } | Await::Reply)) => {
                *awaited = next;
                return true;
            }
            _ => return false,
        }
    }
}
