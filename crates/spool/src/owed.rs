//! What the spool owes, as people and other nodes are told of it: where each recording is on its way, never how to get in at its
//! destination.

use std::collections::BTreeMap;

use callreel_proto::{Destination, Owed, OwedReq, OwedResp, Utc};
use serde_json::{Map, Value, json};

use crate::{Error, ReceiverInfo, Ticket, View};

/// Most tickets of an answer, also when more are asked for. A ticket is told in less than a kilobyte.
pub const MOST_OWED: usize = 1000;

impl View {
    /// Answers a question for what is owed here. However many tickets there are, only an answer's are in memory.
    ///
    /// # Errors
    /// The disk refused, or the one ticket that is asked for cannot be read.
    pub fn owed(&self, asked: &OwedReq) -> Result<OwedResp, Error> {
        let mut answer = match &asked.recording_id {
            Some(id) => OwedResp {
                tickets: self.ticket(id)?.iter().map(owed).collect(),
                ..OwedResp::default()
            },
            None if asked.page_size > 0 => self.oldest(asked)?,
            None => OwedResp::default(),
        };
        answer.tickets.retain(|ticket| is_meant(asked, ticket));
        if asked.receivers == Some(true) {
            answer.receivers = self.receivers()?.iter().map(receiver).collect();
        }
        Ok(answer)
    }

    fn oldest(&self, asked: &OwedReq) -> Result<OwedResp, Error> {
        let size = usize::try_from(asked.page_size).unwrap_or(MOST_OWED);
        let size = size.min(MOST_OWED);
        let from = asked.start_key.as_deref().unwrap_or_default();
        let mut page = BTreeMap::new();
        self.for_each_ticket(|ticket| {
            let ticket = owed(&ticket);
            if ticket.key.as_str() >= from && is_meant(asked, &ticket) {
                page.insert(ticket.key.clone(), ticket);
                if page.len() > size + 1 {
                    page.pop_last();
                }
            }
            Ok::<_, Error>(())
        })?;
        Ok(OwedResp {
            next: page.keys().nth(size).cloned(),
            tickets: page.into_values().take(size).collect(),
            ..OwedResp::default()
        })
    }
}

fn is_meant(asked: &OwedReq, ticket: &Owed) -> bool {
    asked.state.is_none_or(|state| state == ticket.state)
        && asked
            .account_id
            .as_ref()
            .is_none_or(|account| *account == ticket.account_id)
}

fn owed(ticket: &Ticket) -> Owed {
    let promise = ticket.promise();
    let started = promise.started_at.unix_ms().max(0);
    Owed {
        // Twenty digits, so that text is ordered as time is.
        key: format!("{started:020}.{}", promise.recording_id),
        id: promise.recording_id.clone(),
        account_id: promise.account_id.clone(),
        state: ticket.state(),
        hold: ticket.hold().cloned(),
        rest: particulars(ticket),
    }
}

fn particulars(ticket: &Ticket) -> Map<String, Value> {
    let promise = ticket.promise();
    let log = ticket.delivery();
    let time = |at: Option<Utc>| at.map(Utc::rfc3339);
    let error = log.last_error.as_deref();
    let told = json!({
        "call_id": promise.call_id,
        "kind": promise.kind,
        "end_reason": ticket.end_reason(),
        "destination": ticket.place(),
        "name": promise.delivered_name(),
        "started_at": promise.started_at.rfc3339(),
        "start": promise.started_at.gregorian_seconds(),
        "duration_ms": ticket.length_ms(),
        "bytes": ticket.rendition().map(|r| r.bytes),
        "sealed": ticket.rendition().map(|r| r.sealed_bytes.is_some()),
        "attempts": log.attempts,
        "refusals": log.refusals,
        "first_attempt_at": time(log.first_attempt_at),
        "next_attempt_at": time(log.next_attempt_at),
        "uploaded_at": time(log.uploaded_at),
        "finished_at": time(log.finished_at),
        "last_error": error.map(|text| without_secrets(text, &promise.destination)),
    });
    object(told)
}

fn receiver(receiver: &ReceiverInfo) -> Map<String, Value> {
    let told = json!({
        "host": receiver.host,
        "failures": receiver.failures,
        "failing_since": receiver.failing_since.map(Utc::rfc3339),
        "last_error": receiver.last_error,
        "next_probe": receiver.next_probe.rfc3339(),
        "waiting": receiver.waiting,
    });
    object(told)
}

fn object(told: Value) -> Map<String, Value> {
    match told {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// HTTP libraries like to quote the URL in their errors.
fn without_secrets(text: &str, destination: &Destination) -> String {
    let Destination::Http { url, .. } = destination else {
        return text.to_owned();
    };
    let mut text = text.replace(url.as_str(), &destination.describe());
    let parts = [url.password(), url.query(), Some(url.username())];
    for secret in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
        text = text.replace(secret, "…");
    }
    text
}
