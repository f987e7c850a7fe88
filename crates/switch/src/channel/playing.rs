//! Playing files, speech and tones to the phone, and the keys it presses meanwhile.

use callreel_proto::{Application, EventName, Terminators};

use super::commands::Execution;
use super::{Channel, ChannelMsg};
use crate::queue::Slip;
use crate::rtp::{PlayId, Playback};
use crate::say;
use crate::sounds::{Request, Sound};

/// The sounds of a channel: one is heard, another may be on its way.
#[derive(Default)]
pub(super) struct Playing {
    sounds: Vec<Item>,
    /// The ringback an answered caller hears while phones ring.
    ringback: Option<PlayId>,
}

/// A media command.
#[derive(Debug, Clone)]
struct What {
    /// Its `Application-Name`.
    name: &'static str,
    slip: Slip,
    /// What is played, as the switch itself would be told.
    data: String,
    terminators: Terminators,
    /// `None` is endless.
    times: Option<u32>,
    /// It runs beside the queue.
    now: bool,
}

struct Item {
    token: u64,
    what: What,
    /// Once the sound is there.
    playing: Option<PlayId>,
    terminator: Option<char>,
}

/// A sound to make, and how often it is played.
struct Media {
    request: Request,
    data: String,
    terminators: Terminators,
    times: Option<u32>,
}

impl Media {
    fn once(request: Request, data: String, terminators: Terminators) -> Self {
        Self {
            request,
            data,
            terminators,
            times: Some(1),
        }
    }
}

/// What a media command plays; the error is a sentence for the controller.
fn media_of(application: Application) -> Result<Media, String> {
    Ok(match application {
        Application::Play {
            media_name,
            terminators,
            endless,
            loop_count,
            ..
        } => Media {
            times: match (endless, loop_count) {
                (Some(true), _) => None,
                (_, count) => Some(count.unwrap_or(1).clamp(1, u64::from(u32::MAX)) as u32),
            },
            ..Media::once(Request::Named(media_name.clone()), media_name, terminators)
        },
        Application::Hold { media_name } => {
            let name = media_name.unwrap_or_else(|| "silence_stream://1000".to_owned());
            Media {
                times: None,
                ..Media::once(Request::Named(name.clone()), name, Terminators::none())
            }
        }
        Application::Tts {
            text,
            voice,
            language,
            terminators,
            ..
        } => {
            let data = text.clone();
            let request = Request::Text {
                text,
                voice,
                language,
            };
            Media::once(request, data, terminators)
        }
        Application::Say {
            text,
            kind,
            method,
            language,
            ..
        } => {
            let request = Request::Text {
                text: say::words(&text, &kind, &method)?,
                voice: None,
                language,
            };
            Media::once(request, text, Terminators::none())
        }
        Application::Tones {
            tones, terminators, ..
        } => Media::once(Request::Tones(tones), String::new(), terminators),
        other => return Err(format!("{} plays nothing", other.name())),
    })
}

impl Channel {
    /// `play`, `tts`, `say`, `tones`, `hold`.
    pub(super) async fn execute_media(
        &mut self,
        application: Application,
        slip: Slip,
        now: bool,
    ) -> Execution {
        let name = application.name();
        let media = match media_of(application) {
            Ok(media) => media,
            Err(reason) => return self.fail(slip, &reason).await,
        };
        let what = What {
            name,
            slip,
            data: media.data,
            terminators: media.terminators,
            times: media.times,
            now,
        };
        self.start_sound(what, media.request);
        Execution::Running
    }

    /// Begins to make a sound; it is played as soon as it is there.
    fn start_sound(&mut self, what: What, request: Request) {
        let token = self.number();
        self.playing.sounds.push(Item {
            token,
            what,
            playing: None,
            terminator: None,
        });
        let (shared, me) = (self.shared.clone(), self.me.clone());
        tokio::spawn(async move {
            let sound = shared.sounds.fetch(&shared.store, request).await;
            drop(me.cast(ChannelMsg::Fetched { token, sound }));
        });
    }

