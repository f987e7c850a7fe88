//! Makes one audio file out of another: mixes, resamples and encodes what was decoded, block by block. Its memory does not
//! grow with the audio.

use std::{
    io::{Seek, Write},
    ops::RangeInclusive,
};

use callreel_proto::Channels;

use crate::{
    AudioShape, Error, Profile, Resampler,
    redact::Redactor,
    render::{MAX_CUT_NS, SAMPLE_RATES, Sink, channel_count, spans_ms},
};

#[cfg(test)]
mod redaction;
#[cfg(test)]
mod tests;

/// Rates of audio that can be converted, Hz: no switch records slower or faster, and a filter for an absurd rate would
/// take absurd memory.
const RATES: RangeInclusive<u32> = 4000..=192_000;
/// Samples per channel that are encoded at once: many frames, so that a call of the encoder costs nothing beside them.
const ENCODED_AT_ONCE: usize = 16_384;

impl AudioShape {
    /// What a file of this shape becomes when a recording of this kind is asked for. Its own rate stays, unless another
    /// is asked for or recordings cannot have it.
    pub fn asked(&self, profile: &Profile, channels: Channels) -> Self {
        let nearest = SAMPLE_RATES.iter().rfind(|rate| **rate <= self.sample_rate);
        let own = nearest.unwrap_or(&SAMPLE_RATES[0]);
        Self {
            format: Some(profile.format),
            sample_rate: profile.sample_rate.unwrap_or(*own),
            channels: channel_count(channels),
        }
    }
}

/// Takes the blocks of one file and writes another.
pub struct Converter<W: Write + Seek> {
    have: AudioShape,
    channels: Channels,
    /// One for each channel of the source, when keys are to be silenced.
    redactors: Vec<Redactor>,
    /// What they gave back so far and is not converted yet.
    clean: [Vec<i16>; 2],
    mixed: Vec<i16>,
    tracks: Vec<Track>,
    sink: Sink<W>,
    /// Samples per channel.
    taken: u64,
}

impl<W: Write + Seek> Converter<W> {
    /// Opens a file of the shape [`AudioShape::asked`] tells at the present position of `out`; give it `&mut file` to keep
    /// the file. Of two channels, [`Channels::Mono`] takes the sum, [`Channels::Caller`] the left one and
    /// [`Channels::Callee`] the right one; a single one becomes each of these and both of [`Channels::Stereo`].
    ///
    /// # Errors
    /// [`Error::Undecodable`] when `have` cannot be a call, [`Error::Profile`] when the format cannot have the rate,
    /// [`Error::Write`] when `out` fails.
    pub fn new(
        have: AudioShape,
        profile: &Profile,
        channels: Channels,
        out: W,
    ) -> Result<Self, Error> {
        if !RATES.contains(&have.sample_rate) || !(1..=2).contains(&have.channels) {
            return Err(Error::Undecodable(format!(
                "a call has one or two channels of {} to {} Hz, this has {} of {} Hz",
                RATES.start(),
                RATES.end(),
                have.channels,
                have.sample_rate
            )));
        }
        let want = have.asked(profile, channels);
        Ok(Self {
            have,
            channels,
            redactors: (0..have.channels)
                .filter(|_| profile.redact_dtmf)
                .map(|_| Redactor::new(have.sample_rate))
                .collect(),
            clean: Default::default(),
            mixed: Vec::new(),
            tracks: (0..want.channels)
                .map(|_| Track::new(have.sample_rate, want.sample_rate))
                .collect(),
            sink: Sink::open(out, want.channels, want.sample_rate, profile)?,
            taken: 0,
        })
    }

