//! The node's heartbeat on the bus: so that the consoles of all nodes show it, and a Kazoo's `kz_nodes status` too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callreel_bus::Bus;
use callreel_proto::{Exchange, NodeAdvertise, Utc};
use callreel_spool::Space;
use serde_json::{Map, Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::cli::VERSION;

/// Time between two beats. Kazoo's nodes take five to fifteen seconds.
const EVERY: Duration = Duration::from_secs(5);
/// How long one holds: two may be lost.
const HOLDS_MS: u64 = 15_000;

/// What the node counts of itself.
pub(crate) struct Gauges {
    pub(crate) switch: Option<callreel_switch::Gauge>,
    pub(crate) calls: Option<callreel_calls::Gauge>,
    pub(crate) delivery: Option<callreel_delivery::Gauge>,
    /// The disk of its spool, if it writes there.
    pub(crate) space: Option<Space>,
}

/// Beats until it is told to stop, or dropped.
pub(crate) struct Heart {
    body: Arc<Body>,
    beating: AbortOnDropHandle<()>,
}

struct Body {
    bus: Bus,
    node: String,
    roles: Vec<&'static str>,
    gauges: Gauges,
    started: Utc,
    draining: AtomicBool,
}

impl Heart {
    /// Beats at once, and from then on.
    pub(crate) fn start(bus: Bus, node: &str, roles: Vec<&'static str>, gauges: Gauges) -> Self {
        let body = Arc::new(Body {
            bus,
            node: node.to_owned(),
            roles,
            gauges,
            started: Utc::now(),
            draining: AtomicBool::new(false),
        });
        let beating = tokio::spawn(Arc::clone(&body).beat());
        Self {
            body,
            beating: AbortOnDropHandle::new(beating),
        }
    }

    /// From now on the node takes no new calls; it says so at once.
    pub(crate) async fn drains(&self) {
        self.body.draining.store(true, Ordering::Relaxed);
        self.body.say(HOLDS_MS).await;
    }

    /// Says farewell.
    pub(crate) async fn stop(self) {
        self.beating.abort();
        self.body.say(0).await;
    }
}

impl Body {
    async fn beat(self: Arc<Self>) {
        let mut beats = tokio::time::interval(EVERY);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            self.say(HOLDS_MS).await;
        }
    }

    /// What a broker that is away does not get is worth nothing later.
    async fn say(&self, expires_ms: u64) {
        if !self.bus.is_connected() {
            return;
        }
        let mut beat = self.describe(expires_ms).await.into_envelope();
        beat.headers.node.clone_from(&self.node);
        let sent = self.bus.publish(Exchange::Nodes, "", beat.to_bytes());
        if let Err(error) = sent.await {
            tracing::debug!(%error, "a heartbeat was not sent");
        }
    }

    async fn describe(&self, expires_ms: u64) -> NodeAdvertise {
        let gauges = &self.gauges;
        let calls = match &gauges.calls {
            Some(gauge) => gauge.calls().await,
            None => None,
        };
        let owed = match &gauges.delivery {
            Some(gauge) => gauge.owed().await,
            None => None,
        };
        let switch = gauges.switch.as_ref();
        let bus = self.bus.describe();
        let reconnects = bus.link.map(|link| link.reconnects);
        let bus =
            json!({"published": bus.published, "dropped": bus.dropped, "reconnects": reconnects});
        NodeAdvertise {
            expires_ms: Some(expires_ms),
            version: Some(VERSION.to_owned()),
            channels: switch.map(|gauge| gauge.channels() as u64),
            registrations: switch.map(|gauge| gauge.registrations() as u64),
            calls: calls.map(|calls| calls as u64),
            owed: owed.map(|owed| owed as u64),
            draining: Some(self.draining.load(Ordering::Relaxed)),
            spool: gauges
                .space
                .as_ref()
                .map(|space| object(json!(space.picture()))),
            bus: Some(object(bus)),
            ..NodeAdvertise::of(self.started, &self.roles)
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
