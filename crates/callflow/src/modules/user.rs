//! `user`: rings a user's devices and connects the first that answers.

use crate::ring;
use crate::stage::{Module, Stage, Turn};
use crate::talk::Query;
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct User;

impl Module for User {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(id) = stage.text("id") else {
            stage.warn_of("id", "no user is named; skipped");
            return Turn::next();
        };
        Turn::Wait(stage.ask(Query::UserEndpoints { id }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        ring::resume(stage, outcome, "strategy")
    }
}
