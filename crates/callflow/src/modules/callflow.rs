//! `callflow`: branches into another callflow of the account and comes back to `_`.

use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Callflow {
    id: String,
}

impl Module for Callflow {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(id) = stage.text("id") else {
            stage.warn_of("id", "no callflow is named; skipped");
            return Turn::next();
        };
        self.id.clone_from(&id);
        Turn::Wait(stage.ask(Query::Callflow { id }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Outcome::Reply(Answer::Flow(document)) = outcome else {
            let message = format!("there is no callflow {:?} in the account; skipped", self.id);
            stage.warn_of("id", message);
            return Turn::next();
        };
        stage
            .branch_to(&self.id, &document)
            .unwrap_or_else(|reason| {
                stage.warn_of("id", format!("{reason}; skipped"));
                Turn::next()
            })
    }
}
