//! Where the audio of a call comes from: the one seam between a switch of ours and one of others. Ours forks RTP to us;
//! theirs records into a file of its own.

use callreel_callflow::RecordingOrder;
use callreel_proto::{CallEvent, MediaFork, RouteReq};
use callreel_spool::{Mark, Source};
use serde_json::{Value, json};

use super::{Args, fork::Fork, switch_file};
use crate::context::Context;

/// Where the audio of one call comes from.
pub(super) enum Audio {
    /// From our switch, as RTP, into a capture.
    Fork(Fork),
    /// From another's switch, as a file, when it is finished.
    File,
}

impl Audio {
    /// By what the switch said when it asked who wants the call.
    pub(super) fn of(route: &RouteReq) -> Self {
        if route.is_foreign() {
            Self::File
        } else {
            Self::Fork(Fork::default())
        }
    }

    /// The source of another recording, and where on that source's clock it starts, nanoseconds.
    pub(super) async fn open(
        &mut self,
        order: &RecordingOrder,
        args: &Args,
        masked: bool,
    ) -> Result<(Source, u64), String> {
        match self {
            Self::Fork(fork) => fork.open(args, masked).await,
            Self::File => Ok((Source::Switch(switch_file::of(order, args)), 0)),
        }
    }

    /// Where the switch shall send the audio, if it can.
    pub(super) fn target(&self) -> Option<MediaFork> {
        match self {
            Self::Fork(fork) => fork.target(),
            Self::File => None,
        }
    }

    /// When something happened that we hear of late, on the journal's clock, if there is one.
    pub(super) fn late_ns(&self, event: &CallEvent) -> Option<u64> {
        match self {
            Self::Fork(fork) => fork.late_ns(event),
            Self::File => None,
        }
    }

    /// Notes in the journal what happened, then or now, if there is one, and says when that was on its clock.
    pub(super) async fn mark(
        &self,
        context: &Context,
        at_ns: Option<u64>,
        mark: Mark,
    ) -> Option<u64> {
        match self {
            Self::Fork(fork) => fork.mark(context, at_ns, mark).await,
            Self::File => None,
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> Value {
        match self {
            Self::Fork(fork) => fork.describe(),
            Self::File => json!({ "capture_id": null }),
        }
    }
}
