//! Holding the other party by a key and taking it back by another: the command `soft_hold`. The legs stay joined; each hears
//! music in place of the other.

use callreel_proto::{Application, Hearers, SoftHold, Terminators};

use super::Channel;
use super::commands::Execution;
use crate::queue::Slip;

/// What is heard where the command names no music.
const SILENCE: &str = "silence_stream://1000";

impl Channel {
    /// `soft_hold`: until this phone presses the key, or a `break` comes.
    pub(super) async fn execute_soft_hold(&mut self, hold: SoftHold, slip: Slip) -> Execution {
        if self.partner().is_none() {
            let reason = "the channel is not bridged: there is nobody to hold";
            return self.fail(slip, reason).await;
        }
        for (leg, music) in [(Hearers::Other, hold.b_moh), (Hearers::Own, hold.a_moh)] {
            let play = Application::Play {
                media_name: music.unwrap_or_else(|| SILENCE.to_owned()),
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
