//! `offnet`: calls a number of the public network over the trunks of everybody.

use crate::offnet;
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Offnet;

impl Module for Offnet {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        offnet::begin(stage, false)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        offnet::resume(stage, outcome)
    }
}
