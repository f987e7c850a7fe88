//! A run of audio: how it begins, what lies between it and the packet that continues it, and where that goes.

use std::time::Duration;

use super::{Cursor, Key, LegRenderer, ns_of, rate, samples_of, samples_of_ticks};
use crate::{Codec, render::mend};

/// As long as audio lies within this of its place it is left alone: jitter of the estimate is not worth a correction.
const LEEWAY_NS: i64 = 2_000_000;
/// Longest run of lost audio that is covered up; longer gaps stay silent, as long as they were.
const MAX_COVERED_NS: i64 = 60_000_000;

/// What lies between the end of a run and the next packet of it, in samples.
#[derive(PartialEq, Eq)]
pub(super) enum Missing {
    Nothing,
    /// Lost packets' worth, short enough to be covered up.
    Packets(usize),
    /// A pause, or a loss too long to be covered up.
    Silence,
    /// The packet begins this much before the run's end.
    Overlap(usize),
}

impl LegRenderer {
    pub(super) fn continues(&self, stream: usize, segment: usize, codec: Codec) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| {
            cursor.stream == stream && cursor.segment == segment && cursor.codec == codec
        })
    }

    /// Begins a run: what the one before had still to say is cut off. The new decoder's first samples are its delay, not audio: they do not
    /// take the place of audio that is there.
    pub(super) fn begin(
        &mut self,
        stream: usize,
        segment: usize,
        codec: Codec,
        target: i64,
        pcm: &mut Vec<i16>,
    ) -> i64 {
        self.note_change(stream, segment);
        let written = self.cursor.as_ref().map_or(target, |cursor| {
            samples_of(cursor.end - self.start, rate(codec))
        });
        let skipped = (written - target)
            .clamp(0, codec.lag())
            .min(pcm.len() as i64);
        pcm.drain(..usize::try_from(skipped).unwrap_or(0));
        let start = ns_of(target + skipped, rate(codec));
        self.narrow.cut_off(samples_of(start, 8000));
        self.wide.cut_off(samples_of(start, 16_000));
        self.recent.clear();
        target + skipped
    }

    /// Goes on after a packet whose audio was taken away: silent until the next one, however long that is.
    pub(super) fn pass_over(
        &mut self,
        (place, stream, sequence): Key,
        segment: usize,
        tick: i64,
        codec: Codec,
    ) {
        let mut position = samples_of(place - self.start, rate(codec)) - codec.lag();
        if self.continues(stream, segment, codec) {
            let cursor = self.cursor.as_ref().expect("a run is continued");
            if tick < cursor.end_tick {
                return;
            }
            position = position.max(cursor.end_position);
            self.recent.clear();
            self.decoder = None;
        } else {
            self.begin(stream, segment, codec, position, &mut Vec::new());
        }
        self.cursor = Some(Cursor {
            stream,
            segment,
            ssrc: self.ssrcs[stream],
            codec,
            end_tick: tick,
            sequence,
            end: self.start + ns_of(position, rate(codec)),
            end_position: position,
            interrupted: true,
        });
    }

    /// Notes what is missing between the last audio and a packet of the same stream, by their numbers.
    pub(super) fn note_gap(&mut self, (place, stream, sequence): Key) {
        let Some(cursor) = &self.cursor else { return };
        let lost = sequence > cursor.sequence + 1 && !cursor.interrupted;
        if cursor.stream != stream || !lost || cursor.end < self.start {
            return;
        }
        let ms = |ns: i64| u64::try_from((ns - self.start) / 1_000_000).unwrap_or(0);
        let (from, until) = (ms(cursor.end), ms(place.min(self.end)));
        if from < until {
            self.gaps.note(from, until);
        }
    }

    /// What lies between the run and a packet that continues it.
    pub(super) fn missing(&self, sequence: i64, tick: i64, codec: Codec) -> Missing {
        let cursor = self.cursor.as_ref().expect("a run is continued");
        let gap = samples_of_ticks(tick - cursor.end_tick, codec);
        let brief = gap <= MAX_COVERED_NS * rate(codec) / 1_000_000_000;
        let lost = sequence > cursor.sequence + 1 && !cursor.interrupted;
        match usize::try_from(gap) {
            Err(_) => Missing::Overlap(usize::try_from(-gap).unwrap_or(usize::MAX)),
            Ok(0) => Missing::Nothing,
            Ok(samples) if brief && lost => Missing::Packets(samples),
            Ok(_) => Missing::Silence,
        }
    }

    /// Where audio goes that continues the run: seamlessly, after a gap, or nowhere when the run has been there already.
    pub(super) fn continued(
        &mut self,
        missing: Missing,
        codec: Codec,
        target: i64,
        covered: Vec<i16>,
        pcm: &mut Vec<i16>,
    ) -> Option<i64> {
        let end = self.cursor.as_ref()?.end_position;
        match missing {
            Missing::Nothing => {
                let leeway = LEEWAY_NS * rate(codec) / 1_000_000_000;
                if (target - end).abs() > leeway {
                    self.correct(codec, target > end, pcm);
                }
                Some(end)
            }
            Missing::Overlap(overlap) if overlap >= pcm.len() => {
                self.report.late += 1;
                None
            }
            Missing::Overlap(overlap) => {
                pcm.drain(..overlap);
                Some(end)
            }
            Missing::Packets(samples) => {
                let covered = if covered.is_empty() {
                    mend::cover(&self.recent, samples, pcm, codec.sample_rate())
                } else {
                    Some(covered)
                };
                let Some(covered) = covered else {
                    return Some(target.max(end));
                };
                self.write(codec, end, &covered);
                let gap = samples as i64;
                self.report.concealed +=
                    Duration::from_nanos(ns_of(gap, rate(codec)).cast_unsigned());
                Some(end + gap)
            }
            Missing::Silence => {
                self.recent.clear();
                Some(target.max(end))
            }
        }
    }

    fn correct(&mut self, codec: Codec, longer: bool, pcm: &mut Vec<i16>) {
        if longer {
            mend::insert_sample(pcm);
        } else {
            mend::drop_sample(pcm);
        }
        self.report.drift_corrected += Duration::from_nanos(ns_of(1, rate(codec)).cast_unsigned());
    }

    fn note_change(&mut self, stream: usize, segment: usize) {
        if let Some(cursor) = &self.cursor {
            if cursor.ssrc != self.ssrcs[stream] {
                self.report.ssrc_changes += 1;
            } else if (cursor.stream, cursor.segment) != (stream, segment) {
                self.report.reanchored += 1;
            }
        }
    }
}
