//! The cursor: where in its callflow a call is. Knows Kazoo's verbs (continue, branch, stop); never a module by name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callreel_proto::{CallEvent, CallId, EventName, InsertAt};
use serde::Serialize;
use serde_json::Value;

use crate::flow::{Child, Flow, Node};
use crate::modules;
use crate::problem::Problem;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{CallInfo, Input, Output, Settings};
use crate::unbuilt;
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
            branches_left: settings.max_branches,
            stage: Stage::new(call, settings),
            phase: Phase::Fresh,
            flow,
            saved: Vec::new(),
            steps: 0,
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

    fn begin(&mut self) {
        let flow = self.flow.clone();
        self.stage.mandates();
        self.repeat_warnings(flow.warnings());
        let turn = match flow.root() {
            Some(root) => self.enter(root.clone()),
            None => Turn::Stop,
        };
        self.follow(turn);
    }

    fn repeat_warnings(&mut self, warnings: &[Problem]) {
        for problem in warnings {
            self.stage.warn_at(&problem.pointer, &problem.message);
        }
    }

    /// Walks from action to action until one has to wait. Bounded: a flow is finite, a branch waits for its document, and a
    /// module that goes on at once has used up a key of the caller or answered the call.
    fn follow(&mut self, mut turn: Turn) {
        loop {
            turn = match turn {
                Turn::Wait(awaited) => {
                    match &mut self.phase {
                        Phase::Walking(_, waiting) => *waiting = awaited,
                        other => *other = Phase::Leaving(awaited),
                    }
                    return;
                }
                Turn::Resume(outcome) => self.resume(outcome),
                Turn::Continue(key) => self.continue_at(&key),
                Turn::Attempt(keys) => self.attempt(&keys),
                Turn::Branch(flow) => self.branch(&flow),
                Turn::Replace(flow) => self.replace(&flow),
                Turn::Stop => self.stop(),
                Turn::Leave => {
                    self.phase = Phase::Leaving(self.stage.leaving());
                    return;
                }
            };
        }
    }

    fn resume(&mut self, outcome: Outcome) -> Turn {
        match &mut self.phase {
            Phase::Walking(module, _) => module.resume(&mut self.stage, outcome),
            Phase::Fresh | Phase::Ending(..) | Phase::Leaving(_) | Phase::Over => Turn::Stop,
        }
    }

    /// Enters an action: builds its module and lets it begin.
    fn enter(&mut self, node: Arc<Node>) -> Turn {
        self.stage.enter(node.clone());
        if self.exhausted {
            self.stage
                .warn("the account runs more actions than it may; hanging up");
            self.saved.clear();
            return self.stop();
        }
        self.steps += 1;
        if self.stage.flag("skip_module") == Some(true) {
            return Turn::next();
        }
        let Some(mut module) = modules::build(&node.module) else {
            let message = match node.module.as_str() {
                "" => "an action without a module is skipped".to_owned(),
                name => format!("{}; skipped", unbuilt::why(name)),
            };
            self.stage.warn(message);
            return Turn::next();
        };
        let turn = module.start(&mut self.stage);
        self.phase = Phase::Walking(module, Await::Nothing);
        turn
    }

    /// Kazoo's `continue`: the child of that name, else `_`, else the flow ends. A child `{}` ends it too.
    fn continue_at(&mut self, key: &str) -> Turn {
        let Some(node) = self.stage.node.clone() else {
            return Turn::Stop;
        };
        match node.child(key).or_else(|| node.child("_")) {
            Some(Child::Action(action)) => self.enter(action.clone()),
            Some(Child::Empty) | None => Turn::Stop,
        }
    }

    /// Kazoo's `attempt`, key after key: the first child that is there and not `{}`, else as `continue`.
    fn attempt(&mut self, keys: &[String]) -> Turn {
        let wanted = self
            .stage
            .node
            .as_ref()
            .and_then(|node| keys.iter().find_map(|key| node.action(key).cloned()));
        match wanted {
            Some(action) => self.enter(action),
            None => self.continue_at("_"),
        }
    }

    fn branch(&mut self, flow: &Flow) -> Turn {
        if self.branches_left == 0 {
            let most = self.stage.settings.max_branches;
            self.stage
                .warn(format!("a call branches at most {most} times; hanging up"));
            self.saved.clear();
            return Turn::Stop;
        }
        self.branches_left -= 1;
        self.repeat_warnings(flow.warnings());
        if let Some(node) = &self.stage.node
            && let Some(after) = node.action("_")
        {
            self.saved.push(after.clone());
        }
        match flow.root() {
            Some(root) => self.enter(root.clone()),
            None => Turn::Stop,
        }
    }

    /// Runs another flow when the one that runs would end (Kazoo's konami `callflow`). It counts as a branch, so that keys cannot
    /// pile up flows.
    fn overlay(&mut self, document: &Value) {
        if !matches!(self.phase, Phase::Walking(..)) || self.branches_left == 0 {
            return self.stage.warn("the flow is over; no other is run");
        }
        let id = document.get("_id").and_then(Value::as_str);
        let origin = format!("{}#", id.unwrap_or_default());
        match Flow::parse_below(&origin, document, self.stage.settings.strict) {
            Ok(flow) => {
                self.branches_left -= 1;
                self.repeat_warnings(flow.warnings());
                self.saved.extend(flow.root().cloned());
            }
            Err(malformed) => self.stage.warn(format!("{malformed}; it is not run")),
        }
    }

    /// Runs another flow in the place of this one; what was saved is forgotten (Kazoo's `CHANNEL_PIVOT`). It counts as a branch,
    /// so that two flows that serve each other come to an end.
    fn replace(&mut self, flow: &Flow) -> Turn {
        self.saved.clear();
        let turn = self.branch(flow);
        self.saved.clear();
        turn
    }

    /// Another application has a flow for this call (Kazoo's Pivot): it runs from here on, and what is queued on the switch is
    /// not heard any more. One that cannot be run changes nothing. Whether it runs.
    fn pivot(&mut self, event: &CallEvent) -> bool {
        if !matches!(self.phase, Phase::Walking(..)) {
            return false;
        }
        let text = event.application_data.as_deref().unwrap_or_default();
        let read = serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        let strict = self.stage.settings.strict;
        let flow = read.and_then(|document| {
            Flow::parse_below("CHANNEL_PIVOT#", &document, strict).map_err(|m| m.to_string())
        });
        match flow {
            Ok(flow) => {
                self.stage.flush();
                let turn = self.replace(&flow);
                self.follow(turn);
                true
            }
            Err(reason) => {
                self.stage.warn(format!(
                    "another application's flow for this call cannot be run ({reason}); this one goes on"
                ));
                false
            }
        }
    }

    /// Goes on where the last branch left off, else hangs up.
    fn stop(&mut self) -> Turn {
        if let Some(node) = self.saved.pop() {
            return self.enter(node);
        }
        // To a caller who never was answered, the hang-up is the answer: it says why nobody could be reached.
        let cause = self.stage.last_failure.filter(|_| !self.stage.answered);
        self.stage.hang_up(InsertAt::Tail, cause)
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

#[cfg(test)]
mod tests {
    use callreel_proto::AccountId;
    use serde_json::json;

    use super::*;

    /// No module of today branches by a word of its own except those that bridge; menus will.
    #[test]
    fn continue_takes_the_named_child_else_any_and_an_empty_one_ends_the_flow() {
        let document = json!({"module": "noop", "data": {}, "children": {
            "1": {"module": "sleep", "data": {"duration": 1}}, "2": {}, "_": {"module": "sleep", "data": {"duration": 2}}
        }});
        let flow = Flow::parse(&document, true).unwrap();
        let after = |key: &str| {
            let call_id = CallId::new("a");
            let call = CallInfo::new(AccountId::random(), call_id, "m".to_owned(), "1".to_owned());
            let mut cursor = Cursor::new(flow.clone(), call, Settings::default());
            cursor.stage.now = Some(Instant::now());
            cursor.stage.node = flow.root().cloned();
            let turn = cursor.continue_at(key);
            cursor.follow(turn);
            cursor.position().map(|at| at.pointer)
        };
        assert_eq!(after("1").as_deref(), Some("/children/1"));
        assert_eq!(after("2"), None);
        assert_eq!(after("3").as_deref(), Some("/children/_"));
    }
}
