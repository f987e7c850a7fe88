//! Which nodes there are, by the heartbeats they send, and what the operator is shown of them. Asks nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{extract::State, response::Response};
use callreel_bus::{Binding, Bus, Error as BusError, Mishaps, QueueOptions, Subscription};
use callreel_proto::{Envelope, Exchange, GREGORIAN_UNIX_OFFSET, NodeAdvertise};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Shared,
    auth::Caller,
    envelope::Answer,
    refusal::{Refusal, Why},
};

type Answered = Result<Response, Refusal>;

/// Heartbeats that may wait: several rounds of a large platform. A newer one says more than an older one.
const BACKLOG: usize = 1024;
/// Nodes that are remembered: far more than a platform has, so that nobody fills the memory with made-up names.
const MOST_NODES: usize = 512;
/// How long a heartbeat holds that does not say: three of ours.
const USUAL: Duration = Duration::from_secs(15);
/// Longest that any heartbeat is believed.
const LONGEST: Duration = Duration::from_secs(300);

/// The nodes that were heard of lately. Clones share them.
#[derive(Debug, Clone)]
pub struct Nodes {
    table: Table,
    _hearing: Arc<AbortOnDropHandle<()>>,
}

/// By name.
#[derive(Debug, Clone, Default)]
struct Table(Arc<Mutex<BTreeMap<String, Heard>>>);

/// The last word of a node.
#[derive(Debug, Clone)]
struct Heard {
    at: Instant,
    until: Instant,
    said: NodeAdvertise,
}

impl Nodes {
    /// Listens on this bus from now on.
    ///
    /// # Errors
    /// Those of [`Bus::subscribe`].
    pub async fn start(bus: &Bus) -> Result<Self, BusError> {
        // A fanout has no keys.
        let binding = Binding::new(Exchange::Nodes, "");
        let heartbeats = bus
            .subscribe(QueueOptions::private(BACKLOG), vec![binding])
            .await?;
        let table = Table::default();
        let hearing = tokio::spawn(hear(heartbeats, table.clone()));
        Ok(Self {
            table,
            _hearing: Arc::new(AbortOnDropHandle::new(hearing)),
        })
    }

    /// The living Callreels that run this role (`switch`, `calls`, `delivery`, `api`).
    pub fn with(&self, role: &str) -> BTreeSet<String> {
        let living = self.table.living();
        let runs = |heard: &Heard| {
            heard
                .said
                .roles()
                .is_some_and(|r| r.iter().any(|r| r == role))
        };
        let meant = living.iter().filter(|(_, heard)| runs(heard));
        meant.map(|(name, _)| name.clone()).collect()
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those whose last word still holds; the others are forgotten.
    fn living(&self) -> BTreeMap<String, Heard> {
        let now = Instant::now();
        let mut table = self.lock();
        table.retain(|_, heard| heard.until > now);
        table.clone()
    }

    /// Whether there was room for it.
    fn note(&self, node: String, said: NodeAdvertise) -> bool {
        let at = Instant::now();
        let holds = said.expires_ms.map_or(USUAL, Duration::from_millis);
        let mut table = self.lock();
        if holds.is_zero() {
            table.remove(&node);
            return true;
        }
        if !table.contains_key(&node) && table.len() >= MOST_NODES {
            table.retain(|_, heard| heard.until > at);
            if table.len() >= MOST_NODES {
                return false;
            }
        }
        let until = at + holds.min(LONGEST);
        table.insert(node, Heard { at, until, said });
        true
    }
}

async fn hear(mut heartbeats: Subscription, table: Table) {
    let unusable = Mishaps::default();
    while let Some(delivery) = heartbeats.recv().await {
        match Envelope::<NodeAdvertise>::from_bytes(&delivery.body) {
            Ok(beat) if beat.headers.node.is_empty() => {}
            Ok(beat) => {
                if !table.note(beat.headers.node, beat.body) && unusable.count("too many nodes") {
                    tracing::warn!(
                        most = MOST_NODES,
                        "more nodes send heartbeats than are shown; is somebody making names up on this bus?"
                    );
                }
            }
            Err(error) => {
                if unusable.count(&error.what) {
                    tracing::warn!(%error, "passing over a heartbeat; more of this kind are passed over silently");
                }
            }
        }
    }
}

/// `GET /nodes`: every node that was heard of lately.
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Answered {
    let living = shared.nodes.table.living();
    let shown = living.iter().map(|(name, heard)| picture(name, heard));
    Ok(Answer::new(shown.collect()).wrap(&shared))
}

/// Refuses whoever has the token of an account.
pub(crate) fn for_the_operator(caller: &Caller) -> Result<(), Refusal> {
    match caller.account() {
        None => Ok(()),
        Some(_) => Err(Refusal::new(
            Why::Forbidden,
            "this is shown to the administrator only: show the token of api.admin_token",
        )),
    }
}

fn picture(name: &str, heard: &Heard) -> Value {
    let said = &heard.said;
    let started = said.started().and_then(|at| i64::try_from(at).ok());
    let apps = said.apps.iter().flatten().map(|(name, _)| name);
    json!({
        "name": name,
        "version": said.version,
        "apps": apps.collect::<Vec<_>>(),
        "roles": said.roles(),
        "started_unix": started.map(|at| at - GREGORIAN_UNIX_OFFSET),
        "heard_s": heard.at.elapsed().as_secs(),
        "draining": said.draining,
        "calls": said.calls,
        "channels": said.channels,
        "registrations": said.registrations,
        "owed": said.owed,
        "spool": said.spool,
        "bus": said.bus,
    })
}
