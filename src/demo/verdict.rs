//! Judges a delivered recording against what was said during the call. Pure: it is given everything and measures only.

use std::time::Duration;

use callreel_media::Pcm;

use super::script::{Party, RATE};
use crate::correlation::{Match, find, presence};

/// A file may be so much longer or shorter than the call was recorded, and a voice so much off its place.
const TOLERANCE: Duration = Duration::from_millis(60);
/// A voice found in a file resembles what was said at least so much. MP3 at a telephone's bitrate keeps about 0.95.
pub(super) const LEAST_LIKENESS: f64 = 0.8;
/// The wrong channel may carry this share of a voice's amplitude: -30 dB.
const MOST_LEAKAGE: f64 = 0.0316;
/// A leak would lie within this of the voice itself, samples.
const LEAK_SLACK: usize = RATE as usize / 50;

/// A line as it was said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) who: Party,
    pub(crate) sound: Pcm,
    /// Since the recording was known to run.
    pub(crate) at: Duration,
    /// Nobody else spoke meanwhile.
    pub(crate) alone: bool,
}

/// How long the call was recorded, as seen from outside: it began after the INVITE and before it was announced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// From the announcement to the hang-up.
    pub(crate) least: Duration,
    /// From the INVITE to the hang-up.
    pub(crate) most: Duration,
}

/// One thing that must hold, and whether it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) holds: bool,
    pub(crate) what: String,
    pub(crate) detail: String,
}

impl Finding {
    fn new(holds: bool, what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            holds,
            what: what.into(),
            detail: detail.into(),
        }
    }
}

struct Heard<'a> {
    said: &'a Said,
    found: Option<Match>,
}

/// Everything that must hold of the file. Stops early only when there are no two channels to measure.
pub(crate) fn judge(channels: &[Pcm], said: &[Said], span: Span) -> Vec<Finding> {
    let [left, right] = channels else {
        let detail = format!("{} of them; left and right were expected", channels.len());
        return vec![Finding::new(false, "two channels", detail)];
    };
    let mut findings = vec![length(left.duration(), span)];
    let sides = [left.resampled(RATE), right.resampled(RATE)];
    let heard: Vec<Heard<'_>> = said
        .iter()
        .map(|said| Heard {
            said,
            found: find(&said.sound.samples, &side_of(said.who, &sides).samples),
        })
        .collect();
    for who in [Party::Caller, Party::Callee] {
        findings.push(likeness(who, &heard));
    }
    findings.push(alignment(&heard));
    findings.push(separation(&heard, &sides));
    findings
}

fn side_of(who: Party, sides: &[Pcm; 2]) -> &Pcm {
    match who {
        Party::Caller => &sides[0],
        Party::Callee => &sides[1],
    }
}

fn length(file: Duration, span: Span) -> Finding {
    let holds = file + TOLERANCE >= span.least && file <= span.most + TOLERANCE;
    let detail = format!(
        "{:.3} s; recorded for {:.3} to {:.3} s",
        file.as_secs_f64(),
        span.least.as_secs_f64(),
        span.most.as_secs_f64()
    );
    Finding::new(holds, "length", detail)
}

