//! What is still owed: the tickets of this node's spool, without secrets, and a person's orders about them. The delivery
//! role obeys the orders; this only sends them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use callreel_proto::{
    DeliveryAction, DeliveryOrder, Exchange, Hold, RecordingId, RecordingState, Utc,
};
use callreel_spool::{Ticket, View};
use serde_json::{Value, json};

use crate::{
    Shared,
    auth::{By, Caller, forbidden},
    envelope::{Answer, Page},
    refusal::{Refusal, Why},
    request::{self, Params, Posted, invalid, reason},
    ticket::{key, picture},
};

/// What is kept of a recording that somebody dropped without saying why.
pub(crate) const NO_REASON: &str = "no reason given";

type Answered = Result<Response, Refusal>;

/// Most orders of one request: half of what the delivery role has room for, so that they crowd out nothing else.
const MOST_ORDERS: usize = 500;
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
    let which = Which::read(&params, account)?;
    let start = params.text("start_key").map(str::to_owned);
    let from = start.clone().unwrap_or_default();
    let walk = move |spool: &View| which.oldest(spool, &from, size, picture);
    let (data, next) = blocking(&shared.spool, walk).await?;
    let page = Page {
        size: data.len(),
        start,
        next,
    };
    let answer = Answer {
        page: Some(page),
        ..Answer::new(Value::Array(data))
    };
    Ok(answer.wrap(&shared))
}

/// `GET /deliveries/receivers`: which receivers are left alone at the moment, and until when.
pub(crate) async fn receivers(State(shared): State<Arc<Shared>>, caller: Caller) -> Answered {
    if caller.account().is_some() {
        // A receiver may be several accounts', and its name tells of others' business.
        let message = "receivers are shown to the administrator only";
        return Err(Refusal::new(Why::Forbidden, message));
    }
    let receivers = blocking(&shared.spool, View::receivers).await?;
    let time = |at: Utc| at.rfc3339();
    let shown = receivers.into_iter().map(|receiver| {
        json!({
            "host": receiver.host,
            "failures": receiver.failures,
            "failing_since": receiver.failing_since.map(time),
            "last_error": receiver.last_error,
            "next_probe": time(receiver.next_probe),
            "waiting": receiver.waiting,
        })
    });
    Ok(Answer::new(shown.collect()).wrap(&shared))
}

/// `POST /deliveries/retry`: tries many at once, the oldest first; `state` and `account_id` choose.
pub(crate) async fn retry_many(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    By(by): By,
    params: Params,
    Posted(body): Posted,
) -> Answered {
    let account = account(&shared, &caller, &params).await?;
    let which = Which::read(&params, account)?;
    let reason = reason(&body)?;
    let start = params.text("start_key").unwrap_or_default().to_owned();
    let walk = move |spool: &View| {
        let can = |ticket: &Ticket| {
            (
                obstacle(ticket, DeliveryAction::Retry).is_none(),
                id(ticket),
            )
        };
        which.oldest(spool, &start, MOST_ORDERS, can)
    };
    let (found, next) = blocking(&shared.spool, walk).await?;
    let meant = found.into_iter().filter_map(|(can, id)| can.then_some(id));
    let mut ordered = 0;
    for id in meant {
        let order = DeliveryOrder {
            reason: reason.clone(),
            by: by.clone(),
            ..DeliveryOrder::new(DeliveryAction::Retry, id)
        };
        send(&shared, order).await?;
        ordered += 1;
    }
    let page = Page {
        size: ordered,
        start: None,
        next,
    };
    let answer = Answer {
        status: StatusCode::ACCEPTED,
        page: Some(page),
        ..Answer::new(json!({"order": DeliveryAction::Retry.name(), "ordered": ordered}))
    };
    Ok(answer.wrap(&shared))
}

fn id(ticket: &Ticket) -> RecordingId {
    ticket.recording_id().clone()
}

