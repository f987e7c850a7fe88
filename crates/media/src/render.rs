//! Turns a cut of a capture into a file. The second pass over the journal feeds it; its memory does not grow with the call.

use std::{
    io::{Seek, Write},
    time::Duration,
};

use callreel_proto::{AudioFormat, Channels, Leg};

use crate::{
    Error,
    packet::Packet,
    redact::Redactor,
    timeline::{Timeline, follow::REORDER_WINDOW_NS, index},
};

#[cfg(test)]
mod conditions;
mod gaps;
mod keys;
mod lane;
mod leg;
mod mend;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod redaction;
mod report;
mod sink;
mod tally;
#[cfg(test)]
mod tests;

use leg::LegRenderer;
pub(crate) use report::spans_ms;
pub use report::{LegReport, Summary};
pub use sink::Mp3Settings;
pub(crate) use sink::{SAMPLE_RATES, Sink};

/// Lanes are taken and encoded in pieces of this length: shorter ones cost the encoder more, longer ones gain nothing.
const BLOCK_NS: i64 = 1_000_000_000;
/// Audio may lie this much before its packet's place, by the leeway left to clocks.
const MARGIN_NS: i64 = 100_000_000;
/// Longest cut: a day. Kazoo ends recordings after three hours; more is a broken ticket, not a call.
pub(crate) const MAX_CUT_NS: u64 = 24 * 3600 * 1_000_000_000;

/// Which part of a capture a recording is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// First instant, in nanoseconds of capture time.
    pub start_ns: u64,
    /// First instant after it. The file is exactly this much longer than nothing, however little audio there is.
    pub end_ns: u64,
    /// Spans of capture time in which neither leg may be heard.
    pub masks: Vec<(u64, u64)>,
    /// How the legs share the file.
    pub channels: Channels,
}

/// What kind of file it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    /// WAV (16-bit PCM) or MP3.
    pub format: AudioFormat,
    /// Samples per second; `None`: 16000 if wideband audio was heard in the cut, else 8000.
    pub sample_rate: Option<u32>,
    /// Used for MP3 only.
    pub mp3: Mp3Settings,
    /// Whether keys are silenced on the leg that sent them: their tones, and what is heard around telephone events (RFC 4733).
    pub redact_dtmf: bool,
}

/// One leg's way into the file.
struct Track {
    leg: Leg,
    renderer: LegRenderer,
    redactor: Option<Redactor>,
    /// What the redactor has yet to hear.
    heard: Vec<i16>,
    /// Ready to be written, from sample `Renderer::written` on.
    ready: Vec<i16>,
}

impl Track {
    fn take_second(&mut self) {
        let Some(redactor) = &mut self.redactor else {
            self.renderer.take_second(&mut self.ready);
            return;
        };
        self.heard.clear();
        self.renderer.take_second(&mut self.heard);
        redactor.push(&self.heard, &mut self.ready);
    }

    /// Ends it; gives the samples of the file that are silent because of keys.
    fn redacted(&mut self, cut: &Cut, sample_rate: u32) -> Vec<(u64, u64)> {
        let Some(redactor) = &mut self.redactor else {
            return Vec::new();
        };
        redactor.drain(&mut self.heard);
        let events = self.renderer.keys().spans();
        let events = events.map(|span| span_of(cut, sample_rate, span));
        events.chain(redactor.spans().iter().copied()).collect()
    }
}

/// The second pass: give it every packet of the same journal from its beginning, in the same order, even those before the cut:
/// the order is what streams are known by. Stop early when [`Renderer::is_done`] says so.
pub struct Renderer<'t, W: Write + Seek> {
    timeline: &'t Timeline,
    cut: Cut,
    sample_rate: u32,
    tracks: Vec<Track>,
    sink: Sink<W>,
    /// Latest arrival so far.
    now: i64,
    /// Capture time up to which lanes have been taken.
    taken: i64,
    /// Samples per channel given to the sink, and to be given.
    written: u64,
    total: u64,
}

fn nanos(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX / 4)
}

impl<'t, W: Write + Seek> Renderer<'t, W> {
    /// Opens the file at the present position of `out`; give it `&mut file` to keep the file.
    ///
    /// # Errors
    /// [`Error::Profile`] when the format cannot have this rate or bit rate or the cut is no span of time; [`Error::Write`] when `out` fails.
    pub fn new(cut: Cut, profile: Profile, timeline: &'t Timeline, out: W) -> Result<Self, Error> {
        let length = cut.end_ns.checked_sub(cut.start_ns);
        let Some(length) = length.filter(|ns| *ns <= MAX_CUT_NS) else {
            return Err(Error::Profile(format!(
                "a recording from {} ns to {} ns has no length, or more than a day",
                cut.start_ns, cut.end_ns
            )));
        };
        let heard: &[Leg] = match cut.channels {
            Channels::Stereo | Channels::Mono => &[Leg::A, Leg::B],
            Channels::Caller => &[Leg::A],
            Channels::Callee => &[Leg::B],
        };
        let wideband = timeline.has_wideband(heard, cut.start_ns, cut.end_ns);
        let sample_rate = profile
            .sample_rate
            .unwrap_or(if wideband { 16_000 } else { 8000 });
        let channels = channel_count(cut.channels);
        let sink = Sink::open(out, channels, sample_rate, &profile)?;
        let (start, end) = (nanos(cut.start_ns), nanos(cut.end_ns));
        Ok(Self {
            timeline,
            sample_rate,
            tracks: heard
                .iter()
                .map(|leg| Track {
                    leg: *leg,
                    renderer: LegRenderer::new(*leg, start, end, sample_rate),
                    redactor: profile.redact_dtmf.then(|| Redactor::new(sample_rate)),
                    heard: Vec::new(),
                    ready: Vec::new(),
                })
                .collect(),
            sink,
            now: 0,
            taken: start,
            written: 0,
            total: samples_at(length, sample_rate),
            cut,
        })
    }

