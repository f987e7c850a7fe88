//! Measures how well the speech in a file sounds like what was sent: segmental signal-to-noise ratio, and equality. Pure.

use super::{
    align::{Alignment, rms},
    place::Place,
};

/// Speech judged at once.
const FRAME_MS: usize = 20;
/// Quieter frames (root mean square of 32767, -50 dBFS) are pauses.
const LEAST_RMS: f64 = 100.0;
/// Bounds of a frame's ratio, dB: beyond them nobody hears a difference, and one frame must not hide all others.
const WORST_DB: f64 = -10.0;
/// The best that can be said of a frame.
pub(crate) const BEST_DB: f64 = 35.0;
/// Samples around the measured place that are tried: a clock is followed by single samples, at instants nobody knows.
const SLACK: i64 = 2;

/// Mean over the speech's frames of signal to noise, dB: [`BEST_DB`] is perfect. Where the speech lies is not judged here.
pub(crate) fn segmental_snr(
    leg: &[i16],
    channel: &[i16],
    place: &Place,
    aligned: &Alignment,
    sample_rate: u32,
) -> f64 {
    let frame = FRAME_MS * sample_rate as usize / 1000;
    let ratios: Vec<f64> = (0..leg.len().saturating_sub(frame))
        .step_by(frame)
        .filter(|first| rms(&leg[*first..first + frame]) >= LEAST_RMS)
        .map(|first| {
            let speech = &leg[first..first + frame];
            let middle = first + frame / 2;
            let found = (place.of(first) + aligned.shift_at(middle)).round() as i64;
            (found - SLACK..=found + SLACK)
                .map(|at| snr(speech, channel, at))
                .fold(WORST_DB, f64::max)
        })
        .collect();
    match ratios.len() {
        0 => WORST_DB,
        frames => ratios.iter().sum::<f64>() / frames as f64,
    }
}

fn snr(speech: &[i16], channel: &[i16], at: i64) -> f64 {
    let Some(heard) = usize::try_from(at)
        .ok()
        .and_then(|at| channel.get(at..at + speech.len()))
    else {
        return WORST_DB;
    };
    let (mut signal, mut noise) = (0.0, 0.0);
    for (speech, heard) in speech.iter().zip(heard) {
        let (speech, heard) = (f64::from(*speech), f64::from(*heard));
        signal += speech * speech;
        noise += (speech - heard) * (speech - heard);
    }
    let ratio = 10.0 * (signal / noise.max(f64::MIN_POSITIVE)).log10();
    ratio.clamp(WORST_DB, BEST_DB)
}

/// Whether the channel holds the leg sample by sample, from the sample `first` on, and nothing else.
pub(crate) fn is_bit_exact(leg: &[i16], channel: &[i16], first: usize) -> bool {
    let end = first + leg.len();
    let silent = |samples: &[i16]| samples.iter().all(|sample| *sample == 0);
    channel.get(first..end) == Some(leg) && silent(&channel[..first]) && silent(&channel[end..])
}

#[cfg(test)]
mod tests {
    use super::{super::testing::voice, *};

    const PLACE: Place = Place {
        origin: 800.0,
        pace: 1.0,
    };

    fn file(leg: &[i16], change: impl Fn(usize, i16) -> i16) -> Vec<i16> {
        let mut file = vec![0; leg.len() + 1600];
        for (n, sample) in leg.iter().enumerate() {
            file[n + 800] = change(n, *sample);
        }
        file
    }

    fn judged(leg: &[i16], file: &[i16]) -> f64 {
        let aligned = Alignment::measure(leg, file, &PLACE, 8000);
        segmental_snr(leg, file, &PLACE, &aligned, 8000)
    }

    #[test]
    fn a_perfect_file_and_an_empty_one_are_the_ends_of_the_scale() {
        let leg = voice(4, 8000).samples;
        assert_eq!(judged(&leg, &file(&leg, |_, s| s)), BEST_DB);
        let silent = judged(&leg, &file(&leg, |_, _| 0));
        assert!(silent.abs() < 1e-9, "{silent}: silence leaves all as noise");
        assert_eq!(judged(&leg, &[]), WORST_DB);
        assert_eq!(judged(&[], &[]), WORST_DB);
    }

    #[test]
    fn known_noise_gives_its_known_ratio() {
        let leg = voice(4, 8000).samples;
        // A tenth of the voice too much is 20 dB, a fifth 14 dB.
        for (part, db) in [(10.0, 20.0), (5.0, 13.98)] {
            let noisy = file(&leg, |_, s| {
                s.saturating_add((f64::from(s) / part).round() as i16)
            });
            let measured = judged(&leg, &noisy);
            assert!((measured - db).abs() < 0.3, "{measured} for {db}");
        }
    }

    #[test]
    fn a_shift_costs_nothing_and_lost_frames_cost_their_share() {
        let leg = voice(4, 8000).samples;
        let mut shifted = file(&leg, |_, s| s);
        shifted.splice(0..0, [0; 37]);
        assert_eq!(judged(&leg, &shifted), BEST_DB);
        let lossy = file(&leg, |n, s| if n / 160 % 10 == 0 { 0 } else { s });
        let measured = judged(&leg, &lossy);
        assert!((measured - 0.9 * BEST_DB).abs() < 2.0, "{measured}");
    }

    #[test]
    fn one_sample_off_by_one_is_not_bit_exact() {
        let leg = voice(1, 8000).samples;
        let good = file(&leg, |_, s| s);
        assert!(is_bit_exact(&leg, &good, 800));
        assert!(!is_bit_exact(&leg, &good, 801));
        assert!(!is_bit_exact(&leg, &good[..4000], 800));
        for spoilt in [5, 800, 4321, 8799, 9500] {
            let mut file = good.clone();
            file[spoilt] ^= 1;
            assert!(!is_bit_exact(&leg, &file, 800), "{spoilt}");
        }
    }
}
