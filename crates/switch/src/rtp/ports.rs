//! Hands out pairs of RTP and RTCP sockets from the configured range. Never sends or receives.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use rand::seq::SliceRandom;

use super::{Error, locked};

/// The range's even ports that are not in use, the longest unused first: a port that was just released may still be sent
/// the previous call's packets. They start shuffled, so that a stranger cannot tell the next call's port.
#[derive(Debug)]
pub(super) struct Ports {
    bind: IpAddr,
    range: RangeInclusive<u16>,
    free: Mutex<VecDeque<u16>>,
}

/// A leg's two sockets, both non-blocking. The port goes back to the range when this is dropped, after they are closed.
#[derive(Debug)]
pub(super) struct PortPair {
    /// The even one.
    pub(super) rtp: UdpSocket,
    /// The odd one after it.
    pub(super) rtcp: UdpSocket,
    /// Declared last so that it is dropped last.
    pub(super) lease: PortLease,
}

/// A port out of the range, until dropped.
#[derive(Debug)]
pub(super) struct PortLease {
    port: u16,
    ports: Arc<Ports>,
}

impl PortLease {
    /// The even port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        locked(&self.ports.free).push_back(self.port);
    }
}

impl Ports {
    /// All even ports of the range whose odd neighbour is in it too.
    pub(super) fn new(bind: IpAddr, range: RangeInclusive<u16>) -> Result<Arc<Self>, Error> {
        let (first, last) = (*range.start(), *range.end());
        let mut free: Vec<u16> = (first..last)
            .filter(|port| port % 2 == 0 && *port != 0)
            .collect();
        if free.is_empty() {
            return Err(Error::NoPorts { first, last });
        }
        free.shuffle(&mut rand::rng());
        Ok(Arc::new(Self {
            bind,
            range,
            free: Mutex::new(free.into()),
        }))
    }

    /// Binds the next pair that no other program holds.
    pub(super) fn open(self: &Arc<Self>) -> Result<PortPair, Error> {
        let tries = locked(&self.free).len();
        for _ in 0..tries {
            let Some(port) = locked(&self.free).pop_front() else {
                break;
            };
            let lease = PortLease {
                port,
                ports: Arc::clone(self),
            };
            match self.bind_pair(port) {
                Ok((rtp, rtcp)) => return Ok(PortPair { rtp, rtcp, lease }),
                // Dropping the lease puts the port at the end of the queue.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(source) => {
                    let addr = SocketAddr::new(self.bind, port);
                    return Err(Error::Bind { addr, source });
                }
            }
        }
        Err(Error::PortsExhausted {
            first: *self.range.start(),
            last: *self.range.end(),
        })
    }

    fn bind_pair(&self, port: u16) -> io::Result<(UdpSocket, UdpSocket)> {
        let rtp = UdpSocket::bind((self.bind, port))?;
        let rtcp = UdpSocket::bind((self.bind, port + 1))?;
        rtp.set_nonblocking(true)?;
        rtcp.set_nonblocking(true)?;
        Ok((rtp, rtcp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_range_without_a_pair_is_refused_by_name() {
        for range in [7..=7, 7..=8, 8..=8] {
            let error = Ports::new(LOOPBACK, range).unwrap_err().to_string();
            assert!(error.contains("switch.rtp_ports"), "{error}");
        }
        assert!(Ports::new(LOOPBACK, 7..=9).is_ok());
    }

    #[test]
    fn an_exhausted_range_says_so_and_serves_again_after_a_release() {
        let ports = Ports::new(LOOPBACK, 21_000..=21_003).unwrap();
        let first = ports.open().unwrap();
        let second = ports.open().unwrap();
        assert_eq!(first.rtp.local_addr().unwrap().port() % 2, 0);
        assert_eq!(
            first.rtcp.local_addr().unwrap().port(),
            first.lease.port() + 1
        );
        let error = ports.open().unwrap_err().to_string();
        assert!(error.contains("switch.rtp_ports 21000-21003"), "{error}");
        let freed = second.lease.port();
        drop(second);
        assert_eq!(ports.open().unwrap().lease.port(), freed);
    }

    #[test]
    fn a_pair_half_taken_by_another_program_is_passed_over() {
        let other = UdpSocket::bind((LOOPBACK, 21_011)).unwrap();
        let ports = Ports::new(LOOPBACK, 21_010..=21_013).unwrap();
        assert_eq!(ports.open().unwrap().lease.port(), 21_012);
        drop(other);
    }

    #[test]
    fn an_address_of_another_machine_is_an_error_of_its_own() {
        let elsewhere = IpAddr::from([192, 0, 2, 1]);
        let ports = Ports::new(elsewhere, 21_020..=21_023).unwrap();
        let error = ports.open().unwrap_err();
        assert!(matches!(error, Error::Bind { .. }), "{error}");
    }
}
