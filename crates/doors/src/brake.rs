//! Slows down whoever tries too often: guesses credentials, or asks for anything. Pure: time is told.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tokio::time::Instant;

/// Peers remembered: a few hundred kilobytes, far more than try at a time.
const MAX_PEERS: usize = 4096;

/// Who tried lately.
#[derive(Debug)]
pub struct Brake {
    /// What each try costs a peer: so much time passes until it may be tried again for free.
    per_try: Duration,
    /// Tries in a row.
    burst: u32,
    /// When all tries of a peer will be forgiven.
    forgiven_at: HashMap<IpAddr, Instant>,
}

impl Brake {
    /// Lets each peer try once in `per_try`, after a burst of tries for free.
    pub fn new(per_try: Duration, burst: u32) -> Self {
        Self {
            per_try,
            burst,
            forgiven_at: HashMap::new(),
        }
    }

    /// One try by this peer. Taken before what it tries with is looked at, so that many at the same moment are not more than many one
    /// after the other.
    ///
    /// # Errors
    /// It has tried too often: how long it has to wait.
    pub fn take(&mut self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let peer = network(peer);
        let known = self.forgiven_at.get(&peer).copied();
        let forgiven_at = known.unwrap_or(now).max(now) + self.per_try;
        let wait = (forgiven_at - now).saturating_sub(self.per_try * self.burst);
        if !wait.is_zero() {
            return Err(wait);
        }
        if known.is_none() {
            self.make_room(now);
        }
        self.forgiven_at.insert(peer, forgiven_at);
        Ok(())
    }

    /// It was no guess: the try costs nothing.
    pub fn give_back(&mut self, peer: IpAddr) {
        if let Some(at) = self.forgiven_at.get_mut(&network(peer)) {
            // An instant this early can only be one that was pushed forward by a try.
            *at = at.checked_sub(self.per_try).unwrap_or(*at);
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.forgiven_at.len() < MAX_PEERS {
            return;
        }
        self.forgiven_at.retain(|_, at| *at > now);
        if self.forgiven_at.len() < MAX_PEERS {
            return;
        }
        // Whoever guessed least loses least by being forgotten.
        let least = self.forgiven_at.iter().min_by_key(|(_, at)| **at);
        if let Some(peer) = least.map(|(peer, _)| *peer) {
            self.forgiven_at.remove(&peer);
        }
    }
}

/// Who a peer is: one host has a whole /64 of IPv6 addresses to try from.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_TRY: Duration = Duration::from_secs(10);
    const BURST: u32 = 10;

    fn brake() -> Brake {
        Brake::new(PER_TRY, BURST)
    }

    fn peer(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn guesses_run_out_and_come_back_one_by_one() {
        let (mut brake, start) = (brake(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(brake.take(peer(1), start), Ok(()));
        }
        assert_eq!(brake.take(peer(1), start), Err(PER_TRY));
        assert_eq!(brake.take(peer(2), start), Ok(()), "another peer");
        let later = start + PER_TRY;
        assert_eq!(brake.take(peer(1), later), Ok(()));
        assert_eq!(brake.take(peer(1), later), Err(PER_TRY));
    }

    #[test]
    fn who_knows_the_word_is_never_slowed_down() {
        let (mut brake, start) = (brake(), Instant::now());
        for _ in 0..BURST * 10 {
            assert_eq!(brake.take(peer(1), start), Ok(()));
            brake.give_back(peer(1));
        }
    }

    #[test]
    fn a_host_cannot_guess_from_many_addresses_of_its_network() {
        let (mut brake, start) = (brake(), Instant::now());
        let host = |n: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, n, n, n, n));
        let taken = (0..200).filter(|n| brake.take(host(*n), start).is_ok());
        assert_eq!(taken.count(), BURST as usize);
        let mapped = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201));
        assert_eq!(network(mapped), IpAddr::from([192, 0, 2, 1]));
    }

    #[test]
    fn many_peers_take_bounded_memory_and_the_worst_is_remembered() {
        let (mut brake, start) = (brake(), Instant::now());
        for _ in 0..BURST {
            brake.take(peer(0), start).unwrap();
        }
        for n in 1..=2 * MAX_PEERS as u32 {
            brake.take(peer(n), start).unwrap();
        }
        assert!(brake.forgiven_at.len() <= MAX_PEERS);
        assert!(brake.take(peer(0), start).is_err());
        // Those who have been quiet are the first to be forgotten.
        let later = start + PER_TRY * BURST * 2;
        brake.take(peer(u32::MAX), later).unwrap();
        assert_eq!(brake.forgiven_at.len(), 1);
    }
}
