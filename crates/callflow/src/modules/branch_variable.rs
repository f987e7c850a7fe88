//! `branch_variable`: goes on at the child that a variable or a key of a document names.

use serde_json::{Map, Value};

use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct BranchVariable {
    variable: String,
    /// Variables of the channel count where the documents say nothing.
    merged: bool,
}

impl Module for BranchVariable {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(variable) = stage.text("variable") else {
            stage.warn_of("variable", "no variable is named");
            return Turn::next();
        };
        self.variable = normal(&variable);
        let account = stage.call.account_id.to_string();
        let (user, device) = (
            stage.call.owner_id.clone(),
            stage.call.calling_device.clone(),
        );
        let ids = match stage.text("scope").as_deref() {
            None | Some("custom_channel_vars") => return self.by_variables(stage),
            Some("account") => vec![Some(account)],
            Some("user") => vec![user],
            Some("device") => vec![device],
            Some("merged") => {
                self.merged = true;
                vec![device, user, Some(account)]
            }
            Some(other) => {
                let message = format!(
                    "{other:?} is no scope; use \"account\", \"custom_channel_vars\", \"device\", \"merged\" or \"user\""
                );
                stage.warn_of("scope", message);
                return Turn::next();
            }
        };
        let ids: Vec<_> = ids.into_iter().flatten().collect();
        if ids.is_empty() {
            return Turn::next();
        }
        Turn::Wait(stage.ask(Query::Documents { ids }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let documents = match outcome {
            Outcome::Reply(Answer::Documents(documents)) => documents,
            _ => Vec::new(),
        };
        // The nearest document that has it decides: device, user, account.
        let value = documents.iter().find_map(|doc| self.find(doc.as_object()?));
        match value.filter(|key| stage.has_child(key)) {
            Some(key) => Turn::Continue(key),
            None if self.merged => self.by_variables(stage),
            None => Turn::next(),
        }
    }
}

impl BranchVariable {
    fn by_variables(&self, stage: &Stage) -> Turn {
        let call = &stage.call;
        let found = [&call.channel_vars, &call.application_vars];
        let value = found.into_iter().find_map(|vars| self.find(vars));
        Turn::Continue(value.unwrap_or_else(|| "_".to_owned()))
    }

    /// Its value, as a branch key. `Call-Priority` and `call_priority` are one.
    fn find(&self, map: &Map<String, Value>) -> Option<String> {
        let (_, value) = map.iter().find(|(key, _)| normal(key) == self.variable)?;
        match value {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

fn normal(key: &str) -> String {
    key.to_lowercase().replace('-', "_")
}
