//! Turns a phone's decoded sound into 20 ms frames at another rate, keeping its pauses. No codec, no numbering, no socket.

use callreel_media::Resampler;

use super::packet::{FRAME_MS, FRAME_TICKS};

/// Samples of a frame at this rate.
pub(super) fn frame_samples(rate: u32) -> usize {
    rate as usize * FRAME_MS as usize / 1000
}

/// What lies between a phone's packets and the other phone's frames.
#[derive(Default)]
pub(super) struct Reframer {
    rates: (u32, u32),
    resampler: Option<Resampler>,
    /// Samples at the outgoing rate that do not fill a frame yet.
    pending: Vec<i16>,
    /// The source's timestamp of the first of them.
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
        self.timestamp = timestamp.wrapping_add(FRAME_TICKS);
        Some(timestamp)
    }
}
