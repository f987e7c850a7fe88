//! What a call asks for its cursor, documents and web servers, and which web servers it tells of itself. Never says what is asked.

use std::sync::Arc;

use callreel_callflow::{
    Answer, Input, ParkingAnswer, ParkingQuery, Query,
    web::{PivotRequest, WebRequest},
};
use callreel_proto::{CallEvent, CallId, Exchange, HangupCause, OffnetReq, OffnetResp};
use ractor::ActorRef;

use super::{CallMsg, State};
use crate::{
    lookup, mailbox, parking,
    web::{letter::Letter, pivot},
};

/// Places that are told of one call's end at most: each Pivot server of a long chain may name one.
const MOST_TOLD: usize = 16;

/// What a cursor has asked.
#[derive(Default)]
pub(super) struct Asked {
    /// The number of the newest question.
    newest: u64,
    /// The questions for a parking slot that have not been answered: each may have taken one by now.
    pub(super) slots: Vec<u64>,
}

impl State {
    pub(super) fn look_up(&mut self, query: Query, myself: &ActorRef<CallMsg>) {
        self.asked.newest += 1;
        let number = self.asked.newest;
        match &query {
            Query::Pivot(pivot) => self.remember_end(pivot),
            Query::Parking(ParkingQuery::Take { .. } | ParkingQuery::Replace { .. }) => {
                self.asked.slots.push(number);
            }
            _ => {}
        }
        let (context, account, call_id) = (
            Arc::clone(&self.context),
            self.account.clone(),
            self.call_id().clone(),
        );
        let asked = tokio::spawn(async move {
            match query {
                Query::Pivot(pivot) => pivot::serve(&context, &account, &call_id, &pivot).await,
                Query::Parking(query) => parking::answer(&context, &account, &query).await,
                Query::Mailbox(query) => mailbox::answer(&context, &account, &query).await,
                query => lookup::answer(&context.store, &account, &query).await,
            }
        });
        let myself = myself.clone();
        tokio::spawn(async move {
            // Whatever breaks there, the caller is not left in silence.
            let broken = |error| Answer::Failed(format!("the look-up broke off: {error}"));
            let answer = asked.await.unwrap_or_else(broken);
            // The call may have ended meanwhile.
            drop(myself.cast(CallMsg::Found(number, Box::new(answer))));
        });
    }

    /// The answer to a question, which the cursor may not wait for any more: the call has ended, or has another flow.
    pub(super) async fn found(&mut self, number: u64, answer: Answer, myself: &ActorRef<CallMsg>) {
        let slots = self.asked.slots.len();
        self.asked.slots.retain(|slot| *slot != number);
        let of_slot = self.asked.slots.len() < slots;
        if !self.finished && number == self.asked.newest && self.cursor.awaits_answer() {
            return self.feed(Input::Found(answer), myself).await;
        }
        if of_slot && let Answer::Parking(ParkingAnswer::Parked(slot)) = answer {
            self.unpark(slot.slot, slot.call_id, slot.attended);
        }
        self.stop_when_done(myself);
    }

    /// Others may have a parking slot. Beside the call, which may be over.
    pub(super) fn unpark(&self, slot: String, call_id: CallId, later: bool) {
        let (context, account) = (Arc::clone(&self.context), self.account.clone());
        tokio::spawn(async move {
            parking::free(&context, &account, &slot, &call_id, later).await;
        });
    }

    /// Its end is told there, whatever flow runs by then.
    fn remember_end(&mut self, pivot: &PivotRequest) {
        if let Some(url) = &pivot.cdr_url
            && !self.told_at_end.contains(url)
        {
            if self.told_at_end.len() >= MOST_TOLD {
                tracing::error!(call_id = %self.call_id(), account_id = %self.account, to = %url, "the end of the call is not told there (cdr_url): {MOST_TOLD} others are told already");
                return;
            }
            self.told_at_end.push(url.clone());
        }
    }

    /// The channel is gone: those who wanted to know are told.
    pub(super) fn tell_of_end(&mut self, event: &CallEvent) {
        for url in self.told_at_end.drain(..) {
            self.context.web.post(Letter::cdr(url, event));
        }
    }

    /// A request that never gets there is answered as stepswitch answers what it cannot do in time.
    pub(super) async fn ask_stepswitch(
        &self,
        request: OffnetReq,
        msg_id: String,
        myself: &ActorRef<CallMsg>,
    ) {
        let control = self.control.as_ref().expect("fed only after the win");
        let request = OffnetReq {
            call_id: Some(control.call_id.clone()),
            control_queue: Some(control.queue.clone()),
            ..request
        };
        let key = request.routing_key();
        let mut envelope = request.into_envelope();
        envelope.headers.trace_parent = control.asked_in;
        envelope.headers.msg_id.clone_from(&msg_id);
        envelope.headers.server_id = Some(self.context.queue.clone());
        envelope.headers.node.clone_from(&self.context.node);
        let bytes = envelope.to_bytes();
        let sent = self.context.bus.publish(Exchange::Resources, &key, bytes);
        if let Err(error) = sent.await {
            tracing::error!(call_id = %self.call_id(), account_id = %self.account, %error, "stepswitch cannot be asked for a call");
            let message = HangupCause::NormalTemporaryFailure.name().to_owned();
            let response = OffnetResp {
                message,
                ..OffnetResp::default()
            };
            let failed = Input::Offnet { msg_id, response };
            drop(myself.cast(CallMsg::Tell(Box::new(failed))));
        }
    }

    /// Beside the flow.
    pub(super) fn tell_web(&self, request: WebRequest, tries: u32) {
        self.context.web.post(Letter {
            what: "a webhook of its callflow",
            call_id: self.call_id().clone(),
            request,
            tries,
        });
    }
}
