//! Makes one channel of samples out of a file from anywhere, however long or odd it is, in bounded memory.

use std::io::Cursor;

use callreel_media::{AudioReader, Pcm, Resampler};

/// Rate of what has no rate of its own, and the highest that is kept: the best a phone call carries.
pub(super) const RATE: u32 = 16_000;
/// A longer file is no prompt.
pub(super) const MAX_BYTES: usize = 50_000_000;
/// Half an hour at the highest rate, 58 MB: a small compressed file may hold days.
const MAX_SAMPLES: usize = 30 * 60 * RATE as usize;
/// Rates that sound cards and telephones have.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// All channels of a file mixed into one; the error is part of a sentence.
pub(super) fn decode(bytes: Vec<u8>, extension: Option<&str>) -> Result<Pcm, String> {
    decode_within(MAX_SAMPLES, bytes, extension)
}

fn decode_within(most: usize, bytes: Vec<u8>, extension: Option<&str>) -> Result<Pcm, String> {
    let mut reader = AudioReader::open(Cursor::new(bytes), extension).map_err(|e| e.to_string())?;
    let rate = reader.shape().sample_rate;
    if !RATES.contains(&rate) {
        return Err(format!("it claims {rate} samples a second"));
    }
    let mut taken = Taken::new(rate);
    let mut mixed = Vec::new();
    while let Some(block) = reader.next_block().map_err(|e| e.to_string())? {
        mix(block, &mut mixed);
        taken.push(&mixed);
        if taken.samples.len() > most {
            return Err(format!("it lasts longer than {} s", most / RATE as usize));
        }
    }
    Ok(taken.finish())
}

fn mix(block: &[Vec<i16>], mixed: &mut Vec<i16>) {
    mixed.clear();
    let channels = i32::try_from(block.len()).unwrap_or(i32::MAX).max(1);
    let frames = block.iter().map(Vec::len).min().unwrap_or(0);
    mixed.extend((0..frames).map(|n| {
        let sum: i32 = block.iter().map(|channel| i32::from(channel[n])).sum();
        (sum / channels) as i16
    }));
}

/// Samples at the file's rate, or at ours if that is lower.
struct Taken {
    from: u32,
    to: u32,
    resampler: Option<Resampler>,
    fed: u64,
    samples: Vec<i16>,
}

impl Taken {
    fn new(from: u32) -> Self {
        let to = from.min(RATE);
        Self {
            from,
            to,
            resampler: (from != to).then(|| Resampler::new(from, to)),
            fed: 0,
            samples: Vec::new(),
        }
    }

    fn push(&mut self, block: &[i16]) {
        self.fed += block.len() as u64;
        match &mut self.resampler {
            Some(resampler) => resampler.push(block, &mut self.samples),
            None => self.samples.extend_from_slice(block),
        }
    }

    /// Silence pushes the resampler's last samples out; its delay goes from the front.
    fn finish(mut self) -> Pcm {
        if let Some(resampler) = &mut self.resampler {
            let lag = resampler.delay();
            let due = (self.fed * u64::from(self.to)).div_ceil(u64::from(self.from)) as usize;
            let quiet = vec![0; self.from as usize / 10];
            // A resampler that gave nothing in return would be broken: ten seconds are more than any delay.
            for _ in 0..100 {
                if self.samples.len() >= due + lag {
                    break;
                }
                resampler.push(&quiet, &mut self.samples);
            }
            self.samples.drain(..lag.min(self.samples.len()));
            self.samples.truncate(due);
        }
        Pcm {
            sample_rate: self.to,
            samples: self.samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A WAV file of 16 bits.
    fn wav(rate: u32, channels: u16, frames: &[i16]) -> Vec<u8> {
        let bytes = u32::try_from(frames.len() * 2).unwrap();
        let mut file = b"RIFF".to_vec();
        file.extend((36 + bytes).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend((rate.wrapping_mul(u32::from(channels) * 2)).to_le_bytes());
        file.extend((channels.wrapping_mul(2)).to_le_bytes());
        file.extend(b"\x10\0data");
        file.extend(bytes.to_le_bytes());
        file.extend(frames.iter().flat_map(|s| s.to_le_bytes()));
        file
    }

    #[test]
    fn channels_are_mixed_and_high_rates_come_down_to_what_a_call_carries() {
        let stereo: Vec<i16> = [1000, 3000].repeat(8000);
        let pcm = decode(wav(8000, 2, &stereo), None).unwrap();
        assert_eq!((pcm.sample_rate, pcm.samples.len()), (8000, 8000));
        assert!(pcm.samples.iter().all(|s| *s == 2000));
        let high = decode(wav(48_000, 1, &[1000; 48_000]), Some("wav")).unwrap();
        assert_eq!((high.sample_rate, high.samples.len()), (RATE, 16_000));
        assert!(
            high.samples[500..15_500]
                .iter()
                .all(|s| (990..1010).contains(s))
        );
    }

    #[test]
    fn hostile_files_are_refused_in_words() {
        let honest = wav(8000, 1, &[5; 4000]);
        let with = |at: usize, bytes: &[u8]| {
            let mut file = honest.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            file
        };
        for file in [
            Vec::new(),
            b"<html>not found</html>".to_vec(),
            with(22, &60_000u16.to_le_bytes()),
            with(24, &1u32.to_le_bytes()),
            with(24, &u32::MAX.to_le_bytes()),
            with(34, &[0xff, 0xff]),
        ] {
            let reason = decode(file, None).unwrap_err();
            assert!(!reason.is_empty());
        }
        let most = 60 * RATE as usize / 10;
        let lasting = |samples: usize| decode_within(most, wav(48_000, 1, &vec![0; samples]), None);
        assert!(lasting(most * 2).is_ok());
        let reason = lasting(most * 4).unwrap_err();
        assert!(reason.starts_with("it lasts longer"), "{reason}");
    }
}
