//! Counts how many packets of each stream never came, from the sequence numbers that did.

#[derive(Clone, Copy)]
struct Range {
    first: i64,
    last: i64,
    came: u64,
    /// Numbers that passed while another stream had the leg: they were sent, but not to us.
    elsewhere: u64,
    /// The latest such numbers: from, and until before.
    away: (i64, i64),
}

/// Sequence numbers seen once each, by stream.
#[derive(Default)]
pub(crate) struct Tally {
    streams: Vec<Option<Range>>,
    /// The stream that was counted last.
    speaking: usize,
}

impl Tally {
    /// Counts a packet that was not counted before, in order of arrival.
    pub(crate) fn count(&mut self, stream: usize, sequence: i64) {
        if self.streams.len() <= stream {
            self.streams.resize(stream + 1, None);
        }
        let range = self.streams[stream].get_or_insert(Range {
            first: sequence,
            last: sequence,
            came: 0,
            elsewhere: 0,
            away: (sequence, sequence),
        });
        if self.speaking != stream && sequence > range.last + 1 {
            range.away = (range.last + 1, sequence);
            range.elsewhere += (sequence - range.last - 1).unsigned_abs();
        } else if (range.away.0..range.away.1).contains(&sequence) {
            range.elsewhere -= 1;
        }
        range.first = range.first.min(sequence);
        range.last = range.last.max(sequence);
        range.came += 1;
        self.speaking = stream;
    }

    /// Packets missing between the first and the last of their stream, but for those that passed while another stream had the leg.
    pub(crate) fn lost(&self) -> u64 {
        self.streams
            .iter()
            .flatten()
            .map(|range| {
                let sent = (range.last - range.first + 1).unsigned_abs() - range.elsewhere;
                sent.saturating_sub(range.came)
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(came: &[(usize, i64)]) -> u64 {
        let mut tally = Tally::default();
        for (stream, sequence) in came {
            tally.count(*stream, *sequence);
        }
        tally.lost()
    }

    #[test]
    fn what_passes_while_another_stream_speaks_is_not_lost() {
        assert_eq!(lost(&[(0, 10), (0, 13)]), 2);
        assert_eq!(lost(&[(0, 10), (1, 500), (0, 13), (0, 15)]), 1);
        assert_eq!(lost(&[(0, 10), (1, 500), (0, 13), (1, 503)]), 0);
        assert_eq!(lost(&[(0, 10), (1, 500), (1, 502), (0, 40)]), 1);
    }

    #[test]
    fn stragglers_are_counted_once() {
        assert_eq!(lost(&[(0, 10), (0, 13), (0, 11)]), 1);
        assert_eq!(lost(&[(0, 10), (1, 500), (0, 13), (0, 12), (0, 9)]), 0);
        assert_eq!(lost(&[(0, 10), (0, 12), (1, 500), (0, 14), (0, 11)]), 0);
    }
}
