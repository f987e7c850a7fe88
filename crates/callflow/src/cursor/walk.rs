//! How a cursor gets from one action to the next: Kazoo's verbs, and the flows that take the place of others.

use std::sync::Arc;

use callreel_proto::{CallEvent, InsertAt};
use serde_json::Value;

use super::{Cursor, Phase};
use crate::flow::{Child, Flow, Node};
use crate::modules;
use crate::problem::Problem;
use crate::stage::Turn;
use crate::unbuilt;
use crate::wait::{Await, Outcome};

impl Cursor {
    pub(super) fn begin(&mut self) {
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
    pub(super) fn follow(&mut self, mut turn: Turn) {
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
        let Some((name, mut module)) = modules::build(&node.module) else {
            let message = match node.module.as_str() {
                "" => "an action without a module is skipped".to_owned(),
                name => format!("{}; skipped", unbuilt::why(name)),
            };
            self.stage.warn(message);
            return Turn::next();
        };
        let next = self.taken + self.stage.outbox.len();
        self.begun.push_back((next, name));
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
            let most = self.stage.settings.callflow.max_branches;
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
    pub(super) fn overlay(&mut self, document: &Value) {
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
    pub(super) fn pivot(&mut self, event: &CallEvent) -> bool {
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use callreel_proto::{AccountId, CallId};
    use serde_json::json;

    use super::*;
    use crate::talk::{CallInfo, Settings};

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
