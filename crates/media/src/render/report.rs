//! What a rendition has to tell about itself: lengths, losses and corrections.

use std::time::Duration;

/// What happened to one leg within the cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegReport {
    /// Audio packets that came, duplicates not counted.
    pub packets: u64,
    /// Packets that never came, by their sequence numbers.
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

impl LegReport {
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
    /// A and B. A leg that is not in the file has an empty report.
    pub legs: [LegReport; 2],
    /// The farthest the two legs can be apart from where they should be.
    pub worst_misalignment: Duration,
}
