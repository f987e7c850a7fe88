//! The listening socket and the task that takes connections from it. Knows no route.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use callreel_attachments::Attachments;
use callreel_bus::Bus;
use callreel_proto::Utc;
use callreel_spool::View;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    ApiConfig, Asker, Error, Gate, Nodes, Shared, Switches, Tokens,
    connection::{Front, told},
    router,
};

/// Connections served at once; others wait for the door. Far more than the people and programs of a node; together they may
/// hold a few megabytes, and one question on the bus each.
const MOST_CONNECTIONS: usize = 512;
/// Pause when the system gives no more connections: it has run out of handles, and somebody must let go of some first.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How often tokens that have ended are removed. They are refused from their end on.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How long a stop waits for downloads under way before it cuts them.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The running HTTP API. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _sweeping: AbortOnDropHandle<()>,
    _renewing: Option<AbortOnDropHandle<()>>,
}

impl Api {
    /// Listens and serves, also the routes of `beside`, which are open; `/readyz` says no until [`Api::ready`] is told.
    ///
    /// # Errors
    /// [`Error::Tls`]: its certificate cannot be used. [`Error::Listen`]: the address is taken or not this machine's. [`Error::Bus`]: the bus gives no queue.
    pub async fn start(
        config: ApiConfig,
        bus: Bus,
        spool: View,
        attachments: Attachments,
        node: &str,
        beside: Router,
    ) -> Result<Self, Error> {
        config.validate()?;
        let failed = |source| Error::Listen {
            listen: config.listen,
            source,
        };
        let certificate = config.certificate()?;
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !config.asks_for_tokens() && !address.ip().is_loopback() {
            tracing::warn!(%address, "api.auth is off: whoever reaches the API may hear, stop and delete recordings");
        }
        let (ready, is_ready) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let store = attachments.store().clone();
        let app = router(Arc::new(Shared {
            gate: Gate::new(&config, store.clone()),
            asker: Asker::start(bus.clone(), node).await?,
            switches: Switches::default(),
            nodes: Nodes::start(&bus).await?,
            bus,
            spool,
            store: store.clone(),
            attachments,
            node: node.to_owned(),
            ready: is_ready,
        }))
        .merge(beside);
        let door = certificate
            .as_ref()
            .map(|c| TlsAcceptor::from(c.server(&["http/1.1"])));
        let renewing =
            certificate.map(|c| AbortOnDropHandle::new(tokio::spawn(c.keep_fresh("api"))));
        let task = tokio::spawn(serve_at(listener, door, app, stopped));
        let sweeping = tokio::spawn(sweep(Tokens::new(store)));
        Ok(Self {
            _sweeping: AbortOnDropHandle::new(sweeping),
            _renewing: renewing,
            address,
            ready,
            stop,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `/readyz` says from now on.
    pub fn ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }

    /// Waits until the role ends without having been told to: something in it broke.
    pub async fn ended(&mut self) {
        if !self.task.is_finished() {
            // How it ended is in the log.
            drop((&mut self.task).await);
        }
    }

    /// Takes no new connections, lets downloads under way finish for a few seconds, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_PATIENCE, &mut self.task)
            .await
            .is_err()
        {
            tracing::warn!("downloads were cut by the stop");
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Removes tokens that have ended, for as long as the role runs. Several nodes on one store do no harm.
async fn sweep(tokens: Tokens) {
    let mut hours = tokio::time::interval(SWEEP_EVERY);
    loop {
        hours.tick().await;
        match tokens.sweep(Utc::now()).await {
            Ok(0) => {}
            Ok(swept) => tracing::debug!(swept, "tokens that had ended were removed"),
            Err(error) => {
                tracing::warn!(%error, "tokens that have ended stay for another hour; they let nobody in")
            }
        }
    }
}

/// Takes connections for these routes until it is told to stop, and then waits for those it has. Clients have the API's limits.
pub async fn serve(listener: TcpListener, app: Router, stop: watch::Receiver<bool>) {
    serve_at(listener, None, app, stop).await;
}

/// The same, by TLS if there is a `door`.
async fn serve_at(
    listener: TcpListener,
    door: Option<TlsAcceptor>,
    app: Router,
    mut stop: watch::Receiver<bool>,
) {
    let front = Front::new(app);
    let word = stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            (stream, from) = accept(&listener), if connections.len() < MOST_CONNECTIONS => {
                connections.spawn(front.clone().enter(stream, from, door.clone(), word.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "the API cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
