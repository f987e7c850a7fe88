//! Measures how far the speech in a file lies from where it belongs, window by window. Pure arithmetic on samples.

use super::place::Place;
use crate::correlation::find;

/// Speech compared at once: long enough to be told from its neighbours although some of it was lost.
const WINDOW_MS: usize = 500;
/// From one window to the next.
const STEP_MS: usize = 100;
/// How far away speech is looked for, to either side.
const REACH_MS: usize = 150;
/// What is quieter (root mean square of 32767, -46 dBFS) is a pause.
const LEAST_RMS: f64 = 160.0;
/// Pieces of a window that are speech or pause.
const PIECES: usize = 25;
/// So many of them must be speech: the end of one vowel resembles its beginning a few periods earlier.
const LEAST_SPEECH: usize = 15;
/// Less like the speech than this is not the speech. MP3 at a telephone's bit rate keeps more than 0.9, and a window with
/// a third of it lost 0.8.
const LEAST_LIKENESS: f64 = 0.6;

/// Where one window was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    /// The window's middle, in samples of the leg.
    middle: usize,
    /// Samples by which it lies too late.
    shift: f64,
}

/// Where all the speech of a leg was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alignment {
    sample_rate: u32,
    found: Vec<Found>,
    /// Windows with speech that is nowhere near its place.
    missing: usize,
}

impl Alignment {
    /// Looks for the leg's speech in a channel of a file of the same rate.
    pub(crate) fn measure(leg: &[i16], channel: &[i16], place: &Place, sample_rate: u32) -> Self {
        let ms = sample_rate as usize / 1000;
        let (window, reach) = (WINDOW_MS * ms, REACH_MS * ms);
        let (mut found, mut missing) = (Vec::new(), 0);
        for first in (0..leg.len().saturating_sub(window)).step_by(STEP_MS * ms) {
            let speech = &leg[first..first + window];
            if !is_telling(speech) {
                continue;
            }
            let belongs = place.of(first);
            let from = (belongs.max(0.0) as usize).saturating_sub(reach);
            let until = (from + window + 2 * reach).min(channel.len());
            let around = channel.get(from..until).unwrap_or_default();
            match find(speech, around).filter(|there| there.score >= LEAST_LIKENESS) {
                Some(there) => found.push(Found {
                    middle: first + window / 2,
                    shift: (from + there.at) as f64 - belongs,
                }),
                None => missing += 1,
            }
        }
        Self {
            sample_rate,
            found,
            missing,
        }
    }

    /// The farthest that any speech lies from its place, ms; infinite if none was found.
    pub(crate) fn worst_ms(&self) -> f64 {
        let shifts = self.found.iter().map(|found| found.shift.abs());
        self.ms(shifts.reduce(f64::max))
    }

    /// How far the speech lies from its place in the middle of all windows (the median), ms; infinite if none was found.
    pub(crate) fn typical_ms(&self) -> f64 {
        self.ms(self.median().map(f64::abs))
    }

    fn ms(&self, samples: Option<f64>) -> f64 {
        samples.map_or(f64::INFINITY, |s| s * 1000.0 / f64::from(self.sample_rate))
    }

    /// Share of the windows with speech that were found.
    pub(crate) fn share_found(&self) -> f64 {
        self.found.len() as f64 / (self.found.len() + self.missing).max(1) as f64
    }

    /// The median shift, samples.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut shifts: Vec<f64> = self.found.iter().map(|found| found.shift).collect();
        shifts.sort_by(f64::total_cmp);
        shifts.get(shifts.len() / 2).copied()
    }

    /// Samples by which the audio around a sample of the leg is late: what the nearest window says, 0 if there is none.
    pub(crate) fn shift_at(&self, sample: usize) -> f64 {
        let next = self.found.partition_point(|found| found.middle < sample);
        let near = &self.found[next.saturating_sub(1)..self.found.len().min(next + 1)];
        near.iter()
            .min_by_key(|found| found.middle.abs_diff(sample))
            .map_or(0.0, |found| found.shift)
    }
}

