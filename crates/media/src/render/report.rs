//! What a rendition has to tell about itself: lengths, losses and corrections.

use std::{collections::BTreeMap, time::Duration};

use callreel_proto::{AudioReport, Leg, LegAudio};

use crate::timeline::index;

/// What happened to one leg within the cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegReport {
    /// Audio packets that came, duplicates not counted.
    pub packets: u64,
    /// Packets whose audio was taken away before they were kept: silence of the length it had.
    pub redacted: u64,
    /// Packets that never came, by their sequence numbers. What a source sent elsewhere while another one had the leg is no loss.
    pub lost: u64,
    /// Packets that came after their place in the file had been written, or whose place was taken.
    pub late: u64,
    /// Packets that came again.
    pub duplicate: u64,
    /// Audio packets whose payload could not be decoded: silence of the length they claimed.
    pub invalid: u64,
    /// Packets of payload types that are neither audio nor telephone events.
    pub unknown: u64,
    /// Packets of a source that went on after another one had taken its place.
    pub superseded: u64,
    /// Packets from more sources than a call can have.
    pub refused: u64,
    /// Where packets are missing, in milliseconds of the file: from and until, by time, apart. When there are many, near ones are told as
    /// one.
    pub gaps_ms: Vec<(u64, u64)>,
    /// Lost audio that was covered up.
    pub concealed: Duration,
    /// Time without audio: before the first packet, after the last, loss, silence suppression, hold.
    pub silence: Duration,
    /// How often another source took over.
    pub ssrc_changes: u64,
    /// How often one source paused or reset its timestamps.
    pub reanchored: u64,
    /// Audio inserted or dropped, sample by sample, to follow the sender's clock.
    pub drift_corrected: Duration,
    /// The farthest that audio lies from its place.
    pub worst_misalignment: Duration,
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl LegReport {
    /// In the words of documents.
    fn audio(&self) -> LegAudio {
        LegAudio {
            packets: self.packets,
            redacted: self.redacted,
            lost: self.lost,
            late: self.late,
            duplicate: self.duplicate,
            invalid: self.invalid,
            gaps_ms: self.gaps_ms.clone(),
            concealed_ms: ms(self.concealed),
            silence_ms: ms(self.silence),
            source_changes: self.ssrc_changes,
            drift_corrected_ms: ms(self.drift_corrected),
            worst_misalignment_us: us(self.worst_misalignment),
        }
    }

    pub(crate) fn misalign(&mut self, ns: i64) {
        let misplaced = Duration::from_nanos(ns.unsigned_abs());
        self.worst_misalignment = self.worst_misalignment.max(misplaced);
    }
}

/// What came of a rendition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Samples per channel: exactly the cut's length.
    pub samples: u64,
    /// Length in milliseconds, rounded down.
    pub duration_ms: u64,
    /// 1 or 2.
    pub channels: u16,
    /// Samples per second.
    pub sample_rate: u32,
    /// The legs that are in the file.
    pub heard: Vec<Leg>,
    /// A and B. A leg that is not in the file has an empty report.
    pub legs: [LegReport; 2],
    /// Keys that were silenced on either leg (tones and telephone events), in milliseconds of the file: from and until, by time, apart.
    pub redacted_ms: Vec<(u64, u64)>,
    /// The farthest the two legs can be apart from where they should be.
    pub worst_misalignment: Duration,
}

impl Summary {
    /// What documents tell of the rendition's audio.
    pub fn audio_report(&self) -> AudioReport {
        let leg = |leg: &Leg| (*leg, self.legs[index(*leg)].audio());
        AudioReport {
            legs: self.heard.iter().map(leg).collect::<BTreeMap<_, _>>(),
            worst_misalignment_us: us(self.worst_misalignment),
            redacted_ms: self.redacted_ms.clone(),
        }
    }
}

/// Spans in order, those that touch made one.
pub(crate) fn united(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut united: Vec<(u64, u64)> = Vec::with_capacity(spans.len());
    for (from, until) in spans {
        match united.last_mut() {
            Some((_, end)) if from <= *end => *end = until.max(*end),
            _ => united.push((from, until)),
        }
    }
    united
}

/// Spans of samples in milliseconds, rounded outwards.
pub(crate) fn spans_ms(
    spans: impl IntoIterator<Item = (u64, u64)>,
    sample_rate: u32,
) -> Vec<(u64, u64)> {
    let rate = u64::from(sample_rate.max(1));
    let in_ms = |(from, until): (u64, u64)| (from * 1000 / rate, (until * 1000).div_ceil(rate));
    united(spans.into_iter().map(in_ms).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_tell_what_was_taken_away_and_what_could_not_be_decoded() {
        let report = LegReport {
            packets: 90,
            redacted: 7,
            invalid: 3,
            ..LegReport::default()
        };
        let told = report.audio();
        assert_eq!((told.packets, told.redacted, told.invalid), (90, 7, 3));
    }
}
