//! Where audio is missing in one leg because packets never came, or too late: spans for a picture, few enough for a document.

use crate::render::report::united;

/// Most spans that are told of a leg.
const MOST: usize = 200;
/// Spans that are nearer than this to each other are told as one, once there are too many; then twice that, and so on.
const NEAR_MS: u64 = 250;

/// The gaps of one leg, in milliseconds of the file.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    spans: Vec<(u64, u64)>,
    near: u64,
}

impl Gaps {
    /// Notes a gap: from and until before.
    pub(crate) fn note(&mut self, from: u64, until: u64) {
        self.spans.push((from, until));
        self.unite();
        while self.spans.len() > MOST {
            self.near = (self.near * 2).max(NEAR_MS);
            self.unite();
        }
    }

    fn unite(&mut self) {
        let near = self.near;
        let reaching = self.spans.iter().map(|(from, until)| (*from, until + near));
        let united = united(reaching.collect()).into_iter();
        self.spans = united.map(|(from, until)| (from, until - near)).collect();
    }

    /// The spans in order, apart.
    pub(crate) fn spans(&self) -> Vec<(u64, u64)> {
        self.spans.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_one_by_one_until_there_are_too_many() {
        let mut gaps = Gaps::default();
        gaps.note(1000, 1040);
        gaps.note(500, 520);
        gaps.note(1040, 1060);
        assert_eq!(gaps.spans(), [(500, 520), (1000, 1060)]);
        for n in 0..100_000 {
            gaps.note(2000 + n * 100, 2020 + n * 100);
        }
        let spans = gaps.spans();
        assert!(spans.len() <= MOST);
        assert_eq!(spans[0].0, 500);
        assert_eq!(spans.last(), Some(&(2000, 2020 + 99_999 * 100)));
        assert!(spans.is_sorted());
    }
}
