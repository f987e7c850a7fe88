//! Hands events to the calls and recorders they are about, and sees who controls a call now. Knows no flow.

use callreel_proto::{CallEvent, CallId, EventName};
use ractor::ActorId;
use serde_json::Value;
use tokio::time::Instant;

use super::State;
use crate::{call::CallMsg, recorder::RecorderMsg, registry::Listener};

impl State {
    /// A channel did something.
    pub(super) async fn happened(&mut self, name: EventName, event: Box<CallEvent>) {
        if matches!(name, EventName::RecordStart | EventName::RecordStop)
            && let Some(recorder) = self.context.files.recorder(&event)
        {
            // About a file of ours, whichever leg it is recorded from by now.
            drop(recorder.cast(RecorderMsg::Event(name, event)));
            return;
        }
        if name == EventName::Dtmf
            && let Some(call) = self.context.legs.call(&event.call_id)
        {
            // A call that just died is reported by supervision.
            drop(call.cast(CallMsg::Pressed(event.clone())));
        }
        for actor in self.registry.actors(&event.call_id) {
            self.happened_to(actor, name, event.clone()).await;
        }
    }

    async fn happened_to(&mut self, actor: ActorId, name: EventName, event: Box<CallEvent>) {
        let fetch_id = event.custom_channel_vars.get("Fetch-ID");
        let fetch_id = fetch_id.and_then(Value::as_str).unwrap_or_default();
        let Some(session) = self.registry.get_mut(actor) else {
            return;
        };
        session.pulse.heard(Instant::now());
        // A recorder alone controls nothing and follows its channel wherever it goes.
        let controlled = session.is_controlled_by(fetch_id);
        // A recorder alone controls nothing and follows its channel wherever it goes.
        let ours = controlled || matches!(session.listener, Listener::Recorder(_));
        let gone = name == EventName::ChannelDestroy && session.call_id == event.call_id;
        match (name, &event.replaced_by, &event.other_leg_call_id) {
            (EventName::ChannelTransferee, _, _) if controlled => self.transfer(actor),
            (EventName::ChannelReplaced, Some(successor), _) if ours => {
                let successor = successor.clone();
                self.replace(actor, event, successor).await;
            }
            (EventName::ChannelReplaced, _, _) => {}
            (EventName::ChannelTransferor, _, Some(stays)) if ours => {
                let stays = stays.clone();
                self.leave_to(actor, event, stays).await;
            }
            _ => tell(&session.listener, name, event),
        }
        if gone && let Some(before) = self.registry.inherit(actor) {
            self.hear_no_more(&before).await;
        }
    }

    /// The call's own leg transfers another away and leaves: what is recorded may go on at that one.
    async fn leave_to(&mut self, actor: ActorId, event: Box<CallEvent>, stays: CallId) {
        if let Err(error) = self.hear(&stays).await {
            tracing::error!(call_id = %stays, %error, "the end of a leg that stays is not heard");
        }
        self.registry.add_heir(actor, stays);
        if let Some(session) = self.registry.get_mut(actor) {
            tell(&session.listener, EventName::ChannelTransferor, event);
        }
    }

    /// The call goes on under another id: first it is heard there, then no longer here.
    async fn replace(&mut self, actor: ActorId, event: Box<CallEvent>, successor: CallId) {
        if let Err(error) = self.hear(&successor).await {
            tracing::error!(call_id = %successor, %error, "the call's events are no longer heard");
        }
        let Some(before) = self.registry.rename(actor, successor.clone()) else {
            return;
        };
        self.hear_no_more(&before).await;
        let session = self.registry.get_mut(actor).expect("renamed just now");
        match &session.listener {
            Listener::Call(call) => drop(call.cast(CallMsg::Replaced(event, successor))),
            Listener::Recorder(recorder) => drop(recorder.cast(RecorderMsg::Replaced(successor))),
        }
    }

    /// A control session began: those of the same call that are not it have lost the call.
    pub(super) fn release_others(&mut self, call_id: &CallId, fetch_id: &str) {
        for actor in self.registry.usurped(call_id, fetch_id) {
            self.release(actor, "it was usurped");
        }
    }

    /// Another controller takes the call where it was transferred to; what is recorded may go on.
    fn transfer(&mut self, actor: ActorId) {
        let Some(session) = self.registry.get_mut(actor) else {
            return;
        };
        session.control_queue = None;
        if let Listener::Call(call) = &session.listener {
            drop(call.cast(CallMsg::Transferred));
        }
    }

    fn release(&mut self, actor: ActorId, why: &'static str) {
        let Some(session) = self.registry.get_mut(actor) else {
            return;
        };
        // Not even if it dies: the channel is another's to hang up.
        session.control_queue = None;
        if let Listener::Call(call) = &session.listener {
            drop(call.cast(CallMsg::Released(why)));
        }
    }
}

/// One that just died is reported by supervision.
fn tell(listener: &Listener, name: EventName, event: Box<CallEvent>) {
    match listener {
        Listener::Call(call) => drop(call.cast(CallMsg::Event(name, event))),
        Listener::Recorder(recorder) => drop(recorder.cast(RecorderMsg::Event(name, event))),
    }
}