    /// Takes the next block: as many samples of each channel.
    ///
    /// # Errors
    /// [`Error::Undecodable`] after a day of audio, or when the encoder or the output fails.
    pub fn push(&mut self, block: &[Vec<i16>]) -> Result<(), Error> {
        let [left, rest @ ..] = block else {
            return Ok(());
        };
        let right = rest.first().unwrap_or(left);
        self.taken += left.len() as u64;
        if self.taken / u64::from(self.have.sample_rate) > MAX_CUT_NS / 1_000_000_000 {
            return Err(Error::Undecodable("it is longer than a day".to_owned()));
        }
        if self.redactors.is_empty() {
            self.take(left, right);
        } else {
            let heard = self.redactors.iter_mut().zip([left, right]);
            for ((redactor, pcm), clean) in heard.zip(&mut self.clean) {
                redactor.push(pcm, clean);
            }
            self.take_clean();
        }
        if self.tracks[0].ready.len() >= ENCODED_AT_ONCE {
            self.encode()?;
        }
        Ok(())
    }

    /// Takes what all redactors gave back: one that hears a key is behind the other.
    fn take_clean(&mut self) {
        let [left, mut right] = std::mem::take(&mut self.clean);
        if self.redactors.len() < 2 {
            right.clone_from(&left);
        }
        let ready = left.len().min(right.len());
        self.take(&left[..ready], &right[..ready]);
        self.clean = [left, right];
        self.clean.iter_mut().for_each(|clean| {
            clean.drain(..ready);
        });
    }

    fn take(&mut self, left: &[i16], right: &[i16]) {
        let only = match self.channels {
            Channels::Mono if self.have.channels > 1 => {
                let sum = left.iter().zip(right).map(|(l, r)| l.saturating_add(*r));
                self.mixed.clear();
                self.mixed.extend(sum);
                &self.mixed
            }
            Channels::Callee => right,
            Channels::Mono | Channels::Caller | Channels::Stereo => left,
        };
        for (track, pcm) in self.tracks.iter_mut().zip([only, right]) {
            track.push(pcm);
        }
    }

    /// Ends the file. Gives the keys that were silenced, in milliseconds of the audio: from and until, by time, apart.
    ///
    /// # Errors
    /// When the encoder or the output fails.
    pub fn finish(mut self) -> Result<Vec<(u64, u64)>, Error> {
        for (redactor, clean) in self.redactors.iter_mut().zip(&mut self.clean) {
            redactor.drain(clean);
        }
        if !self.redactors.is_empty() {
            self.take_clean();
        }
        for track in &mut self.tracks {
            track.drain(self.taken);
        }
        self.encode()?;
        self.sink.finish()?;
        let redacted = self.redactors.iter().flat_map(|it| it.spans().to_vec());
        Ok(spans_ms(redacted, self.have.sample_rate))
    }

    fn encode(&mut self) -> Result<(), Error> {
        match self.tracks.as_mut_slice() {
            [left, right] => self.sink.write(&left.ready, Some(&right.ready))?,
            [only, ..] => self.sink.write(&only.ready, None)?,
            [] => {}
        }
        for track in &mut self.tracks {
            track.given += track.ready.len() as u64;
            track.ready.clear();
        }
        Ok(())
    }
}

/// One channel's way to another rate, without the resampler's delay.
struct Track {
    resampler: Resampler,
    rates: (u32, u32),
    to_drop: usize,
    ready: Vec<i16>,
    /// Samples that were encoded already.
    given: u64,
}

impl Track {
    fn new(from: u32, to: u32) -> Self {
        let resampler = Resampler::unhurried(from, to);
        Self {
            to_drop: resampler.delay(),
            resampler,
            rates: (from, to),
            ready: Vec::new(),
            given: 0,
        }
    }

    fn push(&mut self, pcm: &[i16]) {
        self.resampler.push(pcm, &mut self.ready);
        let dropped = self.to_drop.min(self.ready.len());
        self.to_drop -= dropped;
        self.ready.drain(..dropped);
    }

    /// Gets out of the resampler what it still holds, so that as long comes out as went in, to the nearest sample.
    fn drain(&mut self, taken: u64) {
        let (from, to) = (u128::from(self.rates.0), u128::from(self.rates.1));
        let total = (u128::from(taken) * to + from / 2) / from;
        let left = usize::try_from(total - u128::from(self.given)).unwrap_or(usize::MAX);
        let silence = vec![0; self.rates.0 as usize / 10];
        while self.ready.len() < left {
            self.push(&silence);
        }
        self.ready.truncate(left);
    }
}
