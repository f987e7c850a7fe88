//! `set_variable`: sets one variable of the channel.

use serde_json::json;

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct SetVariable;

impl Module for SetVariable {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let name = match stage.text("variable").as_deref() {
            // The only one a flow may set: others say whose call it is.
            Some("call_priority") => "Call-Priority",
            Some(other) => {
                let message = format!(
                    "a flow may not set {other:?}, only \"call_priority\"; skipped; for words of your own use set_variables"
                );
                stage.warn_of("variable", message);
                return Turn::next();
            }
            None => {
                stage.warn_of("variable", "no variable is named; skipped");
                return Turn::next();
            }
        };
        let Some(value) = stage.text("value") else {
            stage.warn_of("value", "there is no value; skipped");
            return Turn::next();
        };
        let vars = [(name.to_owned(), json!(value))].into_iter().collect();
        match stage.text("channel").as_deref() {
            Some("both") => stage.set_call_vars(vars),
            None | Some("a") => stage.set_channel_vars(vars),
            Some(other) => {
                let message =
                    format!("{other:?} is no channel; use \"a\" or \"both\"; \"a\" is used");
                stage.warn_of("channel", message);
                stage.set_channel_vars(vars);
            }
        }
        Turn::next()
    }
}
