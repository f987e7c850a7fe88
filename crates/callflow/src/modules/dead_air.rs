//! `dead_air`: answers the call and says nothing until it is gone.

use crate::stage::{Module, Stage, Turn};
use crate::wait::{Await, Outcome};

#[derive(Debug, Default)]
pub(crate) struct DeadAir;

impl Module for DeadAir {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        Turn::Wait(stage.answer().unwrap_or(Await::Hangup))
    }

    fn resume(&mut self, _stage: &mut Stage, _outcome: Outcome) -> Turn {
        Turn::Wait(Await::Hangup)
    }
}
