//! Sounds to play: resolves media names, speaks texts, decodes attachments, and remembers the recent ones.

use std::sync::{Arc, Mutex};

use callreel_media::{Pcm, read_audio, speak, tone_stream, tones};
use callreel_proto::{AccountDb, AccountId, Tone};
use callreel_store::{SYSTEM_MEDIA, Store};
use futures::StreamExt;
use std::time::Duration;

use crate::shared::locked;

/// Samples kept: about ten minutes of speech at 16 kHz, 20 MB. Prompts and greetings of a busy box fit many times over.
const MAX_KEPT_SAMPLES: usize = 10_000_000;
/// A longer attachment is no prompt.
const MAX_ATTACHMENT_BYTES: u64 = 50_000_000;
/// Rate of what has no rate of its own: the best a phone call carries.
const RATE: u32 = 16_000;
const LANGUAGE: &str = "en-us";

/// A sound that is not there yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// A `Media-Name`.
    Named(String),
    /// A text to speak.
    Text {
        text: String,
        voice: Option<String>,
        language: Option<String>,
    },
    /// Tones.
    Tones(Vec<Tone>),
}

/// A sound ready to play.
#[derive(Debug, Clone)]
pub(crate) struct Sound {
    pub(crate) pcm: Arc<Pcm>,
    /// How often it wants to be played by itself: a tone stream may be endless (`None`).
    pub(crate) times: Option<u32>,
}

/// Recently used sounds, the newest last.
#[derive(Default)]
pub(crate) struct Sounds {
    kept: Mutex<Vec<(String, Arc<Pcm>)>>,
}

/// What a `Media-Name` means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Silence(Duration),
    ToneStream,
    Document { account: AccountId, id: String },
    Prompt(String),
    Unsupported(&'static str),
}

fn parse(name: &str) -> Name {
    if name.is_empty() || name == "silence" {
        return Name::Silence(Duration::from_millis(5));
    }
    if let Some(rest) = name.strip_prefix("silence_stream://") {
        let ms = rest.split(',').next().and_then(|ms| ms.trim().parse().ok());
        return match ms {
            Some(ms) => Name::Silence(Duration::from_millis(ms)),
            None => Name::Unsupported("the length of the silence is no number of milliseconds"),
        };
    }
    if name.starts_with("tone_stream://") {
        return Name::ToneStream;
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return Name::Unsupported("media over HTTP are not played yet");
    }
    if let Some(id) = name.strip_prefix("/system_media/") {
        return Name::Prompt(id.to_owned());
    }
    if let Some(rest) = name.strip_prefix("prompt://") {
        // prompt://<account or system_media>/<prompt id>/<language>
        return match rest.split('/').nth(1) {
            Some(id) => Name::Prompt(id.to_owned()),
            None => Name::Unsupported("a prompt:// name has three parts"),
        };
    }
    let document = name.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    match document.map(|(account, id)| (AccountId::parse(account), id)) {
        Some((Ok(account), id)) => Name::Document {
            account,
            id: id.to_owned(),
        },
        _ => Name::Unsupported("it is neither /<account id>/<media id> nor /system_media/<prompt>"),
    }
}

impl Sounds {
    /// Makes a sound; the error is a sentence for the controller.
    pub(crate) async fn fetch(&self, store: &Store, request: Request) -> Result<Sound, String> {
        match request {
            Request::Text {
                text,
                voice,
                language,
            } => self.spoken(text, voice, language).await.map(once),
            Request::Tones(list) => blocking(move || Ok(tones(&list, RATE))).await.map(once),
            Request::Named(name) => match parse(&name) {
                Name::Silence(length) => Ok(silence(length)),
                Name::ToneStream => stream(name).await,
                Name::Document { account, id } => {
                    let db = AccountDb::name(&account);
                    match self.attached(store, &db, &id).await? {
                        Some(pcm) => Ok(once(pcm)),
                        None => Err(format!("media {name} does not exist or has no attachment")),
                    }
                }
                Name::Prompt(id) => self.prompt(store, &id).await.map(once),
                Name::Unsupported(why) => Err(format!("media {name} cannot be played: {why}")),
            },
        }
    }

    /// A system prompt: the recording in the store, else its text spoken.
    async fn prompt(&self, store: &Store, id: &str) -> Result<Arc<Pcm>, String> {
        for document in [format!("{LANGUAGE}/{id}"), id.to_owned()] {
            if let Some(pcm) = self.attached(store, SYSTEM_MEDIA, &document).await? {
                return Ok(pcm);
            }
        }
        match callreel_media::prompt_text(id) {
            Some(text) => self.spoken(text.to_owned(), None, None).await,
            None => Err(format!("there is no prompt {id} in system_media")),
        }
    }

    async fn spoken(
        &self,
        text: String,
        voice: Option<String>,
        language: Option<String>,
    ) -> Result<Arc<Pcm>, String> {
        let key = format!("tts:{voice:?}:{language:?}:{text}");
        if let Some(pcm) = self.kept(&key) {
            return Ok(pcm);
        }
        let pcm = blocking(move || {
            speak(&text, voice.as_deref(), language.as_deref()).map_err(|e| e.to_string())
        })
        .await?;
        self.keep(key, &pcm);
        Ok(pcm)
    }

