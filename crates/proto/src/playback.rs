//! The parts of commands that play something: who hears it, terminating digits and tones.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::lenient::{Loose, loose, loose_by_serde, some_text, some_texts};

/// The keys of a telephone.
const KEYS: &str = "1234567890*#";

/// Digits that end a playback or a recording. Read from a list of keys or from one string of them; what is no key of a
/// telephone, as in `"none"`, ends nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Vec<String>")]
pub struct Terminators(pub String);

impl Terminators {
    /// Every key of a telephone: Kazoo's default for playback.
    pub fn any() -> Self {
        Self(KEYS.to_owned())
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

impl Loose for Terminators {
    fn read(json: &Value) -> Option<Self> {
        let listed = Vec::<String>::read(json).map(|keys| keys.concat());
        let keys = listed.or_else(|| String::read(json))?;
        Some(Self(keys.chars().filter(|k| KEYS.contains(*k)).collect()))
    }
}

impl TryFrom<Value> for Terminators {
    type Error = &'static str;

    fn try_from(json: Value) -> Result<Self, Self::Error> {
        Self::read(&json).ok_or("expected a list of keys")
    }
}

impl From<Terminators> for Vec<String> {
    fn from(t: Terminators) -> Self {
        t.0.chars().map(String::from).collect()
    }
}

/// Who hears what a command plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hearers {
    /// The leg the command is about.
    #[serde(rename = "A")]
    Own,
    /// The leg it is bridged to.
    #[serde(rename = "B")]
    Other,
    /// Both.
    Both,
}

loose_by_serde!(Hearers);

/// One tone of a `tones` command.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tone {
    /// Frequencies in Hz, sounded together.
    #[serde(deserialize_with = "some_texts")]
    pub frequencies: Vec<String>,
    /// Milliseconds of sound.
    #[serde(rename = "Duration-ON", deserialize_with = "some_text")]
    pub duration_on: String,
    /// Milliseconds of silence after it.
    #[serde(rename = "Duration-OFF", deserialize_with = "some_text")]
    pub duration_off: String,
    /// How often; 1 when absent.
    #[serde(default, deserialize_with = "loose")]
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
