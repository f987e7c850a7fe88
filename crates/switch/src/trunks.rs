//! Whose call an INVITE of a trunk is: numbers and resources of the store. Reads documents, changes none.

pub(crate) mod registering;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use callreel_proto::{Account, AccountDb, AccountId, E164, lenient_bool, lenient_u64, pvt_type};
use callreel_store::{ACCOUNTS, Error, Store, View};
use registering::{Lines, TrunkPicture};
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Request};
use serde_json::Value;

use crate::caller::Carrier;
use crate::peer::{Peer, unescaped};
use crate::shared::locked;

/// The database of everybody's trunks, as Kazoo names it.
const OFFNET: &str = "offnet";
/// Trunks of one list; more would be no list of carriers.
const MAX_TRUNKS: usize = 500;
/// What a name server has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where one gateway of a trunk sends from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    resource: String,
    ip: IpAddr,
    /// Only from this port, if the gateway names one.
    port: Option<u16>,
}

impl Source {
    fn is(&self, addr: SocketAddr) -> bool {
        self.ip == addr.ip() && self.port.is_none_or(|port| port == addr.port())
    }
}

/// Everybody's trunks, as they were lately, and those that know us.
pub(crate) struct Trunks {
    /// So long a list of trunks is good: INVITEs of strangers must not become as many questions to the store and the name
    /// servers.
    fresh: Duration,
    known: Mutex<Option<(Instant, Arc<Vec<Source>>)>>,
    /// Where the switch is registered.
    lines: Mutex<Lines>,
}

/// What an INVITE without credentials is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inbound {
    /// A trunk's, for this account.
    Call(Box<Carrier>),
    /// A trunk's, for a number that is nobody's.
    Unknown,
    /// No trunk's.
    Stranger,
}

impl Trunks {
    /// None are known yet; they are read again when they are so old.
    pub(crate) fn new(fresh: Duration) -> Self {
        Self {
            fresh,
            known: Mutex::default(),
            lines: Mutex::default(),
        }
    }

    /// How it stands with the registrations at carriers.
    pub(crate) fn pictures(&self) -> Vec<TrunkPicture> {
        registering::pictures(&locked(&self.lines))
    }

    /// Whether an INVITE comes from a trunk, and for whom. One with credentials is a phone's.
    pub(crate) async fn recognise(
        &self,
        store: &Store,
        request: &Request,
        peer: Peer,
    ) -> Result<Inbound, Error> {
        let proves =
            |h: &Header| matches!(h, Header::Authorization(_) | Header::ProxyAuthorization(_));
        if request.headers.iter().any(proves) {
            return Ok(Inbound::Stranger);
        }
        let dialled = unescaped(request.uri.clone()).auth.map(|auth| auth.user);
        let line = dialled.as_ref();
        let line = line.and_then(|user| registering::known_by(&locked(&self.lines), user));
        // Who calls the Contact that we gave to a carrier names the number in To alone.
        let number = match &line {
            Some(_) => called(request),
            None => dialled,
        };
        let everybodys = self.everybodys(store).await?;
        let global = everybodys.iter().find(|source| source.is(peer.addr));
        let global = match &line {
            Some(line) => (line.db == OFFNET).then(|| line.resource.clone()),
            None => global.map(|source| source.resource.clone()),
        };
        let nobody = match global.is_some() || line.is_some() {
            true => Inbound::Unknown,
            false => Inbound::Stranger,
        };
        let Some(number) = number.and_then(|user| E164::of(&user)) else {
            return Ok(nobody);
        };
        let Some(account) = owner(store, &number).await? else {
            return Ok(nobody);
        };
        let db = AccountDb::name(&account);
        let resource = match (&global, line) {
            (Some(resource), _) => Some(resource.clone()),
            (None, Some(line)) => (line.db == db).then_some(line.resource),
            (None, None) => {
                let own = sources(store, &db).await?;
                let own = own.into_iter().find(|source| source.is(peer.addr));
                own.map(|source| source.resource)
            }
        };
        let Some(resource) = resource else {
            return Ok(nobody);
        };
        let doc = store.get(ACCOUNTS, account.as_str()).await?;
        let doc = doc.unwrap_or_default();
        let owner = Account::read(&doc);
        let Some(realm) = owner.realm.filter(|_| owner.enabled) else {
            return Ok(Inbound::Unknown);
        };
        Ok(Inbound::Call(Box::new(Carrier {
            account,
            realm,
            number,
            resource,
            global: global.is_some(),
        })))
    }

