//! The dispatcher: hears of new calls, bids for those with a callflow, spawns a call actor for each, and hands it its events.
//!
//! | Who sends | Message | Why |
//! |---|---|---|
//! | the inbox task | `Delivery` | something arrived at this node's queue |
//! | a look-up task | `Bid` | a callflow was found for a new call |
//! | the node | `Drain`, `Settled` | no more bids: the node is shutting down, and waits for the last call |
//! | anybody | `Describe` | for people |
//!
//! If a call actor dies, its recordings are finished as interrupted and the channel is hung up.

use std::{collections::HashMap, sync::Arc, time::Duration};

use callreel_bus::{Binder, Binding, Bus, Delivery, QueueOptions, Subscription};
use callreel_proto::{
    Application, CallEvent, CallId, Envelope, Exchange, HangupCause, Headers, InsertAt,
    RecordingFact, RecordingNotice, RouteMethod, RouteReq, RouteResp, RouteWin,
};
use callreel_spool::Writer;
use callreel_store::Store;
use ractor::{
    Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, rpc::CallResult,
};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    RecordingConfig, abandon,
    bid::{self, Bid},
    call::{Call, CallMsg},
    capture::CaptureThread,
    context::{Context, Control},
    sockets::CapturePorts,
};

/// Messages taken from the queue and not yet handled. ractor's mailboxes have no bound; the inbox task stops taking at
/// this many, and the queue's own bound holds the rest.
const IN_HAND: usize = 1024;
/// Messages the node's queue holds: a burst of 500 calls with twenty events each.
const QUEUE: usize = 10_000;

/// A call that is too busy to describe itself for so long is left out.
const DESCRIBING: Duration = Duration::from_secs(1);

