//! Holding the other party by a key and taking it back by another: the command `soft_hold`. The legs stay joined; each hears
//! music in place of the other.

use callreel_proto::{Application, Hearers, SoftHold, Terminators};

use super::Channel;
use super::commands::Execution;
use super::hold_music::HOLD_MEDIA;
use super::playing::HOLD_MUSIC;
use crate::queue::Slip;

/// What the leg that holds hears where the command names no music.
const SILENCE: &str = "silence_stream://1000";

impl Channel {
    /// `soft_hold`: until this phone presses the key, or a `break` comes.
    pub(super) async fn execute_soft_hold(&mut self, hold: SoftHold, slip: Slip) -> Execution {
        if self.partner().is_none() {
            let reason = "the channel is not bridged: there is nobody to hold";
            return self.fail(slip, reason).await;
        }
        let own = self.channel_vars.get(HOLD_MEDIA).map(str::to_owned);
        for (leg, music, usual) in [
            (Hearers::Other, hold.b_moh.or(own), HOLD_MUSIC),
            (Hearers::Own, hold.a_moh, SILENCE),
        ] {
            let play = Application::Play {
                media_name: music.unwrap_or_else(|| usual.to_owned()),
                terminators: Terminators(hold.unhold_key.clone()),
                endless: Some(true),
                loop_count: None,
                leg: Some(leg),
            };
            // Beside the queue, whose turn the bridge has.
            self.execute_media(play, slip.clone(), true).await;
        }
        Execution::Done
    }
}
