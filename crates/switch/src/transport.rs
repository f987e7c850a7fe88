//! The edge to the network: sockets the SIP library reads from, guarded against garbage and floods, and the addresses
//! messages leave with. Knows no call.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use callreel_doors::Certificate;
use nix::sys::socket::{setsockopt, sockopt};
use rsipstack::Result as SipResult;
use rsipstack::platform::net::UdpSocket as PlatformSocket;
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Host, SipMessage, Transport};
use rsipstack::transaction::endpoint::{MessageInspector, TransportEventInspector};
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::peer::OwnAddress;
use crate::reading::{Reading, read};
use crate::shared::{Counters, count, locked};
use crate::sources::Sources;
use crate::streams::Streams;
use crate::{Error, SwitchConfig, limits};

/// Datagrams handed to the library and not yet looked at. A phone repeats what is dropped; a second's worth of a busy
/// switch fits.
const MAX_WAITING: usize = 1_024;
/// Bytes the system may keep for us: a burst of some thousand messages while all threads are busy. It may give less.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Longest datagram there is (RFC 3261 §18.1.1 has us take them all); the library reads shorter ones only, longer requests
/// are refused.
const MAX_DATAGRAM: usize = 65_535;
/// A port free in UDP may be taken in TCP: with port 0 another is tried.
const FREE_PORT_ATTEMPTS: usize = 16;

/// The sockets of a switch, and where they really are.
pub(crate) struct Sockets {
    pub(crate) bound: SocketAddr,
    pub(crate) udp: SipConnection,
    pub(crate) tcp: Option<TcpListener>,
    pub(crate) tls: Option<Tls>,
    /// The address the library calls itself by.
    pub(crate) external: SocketAddr,
    pub(crate) guard: Guard,
}

/// The socket of SIP over TLS, and what is shown there.
pub(crate) struct Tls {
    pub(crate) listener: TcpListener,
    pub(crate) bound: SocketAddr,
    pub(crate) certificate: Arc<Certificate>,
}

impl Tls {
    async fn open(config: &SwitchConfig) -> Result<Option<Self>, Error> {
        let Some(addr) = config.tls_bind else {
            return Ok(None);
        };
        let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) else {
            return Err(Error::NoCertificate);
        };
        let failed = |source| Error::Bind {
            transport: "TLS",
            addr,
            source,
        };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        Ok(Some(Self {
            bound: listener.local_addr().map_err(failed)?,
            listener,
            certificate: Certificate::load(certificate, key)?,
        }))
    }
}