/// The role could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus refused the node's queue.
    #[error("cannot subscribe: {0}")]
    Bus(#[from] callreel_bus::Error),
    /// The recordings of an earlier run could not be recovered.
    #[error("cannot recover the spool: {0}")]
    Spool(#[from] callreel_spool::Error),
    /// The operating system refused the capture thread.
    #[error("cannot start the capture thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The dispatcher did not start.
    #[error("cannot start the dispatcher: {0}")]
    Spawn(#[from] ractor::SpawnErr),
}

/// The running role.
pub struct Calls {
    dispatcher: ActorRef<DispatcherMsg>,
    ended: tokio::task::JoinHandle<()>,
}

impl Calls {
    /// Finishes what dead processes left in the spool, then takes calls.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(
        config: RecordingConfig,
        bus: Bus,
        store: Store,
        spool: Writer,
        node: &str,
    ) -> Result<Self, Error> {
        let options = QueueOptions {
            name: Some(format!("{node}-calls-{}", callreel_proto::random_hex(8))),
            shared: false,
            capacity: QUEUE,
        };
        let inbox = bus.subscribe(options, Vec::new()).await?;
        let context = Arc::new(Context {
            bus,
            store,
            spool,
            captures: CaptureThread::start()?,
            ports: CapturePorts::new(config.capture_bind, config.capture_ports),
            config,
            node: node.to_owned(),
            queue: inbox.queue().to_owned(),
        });
        recover(&context).await?;
        let binder = inbox.binder();
        let state = State::new(Arc::clone(&context), binder.clone());
        let (dispatcher, ended) = Actor::spawn(None, Dispatcher, state).await?;
        tokio::spawn(take(inbox, dispatcher.clone()));
        let own = |exchange| Binding::new(exchange, context.queue.clone());
        binder.bind(own(Exchange::Targeted)).await?;
        binder
            .bind(Binding::new(Exchange::Callmgr, "route.req.audio.*"))
            .await?;
        Ok(Self { dispatcher, ended })
    }

    /// Bids for no more calls; those that run go on.
    pub fn drain(&self) {
        drop(self.dispatcher.cast(DispatcherMsg::Drain));
    }

    /// Returns when no call is left.
    pub async fn settled(&self) {
        // A dispatcher that is gone has no calls.
        drop(self.dispatcher.call(DispatcherMsg::Settled, None).await);
    }

    /// What this role is doing, for people.
    pub async fn describe(&self) -> Value {
        ractor::call!(self.dispatcher, DispatcherMsg::Describe).unwrap_or_default()
    }

    /// Waits until the role ends without having been told to: something in it broke.
    pub async fn ended(&mut self) {
        if !self.ended.is_finished() {
            // An actor's own task does not panic; how it ended is in the log.
            drop((&mut self.ended).await);
        }
    }

    /// Stops: bids no more, gives the calls whose channels are gone this long to end their recordings, and cuts the rest
    /// off, whose recordings end as interrupted.
    pub async fn stop(mut self, patience: Duration) {
        self.drain();
        if tokio::time::timeout(patience, self.settled())
            .await
            .is_err()
        {
            tracing::warn!("calls that still ran were cut off; their recordings end here");
        }
        self.dispatcher.stop(None);
        self.ended().await;
    }
}

/// Ends every recording that a dead process left growing.
async fn recover(context: &Context) -> Result<(), Error> {
    let spool = context.spool.clone();
    let recovered = tokio::task::spawn_blocking(move || spool.recover())
        .await
        .map_err(|panic| std::io::Error::other(panic.to_string()))??;
    for ticket in recovered {
        tracing::warn!(recording_id = %ticket.recording_id(), length_ms = ticket.length_ms(), "recording of a dead process finished");
        let promise = ticket.promise();
        let notice = RecordingNotice {
            fact: RecordingFact::Ended,
            account_id: promise.account_id.clone(),
            call_id: promise.call_id.clone(),
            recording_id: Some(promise.recording_id.clone()),
            end_reason: ticket.end_reason(),
            detail: Some("its process died".to_owned()),
        };
        context.notify(notice).await;
    }
    Ok(())
}

/// The inbox task: hands on what arrives, at most [`IN_HAND`] at a time.
async fn take(mut inbox: Subscription, dispatcher: ActorRef<DispatcherMsg>) {
    let room = Arc::new(Semaphore::new(IN_HAND));
    while let Some(delivery) = inbox.recv().await {
        let permit = Arc::clone(&room)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let message = DispatcherMsg::Delivery(Box::new(delivery), permit);
        if dispatcher.cast(message).is_err() {
            return;
        }
    }
}

struct Dispatcher;

/// What the dispatcher is told.
enum DispatcherMsg {
    /// From the inbox task: something arrived at this node's queue.
    Delivery(Box<Delivery>, OwnedSemaphorePermit),
    /// From a look-up task: this call is worth a bid.
    Bid(Box<Bid>),
    /// From the node: no more bids.
    Drain,
    /// From the node, stopping: answer when no call is left.
    Settled(RpcReplyPort<()>),
    /// From anybody, for people.
    Describe(RpcReplyPort<Value>),
}

struct State {
    context: Arc<Context>,
    binder: Binder,
    calls: HashMap<CallId, Running>,
    by_actor: HashMap<ActorId, CallId>,
    draining: bool,
    /// Who waits for the last call to end.
    waiting: Vec<RpcReplyPort<()>>,
}

struct Running {
    actor: ActorRef<CallMsg>,
    /// Where to hang the channel up if the actor dies.
    control_queue: Option<String>,
}

impl Actor for Dispatcher {
    type Msg = DispatcherMsg;
    type State = State;
    type Arguments = State;

    async fn pre_start(
        &self,
        _: ActorRef<DispatcherMsg>,
        state: State,
    ) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<DispatcherMsg>,
        message: DispatcherMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DispatcherMsg::Delivery(delivery, _in_hand) => state.deliver(&delivery, &myself),
            DispatcherMsg::Bid(bid) => state.bid(*bid, &myself).await,
            DispatcherMsg::Drain => state.draining = true,
            DispatcherMsg::Settled(reply) => {
                state.waiting.push(reply);
                state.tell_if_settled();
            }
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
                state.forget(actor.get_id()).await;
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
        for call_id in state.calls.keys() {
            abandon::abandon(&state.context, call_id).await;
        }
        Ok(())
    }
}

impl State {
    fn new(context: Arc<Context>, binder: Binder) -> Self {
        Self {
            context,
            binder,
            calls: HashMap::new(),
            by_actor: HashMap::new(),
            draining: false,
            waiting: Vec::new(),
        }
    }

