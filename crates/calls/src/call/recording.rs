//! The recorder of a call, and what is said of a recording that it never gets to make.

use std::sync::Arc;

use callreel_callflow::Slot;
use callreel_proto::{OrderedBy, RecordingFact, RecordingNotice};
use ractor::{Actor, ActorRef};

use super::{CallMsg, State};
use crate::recorder::{self, Recorder, RecorderMsg};

impl State {
    /// The call's recorder, spawned at its first use.
    pub(super) async fn recorder(
        &mut self,
        myself: &ActorRef<CallMsg>,
    ) -> Result<ActorRef<RecorderMsg>, ractor::SpawnErr> {
        if let Some(recorder) = &self.recorder {
            return Ok(recorder.clone());
        }
        let args = recorder::Args {
            call: Some(myself.clone()),
            control: self.control.clone().expect("fed only after the win"),
            route: Arc::clone(&self.route),
            account: self.account.clone(),
            recipient: self.recipient.clone(),
            peer: self.peer.clone(),
        };
        let (recorder, _) = Actor::spawn_linked(None, Recorder, args, myself.get_cell()).await?;
        self.recorder = Some(recorder.clone());
        Ok(recorder)
    }

    /// What the speaker of a message or a greeting said of it.
    pub(super) fn decided(&self, slot: Slot, keep: bool) {
        if let Some(recorder) = &self.recorder {
            drop(recorder.cast(RecorderMsg::Decided { slot, keep }));
        }
    }

    pub(super) async fn skipped(&self, pointer: &str, reason: String, by: OrderedBy) {
        tracing::warn!(call_id = %self.route.call_id, account_id = %self.account, pointer, reason, "not recorded");
        let (account_id, call_id) = (self.account.clone(), self.route.call_id.clone());
        let notice = RecordingNotice {
            detail: Some(reason),
            ordered_by: Some(by),
            ..RecordingNotice::new(RecordingFact::Skipped, account_id, call_id)
        };
        self.context.notify(notice).await;
    }
}
