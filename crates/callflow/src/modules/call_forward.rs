//! `call_forward`: switches the caller's call forwarding on and off, and takes the number that calls go to.

use std::time::Duration;

use callreel_proto::{Terminators, lenient_bool};
use serde_json::{Value, json};

use crate::dialogue::INTERDIGIT;
use crate::digits::Wanted;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

/// Kazoo's `min_callfwd_number_length`.
const SHORTEST_NUMBER: usize = 3;
/// Kazoo's `max_callfwd_number_length`.
const LONGEST_NUMBER: usize = 20;
/// Kazoo's `callfwd_number_timeout`.
const FIRST_KEY: Duration = Duration::from_secs(8);
/// Kazoo asks for ever; nobody needs more.
const MOST_QUESTIONS: u32 = 6;

#[derive(Debug, Default)]
pub(crate) struct CallForward {
    step: Step,
    action: Action,
    /// Whose calls are forwarded; none if nobody's can be.
    owner: Option<String>,
    enabled: bool,
    number: String,
    questions: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Action {
    Activate,
    Deactivate,
    Update,
    Toggle,
    Menu,
    #[default]
    Unknown,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    #[default]
    Find,
    Answer,
    Choose,
    /// The number; with it the calls are forwarded, too.
    Dial {
        activate: bool,
    },
    Change,
    Say,
}

impl Module for CallForward {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        self.action = action(stage);
        let own = [
            stage.call.owner_id.clone(),
            stage.call.calling_device.clone(),
        ];
        let ids = own.into_iter().flatten().take(1).collect();
        Turn::Wait(stage.ask(Query::Documents { ids }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match (std::mem::take(&mut self.step), outcome) {
            (Step::Find, outcome) => self.found(stage, outcome),
            (Step::Answer, _) => self.act(stage),
            (Step::Choose, Outcome::Digits(digits)) => self.chosen(stage, &digits.keys),
            (Step::Dial { activate }, Outcome::Digits(digits)) => {
                self.dialled(stage, activate, digits.keys)
            }
            (Step::Change, outcome) => self.changed(stage, &outcome),
            (Step::Say, _) if self.owner.is_none() => Turn::Stop,
            (Step::Say, _) if self.action == Action::Menu => self.choose(stage),
            (Step::Choose | Step::Dial { .. } | Step::Say, _) => Turn::next(),
        }
    }
}

impl CallForward {
    fn found(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        if let Outcome::Reply(Answer::Documents(documents)) = outcome
            && let Some(document) = documents.first()
        {
            let forward = &document["call_forward"];
            self.owner = document["_id"].as_str().map(str::to_owned);
            self.enabled = lenient_bool(&forward["enabled"]).unwrap_or(false);
            self.number = match &forward["number"] {
                Value::String(number) => number.clone(),
                Value::Number(number) => number.to_string(),
                _ => String::new(),
            };
        } else {
            stage.warn("the caller is neither a user nor a device: no calls can be forwarded");
        }
        self.step = Step::Answer;
        stage.answer_first()
    }

    fn act(&mut self, stage: &mut Stage) -> Turn {
        if self.owner.is_none() {
            return self.say(stage, "cf-not_available");
        }
        match self.action {
            Action::Activate => self.activate(stage),
            Action::Deactivate => self.change(stage, false),
            Action::Update => self.dial(stage, false),
            Action::Toggle => self.toggle(stage),
            Action::Menu => self.choose(stage),
            Action::Unknown => Turn::next(),
        }
    }

    fn toggle(&mut self, stage: &mut Stage) -> Turn {
        match (self.enabled, self.number.is_empty()) {
            (true, _) => self.change(stage, false),
            (false, false) => self.change(stage, true),
            (false, true) => self.activate(stage),
        }
    }

    /// To what was dialled behind the feature code, else to what is asked for.
    fn activate(&mut self, stage: &mut Stage) -> Turn {
        self.dial(stage, true)
    }

    fn dial(&mut self, stage: &mut Stage, activate: bool) -> Turn {
        let captured = stage.call.captures.group.clone();
        if let Some(number) = captured.filter(|number| !number.is_empty()) {
            self.number = number;
            return self.change(stage, activate || self.enabled);
        }
        if self.questions >= MOST_QUESTIONS {
            return self.give_up(stage);
        }
        self.questions += 1;
        stage.prompt("cf-enter_number");
        self.step = Step::Dial { activate };
        stage.ask_keys(Wanted {
            max: LONGEST_NUMBER,
            first: FIRST_KEY,
            interdigit: INTERDIGIT,
            terminators: Terminators("#".to_owned()),
        })
    }

    fn dialled(&mut self, stage: &mut Stage, activate: bool, keys: String) -> Turn {
        if keys.len() < SHORTEST_NUMBER {
            return self.dial(stage, activate);
        }
        self.number = keys;
        self.change(stage, activate || self.enabled)
    }

    fn choose(&mut self, stage: &mut Stage) -> Turn {
        if self.questions >= MOST_QUESTIONS {
            return Turn::next();
        }
        self.questions += 1;
        stage.prompt(match self.enabled {
            true => "cf-enabled_menu",
            false => "cf-disabled_menu",
        });
        self.step = Step::Choose;
        stage.ask_key(FIRST_KEY)
    }

    fn chosen(&mut self, stage: &mut Stage, key: &str) -> Turn {
        match key {
            "1" => self.toggle(stage),
            "2" => self.dial(stage, false),
            _ => self.choose(stage),
        }
    }

    fn give_up(&mut self, stage: &mut Stage) -> Turn {
        self.action = Action::Unknown;
        self.say(stage, "fault-too_many_invalid_entries")
    }

    fn change(&mut self, stage: &mut Stage, enabled: bool) -> Turn {
        self.enabled = enabled;
        let id = self.owner.clone().unwrap_or_default();
        let set = vec![
            ("/call_forward/enabled".to_owned(), json!(enabled)),
            ("/call_forward/number".to_owned(), json!(self.number)),
        ];
        self.step = Step::Change;
        Turn::Wait(stage.ask(Query::Change { id, set }))
    }

    fn changed(&mut self, stage: &mut Stage, outcome: &Outcome) -> Turn {
        if !matches!(outcome, Outcome::Reply(Answer::Document(_))) {
            stage.warn("the document could not be changed");
            self.action = Action::Unknown;
            return self.say(stage, "cf-not_available");
        }
        if !self.enabled {
            let prompt = match self.action {
                Action::Update => "vm-saved",
                _ => "cf-disabled",
            };
            return self.say(stage, prompt);
        }
        stage.prompt("cf-now_forwarded_to");
        stage.say(self.number.clone(), "name_spelled");
        self.step = Step::Say;
        stage.until_heard()
    }

    fn say(&mut self, stage: &mut Stage, prompt: &str) -> Turn {
        self.step = Step::Say;
        stage.prompt(prompt);
        stage.until_heard()
    }
}

fn action(stage: &mut Stage) -> Action {
    match stage.text("action").as_deref() {
        Some("activate") => Action::Activate,
        Some("deactivate") => Action::Deactivate,
        Some("update") => Action::Update,
        Some("toggle") => Action::Toggle,
        Some("menu") => Action::Menu,
        _ => {
            let message = "use \"activate\", \"deactivate\", \"update\", \"toggle\" or \"menu\"; nothing is changed";
            stage.warn_of("action", message);
            Action::Unknown
        }
    }
}
