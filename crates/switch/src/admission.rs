//! Who may register and call: challenges, checks the answer, and tells the phone from the stranger.

use std::time::Instant;

use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Method, ProxyAuthenticate, Request, StatusCode, WwwAuthenticate};
use rsipstack::transaction::Transaction;

use crate::auth::{Answer, challenge};
use crate::directory::{self, Domain, Phone};
use crate::nonce::Verdict;
use crate::peer::Peer;
use crate::shared::{Shared, locked};

/// What became of a request.
pub(crate) enum Admission {
    /// It comes from this phone.
    Phone(Box<Phone>),
    /// It must prove it in this realm.
    Challenge { realm: String, stale: bool },
    /// It has proved to be somebody else.
    Forbidden,
}

/// Looks at a request's credentials.
pub(crate) async fn admit(
    shared: &Shared,
    request: &Request,
    peer: Option<Peer>,
) -> Result<Admission, callreel_store::Error> {
    let (host, username) = claim(request);
    let domain = directory::domain(&shared.store, &host, &username).await?;
    let answers = request.headers.iter().filter_map(|header| match header {
        Header::Authorization(h) => Answer::read(h.value()),
        Header::ProxyAuthorization(h) => Answer::read(h.value()),
        _ => None,
    });
    let Some(answer) = answers.into_iter().find(|a| a.realm == domain.realm) else {
        return Ok(ask(domain, false));
    };
    let now = Instant::now();
    let verdict = locked(&shared.nonces).check(now, &answer.nonce, &place(&domain.realm, peer));
    if verdict != Verdict::Good {
        return Ok(ask(domain, verdict == Verdict::Stale));
    }
    let Some(phone) = directory::phone(&shared.store, &domain, &answer.username).await? else {
        return Ok(Admission::Forbidden);
    };
    if !answer.proves(&phone.password, &request.method) {
        return Ok(Admission::Forbidden);
    }
    let spent = answer
        .count()
        .map(|count| locked(&shared.nonces).spend(now, &answer.nonce, count));
    if spent != Some(Verdict::Good) {
        return Ok(ask(domain, true));
    }
    Ok(Admission::Phone(Box::new(phone)))
}

/// Sends the challenge: 401 to a REGISTER, 407 to anything a proxy would forward.
pub(crate) async fn demand(
    shared: &Shared,
    tx: &mut Transaction,
    realm: &str,
    stale: bool,
) -> rsipstack::Result<()> {
    let place = place(realm, Peer::of(tx));
    let nonce = locked(&shared.nonces).issue(Instant::now(), rand::random(), &place);
    let register = tx.original.method == Method::Register;
    let headers = shared
        .config
        .digest_algorithms
        .iter()
        .map(|algorithm| challenge(*algorithm, realm, &nonce, stale))
        .map(|value| match register {
            true => Header::WwwAuthenticate(WwwAuthenticate::new(value)),
            false => Header::ProxyAuthenticate(ProxyAuthenticate::new(value)),
        })
        .collect();
    let status = match register {
        true => StatusCode::Unauthorized,
        false => StatusCode::ProxyAuthenticationRequired,
    };
    tx.reply_with(status, headers, None).await
}

/// Where a nonce is good: for this realm, and from the address it was sent to, so that nobody fails in the name of another.
fn place(realm: &str, peer: Option<Peer>) -> String {
    match peer {
        Some(peer) => format!("{realm} {}", peer.addr.ip()),
        None => realm.to_owned(),
    }
}

fn ask(domain: Domain, stale: bool) -> Admission {
    Admission::Challenge {
        realm: domain.realm,
        stale,
    }
}

/// The domain and the user a request claims to be from: the registrar's is in the request URI (RFC 3261 §10.2), a
/// caller's in From.
fn claim(request: &Request) -> (String, String) {
    let header = match request.method {
        Method::Register => request.to_header().and_then(|h| h.uri()),
        _ => request.from_header().and_then(|h| h.uri()),
    };
    let target = request.uri.host_with_port.host.to_string();
    let Ok(uri) = header else {
        return (target, String::new());
    };
    let username = uri.user().unwrap_or_default().to_owned();
    let host = match request.method {
        Method::Register => target,
        _ => uri.host_with_port.host.to_string(),
    };
    (host, username)
}
