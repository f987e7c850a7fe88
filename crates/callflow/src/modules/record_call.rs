//! `record_call`: starts, stops, masks or unmasks recordings of both legs, beside the flow, and goes on at once.

use crate::order::{Meant, RecordingKind, Slot};
use crate::pending::Taken;
use crate::recording;
use crate::stage::{Module, Stage, Turn};
use crate::talk::Effect;
use crate::wait::Outcome;
use crate::wish::Action;

/// Where a flow goes on when its recording failed and it wants to know.
const FAILED: &str = "record_failed";

#[derive(Debug, Default)]
pub(crate) struct RecordCall;

impl Module for RecordCall {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        match stage.data(Action::of_step) {
            Action::Start => return start(stage),
            Action::Stop(meant) => stop(stage, meant),
            Action::Mask(meant) => mask(stage, meant, true),
            Action::Unmask(meant) => mask(stage, meant, false),
        }
        Turn::next()
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let reason = match outcome {
            Outcome::NotRecorded(reason) => reason,
            Outcome::TimedOut => "nothing was heard of its beginning".to_owned(),
            _ => return Turn::next(),
        };
        stage.warn(format!("the call is not recorded: {reason}"));
        failure(stage)
    }
}

fn start(stage: &mut Stage) -> Turn {
    let when = stage.data(recording::when);
    let Some(order) = recording::of_step(stage, RecordingKind::Recording) else {
        return failure(stage);
    };
    let slot = order.slot;
    stage.recordings.add(order, when);
    stage.start_due();
    if wants_to_know(stage) {
        return await_begin(stage, slot);
    }
    Turn::next()
}

fn await_begin(stage: &mut Stage, slot: Slot) -> Turn {
    if stage.recordings.is_running(slot) {
        return Turn::Wait(stage.recording_begun(slot));
    }
    let message = "the recording waits for the call, so whether it begins is not known yet; going on at \"_\"";
    stage.data(|data| data.warn_of("on_failure", message));
    Turn::next()
}

/// Where to go on without the recording.
pub(super) fn failure(stage: &mut Stage) -> Turn {
    if wants_to_know(stage) {
        Turn::Continue(FAILED.to_owned())
    } else {
        Turn::next()
    }
}

fn wants_to_know(stage: &mut Stage) -> bool {
    match stage.text("on_failure").as_deref() {
        Some("branch") => true,
        None | Some("continue") => false,
        Some(other) => {
            let message = format!("{other:?} is not possible; use \"continue\" or \"branch\"");
            stage.warn_of("on_failure", message);
            false
        }
    }
}

fn stop(stage: &mut Stage, meant: Meant) {
    match stage.recordings.take(&meant) {
        Taken::Waiting(order) => stage.effect(Effect::Skipped {
            pointer: order.pointer,
            reason: "it was stopped before it began".to_owned(),
            by: order.by,
        }),
        Taken::Running => {
            let by = Some(recording::by_step(stage));
            stage.effect(Effect::StopRecording { meant, by });
        }
    }
}

fn mask(stage: &mut Stage, meant: Meant, on: bool) {
    let by = recording::by_step(stage);
    let waits = stage
        .recordings
        .mask_waiting(&meant, on.then(|| by.clone()));
    match (waits, on) {
        (true, _) => {}
        (false, true) => stage.effect(Effect::Mask { meant, by }),
        (false, false) => stage.effect(Effect::Unmask { meant, by }),
    }
}
