//! When telephone events (RFC 4733) said that keys were pressed on one leg, and what must be silent because of it.

/// Before an event the tone was heard already: a telephone takes up to three packets to tell that a key is down.
const BEFORE_NS: i64 = 60_000_000;
/// And the key is up before the telephone says so.
const AFTER_NS: i64 = 40_000_000;
/// Presses kept apart. Nobody presses as many keys in a day; a flood of events is one long press.
const MOST_PRESSES: usize = 10_000;

/// Spans of capture time around presses, in the order they were told.
#[derive(Default)]
pub(crate) struct Keys {
    spans: Vec<(i64, i64)>,
}

impl Keys {
    /// A telephone event says that a key is down from one instant to another, at the least.
    pub(crate) fn press(&mut self, from: i64, until: i64) {
        let (from, until) = (from - BEFORE_NS, until.max(from) + AFTER_NS);
        let full = self.spans.len() >= MOST_PRESSES;
        match self.spans.last_mut() {
            Some(last) if full || (from <= last.1 && last.0 <= until) => {
                *last = (last.0.min(from), last.1.max(until));
            }
            _ => self.spans.push((from, until)),
        }
    }

    /// From and until, capture time; they may touch one another and begin before the capture.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ns = |ns: i64| u64::try_from(ns).unwrap_or(0);
        self.spans
            .iter()
            .map(move |(from, until)| (ns(*from), ns(*until)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn one_press_is_one_span_however_often_it_is_told() {
        let mut keys = Keys::default();
        keys.press(1000 * MS, 1020 * MS);
        keys.press(1000 * MS, 1100 * MS);
        keys.press(30 * MS, 50 * MS);
        let spans: Vec<(u64, u64)> = keys.spans().collect();
        assert_eq!(spans, [(940_000_000, 1_140_000_000), (0, 90_000_000)]);
    }

    #[test]
    fn a_flood_of_events_fills_no_memory_and_hides_more_rather_than_less() {
        let mut keys = Keys::default();
        for n in 0..20_000 {
            keys.press(n * 1000 * MS, n * 1000 * MS);
        }
        assert_eq!(keys.spans.len(), MOST_PRESSES);
        assert_eq!(
            keys.spans().last().map(|span| span.1),
            Some(19_999_040_000_000)
        );
    }
}
