//! The listening socket and the task that takes connections from it. Knows no route.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use callreel_attachments::Attachments;
use callreel_bus::Bus;
use callreel_spool::View;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    ApiConfig, Asker, Error, Shared, Switches,
    connection::{Front, told},
    router,
};

/// Connections served at once; others wait for the door. Far more than the people and programs of a node; together they may
/// hold a few megabytes, and one question on the bus each.
const MOST_CONNECTIONS: usize = 512;
/// Pause when the system gives no more connections: it has run out of handles, and somebody must let go of some first.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long a stop waits for downloads under way before it cuts them.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The running HTTP API. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Api {
    /// Listens and serves; `/readyz` says no until [`Api::ready`] is told.
    ///
    /// # Errors
    /// [`Error::Listen`]: the address is taken or not this machine's. [`Error::Bus`]: the bus gives no queue.
    pub async fn start(
        config: ApiConfig,
        bus: Bus,
        spool: View,
        attachments: Attachments,
        node: &str,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Listen {
            listen: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "the API has no authentication: whoever reaches it may hear, stop and delete recordings");
        }
        let (ready, is_ready) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let app = router(Arc::new(Shared {
            asker: Asker::start(bus.clone(), node).await?,
            switches: Switches::default(),
            bus,
            spool,
            store: attachments.store().clone(),
            attachments,
            node: node.to_owned(),
            ready: is_ready,
        }));
        let task = tokio::spawn(serve(listener, Front::new(app), stopped));
        Ok(Self {
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

/// Takes connections until it is told to stop, and then waits for those it has.
async fn serve(listener: TcpListener, front: Front, mut stop: watch::Receiver<bool>) {
    let word = stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            (stream, from) = accept(&listener), if connections.len() < MOST_CONNECTIONS => {
                connections.spawn(front.clone().serve(stream, from, word.clone()));
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
