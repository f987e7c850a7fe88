//! `hangup`: ends the call, whatever flow waits behind a branch.

use callreel_proto::InsertAt;

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct Hangup;

impl Module for Hangup {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        stage.hang_up(InsertAt::Now, None)
    }
}
