//! Playing files, speech and tones to the phone, and the keys it presses meanwhile.

use callreel_proto::{EventName, Terminators};

use super::{Channel, ChannelMsg};
use crate::rtp::{PlayId, Playback};
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
pub(super) struct What {
    /// Its `Application-Name`.
    pub(super) name: &'static str,
    pub(super) msg_id: String,
    pub(super) terminators: Terminators,
    /// `None` is endless.
    pub(super) times: Option<u32>,
    /// It runs beside the queue.
    pub(super) now: bool,
}

struct Item {
    token: u64,
    what: What,
    /// Once the sound is there.
    playing: Option<PlayId>,
    terminator: Option<char>,
}

impl Channel {
    /// Begins to make a sound; it is played as soon as it is there.
    pub(super) async fn start_sound(&mut self, what: What, request: Request) {
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
                let of = |text: &str| serde_json::Value::from(text);
                let command = [
                    ("Application-Name".to_owned(), of(item.what.name)),
                    ("Msg-ID".to_owned(), of(&item.what.msg_id)),
                ];
                let command = command.into_iter().collect();
                self.fail(&item.what.msg_id, command, &reason).await;
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
        self.complete(item.what.name, |event| {
            event.application_response = Some("FILE PLAYED".to_owned());
            event.dtmf_digit = item.terminator.map(String::from);
        })
        .await;
        if !item.what.now {
            self.completed().await;
        }
    }

    /// Stops what plays, what is about to, and a message being recorded; all of them complete.
    pub(super) async fn break_media(&mut self) {
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
        self.break_message().await;
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
