//! What a call hears of its channel: that it is ours, what happens on it, and that it is another's.

use std::sync::Arc;

use callreel_callflow::Input;
use callreel_proto::{CallEvent, CallId, EventName, HangupCause, RouteWin};
use callreel_telemetry::{KeyValue, Live, metrics};
use ractor::ActorRef;

use super::{CallMsg, State, trail::Trail};
use crate::{
    control::{Control, Owner},
    recorder::RecorderMsg,
};

impl State {
    pub(super) async fn won(&mut self, win: RouteWin, myself: &ActorRef<CallMsg>) {
        if self.control.is_some() {
            return;
        }
        tracing::info!(call_id = %self.route.call_id, account_id = %self.account, number = self.route.dialled(), "call won");
        metrics().calls_started.add(1, &[]);
        metrics()
            .route_duration
            .record(self.asked_at.elapsed().as_secs_f64(), &[]);
        self.live = Some(Live::one_of(&metrics().calls_live));
        let account = self.account.as_str();
        let trail = Trail::begin(self.asked_in, &self.route, account);
        self.control = Some(Control {
            context: Arc::clone(&self.context),
            call_id: self.route.call_id.clone(),
            queue: win.control_queue,
            owner: Owner::Call(myself.clone()),
            asked_in: trail.parent(),
        });
        self.trail = Some(trail);
        self.feed(Input::Started, myself).await;
    }

    pub(super) fn lost(&mut self, why: &'static str, myself: &ActorRef<CallMsg>) {
        if self.control.is_none() {
            tracing::info!(call_id = %self.route.call_id, account_id = %self.account, why, "call not won");
            myself.stop(None);
        }
    }

    pub(super) async fn hear(
        &mut self,
        name: EventName,
        event: Box<CallEvent>,
        myself: &ActorRef<CallMsg>,
    ) {
        if self.control.is_none() {
            if name == EventName::ChannelDestroy {
                self.lost("the caller gave up before the call was ours", myself);
            }
            return;
        }
        let gone = matches!(
            name,
            EventName::ChannelDestroy | EventName::ChannelDisconnected
        );
        if let Some(recorder) = &self.recorder {
            // A recorder that just died is reported by supervision.
            drop(recorder.cast(RecorderMsg::Event(name, event.clone())));
            // Also while the flow still sees a message through.
            if gone {
                drop(recorder.cast(RecorderMsg::CallEnded));
            }
        }
        let own = self.control.as_ref().map(|control| &control.call_id);
        if own != Some(&event.call_id) {
            // Of a leg that is recorded in the place of ours.
            return;
        }
        if gone {
            self.count_end(&event);
            self.tell_of_end(&event);
            self.stop_when_done(myself);
        }
        let peer = event.other_leg_call_id.clone();
        // Before the flow hears of it: what it then starts is of a bridged call.
        match name {
            EventName::ChannelBridge => self.peer = peer.clone(),
            EventName::ChannelUnbridge => self.peer = None,
            _ => {}
        }
        if name == EventName::Dtmf {
            self.pressed(&event, myself).await;
        }
        self.feed(Input::Event { name, event }, myself).await;
        match name {
            EventName::ChannelBridge => self.bridged_with(peer, myself).await,
            EventName::ChannelUnbridge => self.bridged_with(None, myself).await,
            _ => {}
        }
    }

    fn count_end(&mut self, event: &CallEvent) {
        if self.live.take().is_some() {
            let cause = event.hangup_cause.unwrap_or(HangupCause::NormalUnspecified);
            let cause = KeyValue::new("callreel.hangup.cause", cause.name());
            metrics().calls_ended.add(1, &[cause]);
        }
        if let Some(trail) = &mut self.trail {
            trail.hung_up(event);
        }
    }

    pub(super) async fn replaced(
        &mut self,
        event: Box<CallEvent>,
        successor: CallId,
        myself: &ActorRef<CallMsg>,
    ) {
        tracing::info!(call_id = %self.route.call_id, account_id = %self.account, %successor, "the call goes on under another id");
        if let Some(control) = &mut self.control {
            control.call_id = successor.clone();
        }
        if let Some(recorder) = &self.recorder {
            drop(recorder.cast(RecorderMsg::Replaced(successor)));
        }
        let name = EventName::ChannelReplaced;
        self.feed(Input::Event { name, event }, myself).await;
    }

    /// The flow ends here, and the channel lives on: it is not hung up, and nothing that was queued is taken back.
    pub(super) fn released(
        &mut self,
        why: &'static str,
        recordings: RecorderMsg,
        myself: &ActorRef<CallMsg>,
    ) {
        if self.finished {
            return;
        }
        tracing::info!(call_id = %self.route.call_id, account_id = %self.account, why, "the call has another controller");
        self.finished = true;
        self.live = None;
        self.wait(None, myself);
        if let Some(recorder) = &self.recorder {
            drop(recorder.cast(recordings));
        }
        self.stop_when_done(myself);
    }
}
