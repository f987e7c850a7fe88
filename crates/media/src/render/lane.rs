//! A lane: one leg's audio at one sample rate, written anywhere ahead, taken from the front, converted to the rendition's rate.

use crate::Resampler;

/// Audio of one rate between what was taken and the farthest sample written. What nobody wrote is silence.
pub(crate) struct Lane {
    sample_rate: u32,
    /// Position of `samples[0]`, in samples since the cut's start.
    base: i64,
    samples: Vec<i16>,
    converter: Converter,
}

impl Lane {
    pub(crate) fn new(sample_rate: u32, output_rate: u32) -> Self {
        Self {
            sample_rate,
            base: 0,
            samples: Vec::new(),
            converter: Converter::new(sample_rate, output_rate),
        }
    }

    /// Writes over what lies there. What lies before the front is lost.
    pub(crate) fn write(&mut self, position: i64, pcm: &[i16]) {
        let skip = usize::try_from((self.base - position).max(0)).unwrap_or(usize::MAX);
        let Some(pcm) = pcm.get(skip..).filter(|pcm| !pcm.is_empty()) else {
            return;
        };
        let from = usize::try_from((position - self.base).max(0)).expect("not negative");
        let to = from + pcm.len();
        if self.samples.len() < to {
            self.samples.resize(to, 0);
        }
        self.samples[from..to].copy_from_slice(pcm);
    }

    /// Silences everything from a position on.
    pub(crate) fn cut_off(&mut self, position: i64) {
        let keep = usize::try_from((position - self.base).max(0)).expect("not negative");
        self.samples.truncate(keep);
    }

    /// Takes one second from the front and converts it; `out` gets whatever has become ready.
    pub(crate) fn take_second(&mut self, out: &mut Vec<i16>) {
        let wanted = self.sample_rate as usize;
        if self.samples.len() < wanted {
            self.samples.resize(wanted, 0);
        }
        self.converter.convert(&self.samples[..wanted], out);
        // Hardly anything lies behind the second: packets are released shortly before they are taken.
        self.samples.drain(..wanted);
        self.base += i64::from(self.sample_rate);
    }
}

/// A resampler without its delay and, while the lane is silent, without its cost.
struct Converter {
    resampler: Resampler,
    output_rate: usize,
    /// Samples of the resampler's delay still to be dropped.
    to_drop: usize,
    /// Whether the resampler's memory holds nothing but silence.
    idle: bool,
    converted: Vec<i16>,
}

impl Converter {
    fn new(from: u32, to: u32) -> Self {
        let resampler = Resampler::unhurried(from, to);
        Self {
            to_drop: resampler.delay(),
            resampler,
            output_rate: to as usize,
            idle: true,
            converted: Vec::new(),
        }
    }

    fn convert(&mut self, second: &[i16], out: &mut Vec<i16>) {
        let silent = second.iter().all(|sample| *sample == 0);
        self.converted.clear();
        if silent && self.idle {
            self.converted.resize(self.output_rate, 0);
        } else {
            // A second is a whole number of the resampler's blocks, so nothing waits in it.
            self.resampler.push(second, &mut self.converted);
        }
        // The memory is shorter than a second: one silent second empties it.
        self.idle = silent;
        let dropped = self.to_drop.min(self.converted.len());
        self.to_drop -= dropped;
        out.extend_from_slice(&self.converted[dropped..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_anywhere_comes_out_in_its_place() {
        let mut lane = Lane::new(8000, 8000);
        lane.write(10, &[1, 2, 3]);
        lane.write(-2, &[7, 8, 9]);
        lane.write(11, &[5]);
        lane.write(8001, &[4]);
        let mut out = Vec::new();
        lane.take_second(&mut out);
        assert_eq!(out.len(), 8000);
        assert_eq!((out[0], out[10], out[11], out[12]), (9, 1, 5, 3));
        lane.write(7999, &[1, 6]);
        lane.take_second(&mut out);
        assert_eq!((out[8000], out[8001]), (6, 4));
    }

    #[test]
    fn a_cut_off_tail_is_silence() {
        let mut lane = Lane::new(8000, 8000);
        lane.write(0, &[1; 100]);
        lane.cut_off(40);
        let mut out = Vec::new();
        lane.take_second(&mut out);
        assert_eq!(out.iter().filter(|s| **s == 1).count(), 40);
    }

    #[test]
    fn converted_audio_keeps_its_place_across_silent_seconds() {
        for (rate, output) in [(8000, 16000), (16000, 8000), (8000, 44100), (16000, 11025)] {
            let mut lane = Lane::new(rate, output);
            let at = i64::from(rate) * 3 + i64::from(rate) / 2;
            let tone: Vec<i16> = (0..rate / 10)
                .map(|n| {
                    ((f64::from(n) * 500.0 / f64::from(rate) * std::f64::consts::TAU).sin()
                        * 9000.0) as i16
                })
                .collect();
            lane.write(at, &tone);
            let mut out = Vec::new();
            for _ in 0..6 {
                lane.take_second(&mut out);
            }
            let energy_at = |sample: usize| f64::from(out[sample]).powi(2);
            let centre = (0..out.len()).map(|n| energy_at(n) * n as f64).sum::<f64>()
                / (0..out.len()).map(energy_at).sum::<f64>();
            let wanted = 3.55 * f64::from(output);
            assert!(
                (centre - wanted).abs() < f64::from(output) / 1000.0,
                "{rate} to {output}: {centre} for {wanted}"
            );
        }
    }
}
