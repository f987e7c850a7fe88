//! What a call wants of its recorder, and what is said of a recording that this never gets to make.

use std::sync::Arc;

use callreel_callflow::{Input, Meant, RecordingOrder, Slot};
use callreel_proto::{Envelope, OrderedBy, RecordRequest, RecordingFact, RecordingNotice};
use ractor::{Actor, ActorRef};

use super::{CallMsg, State, trail::Trail};
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

    pub(super) async fn asked(
        &mut self,
        request: Box<Envelope<RecordRequest>>,
        myself: &ActorRef<CallMsg>,
    ) {
        let recorder = match self.control {
            Some(_) if !self.finished => self.recorder(myself).await.map_err(|e| e.to_string()),
            _ => Err("the call is not controlled here".to_owned()),
        };
        match recorder {
            Ok(recorder) => drop(recorder.cast(RecorderMsg::Asked(request))),
            Err(reason) => recorder::answer_error(&self.context, &request, &reason).await,
        }
    }

    pub(super) async fn record(&mut self, order: Box<RecordingOrder>, myself: &ActorRef<CallMsg>) {
        let slot = order.slot;
        let recorder = match self.recorder(myself).await {
            Ok(recorder) => recorder,
            Err(error) => {
                tracing::error!(call_id = %self.route.call_id, account_id = %self.account, %error, "no recorder: this audio is not kept");
                let reason = error.to_string();
                let refused = Input::RecordingRefused { slot, reason };
                drop(myself.cast(CallMsg::Tell(Box::new(refused))));
                return;
            }
        };
        let asked_in = self.trail.as_ref().and_then(Trail::parent);
        drop(recorder.cast(RecorderMsg::Start(order, asked_in)));
    }

    /// Also before anything is recorded: what begins later is masked from its start.
    pub(super) async fn mask(
        &mut self,
        meant: Meant,
        on: bool,
        by: OrderedBy,
        myself: &ActorRef<CallMsg>,
    ) {
        match self.recorder(myself).await {
            Ok(recorder) => drop(recorder.cast(RecorderMsg::Mask { meant, on, by })),
            Err(error) => {
                tracing::error!(call_id = %self.route.call_id, account_id = %self.account, %error, "no recorder: nothing is masked, and nothing recorded");
            }
        }
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
