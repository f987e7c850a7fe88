//! `ring_group`: rings several people and connects the first who answers.

use crate::ring::{Rounds, wanted};
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct RingGroup {
    rounds: Rounds,
}

impl Module for RingGroup {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let members = wanted(stage);
        self.rounds = Rounds::read(stage, members);
        self.rounds.begin(stage)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        self.rounds.resume(stage, outcome)
    }
}
