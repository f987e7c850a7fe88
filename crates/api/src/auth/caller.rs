//! Who a request is from: what he may reach, and what he is called in what is kept of his orders.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, request::Parts},
};
use callreel_proto::AccountId;
use callreel_store::{ACCOUNTS, Error, Store};

use super::{Grant, Scope};
use crate::{refusal::Refusal, request::invalid_header};

/// Whom the request says it is made for.
const ORDERED_BY: &str = "x-ordered-by";
/// Longest such name: it is kept with every recording.
const MAX_NAME_BYTES: usize = 128;

/// Who asks, as far as it was looked at.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Somebody who had to show nothing, because tokens are not asked for.
    Anyone,
    /// The operator of the platform.
    Admin,
    /// An account's user or program.
    Account(Arc<Grant>),
}

impl Caller {
    /// The one account whose things he sees, with those of the accounts below; `None` is everybody's.
    pub(crate) fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Account(grant) => Some(&grant.account),
            Self::Anyone | Self::Admin => None,
        }
    }

    /// Whether he may reach this account's things: his own, and those of the accounts below his, whose `pvt_tree` names it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn reaches(&self, store: &Store, account: &AccountId) -> Result<bool, Error> {
        let Some(own) = self.account().filter(|own| *own != account) else {
            return Ok(true);
        };
        let doc = store.get(ACCOUNTS, account.as_str()).await?;
        let above = doc.as_ref().and_then(|doc| doc["pvt_tree"].as_array());
        Ok(above.is_some_and(|above| above.iter().any(|id| id == own.as_str())))
    }

    /// Whether what he showed may be used for this.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Anyone | Self::Admin => true,
            Self::Account(grant) => grant.scopes.have(scope),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Anyone => None,
            Self::Admin => Some("the administrator"),
            Self::Account(grant) => Some(&grant.name),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    /// A route that is not behind the gate lets anyone in.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Self>();
        Ok(caller.cloned().unwrap_or(Self::Anyone))
    }
}

/// Who orders something, for the evidence: the name of his token, whom he says he does it for, and the address he asks from.
#[derive(Debug)]
pub(crate) struct By(pub(crate) Option<String>);

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Caller>();
        let known = caller.and_then(Caller::name);
        let claimed = claimed(&parts.headers)?;
        let name = match (known, claimed) {
            (Some(known), Some(claimed)) => Some(format!("{known} for {claimed}")),
            (known, claimed) => known.or(claimed).map(str::to_owned),
        };
        let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = from.map(|ConnectInfo(address)| address.ip().to_string());
        Ok(Self(match (name, address) {
            (Some(name), Some(address)) => Some(format!("{name} at {address}")),
            (name, address) => name.or(address),
        }))
    }
}

/// What a request says of itself; only a claim.
fn claimed(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get(ORDERED_BY) else {
        return Ok(None);
    };
    let name = value
        .to_str()
        .ok()
        .filter(|name| name.len() <= MAX_NAME_BYTES);
    let name = name.ok_or_else(|| {
        let message = format!("must be at most {MAX_NAME_BYTES} visible ASCII characters");
        invalid_header(ORDERED_BY, &message)
    })?;
    Ok(Some(name.trim()).filter(|name| !name.is_empty()))
}
