//! `audio_macro`: media, prompts, texts, things to say and tones, one after the other as if they were one.

use callreel_proto::{Application, Terminators, Tone};
use serde_json::{Map, Value};

use crate::data::Data;
use crate::flow::kind;
use crate::marker::Marker;
use crate::speech;
use crate::stage::{Module, Stage, Turn};
use crate::wait::{Await, Keys, Outcome};

/// More would not fit into a switch's queue; nobody listens to a hundred parts.
const MOST_MACROS: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct AudioMacro {
    /// The marker behind the last part.
    marker: Option<Marker>,
    /// Keys that end the whole.
    keys: String,
}

impl Module for AudioMacro {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let parts = parts(stage);
        if parts.is_empty() {
            stage.warn_of("macros", "there is nothing to play; skipped");
            return Turn::next();
        }
        self.keys = stage.terminators().0;
        for part in parts {
            stage.command(part);
        }
        self.marker = Some(stage.marker_behind());
        self.listen()
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Key(key) => {
                stage.keep_key(key);
                if !self.keys.contains(key) {
                    return self.listen();
                }
                stage.flush();
                Turn::next()
            }
            _ => Turn::next(),
        }
    }
}

impl AudioMacro {
    fn listen(&self) -> Turn {
        let Some(marker) = self.marker.clone() else {
            return Turn::next();
        };
        let keys = Keys::End;
        Turn::Wait(Await::Mark { marker, keys })
    }
}

/// What is played, in its order; what cannot be is left out with a warning.
fn parts(stage: &mut Stage) -> Vec<Application> {
    let Some(Value::Array(macros)) = stage.value("macros") else {
        return Vec::new();
    };
    if macros.len() > MOST_MACROS {
        let message = format!("{} parts; only {MOST_MACROS} are played", macros.len());
        stage.warn_of("macros", message);
    }
    let language = stage.text("language").unwrap_or_else(|| stage.language());
    let terminators = stage.terminators();
    let mut parts = Vec::new();
    for (at, item) in macros.iter().take(MOST_MACROS).enumerate() {
        let place = format!("{}/data/macros/{at}", stage.pointer());
        let Value::Object(item) = item else {
            stage.warn_at(
                &place,
                format!("wanted an object, found {}; skipped", kind(item)),
            );
            continue;
        };
        let mut data = Data::new(item, place);
        let part = part(&mut data, item, stage, &language, &terminators);
        parts.extend(part);
        for (pointer, message) in data.warnings {
            stage.warn_at(&pointer, message);
        }
    }
    parts
}

fn part(
    data: &mut Data<'_>,
    item: &Map<String, Value>,
    stage: &Stage,
    language: &str,
    terminators: &Terminators,
) -> Option<Application> {
    let keys = |data: &mut Data<'_>| match item.contains_key("terminators") {
        true => data.terminators(),
        false => terminators.clone(),
    };
    match data.text("macro").as_deref() {
        Some("play") => {
            let media = speech::media(data, "id", &stage.call.account_id);
            Some(play(named(data, media)?, keys(data)))
        }
        Some("prompt") => {
            let id = data.text("id");
            let id = named(data, id)?;
            let own = data.text("language").unwrap_or_else(|| language.to_owned());
            Some(play(speech::prompt_in(&id, &own, stage), keys(data)))
        }
        Some("say") => speech::said(data, language),
        Some("tts") => {
            let mut text = speech::spoken(data, Some(language))?;
            if let Application::Tts { terminators, .. } = &mut text {
                *terminators = keys(data);
            }
            Some(text)
        }
        Some("tone") => Some(Application::Tones {
            tones: vec![tone(data)?],
            terminators: keys(data),
            leg: None,
        }),
        other => {
            let message = format!(
                "{:?} is nothing that can be played; use play, prompt, say, tts or tone; skipped",
                other.unwrap_or_default()
            );
            data.warn_of("macro", message);
            None
        }
    }
}

/// What `id` names; a warning if it names nothing.
fn named(data: &mut Data<'_>, found: Option<String>) -> Option<String> {
    if found.is_none() && data.warnings.is_empty() {
        data.warn_of("id", "nothing to play is named; skipped");
    }
    found
}

fn play(media_name: String, terminators: Terminators) -> Application {
    Application::Play {
        media_name,
        terminators,
        endless: None,
        loop_count: None,
        leg: None,
    }
}

fn tone(data: &mut Data<'_>) -> Option<Tone> {
    let frequencies: Vec<String> = match data.value("frequencies") {
        Some(Value::Array(all)) => all.iter().filter_map(hertz).collect(),
        Some(one) => hertz(one).into_iter().collect(),
        None => Vec::new(),
    };
    if frequencies.is_empty() {
        data.warn_of(
            "frequencies",
            "a tone needs at least one frequency in Hz; skipped",
        );
        return None;
    }
    let ms = |found: Option<u64>| found.unwrap_or(0).to_string();
    Some(Tone {
        frequencies,
        duration_on: ms(data.whole("duration_on").or(Some(500))),
        duration_off: ms(data.whole("duration_off")),
        repeat: data.whole("repeat").filter(|times| *times > 1),
    })
}

fn hertz(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let hz: f64 = text.parse().ok()?;
    (1.0..=20_000.0).contains(&hz).then_some(text)
}
