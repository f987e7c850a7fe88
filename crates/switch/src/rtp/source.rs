//! Decides which address a leg's phone sends from (symmetric RTP), so that nobody else can put words in its mouth.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the locked source must have been silent before another may take its place.
const RELOCK_AFTER: Duration = Duration::from_secs(1);

/// So many packets in a row (80 ms) must come from an address SDP did not name before it counts as the phone's: a stranger who
/// tries all ports, one packet each, would else get the audio of every phone that is silent itself (RTP bleed).
const PROOF: u16 = 4;

/// The source of a leg's stream: first the address SDP gave, then the one that really sends.
#[derive(Debug, Default)]
pub(super) struct SourceLock {
    signalled: Option<SocketAddr>,
    locked: Option<(SocketAddr, Instant)>,
    /// An address that is not the phone's yet: its newest sequence number, and how many packets in a row it has sent.
    newcomer: Option<(SocketAddr, u16, u16)>,
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
    /// The first source wins, once it has proven to be a stream ([`PROOF`]); it keeps the lock while it sends. The signalled
    /// address itself may take over at once and always: a stranger who was faster than the phone is thrown out by the phone's
    /// first packet.
    pub(super) fn admit(&mut self, now: Instant, from: SocketAddr, sequence: u16) -> bool {
        let is_phone = match self.locked {
            Some((source, _)) if source == from => true,
            _ if self.signalled == Some(from) => true,
            Some((_, last)) if now.saturating_duration_since(last) < RELOCK_AFTER => false,
            _ => self.proves_itself(from, sequence),
        };
        if is_phone {
            self.locked = Some((from, now));
            self.newcomer = None;
        }
        is_phone
    }

    fn proves_itself(&mut self, from: SocketAddr, sequence: u16) -> bool {
        let in_a_row = match self.newcomer {
            Some((addr, last, n)) if addr == from && sequence == last.wrapping_add(1) => n + 1,
            _ => 1,
        };
        self.newcomer = Some((from, sequence, in_a_row));
        in_a_row >= PROOF
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

    /// What becomes of the `n`th packet of the stream that this address sends.
    fn sends(lock: &mut SourceLock, now: Instant, from: SocketAddr, n: u16) -> bool {
        lock.admit(now, from, n.wrapping_add(u16::MAX - 1))
    }

    /// A lock that this address holds, though SDP named another.
    fn taken_by(port: u16, lock: &mut SourceLock, now: Instant) {
        let admitted = (1..=PROOF).map(|n| sends(lock, now, addr(port), n));
        assert_eq!(admitted.filter(|admitted| *admitted).count(), 1);
        assert_eq!(lock.source(), Some(addr(port)));
    }

    #[test]
    fn an_address_that_is_none_is_never_sent_to_and_changes_nothing() {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 4000));
        let mut lock = SourceLock::default();
        lock.signal(nowhere);
        lock.signal(addr(0));
        assert_eq!(lock.target(), None);
        let now = Instant::now();
        taken_by(2, &mut lock, now);
        lock.signal(nowhere);
        assert_eq!(lock.target(), Some(addr(2)));
        assert!(!sends(&mut lock, now, addr(3), 1));
    }

    #[test]
    fn the_first_stream_is_where_packets_go() {
        let mut lock = signalled(1);
        assert_eq!(lock.target(), Some(addr(1)));
        taken_by(2, &mut lock, Instant::now());
        assert_eq!(lock.target(), Some(addr(2)));
    }

    #[test]
    fn packets_that_are_no_stream_never_win_the_lock() {
        let (mut lock, now) = (signalled(1), Instant::now());
        // The same packet again and again, one with losses, and two by turns.
        for n in [7, 7, 7, 7, 7, 9, 11, 13, 15] {
            assert!(!sends(&mut lock, now, addr(2), n));
        }
        for n in 1..=2 * PROOF {
            assert!(!sends(&mut lock, now, addr(2), n));
            assert!(!sends(&mut lock, now, addr(3), n));
        }
        assert_eq!(lock.target(), Some(addr(1)));
        assert!(
            sends(&mut lock, now, addr(1), 1),
            "the phone needs no proof"
        );
    }

    #[test]
    fn a_sending_source_cannot_be_replaced_but_a_silent_one_can() {
        let (mut lock, start) = (signalled(1), Instant::now());
        taken_by(2, &mut lock, start);
        let busy = start + RELOCK_AFTER - Duration::from_millis(1);
        for n in 1..=PROOF {
            assert!(!sends(&mut lock, busy, addr(3), n));
        }
        assert!(sends(&mut lock, busy, addr(2), PROOF + 1));
        assert!(!sends(&mut lock, start + RELOCK_AFTER, addr(3), 1));
        taken_by(3, &mut lock, busy + RELOCK_AFTER);
    }

    #[test]
    fn the_signalled_address_throws_out_a_faster_stranger_for_good() {
        let (mut lock, now) = (signalled(1), Instant::now());
        taken_by(66, &mut lock, now);
        assert!(sends(&mut lock, now, addr(1), 1));
        for n in 1..=PROOF {
            assert!(!sends(&mut lock, now, addr(66), n));
        }
    }

    #[test]
    fn only_a_new_address_in_sdp_releases_the_lock() {
        let (mut lock, now) = (signalled(1), Instant::now());
        taken_by(2, &mut lock, now);
        lock.signal(addr(1));
        for n in 1..=PROOF {
            assert!(!sends(&mut lock, now, addr(3), n));
        }
        lock.signal(addr(4));
        taken_by(3, &mut lock, now);
    }
}
