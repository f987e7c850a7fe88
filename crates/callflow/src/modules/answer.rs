//! `answer`: answers the call and goes on.

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct Answer;

impl Module for Answer {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        stage.answer().map_or_else(Turn::next, Turn::Wait)
    }
}
