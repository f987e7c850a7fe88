//! Mends what clocks and networks do to a run of samples: a sample more or less, and a lost packet covered up.

/// Longest pitch period looked for: 66 Hz, a deep voice.
const LONGEST_PERIOD_MS: usize = 15;
/// Shortest pitch period looked for: 400 Hz, a child's voice.
const SHORTEST_PERIOD_MS: f64 = 2.5;
/// Blend of the cover into the audio after the gap.
const BLEND_MS: usize = 4;
/// After this long the cover has faded out: a repeated pitch sounds like a machine.
const FADE_MS: usize = 60;

/// Index of the pair of neighbours that differ least, away from the ends.
fn calmest_spot(pcm: &[i16]) -> usize {
    (1..pcm.len().saturating_sub(2))
        .min_by_key(|n| {
            let step = |at: usize| (i32::from(pcm[at + 1]) - i32::from(pcm[at])).abs();
            step(n - 1) + step(*n) + step(n + 1)
        })
        .unwrap_or(0)
}

/// Makes the run one sample longer where that is heard least.
pub(crate) fn insert_sample(pcm: &mut Vec<i16>) {
    if pcm.len() < 2 {
        return;
    }
    let at = calmest_spot(pcm);
    let between = i16::midpoint(pcm[at], pcm[at + 1]);
    pcm.insert(at + 1, between);
}

/// Makes the run one sample shorter where that is heard least.
pub(crate) fn drop_sample(pcm: &mut Vec<i16>) {
    if pcm.len() < 2 {
        return;
    }
    let at = calmest_spot(pcm);
    pcm[at] = i16::midpoint(pcm[at], pcm[at + 1]);
    pcm.remove(at + 1);
}

/// Covers a short gap by going on with the last pitch period, fading, and blends it into `next`.
///
/// Gives exactly `gap` samples, or `None` when there is too little audio before the gap to go on with.
pub(crate) fn cover(
    before: &[i16],
    gap: usize,
    next: &mut [i16],
    sample_rate: u32,
) -> Option<Vec<i16>> {
    let ms = sample_rate as usize / 1000;
    let period = pitch_period(before, ms)?;
    let last = &before[before.len() - period..];
    let fade = (FADE_MS * ms) as f64;
    let blend = (BLEND_MS * ms).min(next.len());
    let mut covered: Vec<i16> = (0..gap + blend)
        .map(|n| (f64::from(last[n % period]) * (1.0 - n as f64 / fade).max(0.0)) as i16)
        .collect();
    for (n, cover) in covered.drain(gap..).enumerate() {
        let share = (n + 1) as f64 / (blend + 1) as f64;
        next[n] = (f64::from(next[n]) * share + f64::from(cover) * (1.0 - share)) as i16;
    }
    Some(covered)
}

/// The lag at which the end of `before` resembles itself most.
fn pitch_period(before: &[i16], ms: usize) -> Option<usize> {
    let longest = LONGEST_PERIOD_MS * ms;
    let recent = before.get(before.len().checked_sub(2 * longest)?..)?;
    let likeness = |lag: usize| {
        let now = &recent[longest..];
        let then = &recent[longest - lag..recent.len() - lag];
        let product = |a: &[i16], b: &[i16]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        product(now, then) / product(then, then).sqrt().max(1.0)
    };
    let shortest = (SHORTEST_PERIOD_MS * ms as f64) as usize;
    (shortest..=longest).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(n: usize) -> i16 {
        let t = n as f64 / 8000.0 * std::f64::consts::TAU;
        ((t * 125.0).sin() * 6000.0 + (t * 250.0).sin() * 3000.0) as i16
    }

    fn largest_step(pcm: &[i16]) -> u16 {
        pcm.windows(2)
            .map(|w| w[0].abs_diff(w[1]))
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_sample_more_or_less_makes_no_click() {
        let plain: Vec<i16> = (0..160).map(voice).collect();
        let mut longer = plain.clone();
        insert_sample(&mut longer);
        assert_eq!(longer.len(), 161);
        let mut shorter = plain.clone();
        drop_sample(&mut shorter);
        assert_eq!(shorter.len(), 159);
        assert!(largest_step(&longer) <= largest_step(&plain));
        assert!(largest_step(&shorter) <= largest_step(&plain));
        assert_eq!((longer[0], longer[160]), (plain[0], plain[159]));
        for tiny in 0..4 {
            let mut run = vec![5; tiny];
            insert_sample(&mut run);
            drop_sample(&mut run);
            assert_eq!(run.len(), tiny);
        }
    }

    #[test]
    fn a_covered_gap_sounds_like_the_voice_around_it() {
        let before: Vec<i16> = (0..320).map(voice).collect();
        let mut next: Vec<i16> = (480..640).map(voice).collect();
        let covered = cover(&before, 160, &mut next, 8000).unwrap();
        assert_eq!((covered.len(), next.len()), (160, 160));
        let whole = [&before[..], &covered, &next].concat();
        assert!(largest_step(&whole) < largest_step(&before) * 3 / 2);
        let likeness: f64 = covered
            .iter()
            .zip(320..)
            .map(|(c, n)| f64::from(*c) * f64::from(voice(n)))
            .sum();
        let energy: f64 = (320..480).map(|n| f64::from(voice(n)).powi(2)).sum();
        assert!(likeness / energy > 0.7, "{}", likeness / energy);
    }

    #[test]
    fn with_too_little_before_the_gap_it_is_left_silent() {
        assert_eq!(cover(&[1; 100], 160, &mut [0; 160], 8000), None);
        assert_eq!(cover(&[], 160, &mut [], 8000), None);
    }
}
