//! A network that harms a stream of packets the same way every time: what arrives, and when. Pure; its time is made up.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Nanoseconds of audio in a packet, by the sender's clock.
const PACKET_NS: f64 = 20e6;
/// What even an undelayed packet takes. It moves both legs alike.
const TRANSIT_NS: u64 = 30_000_000;
/// Packets in a burst of loss, on average: 80 ms.
const BURST: f64 = 4.0;
/// Packets that are overtaken, and packets that come twice.
const ODD_SHARE: f64 = 0.02;
/// A packet that is overtaken is late by this much, ns: by one to three packets.
const OVERTAKEN_NS: std::ops::Range<u64> = 25_000_000..65_000_000;
/// A packet that comes twice comes again within this time, ns.
const AGAIN_NS: std::ops::Range<u64> = 0..60_000_000;

/// How packets get lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Loss {
    /// Each on its own, with this probability.
    Random(f64),
    /// In bursts (Gilbert's model), this share of all.
    Bursty(f64),
}

impl Loss {
    /// Nothing gets lost.
    pub(crate) const NONE: Self = Self::Random(0.0);

    /// Which part of all packets.
    pub(crate) fn share(self) -> f64 {
        match self {
            Self::Random(share) | Self::Bursty(share) => share,
        }
    }
}

/// What a network does to each leg.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Network {
    pub(crate) loss: Loss,
    /// Each packet waits between nothing and this long; none overtakes another by it.
    pub(crate) jitter_ms: u32,
    /// Some packets are overtaken.
    pub(crate) reordering: bool,
    /// Some packets come twice.
    pub(crate) duplicates: bool,
    /// How much faster than the recorder's the clock of the caller's telephone runs; the other one's is as much slower.
    pub(crate) drift_ppm: f64,
}

impl Network {
    /// One that does nothing.
    pub(crate) const CLEAN: Self = Self {
        loss: Loss::NONE,
        jitter_ms: 0,
        reordering: false,
        duplicates: false,
        drift_ppm: 0.0,
    };

    /// Drift of one leg.
    pub(crate) fn drift_of(&self, leg: usize) -> f64 {
        match leg {
            0 => self.drift_ppm,
            _ => -self.drift_ppm,
        }
    }

    /// When each of a leg's packets is sent; the first at `first_ns`.
    fn sent_ns(&self, leg: usize, first_ns: u64, packet: usize) -> u64 {
        let by_sender = packet as f64 * PACKET_NS;
        first_ns + (by_sender / (1.0 + self.drift_of(leg) / 1e6)).round() as u64
    }

    /// When a leg's first packet arrives if nothing delays it.
    pub(crate) fn undelayed_ns(first_ns: u64) -> u64 {
        first_ns + TRANSIT_NS
    }

    /// Carries one leg's packets: which of them arrive when, in order of arrival.
    pub(crate) fn carry(
        &self,
        leg: usize,
        first_ns: u64,
        packets: usize,
        seed: u64,
    ) -> Vec<Arrival> {
        let mut chance = StdRng::seed_from_u64(seed);
        let jitter_ns = u64::from(self.jitter_ms) * 1_000_000;
        let (mut arrived, mut in_burst, mut behind) = (Vec::with_capacity(packets), false, 0);
        for packet in 0..packets {
            let delay = TRANSIT_NS + chance.random_range(0..=jitter_ns);
            let mut at_ns = (self.sent_ns(leg, first_ns, packet) + delay).max(behind);
            if self.reordering && chance.random_bool(ODD_SHARE) {
                at_ns += chance.random_range(OVERTAKEN_NS);
            } else {
                behind = at_ns;
            }
            let lost = self.loses(&mut in_burst, &mut chance);
            let again = self.duplicates && chance.random_bool(ODD_SHARE);
            if !lost {
                arrived.push(Arrival { packet, at_ns });
            }
            if !lost && again {
                at_ns += chance.random_range(AGAIN_NS);
                arrived.push(Arrival { packet, at_ns });
            }
        }
        arrived.sort_by_key(|arrival| arrival.at_ns);
        arrived
    }

    fn loses(&self, in_burst: &mut bool, chance: &mut StdRng) -> bool {
        match self.loss {
            Loss::Random(share) => chance.random_bool(share),
            Loss::Bursty(share) => {
                // So often as leaves the network in bursts for this share of the time.
                let begins = share / (1.0 - share) / BURST;
                let turn = if *in_burst { 1.0 - 1.0 / BURST } else { begins };
                *in_burst = chance.random_bool(turn);
                *in_burst
            }
        }
    }
}

