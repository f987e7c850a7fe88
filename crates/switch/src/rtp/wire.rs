//! A leg's sockets. Receives and sends datagrams; understands none.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};
use tokio::net::UdpSocket;

use super::ports::{PortLease, PortPair};

/// RTCP datagrams taken from the socket at a time: two phones send a few in five seconds (RFC 3550 §6.2), more is a flood.
const MAX_RTCP_AT_ONCE: u64 = 16;

/// The RTP socket, watched by tokio, and the RTCP socket, looked at now and then. The port is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Wire {
    rtp: UdpSocket,
    rtcp: std::net::UdpSocket,
    ipv6: bool,
    /// Declared last so that it is dropped last.
    lease: PortLease,
}

impl Wire {
    /// Registers the sockets; must run within a tokio runtime.
    pub(super) fn new(pair: PortPair) -> io::Result<Self> {
        let ipv6 = pair.rtp.local_addr()?.is_ipv6();
        Ok(Self {
            rtp: UdpSocket::from_std(pair.rtp)?,
            rtcp: pair.rtcp,
            ipv6,
            lease: pair.lease,
        })
    }

    /// The even port.
    pub(super) fn port(&self) -> u16 {
        self.lease.port()
    }

    /// Waits for packets, then gives up to `at_most` of them to `take` one by one. If there are more, other tasks come first:
    /// waiting for a socket that is ready costs no budget of tokio's, so a flood would otherwise have the thread to itself.
    pub(super) async fn receive(
        &self,
        buffer: &mut [u8],
        at_most: usize,
        mut take: impl FnMut(&[u8], SocketAddr),
    ) -> io::Result<()> {
        self.rtp.readable().await?;
        for _ in 0..at_most {
            match self.rtp.try_recv_from(buffer) {
                Ok((length, from)) => take(&buffer[..length], canonical(from)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Sends at once or not at all. Not by tokio's own call: that refuses until the reactor has once seen the socket writable,
    /// which would cost a new leg its first packets.
    pub(super) fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let to = SockaddrStorage::from(if self.ipv6 { mapped(to) } else { to });
        sendto(self.rtp.as_raw_fd(), datagram, &to, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    /// Throws away what has come on the RTCP port; says how much it was.
    pub(super) fn drain_rtcp(&self) -> u64 {
        let mut buffer = [0; 1];
        let mut drained = 0;
        while drained < MAX_RTCP_AT_ONCE && self.rtcp.recv_from(&mut buffer).is_ok() {
            drained += 1;
        }
        drained
    }
}

/// An IPv6 socket sees IPv4 phones as mapped addresses; SDP does not write them so.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::super::ports::Ports;
    use super::*;

    #[tokio::test]
    async fn a_socket_that_never_runs_dry_lets_other_tasks_have_their_turn() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ports = Ports::new(loopback, 21_030..=21_049).unwrap();
        let wire = Wire::new(ports.open().unwrap()).unwrap();
        for _ in 0..10 {
            wire.send(b"flood", (loopback, wire.port()).into()).unwrap();
        }
        wire.rtp.readable().await.unwrap();
        let had_turn = Arc::new(AtomicBool::new(false));
        let other = Arc::clone(&had_turn);
        tokio::spawn(async move { other.store(true, Relaxed) });
        let mut taken = 0;
        let take = |_: &[u8], _| taken += 1;
        wire.receive(&mut [0; 16], 4, take).await.unwrap();
        assert_eq!(taken, 4);
        assert!(had_turn.load(Relaxed));
    }

    #[test]
    fn an_ipv4_phone_on_an_ipv6_socket_is_known_by_its_ipv4_address() {
        let phone: SocketAddr = "192.0.2.7:4000".parse().unwrap();
        let on_the_wire = mapped(phone);
        assert_eq!(on_the_wire.to_string(), "[::ffff:192.0.2.7]:4000");
        assert_eq!(canonical(on_the_wire), phone);
        let other: SocketAddr = "[2001:db8::1]:4000".parse().unwrap();
        assert_eq!((mapped(other), canonical(other)), (other, other));
    }
}
