//! Letters: requests that nobody waits for, made again while they fail. Each that cannot be delivered is an error in the log.

use std::{sync::Arc, time::Duration};

use callreel_callflow::web::{BodyFormat, Hidden, Verb, WebRequest};
use callreel_proto::{CallEvent, CallId};
use reqwest::StatusCode;
use serde_json::Value;

use super::{Trouble, Web};

/// From the first failure to the next try; each further wait is four times as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often the end of a call is told at most: over a minute and a half.
const CDR_TRIES: u32 = 5;
/// Time for each of these tries.
const CDR_PATIENCE: Duration = Duration::from_secs(10);

/// One letter.
pub(crate) struct Letter {
    /// What it is, for people.
    pub(crate) what: &'static str,
    /// The call it is about.
    pub(crate) call_id: CallId,
    pub(crate) request: WebRequest,
    /// How often it is tried at most.
    pub(crate) tries: u32,
}

impl Letter {
    /// The end of a call as Kazoo's Pivot tells it: its last event, as a form.
    pub(crate) fn cdr(to: Hidden, event: &CallEvent) -> Self {
        let told = serde_json::to_value(event).unwrap_or_default();
        let mut parameters = match told {
            Value::Object(fields) => fields,
            _ => serde_json::Map::new(),
        };
        // As Kazoo does: they are the platform's.
        parameters.remove("Custom-Channel-Vars");
        Self {
            what: "the end of the call (cdr_url)",
            call_id: event.call_id.clone(),
            request: WebRequest {
                verb: Verb::Post,
                url: to.0,
                headers: Default::default(),
                parameters,
                format: BodyFormat::Form,
                patience: CDR_PATIENCE,
            },
            tries: CDR_TRIES,
        }
    }
}

impl Web {
    /// Sends a letter beside everything else.
    pub(crate) fn post(self: &Arc<Self>, letter: Letter) {
        let Ok(room) = Arc::clone(&self.letters).try_acquire_owned() else {
            let Letter {
                what,
                call_id,
                request,
                ..
            } = letter;
            return tracing::error!(%call_id, to = %request, "{what} is not told: too many such requests wait");
        };
        let web = Arc::clone(self);
        tokio::spawn(async move {
            let _room = room;
            web.deliver(letter).await;
        });
    }

    async fn deliver(&self, letter: Letter) {
        let Letter {
            what,
            call_id,
            request,
            tries,
        } = letter;
        let mut wait = FIRST_WAIT;
        for nth in 1..=tries {
            let reason = match verdict(self.ask(&request).await) {
                Verdict::Done => return,
                Verdict::Never(reason) => {
                    return tracing::error!(%call_id, to = %request, reason, "{what} is not told");
                }
                Verdict::Again(reason) => reason,
            };
            if nth == tries {
                return tracing::error!(%call_id, to = %request, reason, tries, "{what} is not told");
            }
            tracing::warn!(%call_id, to = %request, reason, "{what} is told again in {} s", wait.as_secs());
            tokio::time::sleep(wait).await;
            wait = (wait * 4).min(LONGEST_WAIT);
        }
    }
}

enum Verdict {
    Done,
    Again(String),
    Never(String),
}

fn verdict(asked: Result<super::Reply, Trouble>) -> Verdict {
    let reply = match asked {
        Ok(reply) => reply,
        Err(trouble) => return Verdict::Again(trouble.to_string()),
    };
    let status = reply.status;
    let said = format!("it answered {}", status.as_u16());
    if status.is_success() {
        Verdict::Done
    } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Verdict::Again(said)
    } else {
        Verdict::Never(said)
    }
}
