//! The keys that the parties of a call press: hears those of both, and has done what their feature codes want.

use std::time::Instant;

use callreel_bus::Binding;
use callreel_callflow::metaflow::{Dialled, MetaflowRules, Metaflows, Party};
use callreel_proto::{CallEvent, CallId, EventName, Exchange, encode_word};
use ractor::ActorRef;
use tokio::task::JoinHandle;

use super::{CallMsg, State};
use crate::lookup;

/// What is known of the parties' feature codes.
#[derive(Default)]
pub(super) struct Keys {
    metaflows: Metaflows,
    /// Some party has feature codes: without, no keys are asked for.
    wanted: bool,
    /// The leg the call is bridged with.
    peer: Option<CallId>,
    /// Its keys are heard beside the call's own.
    heard: bool,
    timer: Option<JoinHandle<()>>,
}

impl Keys {
    /// The other leg whose keys are heard, for people.
    pub(super) fn other_leg(&self) -> Option<&CallId> {
        self.peer.as_ref().filter(|_| self.heard)
    }
}

impl State {
    /// This party is on the call.
    pub(super) fn joined(&mut self, party: Party, rules: &MetaflowRules) {
        let keys = &mut self.keys;
        keys.wanted |= *rules != MetaflowRules::default();
        for problem in keys.metaflows.joined(party, rules) {
            tracing::warn!(call_id = %self.route.call_id, account_id = %self.account, %problem, ?party, "metaflows");
        }
    }

    /// The call is bridged with this leg, or no longer.
    pub(super) async fn bridged_with(&mut self, leg: Option<CallId>, myself: &ActorRef<CallMsg>) {
        if self.keys.peer == leg {
            return;
        }
        self.deafen().await;
        let Some(leg) = leg else { return };
        let device = self.cursor.device_of(&leg).map(str::to_owned);
        let (context, account) = (self.context.clone(), self.account.clone());
        let (heard, myself) = (leg.clone(), myself.clone());
        self.keys.peer = Some(leg);
        // Beside the call, which has more urgent things to do.
        tokio::spawn(async move {
            let rules = match device {
                Some(device) => lookup::party(&context.store, &account, Some(&device))
                    .await
                    .metaflows(),
                None => MetaflowRules::default(),
            };
            // The call may have ended meanwhile.
            drop(myself.cast(CallMsg::Met(heard, Box::new(rules))));
        });
    }

    /// The other party's codes are known.
    pub(super) async fn met(
        &mut self,
        leg: CallId,
        rules: &MetaflowRules,
        myself: &ActorRef<CallMsg>,
    ) {
        if self.finished || self.keys.peer.as_ref() != Some(&leg) {
            return;
        }
        self.joined(Party::Callee, rules);
        if self.keys.wanted {
            self.context.legs.hear(&leg, myself);
            match self.context.binder.bind(keys_of(&leg)).await {
                Ok(()) => self.keys.heard = true,
                Err(error) => {
                    tracing::warn!(call_id = %self.route.call_id, account_id = %self.account, %leg, %error, "the other party's keys are not heard");
                }
            }
        }
    }

    /// The other party's keys are not heard any more.
    pub(super) async fn deafen(&mut self) {
        self.keys.metaflows.left(Party::Callee);
        self.keys.heard = false;
        let Some(leg) = self.keys.peer.take() else {
            return;
        };
        if self.context.legs.forget(&leg)
            && let Err(error) = self.context.binder.unbind(keys_of(&leg)).await
        {
            tracing::debug!(%leg, %error, "keys of a leg that left still arrive");
        }
    }

    /// A key was pressed on one of the legs.
    pub(super) async fn pressed(&mut self, event: &CallEvent, myself: &ActorRef<CallMsg>) {
        let party = match &self.keys.peer {
            Some(peer) if *peer == event.call_id => Party::Callee,
            _ => Party::Caller,
        };
        let digit = event
            .dtmf_digit
            .as_deref()
            .and_then(|digit| digit.chars().next());
        let Some(digit) = digit else { return };
        let now = tokio::time::Instant::now().into_std();
        if let Some(dialled) = self.keys.metaflows.pressed(party, digit, now) {
            self.dialled(dialled, myself).await;
        }
        self.wait_for_keys(myself);
    }

    /// No further key came in time.
    pub(super) async fn no_more_keys(&mut self, myself: &ActorRef<CallMsg>) {
        let now = tokio::time::Instant::now().into_std();
        while let Some(dialled) = self.keys.metaflows.tick(now) {
            self.dialled(dialled, myself).await;
        }
        self.wait_for_keys(myself);
    }

    async fn dialled(&mut self, dialled: Dialled, myself: &ActorRef<CallMsg>) {
        if self.finished || self.control.is_none() {
            return;
        }
        let leg = match (dialled.party, &self.keys.peer) {
            (Party::Callee, Some(peer)) => peer,
            _ => &self.route.call_id,
        };
        let by = dialled.ordered_by(leg);
        self.run(dialled.steps, dialled.party, &by, myself).await;
    }

    fn wait_for_keys(&mut self, myself: &ActorRef<CallMsg>) {
        if let Some(timer) = self.keys.timer.take() {
            timer.abort();
        }
        let until: Option<Instant> = self.keys.metaflows.deadline();
        let Some(until) = until else { return };
        let myself = myself.clone();
        self.keys.timer = Some(tokio::spawn(async move {
            tokio::time::sleep_until(until.into()).await;
            // The call may have ended meanwhile.
            drop(myself.cast(CallMsg::NoMoreKeys));
        }));
    }
}

/// The keys of one leg.
fn keys_of(leg: &CallId) -> Binding {
    let pattern = format!(
        "call.{}.{}",
        EventName::Dtmf.name(),
        encode_word(leg.as_str())
    );
    Binding::new(Exchange::Callevt, pattern)
}
