//! The conditions that are tried, and their names. Pure.

use callreel_media::Codec;

use super::network::{Loss, Network};

/// Shares of packets that networks lose: none, little, enough to be noticed, enough to complain.
const LOSSES: [f64; 3] = [0.01, 0.05, 0.1];
const JITTERS_MS: [u32; 3] = [0, 40, 120];
/// As far as cheap crystals are off.
const DRIFT_PPM: f64 = 200.0;

/// One call under one network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    /// What the caller and the other party send.
    pub(crate) codecs: [Codec; 2],
    /// What lies between them and the recorder.
    pub(crate) network: Network,
}

impl Case {
    /// Such as `pcmu-loss5-jitter40`; part of file names.
    pub(crate) fn name(&self) -> String {
        let [a, b] = self.codecs.map(|codec| codec.name().to_lowercase());
        let codecs = if a == b { a } else { format!("{a}+{b}") };
        format!("{codecs}-{}", self.network.name())
    }
}

impl Network {
    /// What it does, without spaces.
    fn name(&self) -> String {
        let percent = self.loss.share() * 100.0;
        let words = [
            (self.loss.share() > 0.0).then(|| match self.loss {
                Loss::Random(_) => format!("loss{percent:.0}"),
                Loss::Bursty(_) => format!("burst{percent:.0}"),
            }),
            (self.jitter_ms > 0).then(|| format!("jitter{}", self.jitter_ms)),
            self.reordering.then(|| "reorder".to_owned()),
            self.duplicates.then(|| "dup".to_owned()),
            (self.drift_ppm != 0.0).then(|| "drift".to_owned()),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        if words.is_empty() {
            "clean".to_owned()
        } else {
            words.join("-")
        }
    }
}

/// Everything at once.
const HOSTILE: Network = Network {
    loss: Loss::Bursty(0.05),
    jitter_ms: 40,
    reordering: true,
    duplicates: true,
    drift_ppm: DRIFT_PPM,
};

/// The cases; `quick` leaves three networks and all codecs.
pub(crate) fn cases(quick: bool) -> Vec<Case> {
    let networks = if quick { few() } else { many() };
    let mut cases: Vec<Case> = Codec::ALL
        .into_iter()
        .flat_map(|codec| {
            networks.iter().map(move |network| Case {
                codecs: [codec; 2],
                network: *network,
            })
        })
        .collect();
    // A narrowband and a wideband telephone in one file.
    cases.extend([Network::CLEAN, HOSTILE].map(|network| Case {
        codecs: [Codec::Pcma, Codec::G722],
        network,
    }));
    cases
}

fn few() -> Vec<Network> {
    let usual = Network {
        loss: Loss::Random(0.05),
        jitter_ms: 40,
        ..Network::CLEAN
    };
    vec![Network::CLEAN, usual, HOSTILE]
}

fn many() -> Vec<Network> {
    let losses = [Loss::NONE]
        .into_iter()
        .chain(LOSSES.map(Loss::Random))
        .chain(LOSSES.map(Loss::Bursty));
    let mut networks: Vec<Network> = losses
        .flat_map(|loss| {
            JITTERS_MS.map(|jitter_ms| Network {
                loss,
                jitter_ms,
                ..Network::CLEAN
            })
        })
        .collect();
    networks.extend([
        Network {
            reordering: true,
            ..Network::CLEAN
        },
        Network {
            duplicates: true,
            ..Network::CLEAN
        },
        Network {
            drift_ppm: DRIFT_PPM,
            ..Network::CLEAN
        },
        HOSTILE,
        Network {
            loss: Loss::Bursty(0.1),
            jitter_ms: 120,
            ..HOSTILE
        },
    ]);
    networks
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_that_says_what_it_is() {
        for quick in [true, false] {
            let cases = cases(quick);
            let names: HashSet<String> = cases.iter().map(Case::name).collect();
            assert_eq!(names.len(), cases.len());
            for codec in Codec::ALL {
                let clean = format!("{}-clean", codec.name().to_lowercase());
                assert!(names.contains(&clean), "{clean}");
            }
        }
        let names: Vec<String> = cases(false).iter().map(Case::name).collect();
        for name in [
            "pcmu-loss5-jitter40",
            "g722-burst10-jitter120-reorder-dup-drift",
            "pcma+g722-clean",
        ] {
            assert!(names.contains(&name.to_owned()), "{name}");
        }
    }
}
