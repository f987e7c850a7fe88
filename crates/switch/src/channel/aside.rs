//! Sounds no command asked for: what a caller hears while it rings, and what whoever must press a key is told.

use super::{Channel, ChannelMsg};
use crate::rtp::Playback;
use crate::sounds::{Request, Sound};

/// What a sound is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// The bridge of this number rings.
    Ringback(u64),
    /// Whoever answered must press a key.
    Confirm,
    /// This leg talks to another in the consultation of this number, and the party it was joined to waits.
    Held(u64),
    /// The phone has put the call on hold, and its documents name music: the hold of this number.
    HoldMusic(u64),
}

impl Channel {
    /// Has a sound made, beside the channel.
    pub(super) fn fetch_aside(&self, aside: Aside, name: String) {
        let (shared, me) = (self.shared.clone(), self.me.clone());
        tokio::spawn(async move {
            let sound = shared.sounds.fetch(Request::Named(name)).await;
            // The channel may have ended meanwhile.
            drop(me.cast(ChannelMsg::Aside { aside, sound }));
        });
    }

    /// It is there; without it the call goes on.
    pub(super) async fn on_aside(&mut self, aside: Aside, sound: Result<Sound, String>) {
        let sound = match sound {
            Ok(sound) => sound,
            Err(reason) => {
                tracing::warn!(call_id = %self.call_id, ?aside, reason, "a sound cannot be played");
                return;
            }
        };
        let (pcm, times) = (sound.pcm, None);
        match aside {
            Aside::Confirm if self.confirm.is_some() => {
                self.media.play(Playback { pcm, times });
            }
            Aside::Ringback(number) => {
                let bridge = self.bridge.as_ref().filter(|b| b.number == number);
                if bridge.is_some_and(|bridge| bridge.ringback().is_some()) {
                    self.open_early().await;
                    self.ringback = Some(self.media.play(Playback { pcm, times }));
                }
            }
            Aside::Confirm => {}
            Aside::Held(number) => self.entertain(number, Playback { pcm, times }),
            Aside::HoldMusic(number) => self.play_hold_music(number, Playback { pcm, times }),
        }
    }

    /// A phone rings. Its caller's phone rings by itself, unless it is answered already or the controller wants something else heard.
    pub(super) fn start_ringback(&mut self) {
        // The cadence of North America, Kazoo's default.
        const RINGBACK: &str = "tone_stream://%(2000,4000,440,480)";
        let Some(bridge) = self.bridge.as_ref().filter(|_| self.ringback.is_none()) else {
            return;
        };
        let wanted = bridge.ringback().flatten();
        if wanted.is_some() || self.answered.is_some() {
            let name = wanted.unwrap_or(RINGBACK).to_owned();
            self.fetch_aside(Aside::Ringback(bridge.number), name);
        }
    }

    /// Somebody answered, or can be heard, or nobody will.
    pub(super) fn stop_ringback(&mut self) {
        if self.ringback.take().is_some() {
            self.media.stop_playback();
        }
    }
}
