//! What the other party hears while this phone has put the call on hold: the music that the phone's documents name. Without one it
//! hears what the phone sends, or nothing.

use super::Channel;
use super::aside::Aside;
use crate::rtp::{MediaLeg, PlayId, Playback};

/// The variable that names the music (Kazoo's), as in `play`.
pub(super) const HOLD_MEDIA: &str = "Hold-Media";

/// The music of one hold.
pub(super) struct HoldMusic {
    number: u64,
    /// Who hears it, once it is there.
    heard: Option<(MediaLeg, PlayId)>,
}

impl Channel {
    /// The phone holds.
    pub(super) fn start_hold_music(&mut self) {
        let Some(name) = self.channel_vars.get(HOLD_MEDIA).map(str::to_owned) else {
            return;
        };
        let number = self.number();
        self.hold_music = Some(HoldMusic {
            number,
            heard: None,
        });
        self.fetch_aside(Aside::HoldMusic(number), name);
    }

    /// The music is there.
    pub(super) fn play_hold_music(&mut self, number: u64, playback: Playback) {
        let partner = self.partner();
        let music = self.hold_music.as_mut().filter(|m| m.number == number);
        if let (Some(music), Some(partner)) = (music, partner) {
            let id = partner.media.play(playback);
            music.heard = Some((partner.media, id));
        }
    }

    /// The phone is back, or has left the other party. What that one was given to hear since goes on.
    pub(super) fn stop_hold_music(&mut self) {
        let heard = self.hold_music.take().and_then(|music| music.heard);
        if let Some((leg, id)) = heard {
            leg.stop(id);
        }
    }
}
