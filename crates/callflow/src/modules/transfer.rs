//! `transfer`: sends the call to another number of its account, which finds a controller of its own.

use std::time::Duration;

use callreel_proto::{Application, InsertAt, Transfer as Transferring, TransferKind, TransferLeg};
use serde_json::Value;

use crate::stage::{Module, Stage, Turn};
use crate::wait::{Await, Outcome};

/// Kazoo's target of who names none: the callflow for numbers that have none.
const NO_MATCH: &str = "no_match";
/// A switch that has not transferred the call after this will not: it parks the leg and asks for a route at once.
const TRANSFER_GUARD: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub(crate) struct Transfer;

impl Module for Transfer {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let order = read(stage);
        stage.command_at(InsertAt::Now, Application::Transfer(Box::new(order)));
        let give_up = Some(stage.after(TRANSFER_GUARD));
        Turn::Wait(Await::Command {
            application: "transfer",
            give_up,
        })
    }

    /// A call that was transferred is another controller's: who comes here still has it.
    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        if !matches!(outcome, Outcome::Refused) {
            stage.warn("the switch did not transfer the call; going on without it");
        }
        Turn::next()
    }
}

fn read(stage: &mut Stage) -> Transferring {
    let captured = captured(stage);
    let target = stage.text("target");
    let usual = if captured.is_some() { "bleg" } else { "self" };
    let leg = stage.text("leg").unwrap_or_else(|| usual.to_owned());
    let leg = match leg.as_str() {
        "self" => None,
        "bleg" => Some(TransferLeg::Bleg),
        other => {
            stage.warn_of(
                "leg",
                format!("{other:?} is no leg; use \"self\" or \"bleg\"; self is used"),
            );
            None
        }
    };
    let kind = match stage.text("transfer_type").as_deref() {
        None | Some("blind") => TransferKind::Blind,
        Some("attended") => TransferKind::Attended,
        Some(other) => {
            let message =
                format!("{other:?} is no transfer; use \"blind\" or \"attended\"; blind is used");
            stage.warn_of("transfer_type", message);
            TransferKind::Blind
        }
    };
    let dialled = stage.call.captures.group.clone();
    Transferring {
        kind,
        to: target
            .or(captured)
            .or(dialled)
            .unwrap_or_else(|| NO_MATCH.to_owned()),
        leg,
        ..Transferring::default()
    }
}

/// The first of the data's `captures`.
fn captured(stage: &mut Stage) -> Option<String> {
    let Some(Value::Array(captures)) = stage.value("captures") else {
        return None;
    };
    let first = captures.first().and_then(Value::as_str);
    first
        .filter(|first| !first.is_empty() && *first != NO_MATCH)
        .map(str::to_owned)
}
