//! What the two phones of the demo say to each other, and how it sounds.

use std::f64::consts::TAU;

use callreel_media::{Pcm, speak};

/// Sample rate of what is said: that of the G.711 call, so that what is compared later is what was played.
pub(crate) const RATE: u32 = 8000;
/// Without a speech engine, every letter is a tone of this length.
const LETTER_MS: u32 = 45;
/// Peak of such a tone.
const LETTER_PEAK: f64 = 9000.0;

/// One of the two parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party {
    /// Ann, who calls: left.
    Caller,
    /// Ben, who is called: right.
    Callee,
}

impl Party {
    /// Her or his name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Caller => "Ann",
            Self::Callee => "Ben",
        }
    }

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }

    fn voice(self) -> &'static str {
        match self {
            Self::Caller => "female",
            Self::Callee => "male",
        }
    }

    /// Frequency of the letter `a` in a melody, Hz.
    pub(super) fn pitch(self) -> f64 {
        match self {
            Self::Caller => 620.0,
            Self::Callee => 330.0,
        }
    }
}

/// Something one of them says.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) who: Party,
    pub(crate) text: &'static str,
    pub(crate) sound: Pcm,
}

/// A step of the conversation: one line alone, or two at the same time.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    Alone(Line),
    Both(Line, Line),
}

/// The conversation.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) turns: Vec<Turn>,
    /// Why tones are heard instead of words, if they are.
    pub(crate) toneless: Option<String>,
}

const ALONE: [(Party, &str); 4] = [
    (Party::Caller, "Hello Ben. Can you hear me?"),
    (Party::Callee, "Loud and clear. Are we being recorded?"),
    (
        Party::Caller,
        "Yes. I am on the left, you are on the right.",
    ),
    (Party::Callee, "Then let us both talk at the same time."),
];
const TOGETHER: [&str; 2] = [
    "One, two, three, four, five.",
    "Red, green, yellow, blue, white.",
];

impl Script {
    /// Prepares every sound; takes a moment with a speech engine.
    pub(crate) fn prepare() -> Self {
        let mut toneless = None;
        let mut line = |who: Party, text: &'static str| {
            let sound = speak(text, Some(who.voice()), None)
                .inspect_err(|error| toneless = Some(error.to_string()))
                .map_or_else(
                    |_| tones(text, who.pitch()),
                    |spoken| spoken.resampled(RATE),
                );
            Line { who, text, sound }
        };
        let mut turns: Vec<Turn> = ALONE
            .into_iter()
            .map(|(who, text)| Turn::Alone(line(who, text)))
            .collect();
        turns.push(Turn::Both(
            line(Party::Caller, TOGETHER[0]),
            line(Party::Callee, TOGETHER[1]),
        ));
        Self { turns, toneless }
    }
}

/// A text as a melody, for those without a speech engine: different texts are different melodies, and so are different pitches.
pub(super) fn tones(text: &str, pitch: f64) -> Pcm {
    let letter_samples = RATE * LETTER_MS / 1000;
    let mut samples = Vec::new();
    for byte in text.bytes().map(|b| b.to_ascii_lowercase()) {
        // A quarter tone per letter of the alphabet; what is no letter is a pause.
        let hertz = byte
            .is_ascii_lowercase()
            .then(|| pitch * 2_f64.powf(f64::from(byte - b'a') / 24.0));
        samples.extend((0..letter_samples).map(|n| {
            let place = f64::from(n) / f64::from(letter_samples);
            let fade = (place * TAU / 2.0).sin();
            let phase = f64::from(n) * hertz.unwrap_or(0.0) * TAU / f64::from(RATE);
            (LETTER_PEAK * fade * phase.sin()) as i16
        }));
    }
    Pcm {
        sample_rate: RATE,
        samples,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlation::find;

    #[test]
    fn melodies_of_different_lines_do_not_resemble_each_other() {
        let texts: Vec<(&str, f64)> = ALONE
            .iter()
            .map(|(who, text)| (*text, who.pitch()))
            .chain([
                (TOGETHER[0], Party::Caller.pitch()),
                (TOGETHER[1], Party::Callee.pitch()),
            ])
            .collect();
        for (i, (text, pitch)) in texts.iter().enumerate() {
            let known = tones(text, *pitch);
            for (other_text, other_pitch) in &texts[i + 1..] {
                let mut recording = vec![0; known.samples.len()];
                recording.extend(tones(other_text, *other_pitch).samples);
                recording.extend(vec![0; known.samples.len()]);
                let score = find(&known.samples, &recording).map_or(0.0, |m| m.score);
                assert!(score < 0.5, "{text:?} resembles {other_text:?}: {score}");
            }
        }
    }

    #[test]
    fn the_conversation_is_short_and_has_both_parties() {
        let script = Script::prepare();
        let seconds: f64 = script
            .turns
            .iter()
            .map(|turn| match turn {
                Turn::Alone(line) => line.sound.duration().as_secs_f64(),
                Turn::Both(a, b) => a.sound.duration().max(b.sound.duration()).as_secs_f64(),
            })
            .sum();
        assert!((5.0..18.0).contains(&seconds), "{seconds}");
        assert_eq!(script.toneless.is_none(), cfg!(feature = "espeak"));
    }
}
