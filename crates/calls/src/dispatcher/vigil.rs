//! Looks after calls nothing is heard of: asks the switches whether their channels are there, and says it when they are not.

use callreel_proto::{
    CallEvent, CallId, ChannelStatusReq, ChannelStatusResp, Envelope, EventName, Exchange, Headers,
    Utc, random_hex,
};
use ractor::ActorId;
use tokio::time::Instant;

use super::State;
use crate::pulse::Need;

/// Questions asked in one round: after an outage every call is asked about, and every switch must answer for every call.
const AT_ONCE: usize = 200;

impl State {
    /// Events may have been lost.
    pub(super) fn doubt_all(&mut self) {
        for (_, session) in self.registry.all_mut() {
            session.pulse.doubt();
        }
    }

    /// One round.
    pub(super) async fn look(&mut self) {
        let now = Instant::now();
        let patience = self.context.calls.channel_check();
        let cut_off = !self.context.bus.is_connected();
        let mut ask = Vec::new();
        let mut gone = Vec::new();
        for (actor, session) in self.registry.all_mut().filter(|(_, s)| !s.is_bid()) {
            match session.pulse.check(now, patience, cut_off) {
                Need::Nothing => {}
                Need::Ask if ask.len() < AT_ONCE => ask.push((actor, session.call_id.clone())),
                Need::Ask => {}
                Need::Gone => gone.push((session.call_id.clone(), session.pulse.silence(now))),
            }
        }
        for (actor, call_id) in ask {
            self.ask_after(actor, call_id, now).await;
        }
        for (call_id, silence) in gone {
            tracing::warn!(%call_id, "the call's channel is gone, and nobody said so");
            let silence_ms = i64::try_from(silence.as_millis()).unwrap_or_default();
            let since = Utc::now().plus_ms(-silence_ms);
            let event = Box::new(CallEvent::new(call_id, since));
            self.happened(EventName::ChannelDestroy, event).await;
        }
    }

    async fn ask_after(&mut self, actor: ActorId, call_id: CallId, now: Instant) {
        let question = ChannelStatusReq {
            call_id,
            active_only: Some(false),
        };
        let key = question.routing_key();
        let msg_id = random_hex(32);
        let mut headers = Headers::new("call_event", ChannelStatusReq::NAME)
            .msg_id(msg_id.clone())
            .server_id(self.context.queue.clone());
        headers.node.clone_from(&self.context.node);
        let bytes = Envelope {
            headers,
            body: question,
        }
        .to_bytes();
        if let Err(error) = self
            .context
            .bus
            .publish(Exchange::Callevt, &key, bytes)
            .await
        {
            tracing::warn!(%error, "a channel cannot be asked after");
            return;
        }
        if let Some(session) = self.registry.get_mut(actor) {
            session.pulse.asked(now, msg_id);
        }
    }

    /// A switch said how a channel is.
    pub(super) fn status(&mut self, msg_id: &str, status: &ChannelStatusResp) {
        let now = Instant::now();
        for actor in self.registry.actors(&status.call_id) {
            if let Some(session) = self.registry.get_mut(actor) {
                session.pulse.answered(now, msg_id, status.status);
            }
        }
    }
}
