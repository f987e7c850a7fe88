//! `record_call`: starts or stops recording both legs, beside the flow, and goes on at once.

use crate::order::{Meant, RecordingKind};
use crate::pending::Start;
use crate::recording;
use crate::stage::{Module, Stage, Turn};
use crate::talk::Effect;

#[derive(Debug, Default)]
pub(crate) struct RecordCall;

impl Module for RecordCall {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        match stage.text("action").as_deref() {
            Some("stop") => stop(stage),
            Some("start") | None => start(stage),
            Some(other) => {
                // Kazoo's code takes anything but "stop" for a start.
                let message = format!("{other:?} is no action; taken as \"start\"");
                stage.warn_of("action", message);
                start(stage);
            }
        }
        Turn::next()
    }
}

fn start(stage: &mut Stage) {
    let when = Start {
        on_answer: stage.flag("record_on_answer").unwrap_or(false),
        on_bridge: stage.flag("record_on_bridge").unwrap_or(false),
    };
    if let Some(order) = recording::order(stage, RecordingKind::Recording) {
        stage.recordings.add(order, when);
        stage.start_due();
    }
}

fn stop(stage: &mut Stage) {
    match stage.recordings.take_newest() {
        Some(order) => stage.effect(Effect::Skipped {
            pointer: order.pointer,
            reason: "it was stopped before it began".to_owned(),
        }),
        None => stage.effect(Effect::StopRecording(Meant::Usual)),
    }
}
