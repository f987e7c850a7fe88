//! `record_caller`: answers, sounds a beep, records the caller alone and goes on when that has ended.

use callreel_proto::{EndReason, InsertAt};

use crate::modules::record_call::failure;
use crate::order::{RecordingKind, RecordingOrder};
use crate::recording;
use crate::speech;
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct RecordCaller {
    /// What is yet to be recorded, while the call is being answered.
    order: Option<Box<RecordingOrder>>,
}

impl Module for RecordCaller {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(order) = recording::of_step(stage, RecordingKind::Message) else {
            return failure(stage);
        };
        self.order = Some(Box::new(order));
        match stage.answer() {
            Some(answered) => Turn::Wait(answered),
            None => self.record(stage),
        }
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Recorded {
                reason: EndReason::Hangup,
                ..
            } => stage.hang_up(InsertAt::Tail, None),
            Outcome::Recorded { .. } => Turn::next(),
            Outcome::NotRecorded(reason) => {
                stage.warn(format!("the caller could not be recorded: {reason}"));
                failure(stage)
            }
            _ if self.order.is_some() => self.record(stage),
            _ => {
                stage.warn("nothing was heard of the recording's end; going on");
                Turn::next()
            }
        }
    }
}

impl RecordCaller {
    fn record(&mut self, stage: &mut Stage) -> Turn {
        let Some(order) = self.order.take() else {
            return Turn::next();
        };
        if stage.flag("beep").unwrap_or(true) {
            // Nothing waits for its end: the switch records as soon as it is over.
            stage.command(speech::beep());
        }
        Turn::Wait(stage.record_message(*order))
    }
}
