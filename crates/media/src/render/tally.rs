//! Counts how many packets of each stream never came, from the sequence numbers that did.

#[derive(Clone, Copy)]
struct Range {
    first: i64,
    last: i64,
    came: u64,
}

/// Sequence numbers seen once each, by stream.
#[derive(Default)]
pub(crate) struct Tally {
    streams: Vec<Option<Range>>,
}

impl Tally {
    /// Counts a packet that was not counted before.
    pub(crate) fn count(&mut self, stream: usize, sequence: i64) {
        if self.streams.len() <= stream {
            self.streams.resize(stream + 1, None);
        }
        let range = self.streams[stream].get_or_insert(Range {
            first: sequence,
            last: sequence,
            came: 0,
        });
        range.first = range.first.min(sequence);
        range.last = range.last.max(sequence);
        range.came += 1;
    }

    /// Packets missing between the first and the last of their stream.
    pub(crate) fn lost(&self) -> u64 {
        self.streams
            .iter()
            .flatten()
            .map(|range| (range.last - range.first + 1).unsigned_abs() - range.came)
            .sum()
    }
}
