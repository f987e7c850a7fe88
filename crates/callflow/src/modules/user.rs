//! `user`: rings a user's devices and connects the first that answers.

use crate::ring::{MemberKind, Ringing, Unreached};
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct User {
    ringing: Ringing,
}

impl Module for User {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(ringing) = Ringing::direct(stage, MemberKind::User, "strategy") else {
            stage.warn_of("id", "no user is named; skipped");
            return Turn::next();
        };
        self.ringing = ringing;
        self.ringing.begin(stage)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let rung = self.ringing.resume(stage, outcome);
        rung.unwrap_or_else(Unreached::turn)
    }
}
