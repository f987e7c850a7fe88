//! Binds the pair of UDP sockets a capture listens on.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

use callreel_proto::PortRange;

/// Where captures bind, and which port of a configured range is tried next.
pub(crate) struct CapturePorts {
    bind: IpAddr,
    range: Option<PortRange>,
    next: AtomicU16,
}

impl CapturePorts {
    /// Ports of this address, from this range if there is one.
    pub(crate) fn new(bind: IpAddr, range: Option<PortRange>) -> Self {
        Self {
            bind,
            range,
            next: AtomicU16::new(0),
        }
    }

    /// One socket for each leg.
    ///
    /// # Errors
    /// The address is not ours, or every port of the range is taken: the error names the key that widens it.
    pub(crate) fn pair(&self) -> io::Result<[UdpSocket; 2]> {
        Ok([self.socket()?, self.socket()?])
    }

    fn socket(&self) -> io::Result<UdpSocket> {
        let Some(range) = self.range else {
            return UdpSocket::bind((self.bind, 0)).map_err(|e| self.explain(&e));
        };
        let count = range.last - range.first + 1;
        for _ in 0..count {
            let offset = self.next.fetch_add(1, Ordering::Relaxed) % count;
            let address = SocketAddr::new(self.bind, range.first + offset);
            match UdpSocket::bind(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(self.explain(&error)),
                Ok(socket) => return Ok(socket),
            }
        }
        Err(io::Error::other(format!(
            "all {count} ports of recording.capture_ports are in use; widen the range"
        )))
    }

    fn explain(&self, error: &io::Error) -> io::Error {
        let message = format!(
            "cannot bind a capture socket to {} (recording.capture_bind): {error}",
            self.bind
        );
        io::Error::new(error.kind(), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhausted_range_names_the_key_that_widens_it() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let range = PortRange {
            first: port,
            last: port,
        };
        let ports = CapturePorts::new([127, 0, 0, 1].into(), Some(range));
        let error = ports.pair().unwrap_err().to_string();
        assert!(error.contains("recording.capture_ports"), "{error}");
    }
}
