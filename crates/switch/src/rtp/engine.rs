//! Opens legs: owns the port range and the fork socket they share. Moves no packet itself.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::core::{Core, EVENTS, receive};
use super::fork::{Copies, ForkSocket};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::ports::Ports;
use super::wire::Wire;
use super::{Error, MediaEvent, MediaLeg, RtpConfig, now};

/// The media engine; clones share it.
#[derive(Clone)]
pub struct MediaEngine {
    config: Arc<RtpConfig>,
    ports: Arc<Ports>,
    shared: Arc<Shared>,
}

/// What all legs of an engine share.
pub(super) struct Shared {
    pub(super) fork: ForkSocket,
    /// Held while legs are joined or parted, so that both ends always agree.
    pub(super) bridging: Mutex<()>,
    pub(super) next_play: AtomicU64,
}

impl fmt::Debug for MediaEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaEngine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl MediaEngine {
    /// Checks the port range and opens the fork socket.
    ///
    /// # Errors
    /// [`Error::NoPorts`], [`Error::Fork`].
    pub fn start(config: RtpConfig) -> Result<Self, Error> {
        let ports = Ports::new(config.bind, config.ports.clone())?;
        let shared = Shared {
            fork: ForkSocket::open(config.fork_bind)?,
            bridging: Mutex::new(()),
            next_play: AtomicU64::new(1),
        };
        Ok(Self {
            config: Arc::new(config),
            ports,
            shared: Arc::new(shared),
        })
    }

    /// Opens a leg on a free pair of ports. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::PortsExhausted`] when every pair is taken, [`Error::Bind`] when the system refuses sockets.
    pub fn open(&self) -> Result<(MediaLeg, mpsc::Receiver<MediaEvent>), Error> {
        let pair = self.ports.open()?;
        let addr = SocketAddr::new(self.config.bind, pair.lease.port());
        let wire = Wire::new(pair).map_err(|source| Error::Bind { addr, source })?;
        let wire = Arc::new(wire);
        let (events, receiver) = mpsc::channel(EVENTS);
        let limit = self.config.inactivity_s;
        let inactivity = (limit > 0).then(|| Duration::from_secs(limit));
        let copies = || Copies::new(self.shared.fork.clone());
        let core = Arc::new(Core::new(
            wire.port(),
            Inbound::new(copies(), inactivity, now()),
            Outbound::new(Arc::clone(&wire), copies()),
            events,
        ));
        tokio::spawn(receive(Arc::clone(&core), wire));
        let leg = MediaLeg::new(core, Arc::clone(&self.shared));
        Ok((leg, receiver))
    }
}
