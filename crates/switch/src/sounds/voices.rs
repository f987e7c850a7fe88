//! The speech engines of a switch, and which of them speaks. Fetches nothing itself.

use std::sync::Arc;

use callreel_media::{Pcm, speak};
use callreel_telemetry::{KeyValue, metrics};

use super::http_voice::HttpVoice;
use super::{Text, blocking};
use crate::SwitchConfig;
use crate::config::SpeechEngine;
use crate::error::Error;

/// An engine that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Embedded,
    Http,
}

/// The engines.
pub(super) struct Voices {
    usual: Engine,
    http: Option<HttpVoice>,
}

impl Voices {
    /// The engines of these settings.
    ///
    /// # Errors
    /// [`Error::Speech`] when they cannot be used.
    pub(super) fn new(config: &SwitchConfig) -> Result<Self, Error> {
        let http = HttpVoice::new(config)?;
        let usual = match config.speech_engine {
            SpeechEngine::Embedded => Engine::Embedded,
            SpeechEngine::Http if http.is_some() => Engine::Http,
            SpeechEngine::Http => {
                let reason = "switch.speech_engine is \"http\": set switch.speech_url, too";
                return Err(Error::Speech(reason.to_owned()));
            }
        };
        Ok(Self { usual, http })
    }

    /// The engine of this name: `http` and `embedded` are ours, `flite` is what Kazoo calls the one inside its switch. Any other
    /// means whichever is usual here.
    pub(super) fn pick(&self, named: Option<&str>) -> Engine {
        match named {
            None | Some("") => self.usual,
            Some("embedded" | "flite") => Engine::Embedded,
            Some("http") if self.http.is_some() => Engine::Http,
            Some(other) => {
                tracing::warn!(
                    engine = other,
                    "there is no such speech engine here; the usual one speaks"
                );
                self.usual
            }
        }
    }

    /// Speaks a piece of a text.
    pub(super) async fn speak(
        &self,
        engine: Engine,
        text: &Text,
        piece: String,
    ) -> Result<Arc<Pcm>, String> {
        let voice = text.voice_for(engine).map(str::to_owned);
        let language = text.language.clone();
        let spoken = match (engine, &self.http) {
            (Engine::Http, Some(http)) => {
                http.speak(&piece, voice.as_deref(), language.as_deref())
                    .await
            }
            _ => {
                blocking(move || {
                    speak(&piece, voice.as_deref(), language.as_deref()).map_err(|e| e.to_string())
                })
                .await
            }
        };
        let outcome = if spoken.is_ok() { "ok" } else { "failed" };
        let outcome = KeyValue::new("callreel.outcome", outcome);
        metrics().speech.add(1, &[outcome]);
        spoken
    }
}
