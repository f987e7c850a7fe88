//! Finds known audio inside a recording by normalised cross-correlation. Pure arithmetic on samples.

use std::cell::RefCell;

use realfft::{RealFftPlanner, num_complex::Complex};

thread_local! {
    /// A plan takes as long to make as to use, and the same lengths come again and again.
    static PLANNER: RefCell<RealFftPlanner<f64>> = RefCell::new(RealFftPlanner::new());
}

/// A place in the recording must hold this share of the known audio's energy to be compared at all: silence resembles
/// everything.
const LEAST_ENERGY: f64 = 0.01;

/// Where known audio was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Match {
    /// Sample of the recording at which it begins.
    pub(crate) at: usize,
    /// Likeness: 1 is the same shape at any loudness, 0 is unrelated, -1 is upside down.
    pub(crate) score: f64,
}

/// The place where `known` fits best into `recording`; `None` if either is empty or silent, or the recording is shorter.
pub(crate) fn find(known: &[i16], recording: &[i16]) -> Option<Match> {
    let places = recording.len().checked_sub(known.len())? + 1;
    let energy = energy_of(known);
    if energy == 0.0 {
        return None;
    }
    let products = cross_correlation(known, recording, places);
    let sums = running_energy(recording);
    (0..places)
        .filter_map(|at| {
            let there = sums[at + known.len()] - sums[at];
            let score = products[at] / (energy * there).sqrt();
            (there > energy * LEAST_ENERGY).then_some(Match { at, score })
        })
        .max_by(|a, b| a.score.total_cmp(&b.score))
}

/// How loud `known` is within `recording` around `at`: 1 is as loud as it was said, 0 is not there. The loudest place
/// within `slack` samples counts; what is there beside it does not.
pub(crate) fn presence(known: &[i16], recording: &[i16], at: usize, slack: usize) -> f64 {
    let energy = energy_of(known);
    if energy == 0.0 {
        return 0.0;
    }
    let first = at.saturating_sub(slack);
    let Some(around) = recording.get(first..) else {
        return 0.0;
    };
    let around = &around[..around.len().min(known.len() + 2 * slack)];
    let Some(places) = around.len().checked_sub(known.len()) else {
        return 0.0;
    };
    cross_correlation(known, around, places + 1)
        .into_iter()
        .map(|product| (product / energy).abs())
        .fold(0.0, f64::max)
}

/// The sum of all samples' squares.
pub(crate) fn energy_of(samples: &[i16]) -> f64 {
    samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum()
}

/// `sums[n]` is the energy of the first `n` samples.
fn running_energy(samples: &[i16]) -> Vec<f64> {
    let mut sum = 0.0;
    std::iter::once(0.0)
        .chain(samples.iter().map(|sample| {
            sum += f64::from(*sample).powi(2);
            sum
        }))
        .collect()
}

/// The product of `known` with the recording at each of the first `places` places, by way of the spectrum: a direct sum
/// would take minutes.
fn cross_correlation(known: &[i16], recording: &[i16], places: usize) -> Vec<f64> {
    // What goes round the end of the spectrum's circle falls behind the last of these places.
    let size = recording.len().next_power_of_two().max(2);
    let (forward, backward) = PLANNER.with_borrow_mut(|planner| {
        (
            planner.plan_fft_forward(size),
            planner.plan_fft_inverse(size),
        )
    });
    let spectrum = |samples: &[i16]| {
        let mut padded: Vec<f64> = samples.iter().map(|s| f64::from(*s)).collect();
        padded.resize(size, 0.0);
        let mut spectrum = forward.make_output_vec();
        forward
            .process(&mut padded, &mut spectrum)
            .expect("both buffers have the planned size");
        spectrum
    };
    let mut joint: Vec<Complex<f64>> = spectrum(recording)
        .iter()
        .zip(&spectrum(known))
        .map(|(recording, known)| recording * known.conj())
        .collect();
    // A product of real signals has a real value there; rounding may have left a trace the transform refuses.
    joint[0].im = 0.0;
    if let Some(last) = joint.last_mut() {
        last.im = 0.0;
    }
    let mut products = backward.make_output_vec();
    backward
        .process(&mut joint, &mut products)
        .expect("both buffers have the planned size, and the ends are real");
    products.truncate(places);
    products.iter_mut().for_each(|p| *p /= size as f64);
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that is the same in every run.
    fn noise(seed: u32, length: usize) -> Vec<i16> {
        let mut state = seed;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as i16 / 4
            })
            .collect()
    }

    fn mixed(parts: &[(usize, f64, &[i16])], length: usize) -> Vec<i16> {
        let mut out = vec![0.0; length];
        for (at, gain, part) in parts {
            for (n, sample) in part.iter().enumerate() {
                out[at + n] += gain * f64::from(*sample);
            }
        }
        out.into_iter().map(|s: f64| s as i16).collect()
    }

    #[test]
    fn audio_is_found_where_it_was_put_at_any_loudness() {
        let known = noise(1, 3000);
        for gain in [1.0, 0.3] {
            let recording = mixed(&[(4321, gain, &known)], 20_000);
            let found = find(&known, &recording).unwrap();
            assert_eq!(found.at, 4321);
            assert!(found.score > 0.999, "{found:?}");
        }
    }

    #[test]
    fn audio_is_found_under_other_audio() {
        let (known, other) = (noise(1, 3000), noise(2, 20_000));
        let recording = mixed(&[(777, 1.0, &known), (0, 0.5, &other)], 20_000);
        let found = find(&known, &recording).unwrap();
        assert_eq!(found.at, 777);
        assert!((0.8..0.95).contains(&found.score), "{found:?}");
    }

    #[test]
    fn what_is_not_there_scores_low() {
        let found = find(&noise(1, 3000), &noise(2, 20_000)).unwrap();
        assert!(found.score < 0.15, "{found:?}");
    }

    #[test]
    fn silence_and_short_recordings_hold_nothing() {
        let known = noise(1, 3000);
        assert_eq!(find(&known, &[0; 10_000]), None);
        assert_eq!(find(&known, &known[..2999]), None);
        assert_eq!(find(&[0; 100], &known), None);
        assert_eq!(find(&known, &known).unwrap().at, 0);
    }

    #[test]
    fn presence_is_the_gain_at_which_audio_leaks() {
        let (known, other) = (noise(1, 4000), noise(2, 10_000));
        let recording = mixed(&[(1000, 0.1, &known), (0, 1.0, &other)], 10_000);
        let leak = presence(&known, &recording, 1005, 10);
        assert!((0.05..0.16).contains(&leak), "{leak}");
        assert!(presence(&known, &other, 1005, 10) < 0.06);
        assert!(presence(&known, &[0; 10_000], 1000, 10) < 1e-9);
        assert_eq!(presence(&known, &known, 50_000, 10), 0.0);
    }
}