    /// A sound is there, or will never be.
    pub(super) async fn on_fetched(&mut self, token: u64, sound: Result<Sound, String>) {
        let Some(at) = self.playing.sounds.iter().position(|s| s.token == token) else {
            return;
        };
        match sound {
            Ok(sound) => {
                self.open_early().await;
                let item = &mut self.playing.sounds[at];
                let times = match (item.what.times, sound.times) {
                    (None, _) | (_, None) => None,
                    (Some(asked), Some(own)) => Some(asked.saturating_mul(own)),
                };
                let pcm = sound.pcm;
                item.playing = Some(self.media.play(Playback { pcm, times }));
            }
            Err(reason) => {
                let item = self.playing.sounds.remove(at);
                self.fail(item.what.slip, &reason).await;
                if !item.what.now {
                    self.completed().await;
                }
            }
        }
    }

    /// The media engine is done with a playback.
    pub(super) async fn on_playback_ended(&mut self, id: PlayId) {
        let position = |s: &Item| s.playing == Some(id);
        if let Some(at) = self.playing.sounds.iter().position(position) {
            let item = self.playing.sounds.remove(at);
            self.heard(item).await;
        }
    }

    async fn heard(&mut self, item: Item) {
        let What {
            name, slip, data, ..
        } = item.what;
        if let (Some(_), Some(group)) = (item.terminator, slip.group()) {
            self.queue.drop_group(name, group);
        }
        self.complete(name, |event| {
            event.application_response = Some("FILE PLAYED".to_owned());
            event.raw_application_data = Some(data);
            event.dtmf_digit = item.terminator.map(String::from);
        })
        .await;
        if !item.what.now {
            self.completed().await;
        }
    }

    /// Stops what takes its time, but for bridges: all of it completes.
    pub(super) async fn break_media(&mut self) {
        // Taken at once: whatever completes lets the next command begin, and that one is not to be broken.
        let sleeps = self.waits.take_sleeps();
        let message = self.recordings.message_number();
        self.stop_sounds().await;
        self.break_message(message).await;
        for sleep in sleeps {
            self.wake(sleep).await;
        }
    }

    /// Stops what plays, and what is about to; all of it completes.
    pub(super) async fn stop_sounds(&mut self) {
        let all = std::mem::take(&mut self.playing.sounds);
        let (playing, coming): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|s| s.playing.is_some());
        if !playing.is_empty() {
            self.playing.sounds = playing;
            self.media.stop_playback();
        }
        for item in coming {
            self.heard(item).await;
        }
    }

    /// The phone's user pressed a key.
    pub(super) async fn on_digit(&mut self, digit: char, ticks: u64) {
        self.publish(EventName::Dtmf, |event| {
            event.dtmf_digit = Some(digit.to_string());
            event.dtmf_duration = Some(ticks);
        })
        .await;
        let mut ends = false;
        for sound in &mut self.playing.sounds {
            if sound.terminator.is_none() && sound.what.terminators.contains(digit) {
                sound.terminator = Some(digit);
                ends |= sound.playing.is_some();
            }
        }
        if ends {
            self.media.stop_playback();
        }
        let ready = |s: &Item| s.terminator.is_some() && s.playing.is_none();
        while let Some(at) = self.playing.sounds.iter().position(ready) {
            let item = self.playing.sounds.remove(at);
            self.heard(item).await;
        }
        self.message_digit(digit).await;
    }

    /// An answered caller hears that phones ring: nobody else tells it.
    pub(super) async fn start_ringback(&mut self) {
        // The cadence of North America, Kazoo's default.
        const RINGBACK: &str = "tone_stream://%(2000,4000,440,480)";
        if self.answered.is_none() || self.playing.ringback.is_some() {
            return;
        }
        let request = Request::Named(RINGBACK.to_owned());
        if let Ok(sound) = self.shared.sounds.fetch(&self.shared.store, request).await {
            let pcm = sound.pcm;
            self.playing.ringback = Some(self.media.play(Playback { pcm, times: None }));
        }
    }

    /// Somebody answered, or can be heard, or nobody will.
    pub(super) fn stop_ringback(&mut self) {
        if self.playing.ringback.take().is_some() {
            self.media.stop_playback();
        }
    }
}
