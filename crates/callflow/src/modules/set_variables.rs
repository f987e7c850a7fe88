//! `set_variables`: sets variables of the account's own applications.

use serde_json::{Map, Value};

use crate::data::Data;
use crate::stage::{Module, Stage, Turn};

/// One call has no more of them: each request of Pivot and each event carries them all.
const MOST: usize = 256;
/// Longest value, characters.
const LONGEST: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct SetVariables;

impl Module for SetVariables {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let mut vars = stage.data(variables);
        let known = &stage.call.application_vars;
        let mut room = MOST.saturating_sub(known.len());
        let all = vars.len();
        vars.retain(|name, _| {
            let fits = known.contains_key(name) || room > 0;
            room -= usize::from(fits && !known.contains_key(name));
            fits
        });
        if vars.len() < all {
            let message = format!("a call has at most {MOST} variables; the rest is left out");
            stage.warn_of("custom_application_vars", message);
        }
        if !vars.is_empty() {
            stage.set_application_vars(vars);
        }
        Turn::next()
    }
}

fn variables(data: &mut Data<'_>) -> Map<String, Value> {
    let key = "custom_application_vars";
    let mut vars = Map::new();
    for (name, value) in data.object(key).into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                data.warn_of(
                    key,
                    format!("{name:?} is neither text, number nor truth; left out"),
                );
                continue;
            }
        };
        if value.chars().nth(LONGEST).is_some() {
            data.warn_of(
                key,
                format!("{name:?} is longer than {LONGEST} characters; left out"),
            );
            continue;
        }
        vars.insert(name.clone(), Value::String(value));
    }
    vars
}
