//! Recordings of a call that is transferred: which go on, and where their audio comes from when the recorded leg is the one
//! that leaves.

use callreel_callflow::{RecordedLeg, RecordingOrder};
use callreel_proto::{
    Application, CallEvent, CallId, EndReason, InsertAt, MediaFork, RecordAction, RecordCall,
};
use ractor::ActorRef;

use super::{RecorderMsg, State, audio::Audio, running::Key};
use crate::control::Control;

impl State {
    /// The recorded leg stays, and another controller has it. A switch that keeps files follows by itself, or not, as it was
    /// told at their start.
    pub(super) async fn transferred(&mut self, myself: &ActorRef<RecorderMsg>) {
        if let Audio::File = self.audio {
            return self.release(myself).await;
        }
        // The leg that leaves is the other one, with what was made of it.
        let of_the_other = self.running.iter().filter(|(_, r)| r.leg.is_some());
        let keys: Vec<Key> = of_the_other.map(|(key, _)| *key).collect();
        for key in keys {
            self.end_with_its_leg(key, myself).await;
        }
        self.end_those_that_stay(myself).await;
        self.over = true;
    }

    /// The recorded leg transfers the other party away and leaves: what is to follow is recorded from that party's leg. Its
    /// streams are the other way about: what it sends was what ours was sent.
    pub(super) async fn leave_to(&mut self, event: &CallEvent, myself: &ActorRef<RecorderMsg>) {
        let Some(stays) = event.other_leg_call_id.clone() else {
            return;
        };
        let Some(MediaFork { a, b }) = self.audio.target() else {
            return;
        };
        self.end_those_that_stay(myself).await;
        let mut heir = self.args.control.clone();
        heir.call_id = stays;
        if let Some(queue) = event
            .control_queue
            .clone()
            .filter(|queue| !queue.is_empty())
        {
            heir.queue = queue;
        }
        tracing::info!(call_id = %self.call_id(), account_id = %self.args.account, stays = %heir.call_id, recordings = self.running.len(), "recorded on from the leg that stays");
        self.heir = Some(heir);
        let fork = MediaFork { a: b, b: a };
        for running in self.running.values() {
            let leg = &self.heir.as_ref().expect("set above").call_id;
            self.context()
                .held
                .moved(running.ticket.recording_id(), leg);
        }
        let keys: Vec<Key> = self.running.keys().copied().collect();
        for key in keys {
            self.order_from_heir(key, fork, myself).await;
        }
    }

    async fn order_from_heir(&mut self, key: Key, fork: MediaFork, myself: &ActorRef<RecorderMsg>) {
        let Some(running) = self.running.get_mut(&key).filter(|r| r.is_beside()) else {
            return;
        };
        running.inherited = true;
        let command = Application::RecordCall {
            action: RecordAction::Start,
            media_name: Some(running.names.media_name.clone()),
            terms: Box::new(RecordCall {
                recording_id: Some(running.names.id.clone()),
                time_limit_s: Some(running.ticket.promise().time_limit_s),
                ..RecordCall::default()
            }),
            fork: Some(fork),
        };
        running.unconfirmed = Some(command.clone());
        let command_id = running.command_id.clone();
        self.wait_for_word(key, myself);
        let control = self.control_of(key);
        control.send(InsertAt::Now, command, Some(command_id)).await;
    }

    /// Ends what is not to follow.
    async fn end_those_that_stay(&mut self, myself: &ActorRef<RecorderMsg>) {
        let stays = self.running.iter();
        let stays = stays.filter(|(_, r)| !r.follows || !r.is_beside());
        let keys: Vec<Key> = stays.map(|(key, _)| *key).collect();
        for key in keys {
            self.end(key, EndReason::Transferred, myself).await;
        }
    }

    /// Whether it is a mandate that the recorder of an earlier controller still fulfils.
    pub(super) fn is_done_already(&self, order: &RecordingOrder) -> bool {
        let held = &self.context().held;
        order.by.source.is_mandate()
            && order.leg == RecordedLeg::A
            && held.is_done_by_others(self.call_id(), &order.by, self.owner)
    }

    /// Whether this is the leg that is recorded in the place of ours.
    pub(super) fn is_heir(&self, leg: &CallId) -> bool {
        self.heir.as_ref().is_some_and(|heir| heir.call_id == *leg)
    }

    /// Whether the word about a recording is only about the leg that has left.
    pub(super) fn is_of_the_past(&self, key: Key, leg: &CallId) -> bool {
        let inherited = self.running.get(&key).is_some_and(|r| r.inherited);
        inherited && self.heir.is_some() && !self.is_heir(leg)
    }

    /// Where commands about a recording go that is made from another leg than the call's own.
    pub(super) fn control_of_heir(&self, key: Key) -> Option<&Control> {
        let inherited = self.running.get(&key).is_some_and(|r| r.inherited);
        self.heir.as_ref().filter(|_| inherited)
    }
}
