//! `device`: rings one device and connects it if it answers.

use crate::ring;
use crate::stage::{Module, Stage, Turn};
use crate::talk::Query;
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Device;

impl Module for Device {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(id) = stage.text("id") else {
            stage.warn_of("id", "no device is named; skipped");
            return Turn::next();
        };
        Turn::Wait(stage.ask(Query::DeviceEndpoint { id }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        ring::resume(stage, outcome, "dial_strategy")
    }
}
