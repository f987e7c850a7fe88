//! What is still owed: the tickets of all spools, without secrets, and a person's orders about them. The delivery
//! role obeys the orders; this only sends them.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use callreel_proto::{
    AccountId, DeliveryAction, DeliveryOrder, Exchange, Hold, Owed, OwedReq, RecordingId,
    RecordingState,
};
use callreel_spool::MOST_OWED;
use serde_json::{Value, json};

use crate::{
    Shared,
    auth::{By, Caller, forbidden},
    envelope::{Answer, Page},
    owing::gather,
    refusal::{Refusal, Why},
    request::{self, Params, Posted, invalid, reason},
};

/// What is kept of a recording that somebody dropped without saying why.
pub(crate) const NO_REASON: &str = "no reason given";

type Answered = Result<Response, Refusal>;

/// Most orders of one request: half of what the delivery role has room for, so that they crowd out nothing else.
const MOST_ORDERS: usize = 500;

/// `GET /deliveries`: oldest first; `state` and `account_id` choose, `start_key` goes on. An account's caller sees his own
/// account's, or those of the one below it that he names.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    params: Params,
) -> Answered {
    let size = match params.number("page_size")? {
        None => MOST_OWED,
        Some(0) => return Err(invalid("page_size", "must be at least 1")),
        Some(size) => usize::try_from(size).unwrap_or(MOST_OWED).min(MOST_OWED),
    };
    let asked = asked(&shared, &caller, &params, size).await?;
    let start = asked.start_key.clone();
    let found = gather(&shared, asked).await?;
    let data: Vec<Value> = found.tickets.iter().map(picture).collect();
    let page = Page {
        size: data.len(),
        start,
        next: found.next,
    };
    let answer = Answer {
        page: Some(page),
        silent: found.silent,
        ..Answer::new(Value::Array(data))
    };
    Ok(answer.wrap(&shared))
}

/// `GET /deliveries/receivers`: which receivers are left alone at the moment, and until when.
/// A receiver may be several accounts', and its name tells of others' business.
pub(crate) async fn receivers(State(shared): State<Arc<Shared>>) -> Answered {
    let asked = OwedReq {
        receivers: Some(true),
        ..OwedReq::default()
    };
    let found = gather(&shared, asked).await?;
    let shown = found.receivers.into_iter().map(Value::Object);
    let answer = Answer {
        silent: found.silent,
        ..Answer::new(shown.collect())
    };
    Ok(answer.wrap(&shared))
}

/// `POST /deliveries/retry`: tries many at once, the oldest first; `state` and `account_id` choose.
pub(crate) async fn retry_many(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    By(by): By,
    params: Params,
    Posted(body): Posted,
) -> Answered {
    let asked = asked(&shared, &caller, &params, MOST_ORDERS).await?;
    let reason = reason(&body)?;
    let found = gather(&shared, asked).await?;
    let meant = found.tickets.into_iter();
    let meant = meant.filter(|ticket| obstacle(ticket, DeliveryAction::Retry).is_none());
    let mut ordered = 0;
    for ticket in meant {
        let order = DeliveryOrder {
            reason: reason.clone(),
            by: by.clone(),
            ..DeliveryOrder::new(DeliveryAction::Retry, ticket.id)
        };
        send(&shared, order).await?;
        ordered += 1;
    }
    let page = Page {
        size: ordered,
        start: None,
        next: found.next,
    };
    let answer = Answer {
        status: StatusCode::ACCEPTED,
        page: Some(page),
        silent: found.silent,
        ..Answer::new(json!({"order": DeliveryAction::Retry.name(), "ordered": ordered}))
    };
    Ok(answer.wrap(&shared))
}

/// What the parameters ask for, at most `size` tickets of it.
async fn asked(
    shared: &Shared,
    caller: &Caller,
    params: &Params,
    size: usize,
) -> Result<OwedReq, Refusal> {
    let state = params.text("state").map(|text| {
        serde_json::from_value::<RecordingState>(Value::from(text)).map_err(|_| {
            invalid(
                "state",
                "must be growing, ended, rendered, delivering or undeliverable",
            )
        })
    });
    Ok(OwedReq {
        recording_id: None,
        account_id: account(shared, caller, params).await?,
        state: state.transpose()?,
        start_key: params.text("start_key").map(str::to_owned),
        page_size: size as u64,
        receivers: None,
    })
}

