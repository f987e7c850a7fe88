//! A ticket for people and programs: where its recording is on its way, never how to get in at its destination.

use callreel_proto::{Destination, Utc};
use callreel_spool::Ticket;
use serde_json::{Value, json};

/// Where a ticket stands in the list: by its start. Twenty digits, so that text is ordered as time is.
pub(crate) fn key(ticket: &Ticket) -> String {
    let started = ticket.promise().started_at.unix_ms().max(0);
    format!("{started:020}.{}", ticket.recording_id())
}

/// The ticket as it is shown.
pub(crate) fn picture(ticket: &Ticket) -> Value {
    let promise = ticket.promise();
    let log = ticket.delivery();
    let time = |at: Option<Utc>| at.map(Utc::rfc3339);
    let error = log.last_error.as_deref();
    json!({
        "id": promise.recording_id,
        "account_id": promise.account_id,
        "call_id": promise.call_id,
        "kind": promise.kind,
        "state": ticket.state(),
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
        "hold": ticket.hold(),
        "last_error": error.map(|text| without_secrets(text, &promise.destination)),
    })
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
