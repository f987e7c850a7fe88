//! `branch_bnumber`: goes on by what the call was dialled with, or runs the callflow of that number.

use crate::branching::Hunted;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct BranchBnumber;

impl Module for BranchBnumber {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let captured = stage.call.captures.group.clone();
        let Some(number) = captured.filter(|number| !number.is_empty()) else {
            // Never hunted for: it would lead here again.
            return Turn::Continue(stage.call.number.clone());
        };
        if !stage.flag("hunt").unwrap_or(false) {
            return Turn::Continue(number);
        }
        let hunted = Hunted {
            allow: stage.text("hunt_allow"),
            deny: stage.text("hunt_deny"),
        };
        match hunted.allows(&number) {
            Ok(true) => Turn::Wait(stage.ask(Query::Dialled { number })),
            Ok(false) => Turn::next(),
            Err(reason) => {
                stage.warn(reason);
                Turn::next()
            }
        }
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Outcome::Reply(Answer::Dialled(found)) = outcome else {
            return Turn::next();
        };
        // What leaves the account is only for its own phones, as when they dial it.
        if found.fallback && stage.call.calling_device.is_none() {
            return Turn::next();
        }
        stage.branch_hunted(*found).unwrap_or_else(|reason| {
            stage.warn(format!("{reason}; skipped"));
            Turn::next()
        })
    }
}
