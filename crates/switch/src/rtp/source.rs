//! Decides which address a leg's phone sends from (symmetric RTP), so that nobody else can put words in its mouth.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the locked source must have been silent before another may take its place.
const RELOCK_AFTER: Duration = Duration::from_secs(1);

/// The source of a leg's stream: first the address SDP gave, then the one that really sends.
#[derive(Debug, Default)]
pub(super) struct SourceLock {
    signalled: Option<SocketAddr>,
    locked: Option<(SocketAddr, Instant)>,
}

impl SourceLock {
    /// SDP named an address. A new one releases the lock; the same one again (a session refresh, a hold) does not, or every
    /// refresh would open the door for a moment. Nor does one that is none: `0.0.0.0` is how old phones say hold (RFC 2543).
    pub(super) fn signal(&mut self, addr: SocketAddr) {
        let is_one = !addr.ip().is_unspecified() && addr.port() != 0;
        if is_one && self.signalled != Some(addr) {
            self.signalled = Some(addr);
            self.locked = None;
        }
    }

    /// Whether a packet with an agreed payload type is the phone's. Only to be asked once there is an agreement.
    ///
    /// The first source wins; it keeps the lock while it sends. The signalled address itself may always take over: a stranger
    /// who was faster than the phone is thrown out by the phone's first packet.
    pub(super) fn admit(&mut self, now: Instant, from: SocketAddr) -> bool {
        let free = match self.locked {
            None => true,
            Some((source, _)) if source == from => true,
            Some((_, last)) => {
                self.signalled == Some(from) || now.saturating_duration_since(last) >= RELOCK_AFTER
            }
        };
        if free {
            self.locked = Some((from, now));
        }
        free
    }

    /// Whether this is the address the leg is locked to.
    pub(super) fn is_locked_to(&self, from: SocketAddr) -> bool {
        self.source() == Some(from)
    }

    /// Where the phone sends from, once it has sent.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        self.locked.map(|(source, _)| source)
    }

    /// Where to send to.
    pub(super) fn target(&self) -> Option<SocketAddr> {
        self.source().or(self.signalled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn signalled(port: u16) -> SourceLock {
        let mut lock = SourceLock::default();
        lock.signal(addr(port));
        lock
    }

    #[test]
    fn an_address_that_is_none_is_never_sent_to_and_changes_nothing() {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 4000));
        let mut lock = SourceLock::default();
        lock.signal(nowhere);
        lock.signal(addr(0));
        assert_eq!(lock.target(), None);
        let now = Instant::now();
        assert!(lock.admit(now, addr(2)));
        lock.signal(nowhere);
        assert_eq!(lock.target(), Some(addr(2)));
        assert!(!lock.admit(now, addr(3)));
    }

    #[test]
    fn the_first_source_is_where_packets_go() {
        let mut lock = signalled(1);
        assert_eq!(lock.target(), Some(addr(1)));
        assert!(lock.admit(Instant::now(), addr(2)));
        assert_eq!(lock.target(), Some(addr(2)));
    }

    #[test]
    fn a_sending_source_cannot_be_replaced_but_a_silent_one_can() {
        let (mut lock, start) = (signalled(1), Instant::now());
        assert!(lock.admit(start, addr(2)));
        let busy = start + RELOCK_AFTER - Duration::from_millis(1);
        assert!(!lock.admit(busy, addr(3)));
        assert!(lock.admit(busy, addr(2)));
        assert!(!lock.admit(start + RELOCK_AFTER, addr(3)));
        assert!(lock.admit(busy + RELOCK_AFTER, addr(3)));
    }

    #[test]
    fn the_signalled_address_throws_out_a_faster_stranger_for_good() {
        let (mut lock, now) = (signalled(1), Instant::now());
        assert!(lock.admit(now, addr(66)));
        assert!(lock.admit(now, addr(1)));
        assert!(!lock.admit(now, addr(66)));
    }

    #[test]
    fn only_a_new_address_in_sdp_releases_the_lock() {
        let (mut lock, now) = (signalled(1), Instant::now());
        assert!(lock.admit(now, addr(2)));
        lock.signal(addr(1));
        assert!(!lock.admit(now, addr(3)));
        lock.signal(addr(4));
        assert!(lock.admit(now, addr(3)));
    }
}
