//! The dispatcher: hears of new calls, bids for those with a callflow, spawns a call actor for each, and hands it its events.
//!
//! | Who sends | Message | Why |
//! |---|---|---|
//! | the inbox tasks | `Delivery` | something arrived at one of this node's queues |
//! | a look-up task | `Bid` | a callflow was found for a new call |
//! | the role's own tasks | `Look`, `Reconnected` | a second has passed; events may have been lost |
//! | the node | `Drain`, `Settled` | no more bids: the node is shutting down, and waits for the last call |
//! | anybody | `Describe` | for people |
//!
//! If a call actor dies, its recordings are finished as interrupted and the channel is hung up.

mod asked;
mod events;
mod vigil;

use std::{sync::Arc, time::Duration};

use callreel_bus::{Binding, Delivery, Mishaps};
use callreel_callflow::Input;
use callreel_proto::{
    Application, CallEvent, CallId, Envelope, Exchange, HangupCause, Headers, InsertAt, OffnetResp,
    RouteReq, RouteResp, RouteWin,
};
use ractor::{
    Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, rpc::CallResult,
};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    bid::{self, Bid},
    call::{Call, CallMsg},
    context::Context,
    control::{Control, Owner},
    inbox::{self, Heard},
    orphans,
    recorder::RecorderMsg,
    registry::{Listener, Registry, Session},
    told,
};

/// A call that is too busy to describe itself for so long is left out.
const DESCRIBING: Duration = Duration::from_secs(1);

/// The actor; all it knows is in [`State`].
pub(crate) struct Dispatcher;

/// What the dispatcher is told.
pub(crate) enum DispatcherMsg {
    /// From an inbox task: something arrived at one of this node's queues.
    Delivery(Box<Delivery>, OwnedSemaphorePermit),
    /// From a look-up task: this call is worth a bid.
    Bid(Box<Bid>),
    /// From the role, every second: look after the calls nothing is heard of.
    Look,
    /// From the role: the bus was away, and events may have been lost.
    Reconnected,
    /// From the node: no more bids.
    Drain,
    /// From the node, stopping: answer when no call is left.
    Settled(RpcReplyPort<()>),
    /// From the node's heartbeat: how many calls and recorders there are.
    Count(RpcReplyPort<usize>),
    /// From anybody, for people.
    Describe(RpcReplyPort<Value>),
}

/// Everything the dispatcher knows.
pub(crate) struct State {
    context: Arc<Context>,
    registry: Registry,
    /// Messages that could not be used.
    refused: Mishaps,
    draining: bool,
    /// Who waits for the last call to end.
    waiting: Vec<RpcReplyPort<()>>,
}

impl Actor for Dispatcher {
    type Msg = DispatcherMsg;
    type State = State;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        _: ActorRef<DispatcherMsg>,
        context: Arc<Context>,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            context,
            registry: Registry::default(),
            refused: Mishaps::default(),
            draining: false,
            waiting: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<DispatcherMsg>,
        message: DispatcherMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DispatcherMsg::Delivery(delivery, _in_hand) => state.deliver(&delivery, &myself).await,
            DispatcherMsg::Bid(bid) => state.bid(*bid, &myself).await,
            DispatcherMsg::Look => state.look().await,
            DispatcherMsg::Reconnected => state.doubt_all(),
            DispatcherMsg::Drain => state.draining = true,
            DispatcherMsg::Settled(reply) => {
                state.waiting.push(reply);
                state.tell_if_settled();
            }
            DispatcherMsg::Count(reply) => drop(reply.send(state.registry.len())),
            DispatcherMsg::Describe(reply) => drop(reply.send(state.describe().await)),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<DispatcherMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(actor, ..) => {
                drop(state.forget(actor.get_id()).await)
            }
            SupervisionEvent::ActorFailed(actor, error) => {
                state.bury(actor.get_id(), &error.to_string()).await;
            }
            _ => {}
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<DispatcherMsg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let left = state.context.held.left_by_all();
        if !left.is_empty() {
            orphans::abandon(&state.context, left).await;
        }
        Ok(())
    }
}

