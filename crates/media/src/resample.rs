//! Sample rate conversion: streaming with a small constant delay, or a whole piece without any.

use rubato::{
    Fft, FixedSync, Resampler as _, WindowFunction, audioadapter::Adapter,
    audioadapter_buffers::direct::InterleavedSlice,
};

/// How a conversion trades delay for a steep filter.
#[derive(Clone, Copy)]
struct Pace {
    blocks_per_second: u32,
    window: WindowFunction,
}

/// 10 ms divides every packet length in use, so each packet in gives one packet's worth out; of the windows, this one keeps the telephone band
/// (to 3400 Hz) whole even with such short blocks.
const LIVE: Pace = Pace {
    blocks_per_second: 100,
    window: WindowFunction::Hann,
};
/// For files nobody waits: longer blocks, which cost less, and a window that lets nothing alias.
const LATE: Pace = Pace {
    blocks_per_second: 25,
    window: WindowFunction::BlackmanHarris2,
};

fn fft(from: u32, to: u32, pace: Pace) -> Fft<f32> {
    let block = (from / pace.blocks_per_second).max(1) as usize;
    Fft::new_custom(
        from as usize,
        to as usize,
        block,
        1,
        1,
        pace.window,
        FixedSync::Both,
    )
    .expect("non-zero rates and block make a resampler")
}

fn to_i16(sample: f32) -> i16 {
    // A float cast saturates, which is what clipping should do.
    sample.round() as i16
}

/// Converts a stream from one sample rate to another, block by block.
pub struct Resampler {
    fft: Option<Fft<f32>>,
    waiting: Vec<f32>,
    converted: Vec<f32>,
}

impl Resampler {
    /// For live audio: blocks of 10 ms, delay about 5 ms ([`Resampler::delay`]). Rates are in Hz; equal rates pass samples through, a zero rate
    /// is taken as 1 Hz.
    pub fn new(from: u32, to: u32) -> Self {
        Self::paced(from, to, LIVE)
    }

    /// For files: a steeper filter with a longer delay.
    pub(crate) fn unhurried(from: u32, to: u32) -> Self {
        Self::paced(from, to, LATE)
    }

    fn paced(from: u32, to: u32, pace: Pace) -> Self {
        let (from, to) = (from.max(1), to.max(1));
        Self {
            fft: (from != to).then(|| fft(from, to, pace)),
            waiting: Vec::new(),
            converted: Vec::new(),
        }
    }

    /// Samples (at the new rate) by which the output lags the input.
    pub fn delay(&self) -> usize {
        self.fft.as_ref().map_or(0, |fft| fft.output_delay())
    }

    /// Takes samples, appends as many converted ones as have become whole blocks; the rest waits for the next push.
    pub fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        let Some(fft) = &mut self.fft else {
            out.extend_from_slice(pcm);
            return;
        };
        self.waiting.extend(pcm.iter().map(|s| f32::from(*s)));
        let (block_in, block_out) = (fft.input_frames_next(), fft.output_frames_next());
        self.converted.resize(block_out, 0.0);
        let mut taken = 0;
        while self.waiting.len() - taken >= block_in {
            let input = InterleavedSlice::new(&self.waiting[taken..taken + block_in], 1, block_in)
                .expect("the slice has that many samples");
            let mut output = InterleavedSlice::new_mut(&mut self.converted, 1, block_out)
                .expect("the buffer was sized for one block");
            fft.process_into_buffer(&input, &mut output, None)
                .expect("both buffers hold exactly one block");
            out.extend(self.converted.iter().map(|s| to_i16(*s)));
            taken += block_in;
        }
        self.waiting.drain(..taken);
    }
}

/// Converts a whole piece; the result is aligned with the input and `round(len * to / from)` samples long.
pub(crate) fn whole(pcm: &[i16], from: u32, to: u32) -> Vec<i16> {
    let wanted = (pcm.len() as u64 * u64::from(to) + u64::from(from) / 2) / u64::from(from);
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    if pcm.is_empty() {
        return Vec::new();
    }
    let samples: Vec<f32> = pcm.iter().map(|s| f32::from(*s)).collect();
    let input =
        InterleavedSlice::new(&samples, 1, samples.len()).expect("the slice has that many samples");
    let output = fft(from, to, LATE)
        .process_all(&input, samples.len(), None)
        .expect("a whole piece can always be converted");
    let mut converted: Vec<i16> = (0..output.frames().min(wanted))
        .map(|frame| to_i16(output.read_sample(0, frame).expect("frame is in range")))
        .collect();
    converted.resize(wanted, 0);
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate: u32, seconds: f64) -> Vec<i16> {
        (0..(seconds * f64::from(rate)) as u32)
            .map(|n| {
                ((f64::from(n) / f64::from(rate) * hz * std::f64::consts::TAU).sin() * 8000.0)
                    as i16
            })
            .collect()
    }

    fn largest_error(heard: &[i16], expected: &[i16]) -> i32 {
        let inner = 1000..heard.len().min(expected.len()) - 1000;
        inner
            .map(|n| (i32::from(heard[n]) - i32::from(expected[n])).abs())
            .max()
            .expect("there are samples")
    }

    #[test]
    fn a_whole_piece_keeps_its_place_in_time() {
        for (from, to) in [
            (8000, 16000),
            (16000, 8000),
            (22050, 8000),
            (44100, 16000),
            (8000, 48000),
        ] {
            let heard = whole(&tone(700.0, from, 1.0), from, to);
            assert_eq!(heard.len(), to as usize);
            let error = largest_error(&heard, &tone(700.0, to, 1.0));
            assert!(error < 80, "{from} to {to}: off by {error}");
        }
    }

    #[test]
    fn a_stream_lags_by_the_stated_delay_and_no_more() {
        for (from, to) in [(8000, 16000), (16000, 8000)] {
            let mut resampler = Resampler::new(from, to);
            let mut heard = Vec::new();
            for frame in tone(1000.0, from, 1.0).chunks(from as usize / 50) {
                let before = heard.len();
                resampler.push(frame, &mut heard);
                assert_eq!(
                    heard.len() - before,
                    to as usize / 50,
                    "20 ms in, 20 ms out"
                );
            }
            let error = largest_error(&heard[resampler.delay()..], &tone(1000.0, to, 1.0));
            assert!(error < 160, "{from} to {to}: off by {error}");
            assert!(resampler.delay() as u32 * 1000 / to <= 5);
        }
    }

    #[test]
    fn the_telephone_band_passes_and_what_would_alias_does_not() {
        let gain = |hz: f64| {
            let heard = {
                let mut out = Vec::new();
                Resampler::new(16000, 8000).push(&tone(hz, 16000, 1.0), &mut out);
                out
            };
            let peak = heard[2000..6000].iter().map(|s| s.unsigned_abs()).max();
            20.0 * (f64::from(peak.expect("not empty")) / 8000.0)
                .max(1e-6)
                .log10()
        };
        assert!(gain(3300.0) > -1.0, "{}", gain(3300.0));
        assert!(gain(4700.0) < -40.0, "{}", gain(4700.0));
    }

    #[test]
    fn odd_pieces_wait_and_nothing_is_lost() {
        let mut resampler = Resampler::new(8000, 16000);
        let mut out = Vec::new();
        for piece in tone(300.0, 8000, 1.0).chunks(37) {
            resampler.push(piece, &mut out);
        }
        assert_eq!(out.len(), 16000);
        let mut same = Vec::new();
        Resampler::new(8000, 8000).push(&[1, 2, 3], &mut same);
        assert_eq!(same, [1, 2, 3]);
    }
}
