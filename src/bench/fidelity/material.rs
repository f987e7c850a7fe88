//! What is said: two voices that take turns, talk over each other and pause, as two telephones would send it. The same in every run.

use callreel_media::{Error, Pcm, speak};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::band;

/// The rate everything is prepared at: enough for wideband telephones.
const WIDE: u32 = 16_000;
/// What narrowband and wideband telephones pass, Hz (ITU-T P.48 and P.341, roughly).
const NARROW_BAND: (f64, f64) = (300.0, 3400.0);
const WIDE_BAND: (f64, f64) = (50.0, 7000.0);
/// Root mean square of speech: -26 dB below full scale, the level that ITU-T tests codecs at.
const SPEECH_RMS: f64 = 1642.0;
/// Peak of the noise of line and room: -62 dBFS, as on a quiet line. Digital silence would flatter every codec.
const NOISE_PEAK: i16 = 45;
/// From one line's end to the next one's beginning, ms; below zero both talk.
const PAUSES_MS: [i64; 7] = [350, -400, 700, 150, -250, 1500, 450];
/// Nobody talks before.
const LEAD_IN_MS: i64 = 400;

/// A man calls a woman.
const VOICES: [&str; 2] = ["male", "female"];
const LINES: [[&str; 7]; 2] = [
    [
        "Good morning, I am calling about the parcel that should have come yesterday.",
        "It is a small brown box with a blue label, and it weighs about four pounds.",
        "Yes, the number is seven, three, zero, nine, five.",
        "Somebody told me the driver rang twice, but we were at home all day long.",
        "Could he leave it with the people next door, please?",
        "Fine. Then I shall wait until Thursday and call again if nothing happens.",
        "Thank you very much for looking into this so quickly.",
    ],
    [
        "Welcome to the parcel office, how may I help you this morning?",
        "Let me see. Do you happen to have the number of the shipment at hand?",
        "Just a moment, the computer is rather slow today.",
        "I am sorry to hear that. The van broke down on the way, as it seems.",
        "Of course, that can be arranged. I am changing it right now.",
        "Please do. We are open from eight in the morning until six in the evening.",
        "You are welcome. Have a pleasant week, and goodbye.",
    ],
];

/// A conversation of two, leg by leg, before any codec.
pub(crate) struct Conversation {
    /// As a wideband telephone hears them, without noise.
    wide: [Pcm; 2],
}

impl Conversation {
    /// Speaks for so long.
    ///
    /// # Errors
    /// There is no speech engine in this binary, or it failed.
    pub(crate) fn speak(seconds: u32) -> Result<Self, Error> {
        let mut lines = Vec::new();
        for (voice, texts) in VOICES.into_iter().zip(LINES) {
            let spoken = texts.map(|text| speak(text, Some(voice), None));
            let spoken: Result<Vec<Pcm>, Error> = spoken.into_iter().collect();
            lines.push(spoken?.iter().map(as_loud_as_usual).collect());
        }
        Ok(Self {
            wide: take_turns(&lines, (seconds * WIDE) as usize),
        })
    }

    /// What one telephone sends to its encoder at this rate.
    pub(crate) fn leg(&self, leg: usize, sample_rate: u32) -> Pcm {
        let (low, high) = match sample_rate {
            ..=8000 => NARROW_BAND,
            _ => WIDE_BAND,
        };
        let mut sound = self.wide[leg].resampled(sample_rate);
        sound.samples = band::limit(&sound.samples, sample_rate, low, high);
        let mut noise = StdRng::seed_from_u64(leg as u64);
        for sample in &mut sound.samples {
            let hiss = noise.random_range(-NOISE_PEAK..=NOISE_PEAK);
            *sample = sample.saturating_add(hiss);
        }
        sound
    }
}

fn as_loud_as_usual(line: &Pcm) -> Pcm {
    let mut line = line.resampled(WIDE);
    line.normalise(SPEECH_RMS);
    line
}

/// Lays out the lines of both parties on two tracks of this many samples.
fn take_turns(lines: &[Vec<Pcm>], samples: usize) -> [Pcm; 2] {
    let ms = i64::from(WIDE / 1000);
    let track = || Pcm {
        sample_rate: WIDE,
        samples: vec![0; samples],
    };
    let mut tracks = [track(), track()];
    let mut at = LEAD_IN_MS * ms;
    for (turn, pause) in PAUSES_MS.into_iter().cycle().enumerate() {
        let texts = &lines[turn % 2];
        let line = &texts[turn / 2 % texts.len()].samples;
        let begin = usize::try_from(at).unwrap_or(0);
        let Some(room) = tracks[turn % 2].samples.get_mut(begin..) else {
            break;
        };
        for (sample, said) in room.iter_mut().zip(line) {
            *sample = sample.saturating_add(*said);
        }
        at = (begin + line.len()) as i64 + pause * ms;
    }
    tracks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of so many milliseconds at a constant loudness.
    fn lines(ms: usize) -> Vec<Vec<Pcm>> {
        let line = |level| Pcm {
            sample_rate: WIDE,
            samples: vec![level; ms * 16],
        };
        vec![vec![line(1000)], vec![line(2000)]]
    }

    #[test]
    fn both_talk_alone_together_and_not_at_all() {
        let [a, b] = take_turns(&lines(2000), 30 * WIDE as usize);
        assert_eq!((a.samples.len(), b.samples.len()), (480_000, 480_000));
        let share = |a_talks: bool, b_talks: bool| {
            let both = a.samples.iter().zip(&b.samples);
            let such = both.filter(|(a, b)| (**a > 0) == a_talks && (**b > 0) == b_talks);
            such.count() as f64 / 480_000.0
        };
        assert!(share(true, false) > 0.25, "{}", share(true, false));
        assert!(share(false, true) > 0.25, "{}", share(false, true));
        assert!(share(true, true) > 0.03, "{}", share(true, true));
        assert!(share(false, false) > 0.1, "{}", share(false, false));
    }

    #[cfg(feature = "espeak")]
    #[test]
    fn it_is_the_same_every_time_and_has_the_telephone_s_loudness() {
        let (once, again) = (
            Conversation::speak(12).unwrap(),
            Conversation::speak(12).unwrap(),
        );
        for leg in [0, 1] {
            for rate in [8000, 16_000] {
                let heard = once.leg(leg, rate);
                assert_eq!(heard, again.leg(leg, rate));
                assert_eq!(heard.samples.len(), 12 * rate as usize);
                let peak = heard.samples.iter().map(|s| s.unsigned_abs()).max();
                assert!((4000..24_000).contains(&peak.unwrap()), "{peak:?}");
            }
        }
    }
}
