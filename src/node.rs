//! One node: opens the places, starts the roles it was told to run, and stops them in order.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, bail};
use axum::Router;
use callreel_api::Api;
use callreel_attachments::{Attachments, Outside};
use callreel_bus::Bus;
use callreel_calls::Calls;
use callreel_delivery::Delivery;
use callreel_spool::{Outbox, Space, View, Writer};
use callreel_store::Store;
use callreel_switch::Switch;
use serde_json::{Value, json};

use crate::{
    config::{Config, Role},
    defaults,
    heart::{Gauges, Heart},
};

/// Calls whose phones have been hung up need a few milliseconds and a disk's sync to end their recordings.
const SETTLING: Duration = Duration::from_secs(5);

/// A running node.
pub(crate) struct Node {
    bus: Bus,
    store: Store,
    switch: Option<Switch>,
    calls: Option<Calls>,
    delivery: Option<Delivery>,
    api: Option<Api>,
    heart: Option<Heart>,
    draining: AtomicBool,
}

impl Node {
    /// Starts the roles of `config`: first those that finish what an earlier run left, phones last. `metrics` is served beside
    /// the API.
    ///
    /// # Errors
    /// A place cannot be opened or a role cannot start; the error says which and what to change.
    pub(crate) async fn start(config: &Config, metrics: Router) -> anyhow::Result<Self> {
        let bus = Bus::open(&config.bus, &config.node.name).await?;
        let store = open_safe_store(config).await?;
        let mut node = Self {
            bus: bus.clone(),
            store: store.clone(),
            switch: None,
            calls: None,
            delivery: None,
            api: None,
            heart: None,
            draining: AtomicBool::new(false),
        };
        let outside = Outside::new(&config.delivery.outside())?;
        let attachments = Attachments::new(store.clone(), outside.clone());
        let mut space = None;
        let runs = |role| config.node.roles.contains(&role);
        let dir = config.spool_dir();
        let place = || format!("spool {}", dir.display());
        if runs(Role::Delivery) {
            let settings = config.spool.settings();
            let spool = Outbox::open_with(&dir, settings.keys()?).with_context(place)?;
            let spool = spool.with_marks(&settings);
            space = Some(spool.space().clone());
            let settings = config.delivery.clone();
            let start = callreel_delivery::start(
                settings,
                &config.webhooks,
                bus.clone(),
                spool,
                attachments.clone(),
                &config.node.name,
            );
            node.delivery = Some(start.await.context("role delivery")?);
        }
        if runs(Role::Calls) {
            if !runs(Role::Delivery) {
                tracing::info!(spool = %dir.display(), "recordings wait here for a process with the role delivery that has this spool");
            }
            let spool = Writer::open(&dir, &config.spool.settings()).with_context(place)?;
            space = Some(spool.space().clone());
            let start = Calls::start(
                config.calls.clone(),
                config.recording.clone(),
                bus.clone(),
                store.clone(),
                spool,
                outside,
                &config.node.name,
            );
            node.calls = Some(start.await.context("role calls")?);
        }
        if runs(Role::Api) {
            let start = Api::start(
                config.api.clone(),
                bus.clone(),
                View::open(&dir),
                attachments.clone(),
                &config.node.name,
                metrics,
            );
            node.api = Some(start.await.context("role api")?);
        }
        if runs(Role::Switch) {
            let start = Switch::start(config.switch.clone(), bus, attachments, &config.node.name);
            node.switch = Some(start.await.context("role switch")?);
        }
        node.begin(config, space);
        Ok(node)
    }

    /// Tells the others that it is there, when all roles run.
    fn begin(&mut self, config: &Config, space: Option<Space>) {
        let gauges = Gauges {
            switch: self.switch.as_ref().map(Switch::gauge),
            calls: self.calls.as_ref().map(Calls::gauge),
            delivery: self.delivery.as_ref().map(Delivery::gauge),
            space,
        };
        let roles = config.node.roles.iter().map(|role| role.name()).collect();
        let heart = Heart::start(self.bus.clone(), &config.node.name, roles, gauges);
        self.heart = Some(heart);
        if let Some(api) = &self.api {
            api.ready(true);
        }
    }

    /// What its roles say to each other.
    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The account documents.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Where phones find it: transport and address.
    pub(crate) fn sip_addresses(&self) -> Vec<(String, SocketAddr)> {
        self.switch
            .as_ref()
            .map(Switch::sip_addresses)
            .unwrap_or_default()
    }

