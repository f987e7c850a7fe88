//! `do_not_disturb`: switches do-not-disturb of a user or a device on or off, and says which.

use callreel_proto::pvt_type;
use serde_json::{Value, json};

use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

/// Where it stands in the document.
const PLACE: &str = "/do_not_disturb/enabled";

#[derive(Debug, Default)]
pub(crate) struct DoNotDisturb {
    step: Step,
    /// Whose it is.
    document: Option<Value>,
    /// What it is to be.
    wanted: Option<bool>,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    #[default]
    Find,
    Answer,
    Change,
    Say,
}

impl Module for DoNotDisturb {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let named = stage.text("id");
        let own = [
            named,
            stage.call.owner_id.clone(),
            stage.call.calling_device.clone(),
        ];
        let ids = own.into_iter().flatten().collect();
        Turn::Wait(stage.ask(Query::Documents { ids }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match std::mem::take(&mut self.step) {
            Step::Find => self.found(stage, outcome),
            Step::Answer => self.answered(stage),
            Step::Change => self.changed(stage, &outcome),
            Step::Say if self.document.is_some() => Turn::next(),
            Step::Say => Turn::Stop,
        }
    }
}

impl DoNotDisturb {
    fn found(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        if let Outcome::Reply(Answer::Documents(documents)) = outcome {
            self.document = documents.into_iter().find(can_be_disturbed);
        }
        match &self.document {
            Some(document) => self.wanted = wanted(stage, is_on(document)),
            None => stage.warn(
                "neither \"id\" nor the caller is a user or a device: nothing can be switched",
            ),
        }
        self.step = Step::Answer;
        stage.answer_first()
    }

    fn answered(&mut self, stage: &mut Stage) -> Turn {
        let (Some(document), Some(wanted)) = (&self.document, self.wanted) else {
            return self.say(stage, "dnd-not_available");
        };
        if is_on(document) == wanted {
            return self.confirm(stage, wanted);
        }
        let id = document["_id"].as_str().unwrap_or_default().to_owned();
        let set = vec![(PLACE.to_owned(), json!(wanted))];
        self.step = Step::Change;
        Turn::Wait(stage.ask(Query::Change { id, set }))
    }

    fn changed(&mut self, stage: &mut Stage, outcome: &Outcome) -> Turn {
        match (outcome, self.wanted) {
            (Outcome::Reply(Answer::Document(_)), Some(wanted)) => self.confirm(stage, wanted),
            _ => {
                stage.warn("the document could not be changed");
                self.say(stage, "dnd-not_available")
            }
        }
    }

    fn confirm(&mut self, stage: &mut Stage, on: bool) -> Turn {
        let prompt = match on {
            true => "dnd-activated",
            false => "dnd-deactivated",
        };
        self.say(stage, prompt)
    }

    fn say(&mut self, stage: &mut Stage, prompt: &str) -> Turn {
        self.step = Step::Say;
        stage.prompt(prompt);
        stage.until_heard()
    }
}

fn can_be_disturbed(document: &Value) -> bool {
    let kind = document["pvt_type"].as_str();
    matches!(kind, Some(pvt_type::USER | pvt_type::DEVICE))
}

fn is_on(document: &Value) -> bool {
    let on = document
        .pointer(PLACE)
        .and_then(callreel_proto::lenient_bool);
    on.unwrap_or(false)
}

/// What the action makes of what is; none, with a warning, if it is no action.
fn wanted(stage: &mut Stage, is_on: bool) -> Option<bool> {
    match stage.text("action").as_deref() {
        Some("activate") => Some(true),
        Some("deactivate") => Some(false),
        Some("toggle") => Some(!is_on),
        _ => {
            let message = "use \"activate\", \"deactivate\" or \"toggle\"; nothing is switched";
            stage.warn_of("action", message);
            None
        }
    }
}
