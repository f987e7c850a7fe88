//! Cuts a sound into frames at a leg's rate, as often as wanted. No codec, no timer, no socket.

use std::sync::Arc;

use callreel_media::{Pcm, Resampler};

use super::Playback;
use super::packet::FRAME_MS;
use super::transcode::frame_samples;

/// Frames of silence a resampler may take to give out its last samples; it would need more only if it were broken.
const MAX_FLUSH_FRAMES: u32 = 100;

/// A playback's progress.
pub(super) struct Player {
    pcm: Arc<Pcm>,
    /// Rounds not begun yet; `None` = endless.
    rounds_left: Option<u32>,
    /// The next sample of the running round.
    at: usize,
    /// Input samples and output samples since the rate was set.
    fed: u64,
    made: u64,
    rate: u32,
    resampler: Option<Resampler>,
    /// Output samples still to be dropped: the resampler's delay.
    lag: usize,
    flushed: u32,
    pending: Vec<i16>,
    scratch: Vec<i16>,
}

impl Player {
    pub(super) fn new(playback: Playback) -> Self {
        let silent = playback.pcm.samples.is_empty() || playback.pcm.sample_rate == 0;
        let at = playback.pcm.samples.len();
        Self {
            pcm: playback.pcm,
            rounds_left: if silent { Some(0) } else { playback.times },
            at,
            fed: 0,
            made: 0,
            rate: 0,
            resampler: None,
            lag: 0,
            flushed: 0,
            pending: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The next 20 ms at this rate, the last of them filled up with silence; false when there are none left.
    pub(super) fn next_frame(&mut self, rate: u32, frame: &mut Vec<i16>) -> bool {
        self.set_rate(rate);
        let whole = frame_samples(rate);
        while self.pending.len() < whole && self.pull() {}
        if self.pending.is_empty() {
            return false;
        }
        frame.clear();
        let taken = whole.min(self.pending.len());
        frame.extend(self.pending.drain(..taken));
        frame.resize(whole, 0);
        true
    }

    /// The leg's codec may change under a running playback.
    fn set_rate(&mut self, rate: u32) {
        if rate == self.rate {
            return;
        }
        let from = self.pcm.sample_rate;
        self.resampler = (from != rate && from != 0).then(|| Resampler::new(from, rate));
        self.lag = self.resampler.as_ref().map_or(0, Resampler::delay);
        (self.rate, self.fed, self.made, self.flushed) = (rate, 0, 0, 0);
        self.pending.clear();
    }

    /// Brings in more samples; false at the end.
    fn pull(&mut self) -> bool {
        self.begin_round_if_due();
        let wanted = (u64::from(self.pcm.sample_rate) * FRAME_MS / 1000).max(1) as usize;
        let end = self.pcm.samples.len().min(self.at + wanted);
        let (at, pcm) = (self.at, Arc::clone(&self.pcm));
        let chunk = pcm.samples.get(at..end).unwrap_or_default();
        if chunk.is_empty() {
            return self.flush(wanted);
        }
        self.at = end;
        self.fed += chunk.len() as u64;
        self.take_in(chunk);
        true
    }

    fn begin_round_if_due(&mut self) {
        if self.at < self.pcm.samples.len() {
            return;
        }
        match &mut self.rounds_left {
            None => self.at = 0,
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                self.at = 0;
            }
        }
    }

    fn take_in(&mut self, chunk: &[i16]) {
        let before = self.pending.len();
        match &mut self.resampler {
            None => self.pending.extend_from_slice(chunk),
            Some(resampler) => {
                self.scratch.clear();
                resampler.push(chunk, &mut self.scratch);
                let late = self.lag.min(self.scratch.len());
                self.lag -= late;
                self.pending.extend_from_slice(&self.scratch[late..]);
            }
        }
        self.made += (self.pending.len() - before) as u64;
    }

    /// Silence pushes a resampler's last samples out; what it gives beyond the sound's own length is cut off.
    fn flush(&mut self, wanted: usize) -> bool {
        let due =
            (self.fed * u64::from(self.rate)).div_ceil(u64::from(self.pcm.sample_rate.max(1)));
        if self.made >= due || self.resampler.is_none() || self.flushed >= MAX_FLUSH_FRAMES {
            return false;
        }
        self.flushed += 1;
        self.take_in(&vec![0; wanted]);
        let over = self.made.saturating_sub(due);
        let kept = self.pending.len().saturating_sub(over as usize);
        self.pending.truncate(kept);
        self.made -= over;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(
        rate: u32,
        samples: usize,
        times: Option<u32>,
        out_rate: u32,
        at_most: usize,
    ) -> Vec<Vec<i16>> {
        let pcm = Arc::new(Pcm {
            sample_rate: rate,
            samples: vec![1000; samples],
        });
        let mut player = Player::new(Playback { pcm, times });
        let mut all = Vec::new();
        let mut frame = Vec::new();
        while all.len() < at_most && player.next_frame(out_rate, &mut frame) {
            all.push(frame.clone());
        }
        all
    }

    #[test]
    fn rounds_follow_each_other_without_a_seam_and_the_last_frame_is_filled_up() {
        let all = frames(8000, 200, Some(2), 8000, 100);
        assert_eq!(all.len(), 3);
        let sound = all.concat();
        assert!(sound[..400].iter().all(|s| *s == 1000));
        assert!(sound[400..].iter().all(|s| *s == 0));
    }

    #[test]
    fn nothing_to_play_ends_at_once_even_endlessly() {
        assert!(frames(8000, 0, None, 8000, 9).is_empty());
        assert!(frames(8000, 200, Some(0), 8000, 9).is_empty());
        assert!(frames(0, 200, None, 8000, 9).is_empty());
    }

    #[test]
    fn an_endless_playback_goes_on() {
        assert_eq!(frames(8000, 7, None, 16_000, 500).len(), 500);
    }

    #[test]
    fn resampling_keeps_the_length_whatever_the_rates() {
        for (rate, out_rate) in [
            (8000, 16_000),
            (16_000, 8000),
            (22_050, 8000),
            (44_100, 16_000),
            (11_025, 8000),
        ] {
            let all = frames(rate, rate as usize, Some(1), out_rate, 1000);
            assert_eq!(all.len(), 50, "{rate} to {out_rate}");
            let middle = &all[25];
            assert!(middle.iter().all(|s| (990..1010).contains(s)), "{middle:?}");
        }
    }
}
