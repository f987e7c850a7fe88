//! Made-up sounds for the tests of this folder.

use std::f64::consts::TAU;

use callreel_media::Pcm;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Something as lively as a voice: harmonics of a pitch that glides, in syllables, with a little breath. It never repeats.
pub(in crate::bench) fn voice(seconds: u32, sample_rate: u32) -> Pcm {
    let mut breath = StdRng::seed_from_u64(5);
    let rate = f64::from(sample_rate);
    let mut phase = 0.0;
    let samples = (0..seconds * sample_rate)
        .map(|n| {
            let t = f64::from(n) / rate;
            phase += (140.0 + 35.0 * (t * 2.9).sin() + 20.0 * (t * 0.77).sin()) / rate * TAU;
            let harmonics: f64 = (1..12)
                .map(|k| (phase * f64::from(k)).sin() / f64::from(k))
                .sum();
            let syllable = ((t * 31.0 + (t * 1.3).sin()).sin() + 0.6).max(0.0);
            let noise: f64 = breath.random_range(-1.0..1.0);
            ((harmonics * 6000.0 + noise * 500.0) * syllable) as i16
        })
        .collect();
    Pcm {
        sample_rate,
        samples,
    }
}
