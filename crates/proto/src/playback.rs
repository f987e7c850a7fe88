//! The parts of commands that play something: terminating digits and tones.

use serde::{Deserialize, Serialize};

use crate::lenient::opt_lenient_u64;

/// Digits that end a playback or a recording.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "TerminatorsOnWire", into = "Vec<String>")]
pub struct Terminators(pub String);

impl Terminators {
    /// Every key of a telephone: Kazoo's default for playback.
    pub fn any() -> Self {
        Self("1234567890*#".to_owned())
    }

    /// No key ends it.
    pub fn none() -> Self {
        Self(String::new())
    }

    /// Whether this key ends it.
    pub fn contains(&self, digit: char) -> bool {
        self.0.contains(digit)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TerminatorsOnWire {
    Many(Vec<String>),
    One(String),
}

impl From<TerminatorsOnWire> for Terminators {
    fn from(wire: TerminatorsOnWire) -> Self {
        match wire {
            TerminatorsOnWire::Many(digits) => Self(digits.concat()),
            TerminatorsOnWire::One(word) if word == "none" => Self::none(),
            TerminatorsOnWire::One(digits) => Self(digits),
        }
    }
}

impl From<Terminators> for Vec<String> {
    fn from(t: Terminators) -> Self {
        t.0.chars().map(String::from).collect()
    }
}

/// One tone of a `tones` command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tone {
    /// Frequencies in Hz, sounded together.
    pub frequencies: Vec<String>,
    /// Milliseconds of sound.
    #[serde(rename = "Duration-ON")]
    pub duration_on: String,
    /// Milliseconds of silence after it.
    #[serde(rename = "Duration-OFF")]
    pub duration_off: String,
    /// How often; 1 when absent.
    #[serde(
        default,
        deserialize_with = "opt_lenient_u64",
        skip_serializing_if = "Option::is_none"
    )]
    pub repeat: Option<u64>,
}

impl Tone {
    /// Kazoo's voicemail beep: 440 Hz for 500 ms, then 100 ms of silence.
    pub fn beep() -> Self {
        Self {
            frequencies: vec!["440".to_owned()],
            duration_on: "500".to_owned(),
            duration_off: "100".to_owned(),
            repeat: None,
        }
    }
}