    /// Takes the next packet of the journal.
    ///
    /// # Errors
    /// When the encoder or the output fails; the rendition is then of no use.
    pub fn push(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        if let Some(track) = self.tracks.iter_mut().find(|it| it.leg == packet.leg) {
            track.renderer.push(packet, self.timeline);
        }
        self.now = self.now.max(packet.arrival());
        // Only whole blocks are worth the walk over both legs.
        while self.now - REORDER_WINDOW_NS - MARGIN_NS >= self.taken + BLOCK_NS
            && self.written < self.total
        {
            for track in &mut self.tracks {
                let now = self.taken + BLOCK_NS + MARGIN_NS + REORDER_WINDOW_NS;
                track.renderer.advance(now);
            }
            self.take_block()?;
        }
        Ok(())
    }

    /// Whether no packet to come can change the file.
    pub fn is_done(&self) -> bool {
        self.written >= self.total
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When the encoder or the output fails.
    pub fn finish(mut self) -> Result<Summary, Error> {
        for track in &mut self.tracks {
            track.renderer.drain();
        }
        while self.written < self.total {
            self.take_block()?;
        }
        self.sink.finish()?;
        let mut legs = [LegReport::default(), LegReport::default()];
        let mut redacted = Vec::new();
        for track in &mut self.tracks {
            legs[index(track.leg)] = track.renderer.report();
            let within = |sample: u64| sample.min(self.total);
            let spans = track.redacted(&self.cut, self.sample_rate).into_iter();
            redacted.extend(spans.map(|(from, until)| (within(from), within(until))));
        }
        redacted.retain(|(from, until)| from < until);
        Ok(Summary {
            samples: self.total,
            duration_ms: self.total * 1000 / u64::from(self.sample_rate),
            channels: channel_count(self.cut.channels),
            sample_rate: self.sample_rate,
            worst_misalignment: legs
                .iter()
                .map(|leg| leg.worst_misalignment)
                .sum::<Duration>(),
            heard: self.tracks.iter().map(|track| track.leg).collect(),
            legs,
            redacted_ms: spans_ms(redacted, self.sample_rate),
        })
    }

    fn take_block(&mut self) -> Result<(), Error> {
        for track in &mut self.tracks {
            track.take_second();
        }
        self.taken += BLOCK_NS;
        let ready = self.tracks.iter().map(|track| track.ready.len()).min();
        let left_to_write = usize::try_from(self.total - self.written).unwrap_or(usize::MAX);
        let ready = ready.unwrap_or(0).min(left_to_write);
        self.silence(ready);
        match (self.cut.channels, self.tracks.as_mut_slice()) {
            (Channels::Stereo, [a, b]) => {
                self.sink
                    .write(&a.ready[..ready], Some(&b.ready[..ready]))?;
            }
            (Channels::Mono, [a, b]) => {
                for (mixed, other) in a.ready[..ready].iter_mut().zip(&b.ready) {
                    *mixed = mixed.saturating_add(*other);
                }
                self.sink.write(&a.ready[..ready], None)?;
            }
            (_, [only, ..]) => self.sink.write(&only.ready[..ready], None)?,
            (_, []) => {}
        }
        for track in &mut self.tracks {
            track.ready.drain(..ready);
        }
        self.written += ready as u64;
        Ok(())
    }

    /// Silences what lies within masks and around telephone events in the next samples to be written.
    fn silence(&mut self, ready: usize) {
        let (cut, rate, written) = (&self.cut, self.sample_rate, self.written);
        let within = |sample: u64| {
            usize::try_from(sample.saturating_sub(written)).map_or(ready, |it| it.min(ready))
        };
        for track in &mut self.tracks {
            let keys = track
                .redactor
                .is_some()
                .then(|| track.renderer.keys().spans());
            for span in cut.masks.iter().copied().chain(keys.into_iter().flatten()) {
                let (from, until) = span_of(cut, rate, span);
                if let Some(part) = track.ready.get_mut(within(from)..within(until)) {
                    part.fill(0);
                }
            }
        }
    }
}

/// The samples of a file in a span of capture time. A sample that lies in it in part does: it begins at the sample before and ends at the one after.
fn span_of(cut: &Cut, sample_rate: u32, (from, until): (u64, u64)) -> (u64, u64) {
    let offset = |ns: u64| u128::from(ns.saturating_sub(cut.start_ns)) * u128::from(sample_rate);
    let sample = |sample: u128| u64::try_from(sample).unwrap_or(u64::MAX);
    (
        sample(offset(from) / 1_000_000_000),
        sample(offset(until).div_ceil(1_000_000_000)),
    )
}

pub(crate) fn channel_count(channels: Channels) -> u16 {
    match channels {
        Channels::Stereo => 2,
        Channels::Mono | Channels::Caller | Channels::Callee => 1,
    }
}

/// Samples in a span of time, rounded to the nearest.
fn samples_at(ns: u64, sample_rate: u32) -> u64 {
    let samples = (u128::from(ns) * u128::from(sample_rate) + 500_000_000) / 1_000_000_000;
    u64::try_from(samples).unwrap_or(u64::MAX)
}
