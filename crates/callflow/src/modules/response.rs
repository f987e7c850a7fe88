//! `response`: refuses the call with a SIP status, after a message if there is one, and ends the flow.

use callreel_proto::{Application, HangupCause, InsertAt};

use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

/// Kazoo's default: busy here.
const BUSY: u64 = 486;
/// What refuses a call (RFC 3261 §21.4 to §21.6). Redirections are another module's work.
const REFUSALS: std::ops::RangeInclusive<u64> = 400..=699;

#[derive(Debug, Default)]
pub(crate) struct Response;

impl Module for Response {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(media_name) = stage.media("media") else {
            return refuse(stage);
        };
        let terminators = stage.terminators();
        stage.command(Application::Play {
            media_name,
            terminators,
            endless: None,
            loop_count: None,
            leg: None,
        });
        Turn::Wait(stage.mark())
    }

    fn resume(&mut self, stage: &mut Stage, _outcome: Outcome) -> Turn {
        refuse(stage)
    }
}

fn refuse(stage: &mut Stage) -> Turn {
    let code = match stage.whole("code") {
        Some(code) if REFUSALS.contains(&code) => code,
        Some(code) => {
            stage.warn_of("code", format!("{code} refuses no call; {BUSY} is used"));
            BUSY
        }
        None => BUSY,
    };
    if stage.answered {
        // Too late for a SIP answer: the nearest cause says it in the BYE.
        let cause = u16::try_from(code).ok().map(HangupCause::from_sip_status);
        return stage.hang_up(InsertAt::Tail, cause);
    }
    let message = stage.text("message");
    stage.command(Application::Respond {
        code: code.to_string(),
        message,
    });
    Turn::Leave
}
