//! Answers a cursor's questions from the account's documents, and finds the callflow of a new call.

use callreel_callflow::{Answer, Endpoints, Query};
use callreel_proto::{Account, AccountDb, AccountId, Device, MediaConfig, User, Vmbox};
use callreel_store::{Error, Store, View, is_soft_deleted};
use serde_json::Value;

/// The callflow document that a dialled number runs: the one that lists it, else the account's `no_match`.
pub(crate) async fn callflow_of(
    store: &Store,
    account: &AccountId,
    number: &str,
) -> Result<Option<Value>, Error> {
    let db = AccountDb::name(account);
    for wanted in [number, "no_match"] {
        let view = View::CallflowsByNumber(wanted.to_owned());
        if let Some(doc) = store.query(&db, view).await?.into_iter().next() {
            return Ok(Some(doc));
        }
    }
    Ok(None)
}

/// `system_config/media`, or Kazoo's defaults.
pub(crate) async fn media_config(store: &Store) -> MediaConfig {
    match store.get("system_config", "media").await {
        Ok(doc) => MediaConfig::read(&doc.unwrap_or_default()),
        Err(error) => {
            tracing::warn!(%error, "system_config/media not read; the defaults hold");
            MediaConfig::read(&Value::Null)
        }
    }
}

/// The answer to a cursor's question. A store that fails counts as a document that is missing, and is logged.
pub(crate) async fn answer(store: &Store, account: &AccountId, query: &Query) -> Answer {
    match look_up(store, account, query).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Answer::Missing,
        Err(error) => {
            tracing::warn!(account_id = %account, ?query, %error, "look-up failed; the flow goes on without");
            Answer::Missing
        }
    }
}

async fn look_up(
    store: &Store,
    account: &AccountId,
    query: &Query,
) -> Result<Option<Answer>, Error> {
    let db = AccountDb::name(account);
    let found = match query {
        Query::Callflow { id } => live(store, &db, id).await?.map(Answer::Flow),
        Query::Vmbox { id } => live(store, &db, id)
            .await?
            .map(|doc| Answer::Vmbox(Vmbox::read(&doc))),
        Query::UserEndpoints { id } => user_endpoints(store, account, id).await?,
        Query::DeviceEndpoint { id } => device_endpoint(store, account, id).await?,
        Query::MessageCount { box_id } => {
            Some(Answer::Count(messages(store, account, box_id).await?))
        }
    };
    Ok(found)
}

/// A document, unless it was deleted the soft way.
async fn live(store: &Store, db: &str, id: &str) -> Result<Option<Value>, Error> {
    let doc = store.get(db, id).await?;
    Ok(doc.filter(|doc| !is_soft_deleted(doc)))
}

async fn user_endpoints(
    store: &Store,
    account: &AccountId,
    id: &str,
) -> Result<Option<Answer>, Error> {
    let db = AccountDb::name(account);
    let Some(user) = live(store, &db, id).await? else {
        return Ok(None);
    };
    let devices = store
        .query(&db, View::DevicesByOwner(id.to_owned()))
        .await?
        .iter()
        .map(Device::read)
        .collect();
    Ok(Some(Answer::Endpoints(Endpoints {
        realm: realm(store, account).await?,
        owner: Some(User::read(&user)),
        devices,
    })))
}

async fn device_endpoint(
    store: &Store,
    account: &AccountId,
    id: &str,
) -> Result<Option<Answer>, Error> {
    let db = AccountDb::name(account);
    let Some(doc) = live(store, &db, id).await? else {
        return Ok(None);
    };
    let device = Device::read(&doc);
    let owner = match &device.owner_id {
        Some(owner) => live(store, &db, owner).await?.map(|doc| User::read(&doc)),
        None => None,
    };
    Ok(Some(Answer::Endpoints(Endpoints {
        realm: realm(store, account).await?,
        owner,
        devices: vec![device],
    })))
}

async fn realm(store: &Store, account: &AccountId) -> Result<String, Error> {
    let doc = store
        .get(&AccountDb::name(account), account.as_str())
        .await?
        .unwrap_or_default();
    Ok(Account::read(&doc).realm.unwrap_or_default())
}

/// Messages of a box over all months, without the deleted ones.
async fn messages(store: &Store, account: &AccountId, box_id: &str) -> Result<u64, Error> {
    let mut count = 0;
    for db in store.month_databases(account).await? {
        let view = View::MailboxMessages(box_id.to_owned());
        count += u64::try_from(store.query(&db, view).await?.len()).unwrap_or(u64::MAX);
    }
    Ok(count)
}
