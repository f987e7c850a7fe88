//! `missed_call_alert`: has people told when the call ends and nobody took it.

use serde_json::Value;

use crate::data::Data;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

/// Nobody has more people told of one call; each user costs a look-up.
const MOST_RECIPIENTS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct MissedCallAlert {
    addresses: Vec<String>,
}

impl Module for MissedCallAlert {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        if !is_from_outside(stage) {
            return Turn::next();
        }
        let found = stage.data(recipients);
        self.addresses = found.addresses;
        if found.users.is_empty() {
            return self.wait_for_the_end(stage);
        }
        Turn::Wait(stage.ask(Query::Documents { ids: found.users }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        if let Outcome::Reply(Answer::Documents(users)) = outcome {
            let email = |user: &Value| user.get("email").and_then(Value::as_str).map(str::to_owned);
            let known = users.iter().filter_map(email);
            self.addresses
                .extend(known.filter(|email| !email.is_empty()));
        }
        self.wait_for_the_end(stage)
    }
}

impl MissedCallAlert {
    fn wait_for_the_end(&mut self, stage: &mut Stage) -> Turn {
        stage.alert_if_missed(std::mem::take(&mut self.addresses));
        Turn::next()
    }
}

/// Kazoo tells of callers from other accounts and from carriers only.
fn is_from_outside(stage: &Stage) -> bool {
    let kind = stage.call.channel_vars.get("Authorizing-Type");
    matches!(
        kind.and_then(Value::as_str),
        None | Some("resource" | "sys_info")
    )
}

#[derive(Debug, Default)]
struct Recipients {
    addresses: Vec<String>,
    users: Vec<String>,
}

fn recipients(data: &mut Data<'_>) -> Recipients {
    let mut found = Recipients::default();
    for recipient in data.list("recipients") {
        let ids = match recipient.get("id") {
            Some(Value::String(id)) => vec![id.clone()],
            Some(Value::Array(ids)) => texts(ids),
            _ => Vec::new(),
        };
        let ids = ids.into_iter().filter(|id| !id.is_empty());
        match recipient.get("type").and_then(Value::as_str) {
            Some("email") => found.addresses.extend(ids),
            Some("user") => found.users.extend(ids),
            _ => data.warn_of(
                "recipients",
                "a recipient is neither of the type \"user\" nor \"email\"; left out",
            ),
        }
    }
    if found.addresses.len() + found.users.len() > MOST_RECIPIENTS {
        let message = format!("only the first {MOST_RECIPIENTS} recipients are told");
        data.warn_of("recipients", message);
        found.addresses.truncate(MOST_RECIPIENTS);
        found
            .users
            .truncate(MOST_RECIPIENTS - found.addresses.len());
    }
    found
}

fn texts(values: &[Value]) -> Vec<String> {
    let texts = values.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
