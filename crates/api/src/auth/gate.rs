//! The gate that requests pass: finds out who asks, and keeps an account's callers to that account.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension,
    extract::{ConnectInfo, RawPathParams, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use callreel_doors::Brake;
use callreel_proto::Utc;
use callreel_store::Store;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::{Caller, Grant, Scope, Tokens, tokens::hash};
use crate::{
    ApiConfig, Shared, nodes,
    refusal::{Refusal, Why},
    request::{self, Params},
};

/// Crossbar's header for tokens.
const TOKEN: &str = "x-auth-token";
/// The same in a query, for players that can send no header; Crossbar's name too.
const TOKEN_PARAM: &str = "auth_token";

/// What the gate knows: whether everybody must show a token, and which are good.
#[derive(Debug)]
pub struct Gate {
    asks: bool,
    /// The hash of the operator's token.
    admin: Option<String>,
    pub(super) tokens: Tokens,
    lifetime: Duration,
    /// Who failed to log in.
    logins: Mutex<Brake>,
    /// Who asks for anything; none if anybody may, however often.
    pace: Option<Mutex<Brake>>,
}

impl Gate {
    /// A gate as the settings want it, for the tokens of this store.
    pub fn new(config: &ApiConfig, store: Store) -> Self {
        Self {
            asks: config.asks_for_tokens(),
            admin: config.admin_token.as_ref().map(|t| hash(t.reveal())),
            tokens: Tokens::new(store),
            lifetime: Duration::from_secs(config.token_lifetime_s),
            // A person who mistypes, or programs behind one address that start together.
            logins: Mutex::new(Brake::new(Duration::from_secs(10), 10)),
            pace: pace(config.requests_per_second).map(Mutex::new),
        }
    }

    /// Who has this token. One that is shown must be good, also where nobody asks for one.
    async fn caller(&self, token: Option<&str>) -> Result<Caller, Refusal> {
        let Some(token) = token else {
            if self.asks {
                let message = "show a token in the header X-Auth-Token; PUT /v2/user_auth, PUT /v2/api_auth and `callreel token new` give tokens";
                return Err(Refusal::new(Why::Credentials, message));
            }
            return Ok(Caller::Anyone);
        };
        let shown = hash(token);
        let is_admin = |admin: &String| bool::from(admin.as_bytes().ct_eq(shown.as_bytes()));
        if self.admin.as_ref().is_some_and(is_admin) {
            return Ok(Caller::Admin);
        }
        let grant = self.tokens.grant_of(token).await?;
        grant.map(Caller::Account).ok_or_else(|| {
            let message = "this token is none, has ended or was revoked; log in again";
            Refusal::new(Why::Credentials, message)
        })
    }

    /// Lets this peer try credentials once.
    pub(super) fn try_by(&self, peer: IpAddr) -> Result<(), Refusal> {
        let taken = locked(&self.logins).take(peer, Instant::now());
        taken.map_err(|wait| {
            let message = "too many logins from this address have failed; wait";
            Refusal::new(Why::TooMany, message).after(wait)
        })
    }

    /// This peer's credentials were good: a token, and what it grants.
    pub(super) async fn admit(
        &self,
        peer: IpAddr,
        mut grant: Grant,
    ) -> Result<(String, Grant), Refusal> {
        locked(&self.logins).give_back(peer);
        let lifetime_ms = i64::try_from(self.lifetime.as_millis()).unwrap_or(i64::MAX);
        grant.expires = Some(Utc::now().plus_ms(lifetime_ms));
        let token = self.tokens.issue(&grant).await?;
        Ok((token.reveal().to_owned(), grant))
    }

    /// Lets this peer ask once.
    fn ask_by(&self, peer: IpAddr) -> Result<(), Refusal> {
        let Some(pace) = &self.pace else {
            return Ok(());
        };
        let taken = locked(pace).take(peer, Instant::now());
        taken.map_err(|wait| {
            let message = "too many requests from this address (api.requests_per_second); wait";
            Refusal::new(Why::TooMany, message).after(wait)
        })
    }
}

/// What so many requests a second cost. A console that is opened asks for a dozen things at once, and people behind one address
/// open theirs together.
fn pace(per_second: u32) -> Option<Brake> {
    const BURST_S: u32 = 5;
    let per_request = Duration::from_secs(1).checked_div(per_second)?;
    Some(Brake::new(per_request, per_second.saturating_mul(BURST_S)))
}

fn locked(brake: &Mutex<Brake>) -> MutexGuard<'_, Brake> {
    brake.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets nobody ask more often than is allowed.
pub(crate) async fn keep_pace(
    State(shared): State<Arc<Shared>>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if let Some(Extension(ConnectInfo(from))) = from {
        shared.gate.ask_by(from.ip())?;
    }
    Ok(next.run(request).await)
}

/// Finds out who asks, and tells the handlers.
pub(crate) async fn identify(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let token = shown(request.headers(), &Params::of(request.uri()))?;
    let caller = shared.gate.caller(token.as_deref()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Whether who asks may reach the account that the path names. That there is one, the handlers see to: an account's caller
/// hears the same of accounts that are not his and of those that are not there.
pub(crate) async fn keep_to_account(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let named = params.iter().find(|(name, _)| *name == "account");
    let (_, account) = named.ok_or_else(|| forbidden(""))?;
    let account = request::account(account)?;
    if !caller.reaches(&shared.store, &account).await? {
        return Err(forbidden(account.as_str()));
    }
    Ok(next.run(request).await)
}

/// Whether what is shown may be used for this.
pub(crate) async fn keep_to_scope(
    scope: Scope,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    beyond(&caller, scope)?;
    Ok(next.run(request).await)
}

/// Refuses who has a token without this scope.
pub(crate) fn beyond(caller: &Caller, scope: Scope) -> Result<(), Refusal> {
    if caller.may(scope) {
        return Ok(());
    }
    let message = format!("this token has not the scope {scope}");
    Err(Refusal::new(Why::Forbidden, message).cause(scope.name()))
}

/// What is the operator's is told to no account.
pub(crate) async fn keep_to_operator(
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    nodes::for_the_operator(&caller)?;
    Ok(next.run(request).await)
}

/// A caller meets an account that is none of his.
pub(crate) fn forbidden(account: &str) -> Refusal {
    let message = "this token reaches its own account and the accounts below it, and no others";
    Refusal::new(Why::Forbidden, message).cause(account)
}

/// The token a request shows.
fn shown(headers: &HeaderMap, params: &Params) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(TOKEN) else {
        return Ok(params.text(TOKEN_PARAM).map(str::to_owned));
    };
    let token = value.to_str().map_err(|_| {
        Refusal::new(Why::Credentials, "the header X-Auth-Token holds no token").cause(TOKEN)
    })?;
    Ok(Some(token.trim().to_owned()))
}

/// Where a request comes from; all that came over no socket come from one place.
pub(super) fn peer(from: Option<std::net::SocketAddr>) -> IpAddr {
    from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |from| from.ip())
}
