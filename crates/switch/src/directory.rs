//! Whose phone is it: accounts and devices in the store, by SIP realm and username. Reads documents, changes none.

use callreel_proto::{Account, AccountDb, AccountId, Device, pvt_type};
use callreel_store::{ACCOUNTS, Error, Store, View};
use serde_json::Value;

/// Accounts searched for a username when the realm says nothing: phones that call us by our IP address are for small
/// installations; in a big one the realm must tell.
const MAX_SEARCHED: usize = 200;

/// What a request's domain means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Domain {
    /// The realm of challenges.
    pub(crate) realm: String,
    /// The account it stands for, if any.
    pub(crate) account: Option<AccountId>,
}

impl Domain {
    /// Nobody's.
    fn strange(host: &str) -> Self {
        Self {
            realm: host.to_owned(),
            account: None,
        }
    }
}

/// A device that may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phone {
    pub(crate) account: AccountId,
    /// The realm it authenticates in.
    pub(crate) realm: String,
    pub(crate) device: Device,
    /// Its SIP username, as the document spells it.
    pub(crate) username: String,
    pub(crate) password: String,
}

/// The account a domain stands for: the one with that realm; else, as phones often know only our IP address, the only
/// account there is, or the only one that has a device with this username.
pub(crate) async fn domain(store: &Store, host: &str, username: &str) -> Result<Domain, Error> {
    let by_realm = View::AccountByRealm(host.to_owned());
    let named = store.query(ACCOUNTS, by_realm).await?;
    if let Some(found) = named.iter().find_map(enabled) {
        return Ok(found.domain(host));
    }
    let all = store
        .query(ACCOUNTS, View::OfType(pvt_type::ACCOUNT.to_owned()))
        .await?;
    let accounts: Vec<_> = all.iter().filter_map(enabled).take(MAX_SEARCHED).collect();
    if let [only] = accounts.as_slice() {
        return Ok(only.domain(host));
    }
    // A name means somebody: only who knows nothing but our address is searched for.
    if !is_address(host) {
        return Ok(Domain::strange(host));
    }
    let mut owner = None;
    for account in &accounts {
        if find_device(store, &account.id, username).await?.is_some() {
            if owner.is_some() {
                owner = None;
                break;
            }
            owner = Some(account);
        }
    }
    Ok(owner.map_or_else(|| Domain::strange(host), |account| account.domain(host)))
}

/// Whether a host is an address, in brackets or not.
fn is_address(host: &str) -> bool {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    plain.parse::<std::net::IpAddr>().is_ok()
}

/// The enabled device with this username and a password.
pub(crate) async fn phone(
    store: &Store,
    domain: &Domain,
    username: &str,
) -> Result<Option<Phone>, Error> {
    let Some(account) = &domain.account else {
        return Ok(None);
    };
    let Some(device) = find_device(store, account, username).await? else {
        return Ok(None);
    };
    let (Some(username), Some(password)) = (device.username.clone(), device.password.clone())
    else {
        return Ok(None);
    };
    Ok(device.enabled.then(|| Phone {
        account: account.clone(),
        realm: domain.realm.clone(),
        device,
        username,
        password,
    }))
}

async fn find_device(
    store: &Store,
    account: &AccountId,
    username: &str,
) -> Result<Option<Device>, Error> {
    let view = View::DeviceBySipUsername(username.to_owned());
    let found = store.query(&AccountDb::name(account), view).await?;
    Ok(found.first().map(Device::read))
}

struct Candidate {
    id: AccountId,
    realm: Option<String>,
}

impl Candidate {
    fn domain(&self, host: &str) -> Domain {
        Domain {
            realm: self.realm.clone().unwrap_or_else(|| host.to_owned()),
            account: Some(self.id.clone()),
        }
    }
}

fn enabled(document: &Value) -> Option<Candidate> {
    let account = Account::read(document);
    let id = document.get("_id").and_then(Value::as_str)?;
    let id = AccountId::parse(id).ok()?;
    account.enabled.then_some(Candidate {
        id,
        realm: account.realm,
    })
}
