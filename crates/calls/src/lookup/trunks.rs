//! The documents of trunks, and of whoever calls over them. Never decides which trunk takes a number.

use callreel_callflow::Trunks;
use callreel_proto::{Account, AccountDb, AccountId, Device, pvt_type};
use callreel_store::{Error, View};
use serde_json::Value;

use super::live;
use crate::documents::Documents;

/// The database of everybody's trunks, as Kazoo names it.
const OFFNET: &str = "offnet";

/// The trunks of an account, or everybody's.
pub(super) async fn of(
    store: &Documents,
    account: &AccountId,
    hunt: Option<&str>,
) -> Result<Vec<Value>, Error> {
    let db = match hunt {
        None => Some(OFFNET.to_owned()),
        Some(hunt) => {
            let own = account_doc(store, account).await?;
            hunted(account, &own, hunt)
        }
    };
    match db {
        Some(db) => {
            let view = View::OfType(pvt_type::RESOURCE.to_owned());
            store.query(&db, view).await
        }
        None => Ok(Vec::new()),
    }
}

/// Who calls: no trunk yet.
pub(super) async fn caller(
    store: &Documents,
    account: &AccountId,
    device: Option<&str>,
) -> Result<Trunks, Error> {
    let db = AccountDb::name(account);
    let own = account_doc(store, account).await?;
    let mut caller = Vec::new();
    if let Some(device) = device
        && let Some(device) = live(store, &db, device).await?
    {
        let owner = Device::read(&device).owner_id;
        caller.push(device);
        if let Some(owner) = owner {
            caller.extend(live(store, &db, &owner).await?);
        }
    }
    let realm = Account::read(&own).realm.unwrap_or_default();
    caller.push(own);
    Ok(Trunks {
        caller,
        realm,
        ..Trunks::default()
    })
}

async fn account_doc(store: &Documents, account: &AccountId) -> Result<Value, Error> {
    let doc = store
        .get(&AccountDb::name(account), account.as_str())
        .await?;
    Ok(doc.unwrap_or_default())
}

/// The database of the account whose trunks are meant, if this account may use them: its own, or one it is below of.
fn hunted(account: &AccountId, own: &Value, hunt: &str) -> Option<String> {
    let above = own.get("pvt_tree").and_then(Value::as_array);
    let mut above = above.into_iter().flatten().filter_map(Value::as_str);
    if hunt != account.as_str() && !above.any(|above| above == hunt) {
        tracing::warn!(account_id = %account, hunt, "the account is not below the one whose trunks it wants; it gets none");
        return None;
    }
    let hunt = AccountId::parse(hunt).ok()?;
    Some(AccountDb::name(&hunt))
}
