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
        self.ringing.ring_only(stage, MemberKind::User, "strategy")
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let rung = self.ringing.resume(stage, outcome);
        rung.unwrap_or_else(Unreached::turn)
    }
}
