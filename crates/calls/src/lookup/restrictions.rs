//! Whether a caller may make a call: finds the documents that say so. The rule itself is the callflow crate's.

use callreel_callflow::{Callee, CallingParty, Classifiers, Denied, Dialled, MemberKind};
use callreel_proto::{AccountDb, AccountId, Device, RouteReq, pvt_type};
use callreel_store::{Error, View};

use super::{PartyDocs, live, party, system_config};
use crate::documents::Documents;

/// Who sent a call on: transferred or diverted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The device of the account with this document id.
    Own(String),
    /// Somebody the account does not know.
    Stranger,
}

/// Who of the account this SIP user is.
pub(crate) async fn sender(store: &Documents, account: &AccountId, user: &str) -> Sender {
    let view = View::DeviceBySipUsername(user.to_owned());
    match store.query(&AccountDb::name(account), view).await {
        Ok(found) => found.first().map_or(Sender::Stranger, |device| {
            Sender::Own(Device::read(device).id)
        }),
        Err(error) => {
            tracing::warn!(account_id = %account, %error, "look-up of a device failed; it counts as unknown");
            Sender::Stranger
        }
    }
}

/// Why the caller may not make this call; none if nothing forbids it, or what would cannot be read. As in Kazoo, who sent the
/// call on must be allowed to make it, and the caller need not be.
pub(crate) async fn denied(
    store: &Documents,
    account: &AccountId,
    route: &RouteReq,
    caller: &PartyDocs,
    sender: Option<&Sender>,
    found: &Dialled,
) -> Option<Denied> {
    let docs;
    let calling = match sender {
        Some(Sender::Stranger) => None,
        Some(Sender::Own(device)) => {
            docs = party(store, account, Some(device)).await;
            docs.calling()
        }
        None if caller.calling().is_some() => caller.calling(),
        None => {
            docs = calling_user(store, account, route).await?;
            docs.calling()
        }
    }?;
    if let Some(denied) = calling.out_of_service() {
        return Some(denied);
    }
    if !calling.is_restricted() {
        return None;
    }
    let denied = restricted(store, account, calling, route.dialled(), found).await;
    denied.unwrap_or_else(|error| {
        tracing::error!(call_id = %route.call_id, account_id = %account, %error, "what a caller may not call cannot be read; the call is allowed");
        None
    })
}

/// The user who calls without a phone: one whose calls are forwarded.
async fn calling_user(
    store: &Documents,
    account: &AccountId,
    route: &RouteReq,
) -> Option<PartyDocs> {
    let is_user = route.channel_var("Authorizing-Type") == Some("user");
    let id = route.channel_var("Authorizing-ID").filter(|_| is_user)?;
    let mut docs = party(store, account, None).await;
    docs.user = live(store, &AccountDb::name(account), id).await.ok()??;
    Some(docs)
}

/// An extension is a matter of groups, where those are closed; anything else of the number's kind.
async fn restricted(
    store: &Documents,
    account: &AccountId,
    calling: CallingParty<'_>,
    number: &str,
    found: &Dialled,
) -> Result<Option<Denied>, Error> {
    let db = AccountDb::name(account);
    if let Some(callee) = Callee::of(&found.document).filter(|_| calling.is_closed()) {
        let callee = owned(store, &db, callee).await?;
        let view = View::OfType(pvt_type::GROUP.to_owned());
        let groups = store.listed(&db, view).await?;
        return Ok(calling.denied_callee(&callee, &groups));
    }
    let config = system_config(store, "number_manager").await;
    let (classifiers, problems) = Classifiers::read(&config);
    for problem in problems {
        tracing::warn!(problem, "classifiers of system_config/number_manager");
    }
    let taken = found.captures.group.as_deref();
    Ok(calling.denied_number(taken.unwrap_or(number), &classifiers))
}

/// A device is in the groups of its owner, too.
async fn owned(store: &Documents, db: &str, callee: Callee) -> Result<Callee, Error> {
    if callee.kind != MemberKind::Device {
        return Ok(callee);
    }
    let device = live(store, db, &callee.id).await?;
    Ok(Callee {
        owner: device.and_then(|doc| Device::read(&doc).owner_id),
        ..callee
    })
}
