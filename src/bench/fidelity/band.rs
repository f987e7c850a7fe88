//! The band of a telephone: a linear-phase filter without delay. Pure arithmetic on samples.

use std::f64::consts::{PI, TAU};

/// Length of the filter: its edges are about 150 Hz wide.
const LENGTH_MS: u32 = 37;

/// Keeps what lies between two frequencies (Hz); every sample stays at its instant.
pub(crate) fn limit(samples: &[i16], sample_rate: u32, low: f64, high: f64) -> Vec<i16> {
    let taps = taps(sample_rate, low, high);
    let reach = taps.len() / 2;
    (0..samples.len())
        .map(|n| {
            let first = n.saturating_sub(reach);
            let last = (n + reach).min(samples.len() - 1);
            let sum: f64 = samples[first..=last]
                .iter()
                .zip(&taps[first + reach - n..])
                .map(|(sample, tap)| f64::from(*sample) * tap)
                .sum();
            // A cast saturates, as an amplifier does.
            sum.round() as i16
        })
        .collect()
}

/// The ideal filter's answer to a click, faded out at both ends (Blackman).
fn taps(sample_rate: u32, low: f64, high: f64) -> Vec<f64> {
    let reach = i64::from(LENGTH_MS * sample_rate / 2000);
    let rate = f64::from(sample_rate);
    let pass_below = |hertz: f64, n: f64| {
        let width = 2.0 * hertz / rate;
        match n {
            0.0 => width,
            n => (PI * width * n).sin() / (PI * n),
        }
    };
    (-reach..=reach)
        .map(|n| {
            let phase = (n + reach) as f64 / (2 * reach) as f64 * TAU;
            let window = 0.42 - 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos();
            (pass_below(high, n as f64) - pass_below(low, n as f64)) * window
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64) -> Vec<i16> {
        (0..8000)
            .map(|n| ((f64::from(n) / 8000.0 * hertz * TAU).sin() * 10_000.0) as i16)
            .collect()
    }

    #[test]
    fn the_band_passes_in_its_place_and_the_rest_does_not() {
        for hertz in [500.0, 1000.0, 3200.0] {
            let (sent, heard) = (tone(hertz), limit(&tone(hertz), 8000, 300.0, 3400.0));
            for n in 1000..7000 {
                let off = i32::from(sent[n]) - i32::from(heard[n]);
                assert!(off.abs() < 60, "{hertz} Hz is off by {off} at {n}");
            }
        }
        for hertz in [50.0, 150.0, 3700.0] {
            let heard = limit(&tone(hertz), 8000, 300.0, 3400.0);
            let peak = heard[1000..7000].iter().map(|s| s.unsigned_abs()).max();
            assert!(peak.unwrap() < 20, "{hertz} Hz leaks: {peak:?}");
        }
    }
}
