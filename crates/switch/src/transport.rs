//! The edge to the network: sockets the SIP library reads from, guarded against garbage and floods, and the addresses
//! messages leave with. Knows no call.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use nix::sys::socket::{setsockopt, sockopt};
use rsipstack::Result as SipResult;
use rsipstack::platform::net::UdpSocket as PlatformSocket;
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Host, SipMessage, Transport};
use rsipstack::transaction::endpoint::{MessageInspector, TransportEventInspector};
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, SipConnection, TcpListenerConnection, TransportEvent};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::peer::OwnAddress;
use crate::shared::{Counters, count};
use crate::{Error, SwitchConfig};

/// Datagrams handed to the library and not yet looked at. A phone repeats what is dropped; a second's worth of a busy
/// switch fits.
const MAX_WAITING: usize = 1_024;
/// Bytes the system may keep for us: a burst of some thousand messages while all threads are busy. It may give less.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// TCP connections at once; each costs the library 130 kB of buffers.
const MAX_CONNECTIONS: usize = 1_000;
/// A port free in UDP may be taken in TCP: with port 0 another is tried.
const FREE_PORT_ATTEMPTS: usize = 16;

/// The sockets of a switch, and where they really are.
pub(crate) struct Sockets {
    pub(crate) bound: SocketAddr,
    pub(crate) connections: Vec<SipConnection>,
    pub(crate) guard: Guard,
}

/// Opens SIP's sockets.
pub(crate) async fn open(
    config: &SwitchConfig,
    counters: &Arc<Counters>,
    cancel: &CancellationToken,
) -> Result<Sockets, Error> {
    let mut attempts = 0;
    let (udp, tcp_probe) = loop {
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
    let external = Some(SocketAddr::new(external, bound.port()));
    let guard = Guard {
        counters: counters.clone(),
        waiting: Arc::default(),
        connections: Arc::default(),
    };
    let socket = GuardedSocket {
        socket: udp,
        guard: guard.clone(),
    };
    let udp = UdpConnection::from_socket(Arc::new(socket), external, Some(cancel.child_token()));
    let mut connections: Vec<SipConnection> = vec![udp.await.map_err(Error::sip)?.into()];
    // The library binds the listener itself, later and without a word if it fails: the probe has shown the port is free.
    drop(tcp_probe);
    if config.tcp {
        let tcp = TcpListenerConnection::new(bound, external).await;
        connections.push(tcp.map_err(Error::sip)?.into());
    }
    Ok(Sockets {
        bound,
        connections,
        guard,
    })
}

async fn bind(
    config: &SwitchConfig,
) -> Result<(UdpSocket, Option<tokio::net::TcpListener>), Error> {
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
    let tcp = tokio::net::TcpListener::bind(addr).await;
    Ok((udp, Some(tcp.map_err(failed("TCP"))?)))
}

/// Keeps garbage and floods away from the library, whose own queues have no bound.
#[derive(Clone)]
pub(crate) struct Guard {
    counters: Arc<Counters>,
    waiting: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

#[async_trait]
impl TransportEventInspector for Guard {
    async fn handle(&self, event: TransportEvent) -> Option<TransportEvent> {
        match &event {
            TransportEvent::Incoming(_, connection, _) if !connection.is_reliable() => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            TransportEvent::Incoming(..) => {}
            TransportEvent::New(connection) => {
                if self.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                    count(&self.counters.shed);
                    if let Some(token) = connection.cancel_token() {
                        token.cancel();
                    }
                }
            }
            TransportEvent::Closed(_) => {
                self.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
        Some(event)
    }
}

struct GuardedSocket {
    socket: UdpSocket,
    guard: Guard,
}

#[async_trait]
impl PlatformSocket for GuardedSocket {
    async fn recv_from(&self, buf: &mut [u8]) -> SipResult<(usize, SocketAddr)> {
        loop {
            let (len, from) = match self.socket.recv_from(buf).await {
                Ok(received) => received,
                // An ICMP error for something sent earlier (a phone that is gone) is no error of this socket.
                Err(error) => {
                    tracing::debug!(%error, "receiving SIP over UDP");
                    continue;
                }
            };
            let datagram = &buf[..len];
            if is_keepalive(datagram) {
                return Ok((len, from));
            }
            if !is_sip(datagram, from) {
                count(&self.guard.counters.malformed);
                if let Some(answer) = unknown_method(datagram) {
                    drop(self.socket.try_send_to(&answer, from));
                }
                continue;
            }
            let waiting = &self.guard.waiting;
            if waiting.load(Ordering::Relaxed) >= MAX_WAITING {
                count(&self.guard.counters.shed);
                continue;
            }
            waiting.fetch_add(1, Ordering::Relaxed);
            return Ok((len, from));
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

/// Whether the library will hand the message on; it drops all else without a word or a number.
fn is_sip(datagram: &[u8], from: SocketAddr) -> bool {
    SipMessage::try_from(datagram)
        .is_ok_and(|m| SipConnection::update_msg_received(m, from, Transport::Udp).is_ok())
}

/// 501 for a request that is well formed but for a method the library does not know (RFC 3261 §8.2.1): it must not be
/// met with silence.
fn unknown_method(datagram: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(datagram).ok()?;
    let (start, rest) = text.split_once("\r\n")?;
    let mut parts = start.split(' ');
    let method = parts.next().filter(|m| {
        (1..=32).contains(&m.len()) && m.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
    })?;
    let well_formed = parts.next()?.starts_with("sip") && parts.next()? == "SIP/2.0";
    let known: Result<rsipstack::sip::Method, _> = method.parse();
    if !well_formed || known.is_ok() {
        return None;
    }
    let head = rest.split("\r\n\r\n").next()?;
    let mut answer = "SIP/2.0 501 Not Implemented\r\n".to_owned();
    let mut vias = 0;
    for line in head.split("\r\n") {
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let copied = ["via", "v", "from", "f", "to", "t", "call-id", "i", "cseq"];
        if copied.contains(&name.as_str()) {
            vias += usize::from(name == "via" || name == "v");
            answer.push_str(line);
            answer.push_str("\r\n");
        }
    }
    answer.push_str("Content-Length: 0\r\n\r\n");
    (vias > 0).then(|| answer.into_bytes())
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

    const HEAD: &str = "Via: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\
        Call-ID: x\r\nCSeq: 1 DANCE\r\nX-Other: 1\r\n\r\nbody";

    #[test]
    fn an_unknown_method_is_answered_and_garbage_is_not() {
        let request = format!("DANCE sip:c@d SIP/2.0\r\n{HEAD}");
        let answer = String::from_utf8(unknown_method(request.as_bytes()).unwrap()).unwrap();
        assert!(answer.starts_with("SIP/2.0 501 Not Implemented\r\nVia: "));
        assert!(answer.contains("CSeq: 1 DANCE\r\n") && !answer.contains("X-Other"));
        for garbage in [
            "hello".to_owned(),
            format!("INVITE sip:c@d SIP/2.0\r\n{HEAD}"),
            format!("SIP/2.0 200 OK\r\n{HEAD}"),
            format!("dance sip:c@d SIP/2.0\r\n{HEAD}"),
            "DANCE sip:c@d SIP/2.0\r\n\r\n".to_owned(),
        ] {
            assert_eq!(unknown_method(garbage.as_bytes()), None, "{garbage}");
        }
    }

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