impl State {
    async fn deliver(&mut self, delivery: &Delivery, myself: &ActorRef<DispatcherMsg>) {
        match inbox::read(delivery) {
            Ok(Heard::Request(request)) => self.requested(*request, myself).await,
            Ok(Heard::Win(win)) => self.won(*win),
            Ok(Heard::Event(name, event)) => self.happened(name, event).await,
            Ok(Heard::Usurp(usurp)) => self.release_others(&usurp.call_id, &usurp.fetch_id),
            Ok(Heard::Status(msg_id, status)) => self.status(&msg_id, &status),
            Ok(Heard::Offnet(msg_id, response)) => self.offnet(msg_id, *response),
            Ok(Heard::Record(request)) => self.record(request, myself).await,
            Ok(Heard::Action(request)) => self.act(request),
            Ok(Heard::Flow(request)) => self.flow(request),
            Ok(Heard::Live(request)) => self.live(*request),
            Ok(Heard::Nothing) => {}
            Err(refusal) if self.refused.count(&refusal.kind) => {
                tracing::warn!(
                    key = delivery.routing_key,
                    why = refusal.why,
                    "message dropped; more of its kind are only counted"
                );
            }
            Err(_) => {}
        }
    }

    /// A new call, or one that is asked about again: another application replays a request that it has learnt something
    /// about, and a channel that is transferred gets a new control session.
    async fn requested(&mut self, request: Envelope<RouteReq>, myself: &ActorRef<DispatcherMsg>) {
        let call_id = &request.body.call_id;
        let fetch_id = bid::fetch_id(&request.headers, &request.body);
        if let Some(session) = self
            .registry
            .of(call_id)
            .find(|s| s.is_controlled_by(fetch_id))
        {
            if let Some(answer) = session.answer.clone() {
                self.answer(&request.headers, answer).await;
            }
            return;
        }
        if self.draining {
            return;
        }
        if self.registry.len() >= self.context.config.max_calls {
            tracing::warn!(%call_id, max_calls = self.context.config.max_calls, "full: the call is left to others");
            return;
        }
        let (context, myself) = (Arc::clone(&self.context), myself.clone());
        let courtesy = bid::courtesy(self.registry.len());
        tokio::spawn(async move {
            let considered = bid::consider(context, request);
            if let (Some(bid), ()) = tokio::join!(considered, tokio::time::sleep(courtesy)) {
                drop(myself.cast(DispatcherMsg::Bid(Box::new(bid))));
            }
        });
    }

