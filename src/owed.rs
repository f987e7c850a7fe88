//! `callreel deliveries`: looks at what a spool still owes, and orders what becomes of it, through the node that delivers from it or
//! without one.

use std::process::ExitCode;

use anyhow::bail;
use callreel_proto::{AccountId, DeliveryAction, DeliveryOrder, RecordingId, RecordingState, Utc};
use callreel_spool::{Error as SpoolError, Outbox, Ticket, View};
use reqwest::Method;
use serde_json::json;

use crate::{
    cli::{Deliveries, Owed},
    config::Config,
    remote,
    serve::say,
};

/// `callreel deliveries …`.
pub(crate) async fn deliveries(command: Deliveries) -> anyhow::Result<ExitCode> {
    match command {
        Deliveries::List {
            state,
            account,
            place,
        } => list(&place.load()?, state.as_deref(), account.as_deref())?,
        Deliveries::Receivers { place } => receivers(&place.load()?)?,
        Deliveries::Retry(owed) => tell(owed, DeliveryAction::Retry).await?,
        Deliveries::Drop(owed) => tell(owed, DeliveryAction::Drop).await?,
        Deliveries::Hold(owed) => tell(owed, DeliveryAction::Hold).await?,
        Deliveries::Release(owed) => tell(owed, DeliveryAction::Release).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Month by month, and within one in no order of time: so that a backlog of any size is never in memory.
fn list(config: &Config, state: Option<&str>, account: Option<&str>) -> anyhow::Result<()> {
    let state: Option<RecordingState> = state
        .map(|state| serde_json::from_value(json!(state)))
        .transpose()?;
    let account = account.map(AccountId::parse).transpose()?;
    View::open(config.spool_dir()).for_each_ticket(|ticket| {
        let meant = state.is_none_or(|state| ticket.state() == state)
            && account
                .as_ref()
                .is_none_or(|a| ticket.promise().account_id == *a);
        if meant {
            say(&line(&ticket));
        }
        Ok::<_, SpoolError>(())
    })?;
    Ok(())
}

fn line(ticket: &Ticket) -> String {
    let (promise, log) = (ticket.promise(), ticket.delivery());
    let next = log
        .next_attempt_at
        .map_or_else(String::new, |at| format!(", next at {}", at.rfc3339()));
    let held = ticket.hold().map_or_else(String::new, |hold| {
        format!(", held by {} ({})", hold.by, hold.reason)
    });
    let why = log
        .last_error
        .as_ref()
        .map_or_else(String::new, |why| format!(": {why}"));
    format!(
        "{}  {}  {}  {:?} -> {}  {} attempts{next}{held}{why}\n",
        promise.recording_id,
        promise.started_at.rfc3339(),
        promise.account_id,
        ticket.state(),
        ticket.place(),
        log.attempts,
    )
}

fn receivers(config: &Config) -> anyhow::Result<()> {
    for receiver in View::open(config.spool_dir()).receivers()? {
        let since = receiver
            .failing_since
            .map_or_else(String::new, |at| format!(" since {}", at.rfc3339()));
        say(&format!(
            "{}  {} failures{since}, {} recordings wait, next probe at {}: {}\n",
            receiver.host,
            receiver.failures,
            receiver.waiting,
            receiver.next_probe.rfc3339(),
            receiver.last_error,
        ));
    }
    Ok(())
}

async fn tell(owed: Owed, action: DeliveryAction) -> anyhow::Result<()> {
    let config = owed.place.load()?;
    let id = RecordingId::parse(&owed.id)?;
    order(&config, &id, action, owed.reason).await
}

/// Orders something of a recording that is owed: of the node that delivers from the spool, or of the ticket itself when none
/// does.
pub(crate) async fn order(
    config: &Config,
    id: &RecordingId,
    action: DeliveryAction,
    reason: Option<String>,
) -> anyhow::Result<()> {
    if action == DeliveryAction::Hold && reason.is_none() {
        bail!("a hold says why: give --reason");
    }
    match Outbox::open(config.spool_dir()) {
        Ok(spool) => directly(&spool, id, action, reason)?,
        Err(SpoolError::HasDelivery { .. }) => through_the_node(config, id, action, reason).await?,
        Err(error) => return Err(error.into()),
    }
    say(&format!("{} {id}\n", action.name()));
    Ok(())
}

fn directly(
    spool: &Outbox,
    id: &RecordingId,
    action: DeliveryAction,
    reason: Option<String>,
) -> anyhow::Result<()> {
    let order = DeliveryOrder {
        reason: Some(reason.unwrap_or_else(|| "no reason given".to_owned())),
        by: Some(operator()),
        ..DeliveryOrder::new(action, id.clone())
    };
    let (ticket, ()) = spool.update_ticket(id, |ticket| -> Result<(), SpoolError> {
        if let Some(entry) = ticket.obey(&order, Utc::now())? {
            spool.view().manifest().note(&entry);
        }
        Ok(())
    })?;
    if action == DeliveryAction::Drop {
        spool.settle(&ticket)?;
    }
    Ok(())
}

async fn through_the_node(
    config: &Config,
    id: &RecordingId,
    action: DeliveryAction,
    reason: Option<String>,
) -> anyhow::Result<()> {
    let body = json!({"data": {"reason": reason}});
    let holds = matches!(action, DeliveryAction::Hold | DeliveryAction::Release);
    let (method, url) = if holds {
        let ticket = View::open(config.spool_dir()).ticket(id)?;
        let account = ticket.map(|ticket| ticket.promise().account_id.clone());
        let account = account.ok_or_else(|| SpoolError::NoTicket(id.clone()))?;
        let path = [
            "v2",
            "accounts",
            account.as_str(),
            "recordings",
            id.as_str(),
            "hold",
        ];
        let method = if action == DeliveryAction::Hold {
            Method::PUT
        } else {
            Method::DELETE
        };
        (method, remote::url(config, &path)?)
    } else {
        let path = ["deliveries", id.as_str(), action.name()];
        (Method::POST, remote::url(config, &path)?)
    };
    remote::ask(config, "callreel deliveries", method, url, Some(&body)).await?;
    Ok(())
}

/// Who orders at this command line.
pub(crate) fn operator() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    user.map_or_else(
        |_| "an operator at the command line".to_owned(),
        |user| format!("{user} at the command line"),
    )
}
