//! The command `unbridge`: parts two legs that talk. Who is named is parked, the other one ends.

use callreel_proto::{HangupCause, Hearers};

use super::commands::Execution;
use super::{Channel, ChannelMsg};
use crate::queue::Slip;

/// How long a leg that no controller has as its own may stay parked, seconds: whoever parted it commands it at once, or forgot it.
const FORGOTTEN_S: u64 = 300;

impl Channel {
    /// `unbridge`.
    pub(super) async fn execute_unbridge(&mut self, leg: Option<Hearers>, slip: Slip) -> Execution {
        let Some(partner) = self.partner() else {
            let reason = "the channel is not bridged: there is nobody to part from";
            return self.fail(slip, reason).await;
        };
        let leg = leg.unwrap_or(Hearers::Own);
        // One that has ended is parted already.
        drop(
            partner
                .actor
                .cast(ChannelMsg::Unbridged(leg != Hearers::Own)),
        );
        self.on_unbridged(leg != Hearers::Other).await;
        Execution::Done
    }

    /// The legs are parted; this one stays, or ends.
    pub(super) async fn on_unbridged(&mut self, stays: bool) {
        if !self.joined {
            return;
        }
        Box::pin(self.take_back()).await;
        if !stays {
            self.let_go().await;
            return self.end(HangupCause::NormalClearing).await;
        }
        if self.bridge.is_some() {
            // The bridge it ordered is over, and its controller goes on.
            return self.part().await;
        }
        self.let_go().await;
        self.park_for(Some(FORGOTTEN_S), None);
    }
}
