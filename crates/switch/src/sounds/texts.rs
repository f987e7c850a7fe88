//! Texts spoken piece by piece, so that a long one is heard while the rest of it is being made.

use std::sync::Arc;

use callreel_media::{Pcm, pieces, speaks};
use tokio::sync::mpsc;

use super::voices::Engine;
use super::{Sound, Sounds};

/// Longest text spoken, in characters: about five minutes of speech.
const LONGEST_TEXT: usize = 5_000;
/// Pieces made ahead of the one that is heard, beside the one being made: seconds of speech, so the line never waits.
const AHEAD: usize = 1;

/// A text to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// `male` or `female`.
    pub(crate) voice: Option<String>,
    /// One of the HTTP engine's own.
    pub(crate) voice_name: Option<String>,
    pub(crate) language: Option<String>,
    /// Who speaks it; the switch's own choice when absent.
    pub(crate) engine: Option<String>,
}

impl Text {
    /// A text in the usual voice.
    pub(crate) fn of(text: String, language: Option<String>) -> Self {
        Self {
            text,
            voice: None,
            voice_name: None,
            language,
            engine: None,
        }
    }
}

impl Text {
    /// A caller who is spoken to in the wrong voice knows more than one who hears nothing, as in Kazoo, whose own engine reads
    /// everything as English.
    fn in_a_language_that_is_built_in(mut self) -> Self {
        let other = self
            .language
            .take_if(|language| !language.is_empty() && !speaks(language));
        if let Some(language) = other {
            tracing::warn!(
                language,
                "the built-in engine does not speak this language; it reads the text as English"
            );
        }
        self
    }

    /// The voice as this engine knows it.
    pub(super) fn voice_for(&self, engine: Engine) -> Option<&str> {
        let own = self
            .voice_name
            .as_deref()
            .filter(|_| engine == Engine::Http);
        own.or(self.voice.as_deref())
    }
}

/// The pieces of a text that are still to be heard.
#[derive(Debug)]
pub(crate) struct Rest {
    coming: mpsc::Receiver<Result<Arc<Pcm>, String>>,
    left: usize,
}

impl Rest {
    /// Makes pieces one after the other, as far ahead as wanted, until nobody wants them.
    fn begin(sounds: &Arc<Sounds>, engine: Engine, text: Text, pieces: Vec<String>) -> Self {
        let (made, coming) = mpsc::channel(AHEAD);
        let left = pieces.len();
        let sounds = sounds.clone();
        tokio::spawn(async move {
            for piece in pieces {
                let pcm = sounds.piece(engine, &text, piece).await;
                if made.send(pcm).await.is_err() {
                    return;
                }
            }
        });
        Self { coming, left }
    }

    /// The next piece, with what follows that.
    pub(crate) async fn next(mut self) -> Result<Sound, String> {
        let made = self.coming.recv().await;
        let pcm = made.ok_or("the text was broken off: its maker is gone")??;
        self.left -= 1;
        Ok(Sound {
            pcm,
            times: Some(1),
            rest: (self.left > 0).then_some(self),
        })
    }
}

impl Sounds {
    /// The beginning of a text, with its rest.
    pub(super) async fn spoken(self: &Arc<Self>, text: Text) -> Result<Sound, String> {
        let long = text.text.chars().count();
        if long > LONGEST_TEXT {
            return Err(format!(
                "the text is {long} characters long; at most {LONGEST_TEXT} are spoken"
            ));
        }
        let engine = self.voices.pick(text.engine.as_deref());
        let text = match engine {
            Engine::Embedded => text.in_a_language_that_is_built_in(),
            Engine::Http => text,
        };
        let mut pieces: Vec<String> = pieces(&text.text).into_iter().map(str::to_owned).collect();
        if pieces.is_empty() {
            return Err("there are no words in the text".to_owned());
        }
        let first = pieces.remove(0);
        let pcm = self.piece(engine, &text, first).await?;
        let rest = (!pieces.is_empty()).then(|| Rest::begin(self, engine, text, pieces));
        Ok(Sound {
            pcm,
            times: Some(1),
            rest,
        })
    }

    /// One piece of a text, by the engine that was picked. Where that fails, the built-in one stands in.
    async fn piece(&self, engine: Engine, text: &Text, piece: String) -> Result<Arc<Pcm>, String> {
        let made = self.made(engine, text, &piece).await;
        let Err(reason) = &made else { return made };
        if engine == Engine::Embedded {
            return made;
        }
        tracing::warn!(%reason, language = text.language, "the HTTP speech engine failed; the built-in one speaks instead");
        let own = self.made(Engine::Embedded, text, &piece).await;
        own.map_err(|own| format!("{reason}; and the built-in engine: {own}"))
    }

    async fn made(&self, engine: Engine, text: &Text, piece: &str) -> Result<Arc<Pcm>, String> {
        let (voice, language) = (text.voice_for(engine), &text.language);
        let key = format!("tts:{engine:?}:{voice:?}:{language:?}:{piece}");
        if let Some(pcm) = self.kept.get(&key) {
            return Ok(pcm);
        }
        let pcm = self.voices.speak(engine, text, piece.to_owned()).await?;
        self.kept.put(key, &pcm, None);
        Ok(pcm)
    }
}