/// Opens SIP's sockets.
pub(crate) async fn open(
    config: &SwitchConfig,
    counters: &Arc<Counters>,
    cancel: &CancellationToken,
) -> Result<Sockets, Error> {
    let mut attempts = 0;
    let (udp, tcp) = loop {
        attempts += 1;
        match bind(config).await {
            Ok(sockets) => break sockets,
            Err(_) if config.bind.port() == 0 && attempts < FREE_PORT_ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    };
    let bound = udp.local_addr().map_err(|source| Error::Bind {
        transport: "UDP",
        addr: config.bind,
        source,
    })?;
    let external = OwnAddress::new(bound, config.advertised).in_general();
    let external = SocketAddr::new(external, bound.port());
    let guard = Guard {
        counters: counters.clone(),
        sources: Arc::new(Sources::new(config)),
        waiting: Arc::default(),
        streams: Arc::new(Streams::new(limits::raise_open_files())),
    };
    let socket = Arc::new(GuardedSocket {
        socket: udp,
        guard: guard.clone(),
        room: Mutex::new(vec![0; MAX_DATAGRAM]),
    });
    let udp = UdpConnection::from_socket(socket, Some(external), Some(cancel.child_token()));
    Ok(Sockets {
        bound,
        udp: udp.await.map_err(Error::sip)?.into(),
        tcp,
        tls: Tls::open(config).await?,
        external,
        guard,
    })
}

async fn bind(config: &SwitchConfig) -> Result<(UdpSocket, Option<TcpListener>), Error> {
    let failed = |transport| {
        move |source: io::Error| Error::Bind {
            transport,
            addr: config.bind,
            source,
        }
    };
    let udp = UdpSocket::bind(config.bind).await.map_err(failed("UDP"))?;
    if let Err(error) = setsockopt(&udp, sockopt::RcvBuf, &RECEIVE_BUFFER) {
        tracing::warn!(%error, "the system gives SIP no larger receive buffer");
    }
    let addr = udp.local_addr().map_err(failed("UDP"))?;
    if !config.tcp {
        return Ok((udp, None));
    }
    let tcp = TcpListener::bind(addr).await;
    Ok((udp, Some(tcp.map_err(failed("TCP"))?)))
}

/// Keeps garbage and floods away from the library, whose own queues have no bound.
#[derive(Clone)]
pub(crate) struct Guard {
    counters: Arc<Counters>,
    pub(crate) sources: Arc<Sources>,
    waiting: Arc<AtomicUsize>,
    pub(crate) streams: Arc<Streams>,
}

#[async_trait]
impl TransportEventInspector for Guard {
    async fn handle(&self, event: TransportEvent) -> Option<TransportEvent> {
        if let TransportEvent::Incoming(_, connection, from) = &event {
            match from.get_socketaddr() {
                Ok(peer) if connection.is_reliable() => self.streams.taken(peer),
                _ => drop(self.waiting.fetch_sub(1, Ordering::Relaxed)),
            }
        }
        Some(event)
    }
}

struct GuardedSocket {
    socket: UdpSocket,
    guard: Guard,
    /// Where datagrams are read into; only the library's one reader locks it.
    room: Mutex<Vec<u8>>,
}

impl GuardedSocket {
    /// Reads one datagram and judges it: the library's are copied to `buf`.
    fn take(&self, buf: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        let mut room = locked(&self.room);
        let (len, from) = self.socket.try_recv_from(&mut room)?;
        if !self.guard.hears(from) {
            return Ok(None);
        }
        let datagram = &room[..len];
        let message = if is_keepalive(datagram) && len <= buf.len() {
            datagram.into()
        } else {
            match read(datagram, from, Transport::Udp, buf.len()) {
                Reading::Message(message) => message,
                Reading::Refused(answer) => {
                    count(&self.guard.counters.malformed);
                    drop(self.socket.try_send_to(&answer, from));
                    return Ok(None);
                }
                Reading::Garbage => {
                    count(&self.guard.counters.malformed);
                    return Ok(None);
                }
            }
        };
        if !is_keepalive(&message) && !self.guard.has_room() {
            return Ok(None);
        }
        buf[..message.len()].copy_from_slice(&message);
        Ok(Some((message.len(), from)))
    }
}

impl Guard {
    /// Whether one more message of this peer is looked at.
    fn hears(&self, peer: SocketAddr) -> bool {
        let heard = self.sources.hears(peer.ip(), Instant::now());
        if !heard {
            count(&self.counters.unheard);
        }
        heard
    }

    /// Whether the library may have one more datagram.
    fn has_room(&self) -> bool {
        if self.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
            count(&self.counters.shed);
            return false;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        true
    }
}

#[async_trait]
impl PlatformSocket for GuardedSocket {
    async fn recv_from(&self, buf: &mut [u8]) -> SipResult<(usize, SocketAddr)> {
        loop {
            self.socket.readable().await?;
            match self.take(buf) {
                Ok(Some(taken)) => return Ok(taken),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An ICMP error for something sent earlier (a phone that is gone) is no error of this socket.
                Err(error) => tracing::debug!(%error, "receiving SIP over UDP"),
            }
        }
    }

    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> SipResult<usize> {
        Ok(self.socket.send_to(buf, addr).await?)
    }

    fn local_addr(&self) -> SipResult<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }
}

fn is_keepalive(datagram: &[u8]) -> bool {
    datagram.iter().all(u8::is_ascii_whitespace)
}

/// Names the interface towards the peer in the Via of requests, when the switch listens on all of them.
pub(crate) struct ViaInspector {
    pub(crate) own: Arc<OwnAddress>,
}

impl MessageInspector for ViaInspector {
    fn before_send(&self, message: SipMessage, dest: Option<&SipAddr>) -> SipMessage {
        let peer = dest.and_then(|addr| addr.get_socketaddr().ok());
        let (Some(peer), SipMessage::Request(mut request), false) =
            (peer, message.clone(), self.own.is_fixed())
        else {
            return message;
        };
        let own = self.own.towards(peer.ip());
        let renamed = request.via_header_mut().and_then(|via| {
            via.update_first_value(|first| {
                let mut typed = first.typed()?;
                typed.uri.host_with_port.host = Host::IpAddr(own);
                Ok(typed.into())
            })
        });
        match renamed {
            Ok(_) => SipMessage::Request(request),
            Err(_) => message,
        }
    }

    fn after_received(&self, message: SipMessage, _from: Option<&SipAddr>) -> SipMessage {
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_occupied_port_is_named_with_its_key() {
        let occupier = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let config = SwitchConfig {
            bind: occupier.local_addr().unwrap(),
            ..SwitchConfig::default()
        };
        let cancel = CancellationToken::new();
        let error = open(&config, &Arc::default(), &cancel).await.err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains(&config.bind.to_string()) && text.contains("switch.bind"),
            "{text}"
        );
    }
}
