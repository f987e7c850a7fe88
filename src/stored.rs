//! `callreel recordings` and `deliveries`: looks at what rests in store and spool, beside a running node or without.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use callreel_proto::{AccountId, RecordingId, Utc, month_db};
use callreel_spool::{Error as SpoolError, Outbox, Ticket, View as SpoolView};
use callreel_store::{Recordings as Listing, Store, View};
use futures::TryStreamExt;
use reqwest::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{
    cli::{Deliveries, Recordings},
    config::Config,
    node::open_store,
    remote,
    serve::say,
};

/// Recordings shown by `recordings list`.
const SHOWN: usize = 1000;

/// `callreel recordings …`.
pub(crate) async fn recordings(command: Recordings) -> anyhow::Result<ExitCode> {
    match command {
        Recordings::List { account, place } => {
            let store = open_store(&place.load()?)?;
            list(&store, &AccountId::parse(&account)?).await?;
        }
        Recordings::Show { account, id, place } => {
            let store = open_store(&place.load()?)?;
            let (_, doc) = document(&store, &account, &id).await?;
            say(&format!("{doc:#}\n"));
        }
        Recordings::Get {
            account,
            id,
            out,
            place,
        } => {
            let store = open_store(&place.load()?)?;
            get(&store, &account, &id, out.as_deref()).await?;
        }
        Recordings::Delete { account, id, place } => {
            let store = open_store(&place.load()?)?;
            let (db, _) = document(&store, &account, &id).await?;
            store.soft_delete(&db, &id).await?;
            say(&format!("deleted {id}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, account: &AccountId) -> anyhow::Result<()> {
    let mut left = SHOWN;
    for db in store.month_databases(account).await? {
        let listing = Listing {
            limit: left,
            ..Listing::default()
        };
        let docs = store.query(&db, View::Recordings(listing)).await?;
        left -= docs.len().min(left);
        for doc in &docs {
            say(&line(doc));
        }
        if left == 0 {
            say(&format!(
                "(the newest {SHOWN}; the API pages through all)\n"
            ));
            break;
        }
    }
    Ok(())
}

fn line(doc: &Value) -> String {
    let text = |key: &str| doc.get(key).and_then(Value::as_str).unwrap_or("-");
    let ms = doc.get("duration_ms").and_then(Value::as_u64).unwrap_or(0);
    let start = doc.get("start").and_then(Value::as_i64).unwrap_or(0);
    let start = Utc::from_unix_ms((start - callreel_proto::GREGORIAN_UNIX_OFFSET) * 1000);
    format!(
        "{}  {}  {:>8.1} s  {} -> {}  {}\n",
        text("_id"),
        start.rfc3339(),
        ms as f64 / 1000.0,
        text("from"),
        text("request"),
        doc.get("url")
            .and_then(Value::as_str)
            .unwrap_or("account database"),
    )
}

/// A recording's database and document.
async fn document(store: &Store, account: &str, id: &str) -> anyhow::Result<(String, Value)> {
    let (account, id) = (AccountId::parse(account)?, RecordingId::parse(id)?);
    let db = month_db(&account, id.month());
    let doc = store
        .get(&db, id.as_str())
        .await?
        .filter(|doc| !callreel_store::is_soft_deleted(doc))
        .with_context(|| format!("account {account} has no recording {id}"))?;
    Ok((db, doc))
}

async fn get(store: &Store, account: &str, id: &str, out: Option<&Path>) -> anyhow::Result<()> {
    let (db, doc) = document(store, account, id).await?;
    let names = doc.get("_attachments").and_then(Value::as_object);
    let Some(name) = names.and_then(|names| names.keys().next()) else {
        match doc.get("url").and_then(Value::as_str) {
            Some(url) => bail!("the audio of {id} was sent to {url} and is not kept here"),
            None => bail!("recording {id} has no audio"),
        }
    };
    let attachment = store
        .attachment(&db, id, name)
        .await?
        .with_context(|| format!("the audio of {id} is gone"))?;
    let path = out.unwrap_or(Path::new(name));
    let at = || path.display().to_string();
    let mut file = tokio::fs::File::create(path).await.with_context(at)?;
    let mut body = attachment.body;
    while let Some(block) = body.try_next().await? {
        file.write_all(&block).await.with_context(at)?;
    }
    file.sync_all().await.with_context(at)?;
    say(&format!("{}\n", path.display()));
    Ok(())
}

/// `callreel deliveries …`.
pub(crate) async fn deliveries(command: Deliveries) -> anyhow::Result<ExitCode> {
    match command {
        Deliveries::List { place } => {
            let config = place.load()?;
            for ticket in SpoolView::open(config.spool_dir()).tickets()? {
                say(&owed(&ticket));
            }
        }
        Deliveries::Retry { id, place } => order(&place.load()?, &id, Order::Retry).await?,
        Deliveries::Drop { id, place } => order(&place.load()?, &id, Order::Drop).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn owed(ticket: &Ticket) -> String {
    let (promise, log) = (ticket.promise(), ticket.delivery());
    let next = log
        .next_attempt_at
        .map_or_else(String::new, |at| format!(", next at {}", at.rfc3339()));
    let why = log
        .last_error
        .as_ref()
        .map_or_else(String::new, |why| format!(": {why}"));
    format!(
        "{}  {}  {:?} -> {}  {} attempts{next}{why}\n",
        promise.recording_id,
        promise.started_at.rfc3339(),
        ticket.state(),
        promise.destination.describe(),
        log.attempts,
    )
}

#[derive(Clone, Copy)]
enum Order {
    Retry,
    Drop,
}

impl Order {
    fn verb(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }
}

/// Changes a ticket: through the node that delivers from the spool, or directly when none does.
async fn order(config: &Config, id: &str, order: Order) -> anyhow::Result<()> {
    let id = RecordingId::parse(id)?;
    match Outbox::open(config.spool_dir()) {
        Ok(spool) => directly(&spool, &id, order)?,
        Err(SpoolError::HasDelivery { .. }) => through_the_node(config, &id, order).await?,
        Err(error) => return Err(error.into()),
    }
    say(&format!("{} {id}\n", order.verb()));
    Ok(())
}

fn directly(spool: &Outbox, id: &RecordingId, order: Order) -> anyhow::Result<()> {
    let (ticket, ()) = spool.update_ticket(id, |ticket| -> Result<(), SpoolError> {
        match order {
            Order::Retry => Ok(ticket.retry()?),
            Order::Drop => Ok(ticket.discarded(Utc::now(), "dropped by an operator")?),
        }
    })?;
    if matches!(order, Order::Drop) {
        spool.settle(&ticket)?;
    }
    Ok(())
}

async fn through_the_node(config: &Config, id: &RecordingId, order: Order) -> anyhow::Result<()> {
    let url = remote::url(config, &["deliveries", id.as_str(), order.verb()])?;
    remote::ask(config, Method::POST, url, None).await?;
    Ok(())
}