    async fn bid(&mut self, bid: Bid, myself: &ActorRef<DispatcherMsg>) {
        let call_id = bid.call.route.call_id.clone();
        if self
            .registry
            .of(&call_id)
            .any(|s| s.is_controlled_by(&bid.fetch_id))
        {
            return self.answer(&bid.headers, bid.answer).await;
        }
        if self.draining {
            return;
        }
        // Bound before the bid, so that the first event after the win is heard.
        if let Err(error) = self.hear(&call_id).await {
            tracing::error!(%call_id, %error, "no bid: the call's events cannot be heard");
            return;
        }
        let spawned = Actor::spawn_linked(None, Call, bid.call, myself.get_cell()).await;
        let (call, _) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                tracing::error!(%call_id, %error, "no bid: the call actor did not start");
                return self.hear_no_more(&call_id).await;
            }
        };
        let session = Session::bid(call, call_id, bid.fetch_id, bid.answer.clone());
        self.registry.add(session);
        self.answer(&bid.headers, bid.answer).await;
    }

    async fn answer(&self, request: &Headers, answer: RouteResp) {
        let headers = Headers::new("dialplan", "route_resp")
            .msg_id(request.msg_id.clone())
            .server_id(self.context.queue.clone());
        let bid = Envelope {
            headers,
            body: answer,
        };
        told::reply(&self.context, request, bid).await;
    }

    fn won(&mut self, win: RouteWin) {
        let Some(winner) = self.registry.winner(&win) else {
            // Nothing is said to the switch: the call may be another's by now.
            tracing::warn!(call_id = %win.call_id, "won a call that we had given up");
            return;
        };
        let session = self.registry.get_mut(winner).expect("found just now");
        session.control_queue = Some(win.control_queue.clone());
        session.answer = None;
        if let Some(fetch_id) = win
            .custom_channel_vars
            .get("Fetch-ID")
            .and_then(Value::as_str)
        {
            fetch_id.clone_into(&mut session.fetch_id);
        }
        let fetch_id = session.fetch_id.clone();
        let call_id = win.call_id.clone();
        if let Listener::Call(call) = &session.listener {
            drop(call.cast(CallMsg::Won(win)));
        }
        self.release_others(&call_id, &fetch_id);
    }

    /// How a call to the public network ended: for who asked. Whose channel goes on under another id hears of it by its events.
    fn offnet(&self, msg_id: String, response: OffnetResp) {
        let call_id = response.call_id.clone();
        let asker = call_id.and_then(|id| self.registry.of(&id).find(|s| !s.is_bid()));
        if let Some(Listener::Call(call)) = asker.map(|session| &session.listener) {
            let input = Input::Offnet { msg_id, response };
            drop(call.cast(CallMsg::Tell(Box::new(input))));
        }
    }

    async fn hear(&self, call_id: &CallId) -> Result<(), callreel_bus::Error> {
        let events = Binding::new(Exchange::Callevt, CallEvent::pattern(call_id));
        self.context.binder.bind(events).await
    }

    /// Once nobody listens to it.
    async fn hear_no_more(&self, call_id: &CallId) {
        if self.registry.hears(call_id) {
            return;
        }
        let events = Binding::new(Exchange::Callevt, CallEvent::pattern(call_id));
        if let Err(error) = self.context.binder.unbind(events).await {
            tracing::warn!(%call_id, %error, "events of a finished call still arrive");
        }
    }

    async fn forget(&mut self, actor: ActorId) -> Option<Session> {
        let session = self.registry.remove(actor)?;
        self.hear_no_more(&session.call_id).await;
        if let Some(heir) = &session.heir {
            self.hear_no_more(heir).await;
        }
        self.tell_if_settled();
        Some(session)
    }

    fn tell_if_settled(&mut self) {
        if self.registry.len() == 0 {
            for waiting in self.waiting.drain(..) {
                // Whoever waited too long has gone on.
                drop(waiting.send(()));
            }
        }
    }

    async fn bury(&mut self, actor: ActorId, error: &str) {
        let Some(session) = self.forget(actor).await else {
            return;
        };
        let call_id = session.call_id;
        tracing::error!(%call_id, error, "the call's actor died; its recordings are kept up to here");
        let context = Arc::clone(&self.context);
        let left = context.held.left_by(actor);
        tokio::spawn(async move { orphans::abandon(&context, left).await });
        let (Some(queue), Listener::Call(_)) = (session.control_queue, session.listener) else {
            return;
        };
        let control = Control {
            context: Arc::clone(&self.context),
            call_id,
            queue,
            owner: Owner::Nobody,
            asked_in: None,
        };
        let hangup = Application::Hangup {
            hangup_cause: Some(HangupCause::NormalTemporaryFailure),
            other_leg_only: None,
        };
        control.send(InsertAt::Now, hangup, None).await;
    }

    async fn describe(&self) -> Value {
        let mut calls = Vec::new();
        let mut recorders = Vec::new();
        for session in self.registry.all() {
            match &session.listener {
                Listener::Call(call) => {
                    let asked = call.call(CallMsg::Describe, Some(DESCRIBING));
                    if let Ok(CallResult::Success(call)) = asked.await {
                        calls.push(call);
                    }
                }
                Listener::Recorder(recorder) => {
                    let asked = recorder.call(RecorderMsg::Describe, Some(DESCRIBING));
                    if let Ok(CallResult::Success(picture)) = asked.await {
                        recorders.push(json!({ "call_id": session.call_id, "recorder": picture }));
                    }
                }
            }
        }
        json!({
            "draining": self.draining,
            "calls": calls,
            "recorders": recorders,
            "refused": self.refused.counts(),
            "spool": self.context.spool.describe(),
        })
    }
}