/// The account whose tickets a request is about: the one it names, else the caller's; `None` is every account.
async fn account(
    shared: &Shared,
    caller: &Caller,
    params: &Params,
) -> Result<Option<AccountId>, Refusal> {
    let named = params
        .text("account_id")
        .map(request::account)
        .transpose()?;
    let Some(own) = caller.account() else {
        return Ok(named);
    };
    let meant = named.unwrap_or_else(|| own.clone());
    if !caller.reaches(&shared.store, &meant).await? {
        return Err(forbidden(meant.as_str()));
    }
    Ok(Some(meant))
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

/// Sends an order about a ticket to whoever delivers from the spool.
pub(crate) async fn order(
    shared: &Shared,
    ticket: &Owed,
    action: DeliveryAction,
    reason: Option<String>,
    by: Option<String>,
) -> Answered {
    if let Some(obstacle) = obstacle(ticket, action) {
        return Err(Refusal::new(Why::Conflict, obstacle).cause(ticket.id.as_str()));
    }
    let order = DeliveryOrder {
        account_id: Some(ticket.account_id.clone()),
        reason,
        by,
        ..DeliveryOrder::new(action, ticket.id.clone())
    };
    send(shared, order).await?;
    let mut data = picture(ticket);
    data["order"] = action.name().into();
    let answer = Answer {
        status: StatusCode::ACCEPTED,
        ..Answer::new(data)
    };
    Ok(answer.wrap(shared))
}

/// Why a ticket cannot have this done to it now.
fn obstacle(ticket: &Owed, action: DeliveryAction) -> Option<String> {
    let hold = ticket
        .hold
        .as_ref()
        .filter(|_| action == DeliveryAction::Drop);
    if let Some(Hold { by, reason, .. }) = hold {
        return Some(format!(
            "{by} put a legal hold on it ({reason}); lift the hold first"
        ));
    }
    let holds = matches!(action, DeliveryAction::Hold | DeliveryAction::Release);
    let obstacle = match ticket.state {
        RecordingState::Growing if !holds => {
            "its call is still being recorded; wait until it has ended"
        }
        RecordingState::Delivered if !holds => "it is delivered already",
        RecordingState::Discarded => "it is dropped already",
        _ => return None,
    };
    Some(obstacle.to_owned())
}

async fn send(shared: &Shared, order: DeliveryOrder) -> Result<(), Refusal> {
    let (id, told) = (order.recording_id.clone(), order.told());
    tracing::info!(%id, action = order.action.name(), told, "ordered by the API");
    let key = order.routing_key();
    let mut order = order.into_envelope();
    order.headers.node.clone_from(&shared.node);
    let sent = shared.bus.publish(Exchange::Kapps, &key, order.to_bytes());
    sent.await.map_err(|e| {
        let message = format!("the order could not be sent: {e}; try again");
        Refusal::new(Why::Unavailable, message)
    })
}

/// The ticket of a recording, if it is owed.
pub(crate) async fn ticket(shared: &Shared, id: &RecordingId) -> Result<Option<Owed>, Refusal> {
    let asked = OwedReq {
        recording_id: Some(id.clone()),
        ..OwedReq::default()
    };
    let mut found = gather(shared, asked).await?;
    let ticket = found.tickets.pop();
    if ticket.is_none() && !found.silent.is_empty() {
        let silent: Vec<String> = found.silent.into_iter().collect();
        let message = format!(
            "{} deliver recordings and have not answered, so that it is not known whether this one is owed; try again",
            silent.join(", ")
        );
        return Err(Refusal::new(Why::Late, message).cause(id.as_str()));
    }
    Ok(ticket)
}

/// The ticket of a recording. One that is another account's is as good as none.
async fn find(shared: &Shared, caller: &Caller, id: &str) -> Result<Owed, Refusal> {
    if let Some(ticket) = ticket(shared, &request::recording(id)?).await?
        && caller.reaches(&shared.store, &ticket.account_id).await?
    {
        return Ok(ticket);
    }
    let message =
        format!("nothing is owed for recording {id}: it was delivered, dropped, or never made");
    Err(Refusal::new(Why::NotFound, message).cause(id))
}

/// The ticket as it is shown.
fn picture(ticket: &Owed) -> Value {
    json!(ticket)
}
