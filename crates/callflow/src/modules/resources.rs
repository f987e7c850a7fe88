//! `resources`: calls a number of the public network over the account's own trunks.

use crate::offnet;
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Resources;

impl Module for Resources {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        offnet::begin(stage, true)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        offnet::resume(stage, outcome)
    }
}
