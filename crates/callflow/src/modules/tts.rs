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
        let language = stage.language();
        let text = stage.data(|data| speech::spoken(data, Some(&language)));
        self.begin(stage, text)
    }

    fn resume(&mut self, stage: &mut Stage, _outcome: Outcome) -> Turn {
        self.speak(stage)
    }
}

impl Tts {
    /// Answers, says this and goes on when it has been heard.
    pub(crate) fn begin(&mut self, stage: &mut Stage, text: Option<Application>) -> Turn {
        self.text = text;
        if self.text.is_none() {
            return Turn::next();
        }
        match stage.answer() {
            Some(answered) => Turn::Wait(answered),
            None => self.speak(stage),
        }
    }

    fn speak(&mut self, stage: &mut Stage) -> Turn {
        let Some(text) = self.text.take() else {
            return Turn::next();
        };
        stage.command(text);
        Turn::Wait(stage.mark_keeping_keys())
    }
}
