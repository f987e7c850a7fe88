//! Registers the switch at carriers whose gateways ask for it, and keeps it registered. Takes no call.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use callreel_proto::{
    AccountDb, AccountId, Secret, lenient_bool, lenient_u64, pvt_type, random_hex,
};
use callreel_store::{ACCOUNTS, Error, Store, View};
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::registration::Registration;
use rsipstack::sip::typed::Contact;
use rsipstack::sip::uri::ParamsExt;
use rsipstack::sip::{Auth, Header, Response, StatusCode, Transport, Uri};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{MAX_TRUNKS, OFFNET, addresses, gateways, port_of};
use crate::peer::Peer;
use crate::shared::{Shared, locked};

/// How long a carrier is asked to know us, seconds, where its gateway does not say (FreeSWITCH's `expire-seconds`).
const EXPIRY_S: u32 = 3_600;
/// A shorter registration would be refreshed without end.
const SHORTEST_S: u32 = 30;
/// Accounts whose own trunks are looked at: a platform of more has everybody's trunks.
const MAX_ACCOUNTS: usize = 200;
/// A carrier has so long for an answer: SIP repeats a request for half a minute, and a challenge makes it two.
const PATIENCE: Duration = Duration::from_secs(70);
/// The first pause after a failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Whoever is not there is asked again after this long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Whoever refuses us will do so again, and locks out who insists.
const LONGEST_PAUSE_REFUSED: Duration = Duration::from_secs(900);

/// One gateway that the switch registers at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub(super) db: String,
    pub(super) resource: String,
    server: String,
    port: Option<u16>,
    /// What the request is for: `sip:REALM` or `sip:SERVER`.
    registrar: String,
    username: String,
    password: Secret,
    expiry_s: u32,
}

/// How it stands with one registration at a carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrunkPicture {
    /// The database of the trunk's document: `offnet`, or an account's.
    pub database: String,
    /// The trunk's document.
    pub resource: String,
    /// The carrier's server.
    pub server: String,
    /// As whom.
    pub username: String,
    /// `registering`, `registered`, or why not.
    pub state: String,
}

/// One registration.
pub(super) struct Held {
    /// The user part of our Contact there: whoever calls it has it from the carrier.
    token: String,
    state: String,
    cancel: CancellationToken,
}

/// All registrations, by gateway.
pub(super) type Lines = HashMap<Line, Held>;

/// The gateway that knows us by this Contact.
pub(super) fn known_by(lines: &Lines, user: &str) -> Option<Line> {
    let mut found = lines.iter().filter(|(_, held)| held.token == user);
    found.next().map(|(line, _)| line.clone())
}

pub(super) fn pictures(lines: &Lines) -> Vec<TrunkPicture> {
    let mut all: Vec<_> = lines
        .iter()
        .map(|(line, held)| TrunkPicture {
            database: line.db.clone(),
            resource: line.resource.clone(),
            server: line.server.clone(),
            username: line.username.clone(),
            state: held.state.clone(),
        })
        .collect();
    all.sort_by(|a, b| (&a.database, &a.resource).cmp(&(&b.database, &b.resource)));
    all
}

/// Registers wherever trunks want it, until `leaving`; then takes every registration back.
pub(crate) async fn keep(shared: Arc<Shared>, leaving: CancellationToken) {
    let mut look = interval(shared.trunks.fresh);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = HashSet::new();
    while leaving.run_until_cancelled(look.tick()).await.is_some() {
        match wanted(&shared.store).await {
            Ok(found) => settle(&shared, found, &mut told, &leaving),
            Err(error) => {
                tracing::warn!(%error, "trunks cannot be read; registrations stay as they are");
            }
        }
    }
}

/// The gateways that want it, and what is wrong with some.
async fn wanted(store: &Store) -> Result<Vec<Result<Line, String>>, Error> {
    let of_type = |kind: &str| View::OfType(kind.to_owned());
    let accounts = store.query(ACCOUNTS, of_type(pvt_type::ACCOUNT)).await?;
    let ids = accounts.iter().filter_map(|doc| doc.get("_id")?.as_str());
    let ids = ids.filter_map(|id| AccountId::parse(id).ok());
    let own = ids.take(MAX_ACCOUNTS).map(|id| AccountDb::name(&id));
    let mut lines = Vec::new();
    for db in [OFFNET.to_owned()].into_iter().chain(own) {
        let trunks = store.query(&db, of_type(pvt_type::RESOURCE)).await?;
        for (resource, gateway) in trunks.iter().flat_map(gateways) {
            lines.extend(Line::read(&db, resource, gateway));
        }
    }
    lines.truncate(MAX_TRUNKS);
    Ok(lines)
}

