//! What the people of a made-up call do, and when: a script's lines. Makes nothing happen.

use std::time::Duration;

use callreel_proto::{HangupCause, Terminators};

/// More than a walk hears.
const LONGEST: usize = 200;
/// A script is of one call, and no call lasts longer.
const LATEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What people do in a made-up call, in order of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    steps: Vec<(Duration, Step)>,
}

/// One thing they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The caller presses these keys.
    Press(String),
    /// Who rings then answers.
    Answer,
    /// Who rings then does not, for this cause, with this SIP code.
    Refuse(HangupCause, &'static str),
    /// Who was called hangs up.
    Part,
    /// The caller hangs up.
    HangUp,
}

/// A line of a script that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the script: {reason}")]
pub struct BadScript {
    /// Counted from 1.
    pub line: usize,
    /// Why, for people.
    pub reason: String,
}

impl Script {
    /// Reads a script: on each line a time since the call began (`3s`, `500ms`) and what happens then: `press KEYS`, `answer`,
    /// `busy`, `no_answer`, `refuse CAUSE`, `part` (who was called hangs up) or `hangup` (the caller does). A line that begins
    /// with `#` is a remark.
    ///
    /// # Errors
    /// A line is none of these, or there are more than 200.
    pub fn read(text: &str) -> Result<Self, BadScript> {
        let mut steps = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let step = step(line).map_err(|reason| BadScript {
                line: at + 1,
                reason,
            })?;
            steps.push(step);
            if steps.len() > LONGEST {
                let reason = format!("a script has at most {LONGEST} lines");
                return Err(BadScript {
                    line: at + 1,
                    reason,
                });
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        Ok(Self { steps })
    }

    /// The steps, in order of time.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &(Duration, Step)> {
        self.steps.iter()
    }

    /// Whether it says how calls to others end.
    pub(crate) fn rings(&self) -> bool {
        self.steps
            .iter()
            .any(|(_, step)| matches!(step, Step::Answer | Step::Refuse(..)))
    }
}

fn step(line: &str) -> Result<(Duration, Step), String> {
    let mut words = line.split_whitespace();
    let at = time(words.next().unwrap_or_default())?;
    let word = words.next().unwrap_or_default();
    let rest = words.next();
    if let Some(more) = words.next() {
        return Err(format!("{more:?} is one word too many"));
    }
    let step = match (word, rest) {
        ("press", Some(keys)) => Step::Press(pressed(keys)?),
        ("press", None) => return Err("which keys? write `press 123#`".to_owned()),
        ("refuse", Some(cause)) => Step::Refuse(known_cause(cause)?, "sip:480"),
        ("refuse", None) => return Err("why? write `refuse CALL_REJECTED`".to_owned()),
        (_, Some(more)) => return Err(format!("{more:?} is one word too many")),
        ("answer", None) => Step::Answer,
        ("busy", None) => Step::Refuse(HangupCause::UserBusy, "sip:486"),
        ("no_answer", None) => Step::Refuse(HangupCause::NoAnswer, "sip:480"),
        ("part", None) => Step::Part,
        ("hangup", None) => Step::HangUp,
        (other, None) => {
            return Err(format!(
                "{other:?} is nothing that happens; known are press KEYS, answer, busy, no_answer, refuse CAUSE, part, hangup"
            ));
        }
    };
    Ok((at, step))
}

fn time(word: &str) -> Result<Duration, String> {
    let (number, unit) = match word.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (word.strip_suffix('s').unwrap_or(word), 1.0),
    };
    let time = number.parse::<f64>().ok().map(|n| n * unit);
    let time = time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| *time <= LATEST)
        .ok_or_else(|| format!("{word:?} is no time since the call began; write 3s or 500ms"))
}

fn pressed(keys: &str) -> Result<String, String> {
    match keys.chars().find(|key| !Terminators::any().contains(*key)) {
        None => Ok(keys.to_owned()),
        Some(other) => Err(format!("a telephone has no key {other:?}")),
    }
}

fn known_cause(name: &str) -> Result<HangupCause, String> {
    HangupCause::of_name(name)
        .ok_or_else(|| format!("{name:?} is no hangup cause; write one like USER_BUSY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_in_order_of_time_and_remarks_are_passed_over() {
        let text = "# a caller\n\n 2.5s press 1*#\n500ms answer\n9 hangup\n3s busy\n";
        let script = Script::read(text).unwrap();
        let steps: Vec<_> = script.steps().cloned().collect();
        let ms = Duration::from_millis;
        let expected = vec![
            (ms(500), Step::Answer),
            (ms(2500), Step::Press("1*#".to_owned())),
            (ms(3000), Step::Refuse(HangupCause::UserBusy, "sip:486")),
            (ms(9000), Step::HangUp),
        ];
        assert_eq!(steps, expected);
        assert!(script.rings());
        assert!(!Script::default().rings());
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        for (text, words) in [
            ("1s", "nothing that happens"),
            ("\n1s dance", "line 2"),
            ("soon hangup", "no time"),
            ("-1s hangup", "no time"),
            ("1e300s hangup", "no time"),
            ("NaNs hangup", "no time"),
            ("1s press", "which keys"),
            ("1s press 12x", "no key 'x'"),
            ("1s refuse", "why"),
            ("1s refuse TIRED", "no hangup cause"),
            ("1s hangup now", "too many"),
            ("1s press 1 2", "too many"),
        ] {
            let error = Script::read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(Script::read(&"1s press 1\n".repeat(LONGEST + 1)).is_err());
    }
}
