//! `check_cid`: goes on by the caller's number.

use serde_json::Value;

use crate::caller::Identity;
use crate::pattern::Pattern;
use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct CheckCid;

impl Module for CheckCid {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let pattern = stage.text("regex").unwrap_or_else(|| ".*".to_owned());
        let pattern = match Pattern::read(&pattern) {
            Ok(pattern) => pattern,
            Err(reason) => {
                stage.warn_of("regex", format!("{reason}; nothing is compared"));
                return Turn::next();
            }
        };
        let number = stage.call.caller_id_number.clone().unwrap_or_default();
        if !pattern.is_match(&number) {
            return Turn::Attempt(vec!["nomatch".to_owned()]);
        }
        let key = match stage.flag("use_absolute_mode") {
            Some(true) => number,
            Some(false) | None => "match".to_owned(),
        };
        if stage.leads_to(&key) {
            rename(stage);
        }
        Turn::Attempt(vec![key])
    }
}

/// Kazoo takes a caller for somebody else only if name, number and user are all there.
fn rename(stage: &mut Stage) {
    let text = |value: &Value, key: &str| {
        let text = value.get(key).and_then(Value::as_str).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let external = stage.value("caller_id").unwrap_or_default();
    let external = external.get("external").cloned().unwrap_or_default();
    let known = Identity {
        name: text(&external, "name"),
        number: text(&external, "number"),
    };
    let owner = stage.text("user_id");
    if known.name.is_some() && known.number.is_some() && owner.is_some() {
        stage.call.owner_id = owner;
        stage.know_caller(known);
    }
}