    async fn attached(
        &self,
        store: &Store,
        db: &str,
        id: &str,
    ) -> Result<Option<Arc<Pcm>>, String> {
        let failed = |e: &dyn std::fmt::Display| format!("media {id} cannot be read: {e}");
        let document = store.get(db, id).await.map_err(|e| failed(&e))?;
        let name = document
            .as_ref()
            .and_then(|d| d.get("_attachments")?.as_object()?.keys().next().cloned());
        let Some(name) = name else {
            return Ok(None);
        };
        let found = store.attachment(db, id, &name).await;
        let Some(mut attachment) = found.map_err(|e| failed(&e))? else {
            return Ok(None);
        };
        let key = format!("file:{}", attachment.digest);
        if let Some(pcm) = self.kept(&key) {
            return Ok(Some(pcm));
        }
        if attachment.length > MAX_ATTACHMENT_BYTES {
            return Err(failed(&"it is too long for a prompt"));
        }
        let mut bytes = Vec::new();
        while let Some(block) = attachment.body.next().await {
            bytes.extend_from_slice(&block.map_err(|e| failed(&e))?);
        }
        let hint = name
            .rsplit_once('.')
            .map(|(_, extension)| extension.to_owned());
        let pcm = blocking(move || decode(bytes, hint.as_deref())).await?;
        self.keep(key, &pcm);
        Ok(Some(pcm))
    }

    fn kept(&self, key: &str) -> Option<Arc<Pcm>> {
        let mut kept = locked(&self.kept);
        let at = kept.iter().position(|(known, _)| known == key)?;
        let entry = kept.remove(at);
        let pcm = entry.1.clone();
        kept.push(entry);
        Some(pcm)
    }

    fn keep(&self, key: String, pcm: &Arc<Pcm>) {
        let mut kept = locked(&self.kept);
        kept.push((key, pcm.clone()));
        let mut samples: usize = kept.iter().map(|(_, pcm)| pcm.samples.len()).sum();
        while samples > MAX_KEPT_SAMPLES {
            samples -= kept.remove(0).1.samples.len();
        }
    }
}

fn once(pcm: Arc<Pcm>) -> Sound {
    Sound {
        pcm,
        times: Some(1),
    }
}

/// However long, it is one short stretch of silence played often.
fn silence(length: Duration) -> Sound {
    let stretch = length
        .min(Duration::from_millis(20))
        .max(Duration::from_millis(1));
    let times = length.as_millis().div_ceil(stretch.as_millis());
    Sound {
        pcm: Arc::new(Pcm::silence(stretch, 8_000)),
        times: Some(u32::try_from(times).unwrap_or(u32::MAX)),
    }
}

async fn stream(name: String) -> Result<Sound, String> {
    let stream = tone_stream(&name).map_err(|e| format!("media {name}: {e}"))?;
    let times = stream.loops;
    let pcm = blocking(move || Ok(tones(&stream.tones, RATE))).await?;
    Ok(Sound { pcm, times })
}

/// The first channel; stereo files are mixed down.
fn decode(bytes: Vec<u8>, hint: Option<&str>) -> Result<Pcm, String> {
    let mut channels = read_audio(bytes, hint)
        .map_err(|e| e.to_string())?
        .into_iter();
    let mut first = channels.next().ok_or("the file has no audio channel")?;
    if let Some(second) = channels.next() {
        for (a, b) in first.samples.iter_mut().zip(second.samples) {
            *a = ((i32::from(*a) + i32::from(b)) / 2) as i16;
        }
    }
    Ok(first)
}

/// Runs work that takes a processor for a while where it holds up no socket.
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
mod tests {
    use super::*;

    const ACCOUNT: &str = "abcd0123456789abcdef0123456789ab";

    #[test]
    fn media_names_are_understood_as_kazoo_writes_them() {
        let account = AccountId::parse(ACCOUNT).unwrap();
        for (name, expected) in [
            ("", Name::Silence(Duration::from_millis(5))),
            (
                "silence_stream://1500,1400",
                Name::Silence(Duration::from_millis(1500)),
            ),
            ("tone_stream://%(500,100,440)", Name::ToneStream),
            ("/system_media/vm-saved", Name::Prompt("vm-saved".into())),
            (
                "prompt://system_media/vm-saved/en-us",
                Name::Prompt("vm-saved".into()),
            ),
            (
                &format!("/{ACCOUNT}/greeting1"),
                Name::Document {
                    account,
                    id: "greeting1".into(),
                },
            ),
        ] {
            assert_eq!(parse(name), expected, "{name}");
        }
        for name in [
            "http://h/a.mp3",
            "/etc/passwd",
            "vm-saved",
            "silence_stream://x",
        ] {
            assert!(matches!(parse(name), Name::Unsupported(_)), "{name}");
        }
    }

    #[tokio::test]
    async fn a_tone_is_as_long_as_its_notation_says() {
        let stream = stream("tone_stream://%(500,100,440);loops=-1".to_owned());
        let sound = stream.await.unwrap();
        assert_eq!(sound.pcm.duration(), Duration::from_millis(600));
        assert_eq!(sound.times, None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_recent_stay() {
        let sounds = Sounds::default();
        let long = Arc::new(Pcm::silence(Duration::from_secs(300), 16_000));
        for name in ["a", "b"] {
            sounds.keep(name.to_owned(), &long);
        }
        assert!(sounds.kept("a").is_some());
        sounds.keep("c".to_owned(), &long);
        assert!(sounds.kept("a").is_some() && sounds.kept("b").is_none());
    }
}
