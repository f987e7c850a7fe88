//! The node's own small HTTP listener, for whatever starts, watches and ends it: the same for every role. Knows no account.

use std::net::SocketAddr;

use anyhow::Context;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use callreel_bus::Bus;
use callreel_store::{SYSTEM_CONFIG, Store};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::AbortOnDropHandle;

/// What the node is at.
#[derive(Clone)]
enum Phase {
    /// Its roles are being started.
    Starting,
    /// Its roles run, and need these.
    Serving(Bus, Store),
    /// It was told to end, or a role died: it takes nothing new.
    Stopping,
}

/// The listener, if the configuration wants one. Dropping it closes it.
pub(crate) struct Health {
    phase: watch::Sender<Phase>,
    listening: Option<Listening>,
}

struct Listening {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
    /// The server ends when nobody can tell it to any more.
    _stop: watch::Sender<bool>,
}

impl Health {
    /// Listens, before any role does: who waits for the node hears that it is starting. `metrics` is served beside.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub(crate) async fn start(listen: Option<SocketAddr>, metrics: Router) -> anyhow::Result<Self> {
        let phase = watch::Sender::new(Phase::Starting);
        let listening = match listen {
            Some(listen) => {
                Some(Listening::start(listen, router(phase.subscribe()).merge(metrics)).await?)
            }
            None => None,
        };
        Ok(Self { phase, listening })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listening.as_ref().map(|listening| listening.address)
    }

    /// From now on the node is ready while its bus and its store are.
    pub(crate) fn serves(&self, bus: Bus, store: Store) {
        self.phase.send_replace(Phase::Serving(bus, store));
    }

    /// From now on it is not.
    pub(crate) fn stops(&self) {
        self.phase.send_replace(Phase::Stopping);
    }
}

impl Listening {
    async fn start(listen: SocketAddr, router: Router) -> anyhow::Result<Self> {
        let place = || format!("node.health_listen = {listen}");
        let listener = TcpListener::bind(listen).await.with_context(place)?;
        let address = listener.local_addr().with_context(place)?;
        let (stop, stopped) = watch::channel(false);
        let serving = callreel_api::serve(listener, router, stopped);
        Ok(Self {
            address,
            _task: AbortOnDropHandle::new(tokio::spawn(serving)),
            _stop: stop,
        })
    }
}

fn router(phase: watch::Receiver<Phase>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(phase)
}

/// `GET /healthz`: the process answers.
async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: its roles run, the broker is there and the store answers, so that a new call can be taken.
async fn ready(State(phase): State<watch::Receiver<Phase>>) -> (StatusCode, Json<Value>) {
    let phase = phase.borrow().clone();
    match obstacle(&phase).await {
        None => (StatusCode::OK, Json(json!({"status": "ready"}))),
        Some(reason) => {
            let body = json!({"status": "not ready", "reason": reason});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

/// Why it takes nothing new.
async fn obstacle(phase: &Phase) -> Option<String> {
    let (bus, store) = match phase {
        Phase::Starting => return Some("the node is starting".to_owned()),
        Phase::Stopping => return Some("the node is stopping".to_owned()),
        Phase::Serving(bus, store) => (bus, store),
    };
    if !bus.is_connected() {
        return Some("there is no connection to the broker".to_owned());
    }
    // Any look-up would do; a list of databases would be long in a CouchDB of many accounts.
    let asked = store.get(SYSTEM_CONFIG, "media").await;
    asked.err().map(|error| error.to_string())
}