    /// Where its HTTP API listens.
    pub(crate) fn api_address(&self) -> Option<SocketAddr> {
        self.api.as_ref().map(Api::address)
    }

    /// What the bus and every role are doing.
    pub(crate) async fn describe(&self) -> Value {
        let mut roles = serde_json::Map::new();
        roles.insert("bus".to_owned(), json!(self.bus.describe()));
        if let Some(switch) = &self.switch {
            roles.insert("switch".to_owned(), switch.describe().await);
        }
        if let Some(calls) = &self.calls {
            roles.insert("calls".to_owned(), calls.describe().await);
        }
        if let Some(delivery) = &self.delivery {
            roles.insert("delivery".to_owned(), delivery.describe().await);
        }
        json!(roles)
    }

    /// The same in short, for metrics: no call is asked, so that it costs little however many there are.
    pub(crate) async fn vitals(&self) -> Value {
        let mut vitals = json!({
            "node": {"draining": self.draining.load(Ordering::Relaxed)},
            "bus": self.bus.describe(),
        });
        if let Some(switch) = &self.switch {
            vitals["switch"] = switch.vitals();
        }
        if let Some(calls) = &self.calls {
            vitals["calls"] = calls.vitals();
        }
        if let Some(delivery) = &self.delivery {
            vitals["delivery"] = delivery.describe().await;
        }
        vitals
    }

    /// Waits until a role ends without having been told to, and names it.
    pub(crate) async fn broken(&mut self) -> &'static str {
        tokio::select! {
            () = ended(&mut self.switch, Switch::ended) => "switch",
            () = ended(&mut self.calls, Calls::ended) => "calls",
            () = ended(&mut self.delivery, Delivery::ended) => "delivery",
            () = ended(&mut self.api, Api::ended) => "api",
        }
    }

    /// Takes no more calls, and returns when the last one has ended.
    pub(crate) async fn drain(&self) {
        if let Some(heart) = &self.heart {
            heart.drains().await;
        }
        self.draining.store(true, Ordering::Relaxed);
        if let Some(api) = &self.api {
            api.ready(false);
        }
        if let Some(calls) = &self.calls {
            calls.drain();
        }
        if let Some(switch) = &self.switch {
            switch.drain().await;
        }
        if let Some(calls) = &self.calls {
            calls.settled().await;
        }
    }

    /// Stops: no new calls, phones hung up, recordings ended, deliveries left for the next start.
    pub(crate) async fn stop(self) {
        if let Some(api) = &self.api {
            api.ready(false);
        }
        if let Some(calls) = &self.calls {
            calls.drain();
        }
        if let Some(heart) = self.heart {
            heart.stop().await;
        }
        if let Some(switch) = self.switch {
            switch.stop().await;
        }
        if let Some(calls) = self.calls {
            calls.stop(SETTLING).await;
        }
        if let Some(delivery) = self.delivery {
            delivery.stop().await;
        }
        if let Some(api) = self.api {
            api.stop().await;
        }
        self.bus.close();
        self.bus.ended().await;
    }
}

/// Opens the store a configuration names, unless strangers would be let in by secrets that everybody knows.
async fn open_safe_store(config: &Config) -> anyhow::Result<Store> {
    let store = open_store(config)?;
    if let Some(wrong) = defaults::known_secret(config, &store).await {
        bail!(wrong);
    }
    Ok(store)
}

/// Opens the store a configuration names.
pub(crate) fn open_store(config: &Config) -> anyhow::Result<Store> {
    if !config.store.is_embedded() {
        return Ok(Store::connect(&config.store.url, &config.store.couch())?);
    }
    let file = config.store_file();
    std::fs::create_dir_all(&config.node.data)
        .with_context(|| format!("node.data = {}", config.node.data.display()))?;
    Store::open(&file).with_context(|| format!("store {}", file.display()))
}

/// Opens the stored recordings a configuration names, wherever their audio is.
pub(crate) fn open_attachments(config: &Config) -> anyhow::Result<Attachments> {
    let outside = Outside::new(&config.delivery.outside())?;
    Ok(Attachments::new(open_store(config)?, outside))
}

/// Waits for a role's end; for ever if it does not run here.
async fn ended<R>(role: &mut Option<R>, end: impl AsyncFnOnce(&mut R)) {
    match role {
        Some(role) => end(role).await,
        None => std::future::pending().await,
    }
}
