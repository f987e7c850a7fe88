//! Says whether a recorded file holds what a call of a bench has said: all of it, both parties in step, and nothing missing in
//! between. Pure arithmetic on samples.

use callreel_media::Pcm;

use super::talk::FRAME;
use crate::correlation::{energy_of, find};

/// Speech that is looked for first, samples: long enough to be known among all that is said.
const PROBE: usize = 8000;
/// Frames quieter than this (root mean square of 32767) are pauses, of which MP3 keeps no shape.
const LEAST_RMS: f64 = 160.0;
/// How like what was said a frame must be. MP3 at a telephone's bit rate keeps more than 0.8 of nearly all of them; what an
/// encoder makes of something that was covered up is unrelated.
const LEAST_LIKENESS: f64 = 0.4;
/// Of the frames with speech, so many may be less like it: an onset after silence is smeared by MP3. Nothing that is lost has
/// so few frames to it, because a second of it has fifty.
const MOST_UNLIKE: f64 = 0.004;

/// What was found of a call in its file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// How much later one leg lies in the file than the other, samples; both were sent at once.
    pub(super) apart: u64,
    /// Length of the file, samples.
    pub(super) length: usize,
}

/// Looks for what each leg said in a file.
///
/// # Errors
/// What is wrong with the file, in a few words.
pub(super) fn judge(said: &[Vec<i16>; 2], file: &[Pcm]) -> Result<Found, String> {
    let [a, b] = file else {
        return Err(format!("{} channels", file.len()));
    };
    if a.sample_rate != 8000 {
        return Err(format!("{} Hz", a.sample_rate));
    }
    let places = [leg_in(&said[0], &a.samples)?, leg_in(&said[1], &b.samples)?];
    Ok(Found {
        apart: places[0].abs_diff(places[1]) as u64,
        length: a.samples.len(),
    })
}

/// Where a leg begins in a channel, and that nothing of it is missing.
fn leg_in(said: &[i16], channel: &[i16]) -> Result<usize, String> {
    let probe = loudest(said).ok_or("nothing was said")?;
    let around = (probe + 4 * PROBE).min(channel.len());
    let known = &said[probe..(probe + PROBE).min(said.len())];
    let there = find(known, &channel[probe.min(around)..around])
        .filter(|found| found.score > 0.8)
        .ok_or("it is not what was said")?;
    let begins = there.at;
    let heard = channel.get(begins..begins + said.len());
    let heard = heard.ok_or_else(|| {
        let missing = begins + said.len() - channel.len();
        format!("it ends {missing} samples too early")
    })?;
    let mut frames = 0_u32;
    let mut unlike = Vec::new();
    for (at, (said, heard)) in said.chunks(FRAME).zip(heard.chunks(FRAME)).enumerate() {
        if energy_of(said) < LEAST_RMS * LEAST_RMS * said.len() as f64 {
            continue;
        }
        frames += 1;
        if likeness(said, heard) < LEAST_LIKENESS {
            unlike.push(at);
        }
    }
    if unlike.len() as f64 > MOST_UNLIKE * f64::from(frames) {
        let (many, first) = (unlike.len(), unlike[0] * 20);
        return Err(format!(
            "{many} of {frames} frames are not what was said, the first at {first} ms"
        ));
    }
    Ok(begins)
}

/// The second with the most speech.
fn loudest(said: &[i16]) -> Option<usize> {
    let last = said.len().checked_sub(1)?;
    let places = (0..last).step_by(PROBE / 4);
    let at = places.max_by(|a, b| {
        let of = |at: usize| energy_of(&said[at..(at + PROBE).min(said.len())]);
        of(*a).total_cmp(&of(*b))
    })?;
    (energy_of(&said[at..(at + PROBE).min(said.len())]) > 0.0).then_some(at)
}

fn likeness(said: &[i16], heard: &[i16]) -> f64 {
    let product: f64 = said
        .iter()
        .zip(heard)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum();
    let energies = energy_of(said) * energy_of(heard);
    if energies == 0.0 {
        return 0.0;
    }
    product / energies.sqrt()
}

#[cfg(test)]
mod tests {
    use super::{super::fidelity::voice, *};

    fn said() -> [Vec<i16>; 2] {
        let both = voice(20, 8000).samples;
        [both[..80_000].to_vec(), both[80_000..].to_vec()]
    }

    fn file(said: &[Vec<i16>; 2], at: [usize; 2]) -> Vec<Pcm> {
        let channel = |leg: usize| {
            let mut samples = vec![0; at[leg]];
            samples.extend(&said[leg]);
            samples.resize(84_000, 0);
            Pcm {
                sample_rate: 8000,
                samples,
            }
        };
        vec![channel(0), channel(1)]
    }

    #[test]
    fn a_whole_file_is_right_and_says_how_far_its_legs_are_apart() {
        let said = said();
        let right = judge(&said, &file(&said, [400, 440])).unwrap();
        assert_eq!((right.apart, right.length), (40, 84_000));
    }

    #[test]
    fn what_is_missing_moved_swapped_or_cut_is_not_right() {
        let said = said();
        let good = file(&said, [400, 400]);
        let wrong = |change: &dyn Fn(&mut Vec<Pcm>)| {
            let mut file = good.clone();
            change(&mut file);
            judge(&said, &file).unwrap_err()
        };
        let lost = wrong(&|file| file[0].samples[30_000..30_480].fill(0));
        assert!(lost.contains("frames"), "{lost}");
        let moved = wrong(&|file| {
            file[1].samples.drain(50_000..50_160);
        });
        assert!(
            moved.contains("frames") || moved.contains("early"),
            "{moved}"
        );
        let swapped = wrong(&|file| file.swap(0, 1));
        assert!(swapped.contains("not what was said"), "{swapped}");
        let cut = wrong(&|file| file[0].samples.truncate(70_000));
        assert!(cut.contains("too early"), "{cut}");
        assert_eq!(wrong(&|file| file.truncate(1)), "1 channels");
    }
}
