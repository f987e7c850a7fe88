//! `say`: the mission's name for [`tts`](super::tts). Kazoo has no such callflow module; the document it comes from uses it.

use crate::modules::tts::Tts;
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Say(Tts);

impl Module for Say {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        for key in ["type", "method"] {
            if stage.value(key).is_some() {
                stage.warn_of(
                    key,
                    "how to say it is not chosen here; the text is spoken as it is",
                );
            }
        }
        self.0.start(stage)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        self.0.resume(stage, outcome)
    }
}