fn likeness(who: Party, heard: &[Heard<'_>]) -> Finding {
    let scores: Vec<f64> = heard
        .iter()
        .filter(|heard| heard.said.who == who)
        .map(|heard| heard.found.map_or(0.0, |found| found.score))
        .collect();
    let worst = scores.iter().copied().fold(1.0, f64::min);
    let side = match who {
        Party::Caller => "left",
        Party::Callee => "right",
    };
    let lines = scores.len();
    Finding::new(
        lines > 0 && worst >= LEAST_LIKENESS,
        format!("{} on the {side}", who.name()),
        format!("{lines} lines found, likeness {worst:.3} or better"),
    )
}

/// Where each line lies against when it was said, ms. All agree but for a common offset: the way through the switch and
/// the moment the recording began.
fn alignment(heard: &[Heard<'_>]) -> Finding {
    let offsets: Vec<f64> = heard
        .iter()
        .filter_map(|heard| {
            let found = heard.found?.at as f64 / f64::from(RATE);
            Some((found - heard.said.at.as_secs_f64()) * 1000.0)
        })
        .collect();
    if offsets.len() < heard.len() || offsets.is_empty() {
        return Finding::new(false, "alignment", "a line was not found at all");
    }
    let least = offsets.iter().copied().fold(f64::INFINITY, f64::min);
    let most = offsets.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let holds = most - least <= TOLERANCE.as_secs_f64() * 1000.0;
    let detail = format!(
        "voices lie {:+.1} ms from when they were spoken, {:.1} ms apart at worst",
        f64::midpoint(least, most),
        most - least
    );
    Finding::new(holds, "alignment", detail)
}

fn separation(heard: &[Heard<'_>], sides: &[Pcm; 2]) -> Finding {
    let worst = heard
        .iter()
        .filter(|heard| heard.said.alone)
        .filter_map(|heard| {
            let other = side_of(heard.said.who.other(), sides);
            let at = heard.found?.at;
            Some(presence(
                &heard.said.sound.samples,
                &other.samples,
                at,
                LEAK_SLACK,
            ))
        })
        .fold(0.0, f64::max);
    let detail = if worst < 1e-4 {
        "nothing of a voice in the other channel".to_owned()
    } else {
        format!(
            "a voice in the other channel is at {:.0} dB",
            20.0 * worst.log10()
        )
    };
    Finding::new(worst <= MOST_LEAKAGE, "separation", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32, length: usize) -> Pcm {
        let mut state = seed;
        let samples = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as i16 / 4
            })
            .collect();
        Pcm {
            sample_rate: RATE,
            samples,
        }
    }

    fn said(who: Party, seed: u32, at_ms: u64) -> Said {
        Said {
            who,
            sound: noise(seed, 8000),
            at: Duration::from_millis(at_ms),
            alone: true,
        }
    }

    /// Six seconds, every line 25 ms later than it was said.
    fn recording(lines: &[(usize, &Said)]) -> Vec<Pcm> {
        let mut sides = vec![
            Pcm {
                sample_rate: RATE,
                samples: vec![0; 48_000],
            };
            2
        ];
        for (side, said) in lines {
            let at = (said.at.as_millis() as usize + 25) * 8;
            sides[*side].samples[at..at + 8000].copy_from_slice(&said.sound.samples);
        }
        sides
    }

    fn span(ms: u64) -> Span {
        Span {
            least: Duration::from_millis(ms - 10),
            most: Duration::from_millis(ms),
        }
    }

    fn failing(findings: &[Finding]) -> Vec<&str> {
        findings
            .iter()
            .filter(|finding| !finding.holds)
            .map(|finding| finding.what.as_str())
            .collect()
    }

    fn pair() -> (Said, Said) {
        (said(Party::Caller, 1, 1000), said(Party::Callee, 2, 3000))
    }

    #[test]
    fn a_good_recording_passes_and_says_how_good() {
        let (ann, ben) = pair();
        let file = recording(&[(0, &ann), (1, &ben)]);
        let findings = judge(&file, &[ann, ben], span(6000));
        assert!(failing(&findings).is_empty(), "{findings:#?}");
        let alignment = &findings[3].detail;
        assert!(alignment.contains("+25.0 ms"), "{alignment}");
    }

    #[test]
    fn swapped_channels_fail_for_both_voices() {
        let (ann, ben) = pair();
        let file = recording(&[(1, &ann), (0, &ben)]);
        let findings = judge(&file, &[ann, ben], span(6000));
        assert!(failing(&findings).contains(&"Ann on the left"));
        assert!(failing(&findings).contains(&"Ben on the right"));
    }

    #[test]
    fn a_wrong_length_fails() {
        let (ann, ben) = pair();
        let file = recording(&[(0, &ann), (1, &ben)]);
        let said = [ann, ben];
        assert_eq!(failing(&judge(&file, &said, span(6080))), ["length"]);
        assert_eq!(failing(&judge(&file, &said, span(5930))), ["length"]);
        assert!(failing(&judge(&file, &said, span(6060))).is_empty());
    }

    #[test]
    fn a_voice_out_of_place_fails() {
        let (ann, ben) = pair();
        let late = Said {
            at: ben.at + Duration::from_millis(70),
            ..ben.clone()
        };
        let file = recording(&[(0, &ann), (1, &late)]);
        let findings = judge(&file, &[ann, ben], span(6000));
        assert_eq!(failing(&findings), ["alignment"]);
    }

    #[test]
    fn a_voice_in_both_channels_fails() {
        let (ann, ben) = pair();
        let mut file = recording(&[(0, &ann), (1, &ben)]);
        let at = 1025 * 8;
        for (n, sample) in ann.sound.samples.iter().enumerate() {
            file[1].samples[at + n] = sample / 16;
        }
        let findings = judge(&file, &[ann, ben], span(6000));
        assert_eq!(failing(&findings), ["separation"]);
    }

    #[test]
    fn mono_is_not_two_channels() {
        let (ann, ben) = pair();
        let file = recording(&[(0, &ann), (0, &ben)]);
        let findings = judge(&file[..1], &[ann, ben], span(6000));
        assert_eq!(failing(&findings), ["two channels"]);
    }

    #[test]
    fn a_silent_file_fails_without_panic() {
        let (ann, ben) = pair();
        let findings = judge(&recording(&[]), &[ann, ben], span(6000));
        assert!(failing(&findings).len() >= 3);
    }
}