    async fn everybodys(&self, store: &Store) -> Result<Arc<Vec<Source>>, Error> {
        let now = Instant::now();
        if let Some((at, known)) = &*locked(&self.known)
            && now.duration_since(*at) < self.fresh
        {
            return Ok(known.clone());
        }
        let found = Arc::new(sources(store, OFFNET).await?);
        *locked(&self.known) = Some((now, found.clone()));
        Ok(found)
    }
}

/// The user part of To.
fn called(request: &Request) -> Option<String> {
    let to = request.to_header().ok()?.uri().ok()?;
    unescaped(to).auth.map(|auth| auth.user)
}

/// Whose number it is (`pvt_assigned_to`), while it is in service.
async fn owner(store: &Store, number: &E164) -> Result<Option<AccountId>, Error> {
    let doc = store.get(&number.database(), number.as_str()).await?;
    let Some(doc) = doc.filter(|doc| !callreel_store::is_soft_deleted(doc)) else {
        return Ok(None);
    };
    let text = |key: &str| doc.get(key).and_then(Value::as_str);
    let state = text("pvt_state").or_else(|| text("pvt_number_state"));
    let serves = state.is_none_or(|state| matches!(state, "in_service" | "port_in"));
    let owner = text("pvt_assigned_to").filter(|_| serves);
    Ok(owner.and_then(|owner| AccountId::parse(owner).ok()))
}

/// Where the trunks of a database send from.
async fn sources(store: &Store, db: &str) -> Result<Vec<Source>, Error> {
    let docs = store
        .query(db, View::OfType(pvt_type::RESOURCE.to_owned()))
        .await?;
    let mut sources = Vec::new();
    for (resource, gateway) in docs.iter().take(MAX_TRUNKS).flat_map(gateways) {
        let Some(server) = gateway.get("server").and_then(Value::as_str) else {
            continue;
        };
        let port = port_of(gateway);
        for ip in addresses(server).await {
            let resource = resource.to_owned();
            sources.push(Source { resource, ip, port });
        }
    }
    Ok(sources)
}

/// The port that a gateway names.
fn port_of(gateway: &Value) -> Option<u16> {
    let port = gateway.get("port").and_then(lenient_u64)?;
    u16::try_from(port).ok().filter(|port| *port > 0)
}

/// The gateways of a trunk, each with the trunk's id; none of one that is not enabled.
fn gateways(doc: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let enabled = |of: &Value| of.get("enabled").and_then(lenient_bool) != Some(false);
    let id = doc
        .get("_id")
        .and_then(Value::as_str)
        .filter(|_| enabled(doc));
    let all = doc.get("gateways").and_then(Value::as_array);
    let all = all
        .into_iter()
        .flatten()
        .filter(move |gateway| enabled(gateway));
    all.filter_map(move |gateway| Some((id?, gateway)))
}

/// The addresses of a server: itself, or what its name stands for.
async fn addresses(server: &str) -> Vec<IpAddr> {
    let plain = server.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = plain.parse() {
        return vec![ip];
    }
    let host = (server, 5060);
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host(host)).await {
        Ok(Ok(found)) => found.map(|addr| addr.ip()).collect(),
        Ok(Err(error)) => {
            tracing::warn!(server, %error, "a trunk's server has no address; its calls are a stranger's");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!(
                server,
                "a trunk's server was not found in time; its calls are a stranger's"
            );
            Vec::new()
        }
    }
}