/// Whether enough is said within a window to know it by.
fn is_telling(window: &[i16]) -> bool {
    let pieces = window.chunks(window.len().div_ceil(PIECES));
    pieces.filter(|piece| rms(piece) >= LEAST_RMS).count() >= LEAST_SPEECH
}

/// Root mean square.
pub(crate) fn rms(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (energy / samples.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::voice, *};

    const WHOLE: Place = Place {
        origin: 4000.0,
        pace: 1.0,
    };

    fn file(parts: &[(usize, &[i16])]) -> Vec<i16> {
        let mut file = vec![0; 60_000];
        for (at, part) in parts {
            file[*at..at + part.len()].copy_from_slice(part);
        }
        file
    }

    #[test]
    fn a_known_shift_is_found_to_the_sample() {
        let leg = voice(6, 8000).samples;
        for (shift, ms) in [
            (0_i64, 0.0),
            (8, 1.0),
            (-8, 1.0),
            (-100, 12.5),
            (800, 100.0),
        ] {
            let at = usize::try_from(4000 + shift).unwrap();
            let found = Alignment::measure(&leg, &file(&[(at, &leg)]), &WHOLE, 8000);
            assert_eq!((found.worst_ms(), found.typical_ms()), (ms, ms), "{shift}");
            assert_eq!(found.shift_at(20_000), shift as f64);
            assert_eq!(found.share_found(), 1.0);
        }
    }

    #[test]
    fn one_second_out_of_its_place_is_the_worst_and_not_the_typical() {
        let leg = voice(6, 8000).samples;
        let parts = [
            (4000, &leg[..16_000]),
            (20_240, &leg[16_000..24_000]),
            (28_000, &leg[24_000..]),
        ];
        let found = Alignment::measure(&leg, &file(&parts), &WHOLE, 8000);
        assert_eq!((found.worst_ms(), found.typical_ms()), (30.0, 0.0));
        assert_eq!(found.shift_at(20_000), 240.0);
        assert_eq!(found.shift_at(40_000), 0.0);
    }

    #[test]
    fn a_drifting_clock_is_no_error_and_an_unfollowed_one_is() {
        let leg = voice(6, 8000).samples;
        let slow = Place {
            pace: 1.0005,
            ..WHOLE
        };
        let file = slow.lay(&leg, 60_000);
        let followed = Alignment::measure(&leg, &file, &slow, 8000);
        assert!(followed.worst_ms() < 0.3, "{}", followed.worst_ms());
        let unfollowed = Alignment::measure(&leg, &file, &WHOLE, 8000);
        assert!(unfollowed.worst_ms() > 2.5, "{}", unfollowed.worst_ms());
    }

    #[test]
    fn lost_packets_do_not_move_what_is_left() {
        let leg = voice(6, 8000).samples;
        let mut file = file(&[(4000, &leg)]);
        for gap in file[4000..].chunks_mut(160).step_by(5) {
            gap.fill(0);
        }
        let found = Alignment::measure(&leg, &file, &WHOLE, 8000);
        assert_eq!(found.worst_ms(), 0.0);
        assert!(found.share_found() > 0.95, "{}", found.share_found());
    }

    #[test]
    fn silence_and_somebody_else_are_not_found() {
        let leg = voice(6, 8000).samples;
        let mut other = leg.clone();
        other.reverse();
        for there in [vec![0; 60_000], file(&[(4000, &other)]), Vec::new()] {
            let found = Alignment::measure(&leg, &there, &WHOLE, 8000);
            assert!(found.share_found() < 0.1, "{}", found.share_found());
        }
        let none = Alignment::measure(&leg, &[], &WHOLE, 8000);
        assert_eq!(none.worst_ms(), f64::INFINITY);
    }
}
