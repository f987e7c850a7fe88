//! Copies a leg's packets to a recorder (docs/fork.md). Decides nothing about who is recorded.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use callreel_proto::MediaFork;

use super::Error;
use super::packet::{DATAGRAM_ROOM, Header, Incoming, renumber, write};

/// The socket all forks of an engine leave by.
#[derive(Debug, Clone)]
pub(super) struct ForkSocket {
    bind: IpAddr,
    socket: Arc<UdpSocket>,
}

impl ForkSocket {
    pub(super) fn open(bind: IpAddr) -> Result<Self, Error> {
        let opened = UdpSocket::bind((bind, 0)).and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(Arc::new(socket))
        });
        match opened {
            Ok(socket) => Ok(Self { bind, socket }),
            Err(source) => Err(Error::Fork { bind, source }),
        }
    }

    /// The address the recorder will see on its way to both targets.
    pub(super) fn source_towards(&self, fork: &MediaFork) -> Result<SocketAddr, Error> {
        let bind = self.bind;
        for target in [fork.a, fork.b] {
            if target.is_ipv4() != bind.is_ipv4() {
                return Err(Error::ForkFamily { target, bind });
            }
        }
        self.local_towards(fork.a)
            .map_err(|source| Error::Fork { bind, source })
    }

    /// Bound to no address in particular, the system picks one by route: an unsent probe tells which.
    fn local_towards(&self, target: SocketAddr) -> std::io::Result<SocketAddr> {
        let mut local = self.socket.local_addr()?;
        if self.bind.is_unspecified() {
            let probe = UdpSocket::bind((self.bind, 0))?;
            probe.connect(target)?;
            local.set_ip(probe.local_addr()?.ip());
        }
        Ok(local)
    }
}

/// Recorders that may hear one leg at once: that of a call that was transferred and goes on, that of its new controller, and
/// as many again. Each costs a copy of every packet.
pub(super) const MAX_FORKS: usize = 4;

/// The forks of one leg, each known by where it goes.
#[derive(Debug, Default)]
pub(super) struct Forks(Vec<MediaFork>);

impl Forks {
    /// Adds one, unless it is there.
    pub(super) fn add(&mut self, fork: MediaFork) -> Result<(), Error> {
        match self.0.len() {
            _ if self.0.contains(&fork) => {}
            0..MAX_FORKS => self.0.push(fork),
            running => return Err(Error::TooManyForks(running)),
        }
        Ok(())
    }

    /// Takes one out, if it is there.
    pub(super) fn remove(&mut self, fork: &MediaFork) {
        self.0.retain(|running| running != fork);
    }

    /// Where the stream that `end` picks goes.
    pub(super) fn targets(&self, end: impl Fn(&MediaFork) -> SocketAddr) -> Vec<SocketAddr> {
        self.0.iter().map(end).collect()
    }
}

/// One of a leg's two forked streams.
#[derive(Debug)]
pub(super) struct Copies {
    socket: ForkSocket,
    targets: Vec<SocketAddr>,
    /// Copies sent, over all forks of the leg.
    pub(super) sent: u64,
    /// Copies the network stack did not take.
    pub(super) failed: u64,
}

impl Copies {
    pub(super) fn new(socket: ForkSocket) -> Self {
        Self {
            socket,
            targets: Vec::new(),
            sent: 0,
            failed: 0,
        }
    }

    /// Copies to there from now on, and nowhere else.
    pub(super) fn aim(&mut self, targets: Vec<SocketAddr>) {
        self.targets = targets;
    }

    /// Whether copies are wanted.
    pub(super) fn wanted(&self) -> bool {
        !self.targets.is_empty()
    }

    /// A phone's packet as it came, but for the payload type.
    pub(super) fn received(&mut self, buffer: &mut [u8; DATAGRAM_ROOM], packet: &Incoming) {
        if self.wanted() {
            let copy = renumber(buffer, packet.datagram, packet.kind.normalised());
            self.send(copy);
        }
    }

    /// A packet of our own sound.
    pub(super) fn generated(
        &mut self,
        buffer: &mut [u8; DATAGRAM_ROOM],
        header: Header,
        payload_type: u8,
        payload: &[u8],
    ) {
        if self.wanted() {
            let copy = write(buffer, header, payload_type, payload);
            self.send(copy);
        }
    }

    fn send(&mut self, datagram: Option<&[u8]>) {
        let Some(datagram) = datagram else {
            return;
        };
        for target in &self.targets {
            // A full send buffer or a vanished recorder costs the copy, never the call.
            match self.socket.socket.send_to(datagram, target) {
                Ok(_) => self.sent += 1,
                Err(_) => self.failed += 1,
            }
        }
    }
}
