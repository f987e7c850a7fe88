//! Whose things a path is about: an account, and one of its users or devices. Looks them up, and nothing else.

use callreel_proto::{AccountDb, AccountId, pvt_type};
use callreel_store::{ACCOUNTS, is_soft_deleted};
use serde_json::Value;

use crate::{
    Shared,
    refusal::{Refusal, Why},
    request,
};

/// The account a path names; it must exist.
pub(crate) async fn account(shared: &Shared, id: &str) -> Result<AccountId, Refusal> {
    let account = request::account(id)?;
    let found = shared.store.get(ACCOUNTS, account.as_str()).await?;
    if found.is_none_or(|doc| is_soft_deleted(&doc)) {
        let message =
            format!("there is no account {account}; `callreel import` brings accounts in");
        return Err(Refusal::new(Why::NotFound, message).cause(account.as_str()));
    }
    Ok(account)
}

/// Holds that the account has this user.
pub(crate) async fn user(shared: &Shared, account: &AccountId, id: &str) -> Result<(), Refusal> {
    owned(shared, account, pvt_type::USER, id).await
}

/// Holds that the account has this device.
pub(crate) async fn device(shared: &Shared, account: &AccountId, id: &str) -> Result<(), Refusal> {
    owned(shared, account, pvt_type::DEVICE, id).await
}

async fn owned(shared: &Shared, account: &AccountId, kind: &str, id: &str) -> Result<(), Refusal> {
    let found = shared.store.get(&AccountDb::name(account), id).await?;
    let is_meant = |doc: &Value| doc["pvt_type"] == kind && !is_soft_deleted(doc);
    if found.as_ref().is_some_and(is_meant) {
        return Ok(());
    }
    let message = format!("there is no {kind} {id:?} in account {account}");
    Err(Refusal::new(Why::NotFound, message).cause(id))
}