    fn deliver(&mut self, delivery: &Delivery, myself: &ActorRef<DispatcherMsg>) {
        let outcome = match delivery.exchange {
            Exchange::Callmgr => self.route_requested(&delivery.body, myself),
            Exchange::Targeted => self.route_won(&delivery.body),
            Exchange::Callevt => self.call_event(&delivery.body),
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, key = delivery.routing_key, "message dropped");
        }
    }

    fn route_requested(
        &mut self,
        body: &[u8],
        myself: &ActorRef<DispatcherMsg>,
    ) -> Result<(), callreel_proto::MalformedMessage> {
        let request = Envelope::<RouteReq>::from_bytes(body)?;
        let call_id = &request.body.call_id;
        if self.draining || self.calls.contains_key(call_id) {
            return Ok(());
        }
        if self.calls.len() >= self.context.config.max_calls {
            tracing::warn!(%call_id, max_calls = self.context.config.max_calls, "full: the call is left to others");
            return Ok(());
        }
        let (context, myself) = (Arc::clone(&self.context), myself.clone());
        tokio::spawn(async move {
            if let Some(bid) = bid::consider(context, request).await {
                drop(myself.cast(DispatcherMsg::Bid(Box::new(bid))));
            }
        });
        Ok(())
    }

    fn route_won(&mut self, body: &[u8]) -> Result<(), callreel_proto::MalformedMessage> {
        let win = Envelope::<RouteWin>::from_bytes(body)?.body;
        match self.calls.get_mut(&win.call_id) {
            Some(running) => {
                running.control_queue = Some(win.control_queue.clone());
                drop(running.actor.cast(CallMsg::Won(win)));
            }
            None => tracing::warn!(call_id = %win.call_id, "won a call that is gone"),
        }
        Ok(())
    }

    fn call_event(&mut self, body: &[u8]) -> Result<(), callreel_proto::MalformedMessage> {
        let event = Envelope::<CallEvent>::from_bytes(body)?;
        let name = event.name();
        if let Some(running) = self.calls.get(&event.body.call_id) {
            // A call that just died is reported by supervision.
            drop(
                running
                    .actor
                    .cast(CallMsg::Event(name, Box::new(event.body))),
            );
        }
        Ok(())
    }

    async fn bid(&mut self, bid: Bid, myself: &ActorRef<DispatcherMsg>) {
        let call_id = bid.route.call_id.clone();
        if self.draining || self.calls.contains_key(&call_id) {
            return;
        }
        // Bound before the bid, so that the first event after the win is heard.
        let events = Binding::new(Exchange::Callevt, CallEvent::pattern(&call_id));
        if let Err(error) = self.binder.bind(events).await {
            tracing::error!(%call_id, %error, "no bid: the call's events cannot be heard");
            return;
        }
        let spawned = Actor::spawn_linked(None, Call, bid.call, myself.get_cell()).await;
        let (actor, _) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                tracing::error!(%call_id, %error, "no bid: the call actor did not start");
                return;
            }
        };
        self.by_actor.insert(actor.get_id(), call_id.clone());
        let running = Running {
            actor,
            control_queue: None,
        };
        self.calls.insert(call_id, running);
        self.answer(&bid.headers, &bid.flow_id).await;
    }

    async fn answer(&self, request: &Headers, flow_id: &str) {
        let mut channel_vars = Map::new();
        channel_vars.insert("CallFlow-ID".to_owned(), json!(flow_id));
        let mut headers = Headers::new("dialplan", "route_resp")
            .msg_id(request.msg_id.clone())
            .server_id(self.context.queue.clone());
        headers.node.clone_from(&self.context.node);
        let response = Envelope {
            headers,
            body: RouteResp {
                pre_park: Some("none".to_owned()),
                custom_channel_vars: channel_vars,
                ..RouteResp::new(RouteMethod::Park)
            },
        };
        let Some(asker) = request.server_id.as_deref().filter(|s| !s.is_empty()) else {
            return;
        };
        let bus = &self.context.bus;
        if let Err(error) = bus
            .send(Exchange::Targeted, asker, response.to_bytes())
            .await
        {
            tracing::warn!(%error, "bid not sent");
        }
    }

    async fn forget(&mut self, actor: ActorId) -> Option<(CallId, Running)> {
        let call_id = self.by_actor.remove(&actor)?;
        let running = self.calls.remove(&call_id)?;
        let events = Binding::new(Exchange::Callevt, CallEvent::pattern(&call_id));
        if let Err(error) = self.binder.unbind(events).await {
            tracing::warn!(%call_id, %error, "events of a finished call still arrive");
        }
        self.tell_if_settled();
        Some((call_id, running))
    }

    fn tell_if_settled(&mut self) {
        if self.calls.is_empty() {
            for waiting in self.waiting.drain(..) {
                // Whoever waited too long has gone on.
                drop(waiting.send(()));
            }
        }
    }

    async fn bury(&mut self, actor: ActorId, error: &str) {
        let Some((call_id, running)) = self.forget(actor).await else {
            return;
        };
        tracing::error!(%call_id, error, "the call actor died; its recordings are kept up to here");
        abandon::abandon(&self.context, &call_id).await;
        let Some(queue) = running.control_queue else {
            return;
        };
        let control = Control {
            context: Arc::clone(&self.context),
            call_id,
            queue,
        };
        let hangup = Application::Hangup {
            hangup_cause: Some(HangupCause::NormalTemporaryFailure),
            other_leg_only: None,
        };
        control.send(InsertAt::Now, hangup, None).await;
    }

    async fn describe(&self) -> Value {
        let mut calls = Vec::with_capacity(self.calls.len());
        for running in self.calls.values() {
            let asked = running.actor.call(CallMsg::Describe, Some(DESCRIBING));
            if let Ok(CallResult::Success(call)) = asked.await {
                calls.push(call);
            }
        }
        json!({ "draining": self.draining, "calls": calls })
    }
}
