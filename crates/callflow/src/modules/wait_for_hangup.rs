//! `wait_for_hangup`: holds the flow until the call is gone.

use crate::stage::{Module, Stage, Turn};
use crate::wait::Await;

#[derive(Debug, Default)]
pub(crate) struct WaitForHangup;

impl Module for WaitForHangup {
    fn start(&mut self, _stage: &mut Stage) -> Turn {
        Turn::Wait(Await::Hangup)
    }
}
