//! A track of audio as a line of bars, for people. Pure.

use callreel_media::level;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The loudness of `samples` over time in so many columns, relative to the loudest of them.
pub(crate) fn bars(samples: &[i16], columns: usize) -> String {
    let part = samples.len().div_ceil(columns.max(1)).max(1);
    let levels: Vec<u32> = samples.chunks(part).map(level).collect();
    let loudest = levels.iter().copied().max().unwrap_or(0).max(1);
    let highest = BARS.len() - 1;
    levels
        .iter()
        .map(|level| {
            let share = f64::from(*level) / f64::from(loudest);
            BARS[(share * highest as f64).round() as usize]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_parts_stand_out() {
        let mut samples = vec![0; 100];
        samples.extend([30_000; 100]);
        samples.extend([15_000; 100]);
        assert_eq!(bars(&samples, 6), "▁▁██▅▅");
    }

    #[test]
    fn silence_and_nothing_are_flat() {
        assert_eq!(bars(&[0; 10], 5), "▁▁▁▁▁");
        assert_eq!(bars(&[], 5), "");
        assert_eq!(bars(&[1], 0).chars().count(), 1);
    }
}
