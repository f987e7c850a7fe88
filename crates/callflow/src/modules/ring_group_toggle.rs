//! `ring_group_toggle`: logs the user that the caller is in to the ring groups of another callflow, or out of them.

use serde_json::{Value, json};

use crate::flow::escaped;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

/// Kazoo's word for "logged in": since the year 0.
const SINCE_EVER: u64 = 0;
/// Kazoo's word for "logged out": the year 2100, in seconds since the year 0.
const FOR_EVER: u64 = 66_269_664_000;
/// A flow nested deeper is refused as a whole, so nothing is rung there.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct RingGroupToggle {
    step: Step,
    /// Until when the caller is not rung.
    disable_until: u64,
    prompt: &'static str,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    #[default]
    Answer,
    Find,
    Change,
    Say,
}

impl Module for RingGroupToggle {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        (self.disable_until, self.prompt) = match stage.text("action").as_deref() {
            Some("login") => (SINCE_EVER, "agent-logged_in"),
            Some("logout") => (FOR_EVER, "agent-logged_out"),
            _ => {
                stage.warn_of("action", "use \"login\" or \"logout\"; skipped");
                return Turn::next();
            }
        };
        stage.answer_first()
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match std::mem::take(&mut self.step) {
            Step::Answer => self.find(stage),
            Step::Find => self.found(stage, outcome),
            Step::Change => self.changed(stage, &outcome),
            Step::Say => Turn::next(),
        }
    }
}

impl RingGroupToggle {
    fn find(&mut self, stage: &mut Stage) -> Turn {
        let Some(id) = stage.text("callflow_id") else {
            stage.warn_of("callflow_id", "no callflow is named");
            return self.refuse(stage);
        };
        self.step = Step::Find;
        Turn::Wait(stage.ask(Query::Document { id }))
    }

    fn found(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Outcome::Reply(Answer::Document(document)) = outcome else {
            stage.warn_of("callflow_id", "there is no such callflow in the account");
            return self.refuse(stage);
        };
        let mut places = Vec::new();
        if let Some(owner) = &stage.call.owner_id {
            memberships(&document["flow"], "/flow", owner, 0, &mut places);
        }
        if places.is_empty() {
            stage.warn("the caller is no member of a ring group there");
            return self.refuse(stage);
        }
        let until = json!(self.disable_until);
        let set = places.into_iter().map(|place| (place, until.clone()));
        let id = stage.text("callflow_id").unwrap_or_default();
        let set = set.collect();
        self.step = Step::Change;
        Turn::Wait(stage.ask(Query::Change { id, set }))
    }

    fn changed(&mut self, stage: &mut Stage, outcome: &Outcome) -> Turn {
        if !matches!(outcome, Outcome::Reply(Answer::Document(_))) {
            stage.warn("the callflow could not be changed");
            return self.refuse(stage);
        }
        self.say(stage, self.prompt)
    }

    fn refuse(&mut self, stage: &mut Stage) -> Turn {
        self.say(stage, "agent-invalid_choice")
    }

    fn say(&mut self, stage: &mut Stage, prompt: &str) -> Turn {
        self.step = Step::Say;
        stage.prompt(prompt);
        stage.until_heard()
    }
}

/// Where the user's `disable_until` stands in the ring groups of this action and those below.
fn memberships(action: &Value, place: &str, user: &str, depth: usize, found: &mut Vec<String>) {
    if depth > MAX_DEPTH {
        return;
    }
    let endpoints = action["data"]["endpoints"].as_array();
    let rings = action["module"] == "ring_group";
    for (at, endpoint) in endpoints
        .filter(|_| rings)
        .into_iter()
        .flatten()
        .enumerate()
    {
        if endpoint["endpoint_type"] == "user" && endpoint["id"] == user {
            found.push(format!("{place}/data/endpoints/{at}/disable_until"));
        }
    }
    for (key, child) in action["children"].as_object().into_iter().flatten() {
        let place = format!("{place}/children/{}", escaped(key));
        memberships(child, &place, user, depth + 1, found);
    }
}