/// Begins what is wanted and new, and ends what nobody wants any more.
fn settle(
    shared: &Arc<Shared>,
    found: Vec<Result<Line, String>>,
    told: &mut HashSet<String>,
    leaving: &CancellationToken,
) {
    let mut wanted = HashSet::new();
    for line in found {
        match line {
            Ok(line) => drop(wanted.insert(line)),
            Err(wrong) => {
                if told.insert(wrong.clone()) {
                    tracing::error!("{wrong}");
                }
            }
        }
    }
    let mut lines = locked(&shared.trunks.lines);
    lines.retain(|line, held| {
        let stays = wanted.contains(line);
        if !stays {
            held.cancel.cancel();
        }
        stays
    });
    for line in wanted {
        if lines.contains_key(&line) {
            continue;
        }
        let held = Held {
            token: format!("gw-{}", random_hex(24)),
            state: "registering".to_owned(),
            cancel: leaving.child_token(),
        };
        let (token, cancel) = (held.token.clone(), held.cancel.clone());
        lines.insert(line.clone(), held);
        let work = stay(shared.clone(), line, token, cancel);
        shared.tasks.spawn(work);
    }
}

impl Line {
    /// What a gateway asks for; none if for nothing.
    fn read(db: &str, resource: &str, gateway: &Value) -> Option<Result<Self, String>> {
        if gateway.get("register").and_then(lenient_bool) != Some(true) {
            return None;
        }
        let text = |key: &str| {
            let text = gateway.get(key).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        let needed = |key: &str| {
            text(key).ok_or_else(|| {
                format!("trunk {resource} of database {db}: a gateway has `register` and no `{key}`; give it one, or take `register` away")
            })
        };
        let read = || {
            let server = needed("server")?;
            let port = port_of(gateway);
            let params = gateway.pointer("/invite_parameters/static");
            let params = params.and_then(Value::as_array).into_iter().flatten();
            let transport = params
                .filter_map(Value::as_str)
                .find(|param| param.starts_with("transport="));
            let transport = transport.map(|param| format!(";{param}"));
            let place = match (text("realm"), port) {
                (Some(realm), _) => realm.to_owned(),
                (None, Some(port)) => format!("{server}:{port}"),
                (None, None) => server.to_owned(),
            };
            let expiry = gateway.get("expiry").and_then(lenient_u64);
            let expiry = expiry.and_then(|s| u32::try_from(s).ok());
            Ok(Self {
                db: db.to_owned(),
                resource: resource.to_owned(),
                server: server.to_owned(),
                port,
                registrar: format!("sip:{place}{}", transport.unwrap_or_default()),
                username: needed("username")?.to_owned(),
                password: Secret::new(needed("password")?),
                expiry_s: expiry.unwrap_or(EXPIRY_S).max(SHORTEST_S),
            })
        };
        Some(read())
    }

    fn credential(&self) -> Credential {
        Credential {
            username: self.username.clone(),
            password: self.password.reveal().to_owned(),
            realm: None,
            auth_username: None,
        }
    }

    async fn address(&self) -> Result<SocketAddr, Failure> {
        let found = addresses(&self.server).await.into_iter().next();
        let ip = found.ok_or_else(|| Failure::away("its server has no address"))?;
        Ok(SocketAddr::new(ip, self.port.unwrap_or(5060)))
    }
}

/// Why a carrier does not know us.
struct Failure {
    why: String,
    /// It has said so itself, and will again.
    refused: bool,
}

impl Failure {
    fn away(why: impl ToString) -> Self {
        Self {
            why: why.to_string(),
            refused: false,
        }
    }

    fn of(response: &Response) -> Self {
        let status = response.status_code.clone();
        let refused = (400..500).contains(&status.code()) && status != StatusCode::RequestTimeout;
        Self {
            why: format!("it answers {status}"),
            refused,
        }
    }

