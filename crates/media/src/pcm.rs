//! A piece of linear audio in memory, and how loud audio is.

use std::time::Duration;

use crate::resample;

/// Linear 16-bit mono audio.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pcm {
    /// Samples per second.
    pub sample_rate: u32,
    /// The samples.
    pub samples: Vec<i16>,
}

impl Pcm {
    /// Silence of this length, rounded down to a whole sample.
    pub fn silence(length: Duration, sample_rate: u32) -> Self {
        let samples = length.as_nanos() * u128::from(sample_rate) / 1_000_000_000;
        Self {
            sample_rate,
            samples: vec![0; usize::try_from(samples).unwrap_or(usize::MAX)],
        }
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        let rate = u64::from(self.sample_rate.max(1));
        let samples = self.samples.len() as u64;
        Duration::from_secs(samples / rate)
            + Duration::from_nanos(samples % rate * 1_000_000_000 / rate)
    }

    /// The same audio at another rate, without delay: sample *n* lies at the same instant as before.
    pub fn resampled(&self, sample_rate: u32) -> Self {
        if self.sample_rate == sample_rate || self.sample_rate == 0 || sample_rate == 0 {
            return Self {
                sample_rate,
                samples: self.samples.clone(),
            };
        }
        Self {
            sample_rate,
            samples: resample::whole(&self.samples, self.sample_rate, sample_rate),
        }
    }

    /// Scales the audio so that its root mean square is `rms` (of 32767), as far as no sample clips. Silence stays silence.
    pub fn normalise(&mut self, rms: f64) {
        let energy: f64 = self.samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        let peak = self.samples.iter().map(|s| s.unsigned_abs()).max();
        let Some(peak) = peak.filter(|peak| *peak > 0) else {
            return;
        };
        let present = (energy / self.samples.len() as f64).sqrt();
        let gain = (rms / present).min(f64::from(i16::MAX) / f64::from(peak));
        for sample in &mut self.samples {
            *sample = (f64::from(*sample) * gain).round() as i16;
        }
    }
}

/// Mean absolute amplitude (of 32767): the measure of Kazoo's and FreeSWITCH's silence thresholds. Nothing has level 0.
pub fn level(pcm: &[i16]) -> u32 {
    if pcm.is_empty() {
        return 0;
    }
    let sum: u64 = pcm.iter().map(|s| u64::from(s.unsigned_abs())).sum();
    u32::try_from(sum / pcm.len() as u64).expect("a mean of 16-bit magnitudes fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_mean_absolute_amplitude() {
        assert_eq!(level(&[]), 0);
        assert_eq!(level(&[100, -100, 300, -300]), 200);
        assert_eq!(level(&[i16::MIN; 3]), 32768);
    }

    #[test]
    fn durations_are_exact() {
        let pcm = Pcm::silence(Duration::from_millis(1234), 8000);
        assert_eq!(pcm.samples.len(), 9872);
        assert_eq!(pcm.duration(), Duration::from_millis(1234));
        assert_eq!(Pcm::default().duration(), Duration::ZERO);
    }

    #[test]
    fn normalising_never_clips() {
        let mut loud = Pcm {
            sample_rate: 8000,
            samples: vec![1, -1, 1000, -10],
        };
        loud.normalise(20_000.0);
        assert_eq!(loud.samples[2], i16::MAX);
        let mut nothing = Pcm::silence(Duration::from_millis(1), 8000);
        nothing.normalise(1000.0);
        assert_eq!(level(&nothing.samples), 0);
    }
}
