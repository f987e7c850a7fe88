//! `noop`: goes on.

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct Noop;

impl Module for Noop {
    fn start(&mut self, _stage: &mut Stage) -> Turn {
        Turn::next()
    }
}
