//! `privacy`: hides the caller from those who are called from here on.

use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Dialled, Query};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Privacy {
    /// What was dialled behind the feature code.
    number: String,
}

impl Module for Privacy {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let dialled = stage.call.captures.group.clone();
        match dialled.filter(|number| !number.is_empty()) {
            None => {
                hide(stage);
                Turn::next()
            }
            Some(number) => {
                self.number.clone_from(&number);
                Turn::Wait(stage.ask(Query::Dialled { number }))
            }
        }
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let found = match outcome {
            Outcome::Reply(Answer::Dialled(found)) => Some(*found),
            _ => None,
        };
        // What leaves the account is only for its own phones, as when they dial it.
        let own = stage.call.calling_device.is_some();
        let Some(found) = found.filter(|found| own || !found.fallback) else {
            stage.warn(format!("nobody has the number {:?}", self.number));
            return Turn::Stop;
        };
        self.call(stage, found).unwrap_or_else(|reason| {
            stage.warn(format!("the number {:?}: {reason}", self.number));
            Turn::Stop
        })
    }
}

impl Privacy {
    fn call(&self, stage: &mut Stage, found: Dialled) -> Result<Turn, String> {
        let turn = stage.branch_hunted(found)?;
        hide(stage);
        let realm = stage.call.request.split_once('@');
        let realm = realm.map_or("", |(_, realm)| realm);
        stage.call.request = format!("{}@{realm}", self.number);
        stage.call.number.clone_from(&self.number);
        Ok(turn)
    }
}

fn hide(stage: &mut Stage) {
    let (name, number) = match stage.text("mode").as_deref() {
        None | Some("full" | "yes") => (true, true),
        Some("name") => (true, false),
        Some("number") => (false, true),
        Some(other) => {
            let message = format!(
                "{other:?} is no mode; use \"full\", \"name\" or \"number\"; \"full\" is used"
            );
            stage.warn_of("mode", message);
            (true, true)
        }
    };
    stage.hide_caller(name, number);
}
