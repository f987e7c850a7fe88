//! `callreel recordings`: looks at stored recordings, gets, deletes and holds them, beside a running node or without.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use callreel_attachments::{Attachments, Deleted, How};
use callreel_proto::{AccountId, DeliveryAction, Hold, RecordingId, Utc, month_db};
use callreel_spool::{Entry, View as SpoolView, What};
use callreel_store::{Recordings as Listing, Store, View};
use futures::TryStreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{
    cli::{HoldOrder, Recordings},
    config::Config,
    node::{open_attachments, open_store},
    owed::{self, operator},
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
            let attachments = open_attachments(&place.load()?)?;
            get(&attachments, &account, &id, out.as_deref()).await?;
        }
        Recordings::Delete {
            account,
            id,
            hard,
            reason,
            place,
        } => {
            let how = if hard { How::Hard } else { How::Soft };
            delete(&place.load()?, (&account, &id), how, reason).await?;
        }
        Recordings::Hold(order) => hold(order, DeliveryAction::Hold).await?,
        Recordings::Release(order) => hold(order, DeliveryAction::Release).await?,
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

async fn get(
    attachments: &Attachments,
    account: &str,
    id: &str,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    let (db, doc) = document(attachments.store(), account, id).await?;
    let Some(audio) = callreel_attachments::audio(&doc) else {
        match doc.get("url").and_then(Value::as_str) {
            Some(url) => bail!("the audio of {id} was sent to {url} and is not kept here"),
            None => bail!("recording {id} has no audio"),
        }
    };
    let found = attachments.fetch(&db, &doc, &audio.name, 0..audio.length);
    let found = found
        .await?
        .with_context(|| format!("the audio of {id} is gone"))?;
    let path = out.unwrap_or(Path::new(&audio.name));
    let at = || path.display().to_string();
    let mut file = tokio::fs::File::create(path).await.with_context(at)?;
    let mut body = found.body;
    while let Some(block) = body.try_next().await? {
        file.write_all(&block).await.with_context(at)?;
    }
    file.sync_all().await.with_context(at)?;
    say(&format!("{}\n", path.display()));
    Ok(())
}

async fn delete(
    config: &Config,
    (account, id): (&str, &str),
    how: How,
    reason: Option<String>,
) -> anyhow::Result<()> {
    let attachments = open_attachments(config)?;
    let (db, _) = document(attachments.store(), account, id).await?;
    let deleted = attachments.delete(&db, id, how).await?;
    let Deleted { receipts } = deleted.with_context(|| format!("recording {id} is gone"))?;
    for receipt in &receipts {
        say(&format!("{receipt}\n"));
    }
    let what = What::Deleted {
        by: operator(),
        reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
        receipts,
    };
    note(config, account, id, what)?;
    say(&format!("deleted {id}\n"));
    Ok(())
}

/// Puts or lifts a legal hold: on the ticket, if the recording is still owed here, and on the document, if it is stored.
async fn hold(order: HoldOrder, action: DeliveryAction) -> anyhow::Result<()> {
    let config = order.place.load()?;
    let id = RecordingId::parse(&order.id)?;
    let account = AccountId::parse(&order.account)?;
    let ticket = SpoolView::open(config.spool_dir()).ticket(&id)?;
    let owed = ticket.is_some_and(|ticket| ticket.promise().account_id == account);
    if owed {
        let reason = Some(order.reason.clone());
        owed::order(&config, &id, action, reason).await?;
    }
    let stored = store_hold(&config, &account, &id, action, order.reason).await?;
    if !stored && !owed {
        bail!("account {account} has no recording {id}, stored or owed");
    }
    Ok(())
}

/// The same of the document only; false if there is none.
async fn store_hold(
    config: &Config,
    account: &AccountId,
    id: &RecordingId,
    action: DeliveryAction,
    reason: String,
) -> anyhow::Result<bool> {
    let attachments = open_attachments(config)?;
    let db = month_db(account, id.month());
    let of = |doc: &Value| doc.as_object().and_then(Hold::of);
    let before = attachments.store().get(&db, id.as_str()).await?;
    let before = before.as_ref().and_then(of);
    let by = operator();
    let (doc, what) = if action == DeliveryAction::Hold {
        let hold = Hold {
            by: by.clone(),
            reason: reason.clone(),
            since: Utc::now().gregorian_seconds(),
        };
        let doc = attachments.hold(&db, id.as_str(), &hold).await?;
        (doc, What::Held { by, reason })
    } else {
        let doc = attachments.release(&db, id.as_str()).await?;
        (doc, What::Released { by, reason })
    };
    let Some(doc) = doc else {
        return Ok(false);
    };
    let now = of(&doc);
    if before != now {
        note(config, account.as_str(), id.as_str(), what)?;
    }
    let told = now.map_or_else(
        || "is not held".to_owned(),
        |hold| format!("is held by {} ({})", hold.by, hold.reason),
    );
    say(&format!("{id} {told}\n"));
    Ok(true)
}

/// Writes what was done to a stored recording into the manifest of this spool.
fn note(config: &Config, account: &str, id: &str, what: What) -> anyhow::Result<()> {
    let entry = Entry::new(AccountId::parse(account)?, RecordingId::parse(id)?, what);
    let manifest = SpoolView::open(config.spool_dir()).manifest();
    manifest
        .append(&entry)
        .context("it is done, and the manifest does not say so")?;
    Ok(())
}