/// Which tickets a request is about.
struct Which {
    state: Option<String>,
    account: Option<String>,
}

impl Which {
    fn read(params: &Params, account: Option<String>) -> Result<Self, Refusal> {
        let state = params.text("state");
        let known = |text| serde_json::from_value::<RecordingState>(Value::from(text)).is_ok();
        if !state.is_none_or(known) {
            return Err(invalid(
                "state",
                "must be growing, ended, rendered, delivering or undeliverable",
            ));
        }
        Ok(Self {
            state: state.map(str::to_owned),
            account,
        })
    }

    fn has(&self, ticket: &Ticket) -> bool {
        let is = |wanted: &Option<String>, text: &dyn Fn(&str) -> bool| {
            wanted.as_deref().is_none_or(text)
        };
        is(&self.state, &|state| json!(ticket.state()) == state)
            && is(&self.account, &|account| {
                ticket.promise().account_id.as_str() == account
            })
    }

    /// The oldest `size` of them from the key `from` on, as `show` makes them, and the key of the one after. However many there
    /// are in the spool, only so many are in memory.
    fn oldest<T>(
        &self,
        spool: &View,
        from: &str,
        size: usize,
        show: impl Fn(&Ticket) -> T,
    ) -> Result<(Vec<T>, Option<String>), callreel_spool::Error> {
        let mut page = BTreeMap::new();
        spool.for_each_ticket(|ticket| {
            let key = key(&ticket);
            if key.as_str() >= from && self.has(&ticket) {
                page.insert(key, show(&ticket));
                if page.len() > size + 1 {
                    page.pop_last();
                }
            }
            Ok::<_, callreel_spool::Error>(())
        })?;
        let next = page.keys().nth(size).cloned();
        Ok((page.into_values().take(size).collect(), next))
    }
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

/// Sends an order about a ticket to whoever delivers from the spool.
pub(crate) async fn order(
    shared: &Shared,
    ticket: &Ticket,
    action: DeliveryAction,
    reason: Option<String>,
    by: Option<String>,
) -> Answered {
    let id = ticket.recording_id().as_str();
    if let Some(obstacle) = obstacle(ticket, action) {
        return Err(Refusal::new(Why::Conflict, obstacle).cause(id));
    }
    let order = DeliveryOrder {
        account_id: Some(ticket.promise().account_id.clone()),
        reason,
        by,
        ..DeliveryOrder::new(action, ticket.recording_id().clone())
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
fn obstacle(ticket: &Ticket, action: DeliveryAction) -> Option<String> {
    let hold = ticket.hold().filter(|_| action == DeliveryAction::Drop);
    if let Some(Hold { by, reason, .. }) = hold {
        return Some(format!(
            "{by} put a legal hold on it ({reason}); lift the hold first"
        ));
    }
    let holds = matches!(action, DeliveryAction::Hold | DeliveryAction::Release);
    let obstacle = match ticket.state() {
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
pub(crate) async fn ticket(shared: &Shared, id: &str) -> Result<Option<Ticket>, Refusal> {
    let wanted: RecordingId = request::recording(id)?;
    blocking(&shared.spool, move |spool| spool.ticket(&wanted)).await
}

/// The ticket of a recording. One that is another account's is as good as none.
async fn find(shared: &Shared, caller: &Caller, id: &str) -> Result<Ticket, Refusal> {
    if let Some(ticket) = ticket(shared, id).await?
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
pub(crate) async fn blocking<T: Send + 'static>(
    spool: &View,
    work: impl FnOnce(&View) -> Result<T, callreel_spool::Error> + Send + 'static,
) -> Result<T, Refusal> {
    let spool = spool.clone();
    let done = tokio::task::spawn_blocking(move || work(&spool)).await;
    let done =
        done.map_err(|e| Refusal::new(Why::Broken, format!("reading the spool failed: {e}")))?;
    Ok(done?)
}
