//! `play`: plays a file or tones to the caller and goes on when they have been heard.

use std::time::Duration;

use callreel_proto::Application;
use serde_json::Value;

use crate::stage::{Module, Stage, Turn};
use crate::wait::{Await, Outcome};

/// Kazoo's pause after answering, so that the caller's phone is listening when the first word comes.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Play {
    next: Next,
    playback: Option<Application>,
}

#[derive(Debug, Default)]
enum Next {
    #[default]
    Pause,
    Play,
}

impl Module for Play {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(media_name) = stage.media("id") else {
            let named = |id: &Value| id.as_str() != Some("");
            if !stage.value("id").is_some_and(|id| named(&id)) {
                stage.warn_of("id", "nothing to play is named; skipped");
            }
            return Turn::next();
        };
        self.playback = Some(Application::Play {
            media_name,
            terminators: stage.terminators(),
            endless: stage.flag("endless_playback").filter(|endless| *endless),
            loop_count: stage.whole("loop_count").filter(|times| *times > 1),
            leg: None,
        });
        let wanted = stage.flag("answer").unwrap_or(true);
        match wanted.then(|| stage.answer()).flatten() {
            Some(answered) => Turn::Wait(answered),
            None => self.play(stage),
        }
    }

    fn resume(&mut self, stage: &mut Stage, _outcome: Outcome) -> Turn {
        match self.next {
            Next::Pause if self.playback.is_some() => {
                self.next = Next::Play;
                Turn::Wait(Await::Until(stage.after(PAUSE)))
            }
            Next::Pause | Next::Play => self.play(stage),
        }
    }
}

impl Play {
    fn play(&mut self, stage: &mut Stage) -> Turn {
        let Some(playback) = self.playback.take() else {
            return Turn::next();
        };
        stage.command(playback);
        Turn::Wait(stage.mark_keeping_keys())
    }
}