/// A packet that came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Which one, counted from 0.
    pub(crate) packet: usize,
    /// Capture time.
    pub(crate) at_ns: u64,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const MANY: usize = 100_000;

    fn carried(network: Network) -> Vec<Arrival> {
        network.carry(0, 0, MANY, 7)
    }

    /// How long each arrival took, ns.
    fn delays(network: Network) -> Vec<u64> {
        let delay = |a: &Arrival| a.at_ns - network.sent_ns(0, 0, a.packet);
        carried(network).iter().map(delay).collect()
    }

    fn runs_of_loss(arrivals: &[Arrival]) -> Vec<usize> {
        let steps = arrivals.windows(2).map(|w| w[1].packet - w[0].packet - 1);
        steps.filter(|lost| *lost > 0).collect()
    }

    #[test]
    fn a_clean_network_delays_everything_alike() {
        assert_eq!(carried(Network::CLEAN).len(), MANY);
        assert!(delays(Network::CLEAN).iter().all(|d| *d == TRANSIT_NS));
        assert_eq!(
            Network::undelayed_ns(9),
            Network::CLEAN.carry(1, 9, 1, 7)[0].at_ns
        );
    }

    #[test]
    fn as_much_is_lost_as_was_asked_alone_or_in_bursts() {
        for share in [0.01, 0.05, 0.1] {
            for (loss, burst) in [
                (Loss::Random(share), 1.0 / (1.0 - share)),
                (Loss::Bursty(share), BURST),
            ] {
                let arrivals = carried(Network {
                    loss,
                    ..Network::CLEAN
                });
                let lost = 1.0 - arrivals.len() as f64 / MANY as f64;
                assert!((lost / share - 1.0).abs() < 0.1, "{loss:?}: {lost}");
                let runs = runs_of_loss(&arrivals);
                let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
                assert!((mean / burst - 1.0).abs() < 0.1, "{loss:?}: runs of {mean}");
            }
        }
    }

    #[test]
    fn jitter_is_bounded_uses_its_range_and_keeps_the_order() {
        for jitter_ms in [40, 120] {
            let network = Network {
                jitter_ms,
                ..Network::CLEAN
            };
            let delays = delays(network);
            let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
            let range = u64::from(jitter_ms) * 1_000_000;
            assert!(*least >= TRANSIT_NS && *least < TRANSIT_NS + range / 20);
            assert!(*most <= TRANSIT_NS + range && *most > TRANSIT_NS + range * 19 / 20);
            let arrivals = carried(network);
            assert!(arrivals.windows(2).all(|w| w[0].packet < w[1].packet));
        }
    }

    #[test]
    fn some_packets_are_overtaken_and_some_come_twice() {
        let overtaken = carried(Network {
            reordering: true,
            ..Network::CLEAN
        });
        assert_eq!(overtaken.len(), MANY);
        let back = overtaken.windows(2).filter(|w| w[1].packet < w[0].packet);
        let share = back.count() as f64 / MANY as f64;
        assert!((0.015..0.025).contains(&share), "{share}");
        let twice = carried(Network {
            duplicates: true,
            ..Network::CLEAN
        });
        let share = twice.len() as f64 / MANY as f64 - 1.0;
        assert!((0.018..0.022).contains(&share), "{share}");
        let all: HashSet<usize> = twice.iter().map(|a| a.packet).collect();
        assert_eq!(all.len(), MANY);
    }

    #[test]
    fn clocks_drift_apart() {
        let network = Network {
            drift_ppm: 200.0,
            ..Network::CLEAN
        };
        let last = |leg| network.carry(leg, 0, 50 * 3600 + 1, 7).pop().unwrap().at_ns;
        let hour = 3_600_000_000_000 + TRANSIT_NS;
        // 0.72 s in an hour: the fast clock's packets come sooner.
        assert!((hour - last(0)).abs_diff(720_000_000) < 200_000);
        assert!((last(1) - hour).abs_diff(720_000_000) < 200_000);
    }

    #[test]
    fn chance_is_the_same_every_time_and_another_for_another_seed() {
        let network = Network {
            loss: Loss::Random(0.1),
            jitter_ms: 40,
            reordering: true,
            duplicates: true,
            drift_ppm: 200.0,
        };
        assert_eq!(carried(network), carried(network));
        assert_ne!(carried(network), network.carry(0, 0, MANY, 8));
    }
}
