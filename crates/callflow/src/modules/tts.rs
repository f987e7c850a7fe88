//! `tts`: speaks a text to the caller and goes on when it is spoken.

use callreel_proto::Application;

use crate::speech;
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Tts {
    /// What is yet to be spoken, while the call is being answered.
    text: Option<Application>,
}

impl Module for Tts {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        self.text = stage.data(speech::spoken);
        if self.text.is_none() {
            return Turn::next();
        }
        match stage.answer() {
            Some(answered) => Turn::Wait(answered),
            None => self.speak(stage),
        }
    }

    fn resume(&mut self, stage: &mut Stage, _outcome: Outcome) -> Turn {
        self.speak(stage)
    }
}

impl Tts {
    fn speak(&mut self, stage: &mut Stage) -> Turn {
        let Some(text) = self.text.take() else {
            return Turn::next();
        };
        stage.command(text);
        Turn::Wait(stage.mark())
    }
}
