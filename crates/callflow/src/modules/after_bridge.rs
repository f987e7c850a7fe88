//! `after_bridge`: says what becomes of the caller when a bridge that comes later has ended.

use callreel_proto::lenient_bool;
use serde_json::{Map, Value, json};

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct AfterBridge;

impl Module for AfterBridge {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        if let Some((name, value)) = variable(stage) {
            let variable = (name.to_owned(), value);
            stage.set_channel_vars(Map::from_iter([variable]));
        }
        Turn::next()
    }
}

/// The variable of the channel that the switch looks at then; none, with a warning, if the action is none.
fn variable(stage: &mut Stage) -> Option<(&'static str, Value)> {
    let action = stage.text("action");
    match action.as_deref() {
        Some("park") => Some(("Park-After-Pickup", truth(stage))),
        Some("hangup") => Some(("Hangup-After-Pickup", truth(stage))),
        Some("transfer") => match stage.text("data") {
            Some(number) => Some(("Transfer-After-Pickup", json!(number))),
            None => {
                stage.warn_of("data", "there is no number to transfer to; nothing is done");
                None
            }
        },
        _ => {
            let message = "use \"park\", \"hangup\" or \"transfer\"; nothing is done";
            stage.warn_of("action", message);
            None
        }
    }
}

/// Whether the data says so (Kazoo's `is_true`): what is neither true nor false is not.
fn truth(stage: &mut Stage) -> Value {
    let data = stage.value("data").unwrap_or_default();
    let known = lenient_bool(&data);
    if known.is_none() {
        stage.warn_of("data", "neither true nor false; false is used");
    }
    json!(known.unwrap_or(false).to_string())
}
