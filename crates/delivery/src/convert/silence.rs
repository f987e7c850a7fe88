//! Silences spans of a decoded file that a switch could not leave out by itself: masks of a message. Decides none of them.

/// The spans of one file.
pub(super) struct Silence {
    /// Sample positions: from, until; in order.
    spans: Vec<(u64, u64)>,
    /// Samples passed so far.
    position: u64,
    block: Vec<Vec<i16>>,
}

impl Silence {
    /// Of spans in nanoseconds from the file's beginning.
    pub(super) fn over(spans_ns: &[(u64, u64)], sample_rate: u32) -> Self {
        // What is masked in part is masked.
        let scaled = |ns: u64| u128::from(ns) * u128::from(sample_rate);
        let position = |samples: u128| u64::try_from(samples).unwrap_or(u64::MAX);
        let span = |(from, until): &(u64, u64)| {
            let from = scaled(*from) / 1_000_000_000;
            let until = scaled(*until).div_ceil(1_000_000_000);
            (position(from), position(until))
        };
        Self {
            spans: spans_ns.iter().map(span).collect(),
            position: 0,
            block: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The next block of the file, silent where it has to be.
    pub(super) fn pass<'a>(&'a mut self, block: &'a [Vec<i16>]) -> &'a [Vec<i16>] {
        let length = block.first().map_or(0, Vec::len);
        let start = self.position;
        self.position += length as u64;
        let within =
            |at: u64| usize::try_from(at.saturating_sub(start)).map_or(length, |at| at.min(length));
        let here = self
            .spans
            .iter()
            .map(|(from, until)| within(*from)..within(*until));
        let here: Vec<_> = here.filter(|span| !span.is_empty()).collect();
        if here.is_empty() {
            return block;
        }
        self.block = block.to_vec();
        for channel in &mut self.block {
            for span in &here {
                channel[span.clone()].fill(0);
            }
        }
        &self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_silent_however_the_file_is_cut_into_blocks() {
        // From sample 3 (in part) to sample 6 (in part), and beyond the end.
        let spans = [(375_001, 750_001), (1_000_000, u64::MAX)];
        let expected = [1, 1, 1, 0, 0, 0, 0, 1, 0, 0];
        for size in 1..=10 {
            let mut silence = Silence::over(&spans, 8000);
            let heard: Vec<i16> = [1_i16; 10]
                .chunks(size)
                .flat_map(|chunk| {
                    let block = [chunk.to_vec(), vec![2; chunk.len()]];
                    let passed = silence.pass(&block);
                    assert!(passed[0].iter().zip(&passed[1]).all(|(a, b)| 2 * a == *b));
                    passed[0].clone()
                })
                .collect();
            assert_eq!(heard, expected, "blocks of {size}");
        }
    }
}