    /// Until it is tried again.
    fn pause(&self, failures: u32) -> Duration {
        let longest = match self.refused {
            true => LONGEST_PAUSE_REFUSED,
            false => LONGEST_PAUSE,
        };
        let doubled = FIRST_PAUSE.saturating_mul(1 << failures.min(10));
        doubled.min(longest)
    }
}

/// Stays registered until it is cancelled.
async fn stay(shared: Arc<Shared>, line: Line, token: String, cancel: CancellationToken) {
    let mut registration = Registration::new(shared.sip.clone(), Some(line.credential()));
    let (mut failures, mut expiry_s) = (0, line.expiry_s);
    loop {
        let asked = register(&shared, &line, &token, &mut registration, &mut expiry_s);
        let Some(asked) = cancel.run_until_cancelled(asked).await else {
            break;
        };
        let pause = match asked {
            Ok(granted) => {
                failures = 0;
                note(&shared, &line, "registered");
                // Before three quarters are over a refresh may fail and be repeated.
                Duration::from_secs(u64::from(granted.max(SHORTEST_S)) * 3 / 4)
            }
            Err(failure) => {
                let pause = failure.pause(failures);
                failures += 1;
                note(&shared, &line, &failure.why);
                pause
            }
        };
        if cancel.run_until_cancelled(sleep(pause)).await.is_none() {
            break;
        }
    }
    if registration.granted_expires.is_some_and(|s| s > 0)
        && let Ok(uri) = Uri::try_from(line.registrar.as_str())
    {
        // Whoever does not hear it forgets us when the time is over.
        drop(timeout(PATIENCE, registration.register(uri, Some(0))).await);
    }
}

/// Registers once; says for how many seconds.
async fn register(
    shared: &Shared,
    line: &Line,
    token: &str,
    registration: &mut Registration,
    expiry_s: &mut u32,
) -> Result<u32, Failure> {
    let uri = Uri::try_from(line.registrar.as_str())
        .map_err(|error| Failure::away(format!("{} is no SIP URI: {error}", line.registrar)))?;
    let addr = line.address().await?;
    registration.outbound_proxy = Some(addr);
    let transport = uri.transport().cloned().unwrap_or(Transport::Udp);
    let mut contact = shared.own.contact(Peer { transport, addr });
    contact.auth = Some(Auth {
        user: token.to_owned(),
        password: None,
    });
    registration.contact = Some(Contact {
        display_name: None,
        uri: contact,
        params: Vec::new(),
    });
    let asked = registration.register(uri, Some(*expiry_s));
    let response = match timeout(PATIENCE, asked).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(Failure::away(format!("it cannot be asked: {error}"))),
        Err(_) => return Err(Failure::away("it does not answer")),
    };
    if response.status_code == StatusCode::OK {
        return Ok(registration.expires());
    }
    if let Some(least) = least_expiry(&response) {
        *expiry_s = least.max(*expiry_s);
    }
    Err(Failure::of(&response))
}

/// The shortest registration a carrier takes, where it says that ours is too short (423).
fn least_expiry(response: &Response) -> Option<u32> {
    response.headers.iter().find_map(|header| match header {
        Header::MinExpires(least) => least.value().trim().parse().ok(),
        _ => None,
    })
}

/// Says how it stands when that is new.
fn note(shared: &Shared, line: &Line, state: &str) {
    if let Some(held) = locked(&shared.trunks.lines).get_mut(line) {
        if held.state == state {
            return;
        }
        state.clone_into(&mut held.state);
    }
    let Line {
        db,
        resource,
        server,
        username,
        ..
    } = line;
    if state == "registered" {
        tracing::info!(
            database = db,
            resource,
            server,
            username,
            "registered at a trunk"
        );
    } else {
        tracing::warn!(
            database = db,
            resource,
            server,
            username,
            why = state,
            "not registered at a trunk; it is tried again. Is the gateway's server, username or password wrong?"
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_registers_only_if_it_says_so_and_says_what_it_lacks() {
        let read = |gateway: Value| Line::read("offnet", "north", &gateway);
        assert!(read(json!({"server": "s", "username": "u", "password": "p"})).is_none());
        let lacking = read(json!({"register": true, "server": "s", "username": "u"})).unwrap();
        let wrong = lacking.unwrap_err();
        for word in ["north", "offnet", "`password`", "take `register` away"] {
            assert!(wrong.contains(word), "{wrong}");
        }
        let whole = json!({"register": "true", "server": "s.example", "port": 5070, "username": "u", "password": "p", "expiry": "5",
            "invite_parameters": {"static": ["transport=tcp"]}});
        let line = read(whole.clone()).unwrap().unwrap();
        assert_eq!(line.registrar, "sip:s.example:5070;transport=tcp");
        assert_eq!(line.expiry_s, SHORTEST_S);
        assert!(!format!("{line:?}").contains("\"p\""), "{line:?}");
        let mut named = whole;
        named["realm"] = json!("north.example");
        let line = read(named).unwrap().unwrap();
        assert_eq!(line.registrar, "sip:north.example;transport=tcp");
    }

    #[test]
    fn who_refuses_is_asked_less_and_less_and_who_is_away_once_a_minute() {
        let pauses = |refused| {
            let why = String::new();
            let failure = Failure { why, refused };
            [0, 1, 4, 31].map(|failures| failure.pause(failures).as_secs())
        };
        assert_eq!(pauses(false), [5, 10, 60, 60]);
        assert_eq!(pauses(true), [5, 10, 80, 900]);
    }
}
