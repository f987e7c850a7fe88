//! `send_dtmf`: presses keys towards the caller.

use callreel_proto::Application;

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct SendDtmf;

impl Module for SendDtmf {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(digits) = stage.text("digits") else {
            stage.warn_of("digits", "no keys are named; skipped");
            return Turn::next();
        };
        stage.command(Application::SendDtmf { digits });
        Turn::next()
    }
}
