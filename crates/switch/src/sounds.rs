//! Sounds to play: finds, fetches or speaks what a command names, and remembers the recent ones.

mod decoding;
mod http_voice;
mod kept;
mod names;
mod stored;
mod texts;
mod voices;
mod web;

use std::sync::Arc;
use std::time::Duration;

use callreel_attachments::Attachments;
use callreel_media::{Pcm, tone_stream, tones};
use callreel_proto::{AccountId, Tone};
use jiff::{Timestamp, tz::TimeZone};

use crate::SwitchConfig;
use crate::error::Error;
use crate::say::Saying;

use decoding::RATE;
use kept::Kept;
use names::Name;
pub(crate) use texts::{Rest, Text};
use voices::Voices;

/// A sound that is not there yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// A `Media-Name`.
    Named(String),
    /// A text to speak.
    Text(Text),
    /// A number, letters or a time, as this account's people would have it.
    Said(Saying, Option<AccountId>),
    /// Tones.
    Tones(Vec<Tone>),
}

/// A sound ready to play.
#[derive(Debug)]
pub(crate) struct Sound {
    pub(crate) pcm: Arc<Pcm>,
    /// How often it wants to be played by itself: a tone stream may be endless (`None`).
    pub(crate) times: Option<u32>,
    /// What follows it, while that is being made. Only of a sound that is played once.
    pub(crate) rest: Option<Rest>,
}

/// Where sounds come from.
pub(crate) struct Sounds {
    attachments: Attachments,
    voices: Voices,
    kept: Kept,
}

impl Sounds {
    /// Sounds of these documents and settings.
    ///
    /// # Errors
    /// [`Error::Speech`] when the settings of the HTTP engine cannot be used.
    pub(crate) fn new(attachments: Attachments, config: &SwitchConfig) -> Result<Self, Error> {
        Ok(Self {
            attachments,
            voices: Voices::new(config)?,
            kept: Kept::default(),
        })
    }

    /// Makes a sound; the error is a sentence for the controller.
    pub(crate) async fn fetch(self: &Arc<Self>, request: Request) -> Result<Sound, String> {
        match request {
            Request::Text(text) => self.spoken(text).await,
            Request::Said(saying, account) => self.said(saying, account).await,
            Request::Tones(list) => blocking(move || Ok(tones(&list, RATE))).await.map(once),
            Request::Named(name) => self.named(name).await,
        }
    }

    async fn named(self: &Arc<Self>, name: String) -> Result<Sound, String> {
        match names::parse(&name) {
            Name::Silence(length) => Ok(silence(length)),
            Name::ToneStream => stream(name).await,
            Name::Web(url) => self.web(&url).await.map(once),
            Name::Document { account, id } => match self.document(&account, &id).await? {
                Some(sound) => Ok(sound),
                None => Err(format!("media {name} does not exist or has no audio")),
            },
            Name::Prompt {
                account,
                id,
                language,
            } => self.prompt(account, &id, language).await,
            Name::Unsupported(why) => Err(format!("media {name} cannot be played: {why}")),
        }
    }

    async fn said(
        self: &Arc<Self>,
        saying: Saying,
        account: Option<AccountId>,
    ) -> Result<Sound, String> {
        let place = match account.filter(|_| saying.is_of_time()) {
            Some(account) => self.timezone(&account).await,
            None => TimeZone::UTC,
        };
        let words = saying.words(Timestamp::now(), &place)?;
        let text = Text::of(words.text, words.language);
        self.spoken(text).await
    }
}

fn once(pcm: Arc<Pcm>) -> Sound {
    Sound {
        pcm,
        times: Some(1),
        rest: None,
    }
}

/// However long, it is one short stretch of silence played often.
fn silence(length: Duration) -> Sound {
    let stretch = length
        .min(Duration::from_millis(20))
        .max(Duration::from_millis(1));
    let times = length.as_millis().div_ceil(stretch.as_millis());
    Sound {
        times: Some(u32::try_from(times).unwrap_or(u32::MAX)),
        ..once(Arc::new(Pcm::silence(stretch, 8_000)))
    }
}

async fn stream(name: String) -> Result<Sound, String> {
    let stream = tone_stream(&name).map_err(|e| format!("media {name}: {e}"))?;
    let times = stream.loops;
    let pcm = blocking(move || Ok(tones(&stream.tones, RATE))).await?;
    Ok(Sound { times, ..once(pcm) })
}

/// Runs work that takes a processor for a while where it holds up no socket. A panic of it is an error like any other.
async fn blocking<F>(work: F) -> Result<Arc<Pcm>, String>
where
    F: FnOnce() -> Result<Pcm, String> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map(Arc::new),
        Err(error) => Err(format!("the sound could not be made: {error}")),
    }
}

#[cfg(test)]
mod tests;
