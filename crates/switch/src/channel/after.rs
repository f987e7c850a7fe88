//! What becomes of a caller when the callee of its bridge has hung up, by the variables of the channel that say so (Kazoo's
//! `Park-After-Pickup` and its kin).

use callreel_proto::{Application, HangupCause};
use serde_json::Map;

use super::Channel;
use super::referring::Terms;
use crate::queue::Slip;

impl Channel {
    /// Does what the variables say; false if they say nothing, and the controller goes on.
    pub(super) async fn after_bridge(&mut self) -> bool {
        // Once: where the caller goes, another bridge may end.
        if let Some(number) = self.channel_vars.take("Transfer-After-Pickup") {
            self.transfer_after_bridge(number).await;
        } else if self.wants("Hangup-After-Pickup") {
            self.end(HangupCause::NormalClearing).await;
        } else if self.wants("Park-After-Pickup") {
            let music = Application::Hold { media_name: None };
            let slip = Slip {
                msg_id: String::new(),
                command: Map::new(),
            };
            // Beside the queue: what the controller waits for does not come, as in Kazoo.
            self.execute_media(music, slip, true).await;
        } else {
            return false;
        }
        true
    }

    fn wants(&self, name: &str) -> bool {
        self.channel_vars.get(name) == Some("true")
    }

    /// Where nobody wants it, it ends.
    async fn transfer_after_bridge(&mut self, number: String) {
        let order = self.own_order(number, Terms::default());
        self.on_transfer(order);
        self.leave_for_transfer().await;
    }
}
