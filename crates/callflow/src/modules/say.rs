//! `say`: speaks a text, or a number, a date and the like if it has a `type`. The mission's name for [`tts`](super::tts).

use crate::modules::tts::Tts;
use crate::speech;
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Say(Tts);

impl Module for Say {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        if stage.value("type").is_none() && stage.value("method").is_none() {
            return self.0.start(stage);
        }
        let language = stage.language();
        let saying = stage.data(|data| speech::said(data, &language));
        self.0.begin(stage, saying)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        self.0.resume(stage, outcome)
    }
}
