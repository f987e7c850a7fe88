//! `device`: rings one device and connects it if it answers.

use crate::ring::{MemberKind, Ringing, Unreached};
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Device {
    ringing: Ringing,
}

impl Module for Device {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        self.ringing
            .ring_only(stage, MemberKind::Device, "dial_strategy")
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let rung = self.ringing.resume(stage, outcome);
        rung.unwrap_or_else(Unreached::turn)
    }
}
