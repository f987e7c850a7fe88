//! Turns a phone's decoded sound into 20 ms frames at another rate, and its time into another clock's, keeping its pauses. No codec,
//! no numbering, no socket.

use callreel_media::Resampler;

use super::packet::{FRAME_MS, Header, frame_ticks};

/// Samples of a frame at this rate.
pub(super) fn frame_samples(rate: u32) -> usize {
    rate as usize * FRAME_MS as usize / 1000
}

/// Tells a phone's time by another RTP clock.
#[derive(Debug, Default)]
pub(super) struct Rescale {
    clocks: (u32, u32),
    /// The newest timestamp, and the same without its wraps.
    newest: Option<(u32, i64)>,
}

impl Rescale {
    /// The same instant under the clock `to`; what is equally far apart stays so.
    pub(super) fn header(&mut self, from: u32, to: u32, header: Header) -> Header {
        if from == to || from == 0 {
            return header;
        }
        if self.clocks != (from, to) {
            self.clocks = (from, to);
            self.newest = None;
        }
        let whole = match self.newest {
            Some((before, whole)) => {
                let step = header.timestamp.wrapping_sub(before).cast_signed();
                whole + i64::from(step)
            }
            None => header.timestamp.into(),
        };
        self.newest = Some((header.timestamp, whole));
        let there = (i128::from(whole) * i128::from(to)).div_euclid(i128::from(from));
        Header {
            // Cut to what a header holds, as timestamps wrap.
            timestamp: there as u32,
            ..header
        }
    }
}

/// A length in ticks of one clock as ticks of another.
pub(super) fn rescaled(ticks: u32, from: u32, to: u32) -> u32 {
    let there = u64::from(ticks) * u64::from(to) / u64::from(from.max(1));
    u32::try_from(there).unwrap_or(u32::MAX)
}

/// What lies between a phone's packets and the other phone's frames. Its timestamps are already on the other phone's clock.
#[derive(Default)]
pub(super) struct Reframer {
    rates: (u32, u32),
    frame_ticks: u32,
    resampler: Option<Resampler>,
    /// Samples at the outgoing rate that do not fill a frame yet.
    pending: Vec<i16>,
    /// The timestamp of the first of them.
    timestamp: u32,
    /// The timestamp the source's next packet has if nothing is missing.
    expected: Option<u32>,
}

impl Reframer {
    /// Forgets what has not been sent: another source follows.
    pub(super) fn reset(&mut self) {
        self.pending.clear();
        self.expected = None;
    }

    /// Before a packet that does not follow on: the unfinished frame, filled up with silence.
    pub(super) fn finish_before(&mut self, timestamp: u32, frame: &mut Vec<i16>) -> Option<u32> {
        if self.expected == Some(timestamp) {
            return None;
        }
        self.expected = None;
        if self.pending.is_empty() {
            return None;
        }
        let whole = frame_samples(self.rates.1);
        self.pending.resize(whole.max(self.pending.len()), 0);
        self.next_frame(frame)
    }

    /// Frames follow each other by the ticks of this clock from now on.
    pub(super) fn set_clock(&mut self, clock: u32) {
        self.frame_ticks = frame_ticks(clock);
    }

    /// Takes a packet's sound.
    pub(super) fn push(&mut self, timestamp: u32, ticks: u32, pcm: &[i16], rates: (u32, u32)) {
        if rates != self.rates {
            self.reset();
            self.rates = rates;
            self.resampler = (rates.0 != rates.1).then(|| Resampler::new(rates.0, rates.1));
        }
        if self.expected.is_none() {
            self.pending.clear();
            self.timestamp = timestamp;
        }
        self.expected = Some(timestamp.wrapping_add(ticks));
        match &mut self.resampler {
            Some(resampler) => resampler.push(pcm, &mut self.pending),
            None => self.pending.extend_from_slice(pcm),
        }
    }

    /// Moves the next whole frame out; returns its timestamp on the source's clock.
    pub(super) fn next_frame(&mut self, frame: &mut Vec<i16>) -> Option<u32> {
        let whole = frame_samples(self.rates.1);
        if whole == 0 || self.pending.len() < whole {
            return None;
        }
        frame.clear();
        frame.extend(self.pending.drain(..whole));
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(self.frame_ticks);
        Some(timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timestamp: u32) -> Header {
        Header {
            marker: false,
            sequence: 0,
            timestamp,
            ssrc: 1,
        }
    }

    #[test]
    fn time_goes_on_evenly_through_a_wrap_whichever_way_the_clocks_differ() {
        for (from, to, step) in [(48_000, 8000, 960), (8000, 48_000, 160)] {
            let mut rescale = Rescale::default();
            let start = u32::MAX - 10 * step - 7;
            let told: Vec<_> = (0..20)
                .map(|n| rescale.header(from, to, at(start.wrapping_add(n * step))))
                .collect();
            for pair in told.windows(2) {
                let apart = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
                assert_eq!(apart, frame_ticks(to), "{from} to {to}");
            }
            // One that was overtaken keeps its place.
            let late = rescale.header(from, to, at(start.wrapping_add(17 * step)));
            assert_eq!(late, told[17]);
        }
    }

    #[test]
    fn a_clock_that_is_the_same_changes_nothing() {
        assert_eq!(Rescale::default().header(8000, 8000, at(77)), at(77));
        assert_eq!(rescaled(9600, 48_000, 8000), 1600);
    }
}
