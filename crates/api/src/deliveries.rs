//! What is still owed: the tickets of this node's spool, without secrets, and a person's orders about them. The delivery
//! role obeys the orders; this only sends them.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use callreel_proto::{
    DeliveryAction, DeliveryOrder, Destination, Exchange, RecordingId, RecordingState, Utc,
};
use callreel_spool::{Ticket, View};
use serde_json::{Value, json};

use crate::{
    Shared,
    auth::{By, Caller, forbidden},
    envelope::{Answer, Page},
    refusal::{Refusal, Why},
    request::{self, Params, Posted, invalid, reason},
};

/// What is kept of a recording that somebody dropped without saying why.
const NO_REASON: &str = "no reason given";

type Answered = Result<Response, Refusal>;

/// Most tickets of an answer; `page_size` may ask for fewer. A ticket is shown in less than a kilobyte.
const MAX_PAGE: usize = 1000;

/// `GET /deliveries`: oldest first; `state` and `account_id` choose, `start_key` goes on. An account's caller sees his own
/// account's, or those of the one below it that he names.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    params: Params,
) -> Answered {
    let account = account(&shared, &caller, &params).await?;
    let size = match params.number("page_size")? {
        None => MAX_PAGE,
        Some(0) => return Err(invalid("page_size", "must be at least 1")),
        Some(size) => usize::try_from(size).unwrap_or(MAX_PAGE).min(MAX_PAGE),
    };
    let start = params.text("start_key");
    let mut tickets = blocking(&shared.spool, View::tickets).await?;
    tickets.sort_by_cached_key(key);
    tickets.retain(|ticket| start.is_none_or(|start| key(ticket).as_str() >= start));
    let shown = tickets.iter().map(|ticket| (key(ticket), picture(ticket)));
    let chosen = |ticket: &Value| {
        let meant = |field, wanted: Option<&str>| wanted.is_none_or(|text| ticket[field] == text);
        meant("state", params.text("state")) && meant("account_id", account.as_deref())
    };
    let mut shown = shown.filter(|(_, ticket)| chosen(ticket));
    let data: Vec<Value> = shown
        .by_ref()
        .take(size)
        .map(|(_, ticket)| ticket)
        .collect();
    let page = Page {
        size: data.len(),
        start: start.map(str::to_owned),
        next: shown.next().map(|(key, _)| key),
    };
    let answer = Answer {
        page: Some(page),
        ..Answer::new(Value::Array(data))
    };
    Ok(answer.wrap(&shared))
}

/// The account whose tickets a request is about: the one it names, else the caller's; `None` is every account.
async fn account(
    shared: &Shared,
    caller: &Caller,
    params: &Params,
) -> Result<Option<String>, Refusal> {
    let Some(own) = caller.account() else {
        return Ok(params.text("account_id").map(str::to_owned));
    };
    let named = params
        .text("account_id")
        .map(request::account)
        .transpose()?;
    let meant = named.unwrap_or_else(|| own.clone());
    if !caller.reaches(&shared.store, &meant).await? {
        return Err(forbidden(meant.as_str()));
    }
    Ok(Some(meant.to_string()))
}

/// `GET /deliveries/{ID}`.
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answered {
    let ticket = find(&shared, &caller, &id).await?;
    Ok(Answer::new(picture(&ticket)).wrap(&shared))
}

/// `POST /deliveries/{ID}/retry`: try it at once, also if it was given up on.
pub(crate) async fn retry(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    By(by): By,
    Path(id): Path<String>,
    Posted(body): Posted,
) -> Answered {
    let ticket = find(&shared, &caller, &id).await?;
    order(&shared, &ticket, DeliveryAction::Retry, reason(&body)?, by).await
}

/// `POST /deliveries/{ID}/drop`: remove it undelivered.
pub(crate) async fn give_up(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    By(by): By,
    Path(id): Path<String>,
    Posted(body): Posted,
) -> Answered {
    let ticket = find(&shared, &caller, &id).await?;
    let reason = reason(&body)?.unwrap_or_else(|| NO_REASON.to_owned());
    order(&shared, &ticket, DeliveryAction::Drop, Some(reason), by).await
}

async fn order(
    shared: &Shared,
    ticket: &Ticket,
    action: DeliveryAction,
    reason: Option<String>,
    by: Option<String>,
) -> Answered {
    let id = ticket.recording_id().as_str();
    let obstacle = match ticket.state() {
        RecordingState::Growing => "its call is still being recorded; wait until it has ended",
        RecordingState::Delivered => "it is delivered already",
        RecordingState::Discarded => "it is dropped already",
        _ => "",
    };
    if !obstacle.is_empty() {
        return Err(Refusal::new(Why::Conflict, obstacle).cause(id));
    }
    let order = DeliveryOrder {
        reason,
        by,
        ..DeliveryOrder::new(action, ticket.recording_id().clone())
    };
    let key = order.routing_key();
    tracing::info!(
        id,
        action = action.name(),
        told = order.told(),
        "ordered by the API"
    );
    let mut order = order.into_envelope();
    order.headers.node.clone_from(&shared.node);
    let sent = shared.bus.publish(Exchange::Kapps, &key, order.to_bytes());
    sent.await.map_err(|e| {
        Refusal::new(
            Why::Unavailable,
            format!("the order could not be sent: {e}; try again"),
        )
    })?;
    let mut data = picture(ticket);
    data["order"] = action.name().into();
    let answer = Answer {
        status: StatusCode::ACCEPTED,
        ..Answer::new(data)
    };
    Ok(answer.wrap(shared))
}

/// The ticket of a recording. One that is another account's is as good as none.
async fn find(shared: &Shared, caller: &Caller, id: &str) -> Result<Ticket, Refusal> {
    let wanted: RecordingId = request::recording(id)?;
    let found = blocking(&shared.spool, move |spool| spool.ticket(&wanted)).await?;
    if let Some(ticket) = found
        && caller
            .reaches(&shared.store, &ticket.promise().account_id)
            .await?
    {
        return Ok(ticket);
    }
    let message = format!(
        "nothing is owed for recording {id} on this node: it was delivered, dropped, or never made"
    );
    Err(Refusal::new(Why::NotFound, message).cause(id))
}

/// The spool's calls wait for the disk.
async fn blocking<T: Send + 'static>(
    spool: &View,
    work: impl FnOnce(&View) -> Result<T, callreel_spool::Error> + Send + 'static,
) -> Result<T, Refusal> {
    let spool = spool.clone();
    let done = tokio::task::spawn_blocking(move || work(&spool)).await;
    let done =
        done.map_err(|e| Refusal::new(Why::Broken, format!("reading the spool failed: {e}")))?;
    Ok(done?)
}

/// Where a ticket stands in the list: by its start. Twenty digits, so that text is ordered as time is.
fn key(ticket: &Ticket) -> String {
    let started = ticket.promise().started_at.unix_ms().max(0);
    format!("{started:020}.{}", ticket.recording_id())
}

/// A ticket for people: where it is on its way, never how to get in at its destination.
fn picture(ticket: &Ticket) -> Value {
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
        "destination": promise.destination.describe(),
        "name": promise.file_name,
        "started_at": promise.started_at.rfc3339(),
        "start": promise.started_at.gregorian_seconds(),
        "duration_ms": ticket.length_ms(),
        "bytes": ticket.rendition().map(|r| r.bytes),
        "attempts": log.attempts,
        "first_attempt_at": time(log.first_attempt_at),
        "next_attempt_at": time(log.next_attempt_at),
        "uploaded_at": time(log.uploaded_at),
        "finished_at": time(log.finished_at),
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
