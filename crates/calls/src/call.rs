//! One call: owns its callflow cursor, performs what the cursor wants, and feeds it what happens.
//!
//! | Who sends | Message | Why |
//! |---|---|---|
//! | the dispatcher | `Won` | the switch gave us the call |
//! | the dispatcher | `Event` | the switch said something about the channel |
//! | the dispatcher | `Replaced` | the channel goes on under another id |
//! | the dispatcher | `Released`, `Transferred` | another controller has it now |
//! | the dispatcher | `Asked` | another application wants it recorded |
//! | the dispatcher | `Act`, `Flow` | a program wants something of the live call |
//! | the dispatcher | `Live` | somebody wants to know where it is |
//! | the dispatcher | `Pressed` | the other party pressed a key |
//! | its own look-up task | `Met` | the other party's feature codes are known |
//! | its own timer | `NoMoreKeys` | a feature code is complete, or none |
//! | its own timer | `Lost` | nobody gave it to us in time |
//! | its own timer | `Tell` | the cursor asked to be woken |
//! | its own look-up task | `Found` | the answer to the cursor's question |
//! | its recorder | `Tell` | a recording ended or was refused; the flow may wait for it |
//!
//! If its recorder dies, the call goes on and the recordings are finished as interrupted.

mod asking;
mod hearing;
mod keys;
mod metaflow;
mod recording;
mod trail;

use std::{sync::Arc, time::Instant};

use callreel_callflow::{
    Answer, CallInfo, Captures, Cursor, Effect, Flow, Input, Output, Ringback, Settings, Standing,
    metaflow::{MetaflowRules, Party},
    web::Hidden,
};
use callreel_proto::{
    AccountId, CallEvent, CallId, Envelope, EventName, FlowPosition, LiveCall, MetaflowAction,
    MetaflowFlow, RecordRequest, RouteReq, RouteWin, TraceParent,
};
use callreel_telemetry::{KeyValue, Live, metrics};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use asking::Asked;
use keys::Keys;
use trail::Trail;

use crate::{
    context::Context,
    control::Control,
    lookup::{self, CallerFacts},
    orphans,
    recorder::RecorderMsg,
};

/// The actor; all it knows is in [`State`].
pub(crate) struct Call;

/// What a call is told.
pub(crate) enum CallMsg {
    /// From the dispatcher: the switch gave us the call.
    Won(RouteWin),
    /// From the dispatcher: the switch said something about the channel.
    Event(EventName, Box<CallEvent>),
    /// From the dispatcher: the channel has this id now.
    Replaced(Box<CallEvent>, CallId),
    /// From the dispatcher: another controller has the call, for this reason. Nothing more is said to the switch.
    Released(&'static str),
    /// From the dispatcher: the call was transferred, and another controller has it where it went.
    Transferred,
    /// From the dispatcher: what another application wants recorded of the call.
    Asked(Box<Envelope<RecordRequest>>),
    /// From the dispatcher: what a program wants of the live call.
    Act(Box<Envelope<MetaflowAction>>),
    /// From the dispatcher: the metaflow that a program wants run.
    Flow(Box<Envelope<MetaflowFlow>>),
    /// From the dispatcher: a key was pressed on the leg that the call is bridged with.
    Pressed(Box<CallEvent>),
    /// From this actor's look-up task: the feature codes of whoever is on that leg.
    Met(CallId, Box<MetaflowRules>),
    /// From this actor's timer: no further key came in time.
    NoMoreKeys,
    /// From this actor's timer: the call is not ours.
    Lost(&'static str),
    /// From this actor's look-up task: the answer to the cursor's question of this number.
    Found(u64, Box<Answer>),
    /// From this actor's timer or its recorder, or from the dispatcher: what the cursor is to be told.
    Tell(Box<Input>),
    /// From the dispatcher: where the call is and what is recorded of it, if it is this account's; else nothing.
    Live(AccountId, RpcReplyPort<LiveCall>),
    /// From the dispatcher, for people: where the call is.
    Describe(RpcReplyPort<Value>),
}

/// What a call is started with.
pub(crate) struct Args {
    pub(crate) context: Arc<Context>,
    pub(crate) route: Arc<RouteReq>,
    pub(crate) account: AccountId,
    pub(crate) flow: Flow,
    pub(crate) flow_name: Option<String>,
    /// What its document has callers hear while it rings.
    pub(crate) ringback: Ringback,
    /// What its pattern took out of the number.
    pub(crate) captures: Captures,
    pub(crate) caller: CallerFacts,
    pub(crate) standing: Standing,
    /// The caller's feature codes.
    pub(crate) metaflows: MetaflowRules,
    /// The account's public key, to which its recordings are sealed.
    pub(crate) recipient: Option<String>,
    pub(crate) settings: Settings,
    /// The span in which its switch asks who wants it.
    pub(crate) asked_in: Option<TraceParent>,
}

/// Everything a call knows.
pub(crate) struct State {
    context: Arc<Context>,
    route: Arc<RouteReq>,
    account: AccountId,
    recipient: Option<String>,
    cursor: Cursor,
    /// Set when the call is won.
    control: Option<Control>,
    recorder: Option<ActorRef<RecorderMsg>>,
    /// The leg that ours is bridged with.
    peer: Option<CallId>,
    timer: Option<JoinHandle<()>>,
    keys: Keys,
    /// What the cursor has asked.
    asked: Asked,
    /// Who is told of the call's end (Pivot's `cdr_url`).
    told_at_end: Vec<Hidden>,
    /// The flow is over; the actor ends with its recorder.
    finished: bool,
    /// When its switch asked who wants it, and in which span.
    asked_at: Instant,
    asked_in: Option<TraceParent>,
    /// Set when the call is won.
    trail: Option<Trail>,
    /// Counts it from the win until its channel is gone.
    live: Option<Live>,
}

impl Actor for Call {
    type Msg = CallMsg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<CallMsg>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        let wait = std::time::Duration::from_secs(args.context.config.route_win_timeout_s);
        myself.send_after(wait, || CallMsg::Lost("no route_win came in time"));
        Ok(State::new(args))
    }

    async fn handle(
        &self,
        myself: ActorRef<CallMsg>,
        message: CallMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CallMsg::Won(win) => state.won(win, &myself).await,
            CallMsg::Event(name, event) => state.hear(name, event, &myself).await,
            CallMsg::Replaced(event, successor) => state.replaced(event, successor, &myself).await,
            CallMsg::Released(why) => state.released(why, RecorderMsg::Released, &myself),
            CallMsg::Transferred => {
                state.released("it was transferred", RecorderMsg::Transferred, &myself);
            }
            CallMsg::Asked(request) => state.asked(request, &myself).await,
            CallMsg::Act(request) => state.act(request, &myself).await,
            CallMsg::Flow(request) => state.flow(*request, &myself).await,
            CallMsg::Pressed(event) => state.pressed(&event, &myself).await,
            CallMsg::Met(leg, rules) => state.met(leg, &rules, &myself).await,
            CallMsg::NoMoreKeys => state.no_more_keys(&myself).await,
            CallMsg::Lost(why) => state.lost(why, &myself),
            CallMsg::Found(number, answer) => state.found(number, *answer, &myself).await,
            CallMsg::Tell(input) => state.feed(*input, &myself).await,
            CallMsg::Live(account, reply) => state.live(account, reply),
            CallMsg::Describe(reply) => drop(reply.send(state.describe().await)),
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<CallMsg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.deafen().await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<CallMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(..) => state.recorder = None,
            SupervisionEvent::ActorFailed(_, error) => {
                tracing::error!(call_id = %state.route.call_id, account_id = %state.account, %error, "the recorder died; its recordings are kept up to here");
                state.recorder = None;
                let context = Arc::clone(&state.context);
                let left = context.held.left_by(myself.get_id());
                tokio::spawn(async move { orphans::abandon(&context, left).await });
            }
            _ => return Ok(()),
        }
        state.stop_when_done(&myself);
        Ok(())
    }
}

impl State {
    fn new(args: Args) -> Self {
        let route = &args.route;
        let text = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        let calling_device = lookup::calling_device(route).map(str::to_owned);
        let call_id = route.call_id.clone();
        let talk_id = callreel_proto::random_hex(12);
        let number = route.dialled().to_owned();
        let info = CallInfo {
            callflow_name: args.flow_name,
            ringback: args.ringback,
            caller_id_name: text(&route.caller_id_name),
            caller_id_number: text(&route.caller_id_number),
            calling_device,
            // A user without a phone who forwards their calls is told by the switch alone.
            owner_id: args
                .caller
                .owner_id
                .or_else(|| route.channel_var("Owner-ID").map(str::to_owned)),
            from: route.from.clone(),
            to: route.to.clone(),
            request: route.request.clone(),
            guest: route.is_foreign(),
            from_outside: route.channel_var("Inception").is_some(),
            captures: args.captures,
            language: args.caller.language,
            channel_vars: route.custom_channel_vars.clone(),
            application_vars: route.custom_application_vars.clone(),
            sip_headers: route.custom_sip_headers.clone(),
            standing: args.standing,
            ..CallInfo::new(args.account.clone(), call_id, talk_id, number)
        };
        let mut state = Self {
            cursor: Cursor::new(args.flow, info, args.settings),
            context: args.context,
            route: args.route,
            account: args.account,
            recipient: args.recipient,
            control: None,
            recorder: None,
            peer: None,
            timer: None,
            keys: Keys::default(),
            asked: Asked::default(),
            told_at_end: Vec::new(),
            finished: false,
            asked_at: Instant::now(),
            asked_in: args.asked_in,
            trail: None,
            live: None,
        };
        state.joined(Party::Caller, &args.metaflows);
        state
    }

    /// Tells the cursor one thing and does all it wants because of it.
    async fn feed(&mut self, input: Input, myself: &ActorRef<CallMsg>) {
        if self.finished {
            return;
        }
        let now = tokio::time::Instant::now().into_std();
        let heard = matches!(input, Input::Event { .. });
        let began = Instant::now();
        let before = self.cursor.steps();
        self.cursor.handle_input(now, input);
        let steps = self.cursor.steps() - before;
        if steps > 0 && !self.context.grants(&self.account, steps) {
            self.cursor.handle_input(now, Input::Exhausted);
        }
        let wait = loop {
            while let Some(module) = self.cursor.take_begun() {
                self.enter(module);
            }
            match self.cursor.poll_output() {
                Output::Effect(effect) => self.perform(effect, myself).await,
                Output::Wait(until) => break Some(until),
                Output::Finished => break None,
            }
        };
        if heard {
            let took = began.elapsed().as_secs_f64();
            metrics().step_duration.record(took, &[]);
        }
        match wait {
            Some(until) => self.wait(until, myself),
            None => self.finish(myself),
        }
    }

    /// A module begins: what follows is done for it.
    fn enter(&mut self, module: &'static str) {
        let name = KeyValue::new("callreel.module", module);
        metrics().modules.add(1, &[name]);
        let Some(trail) = &mut self.trail else { return };
        trail.enter(module);
        let control = self.control.as_mut().expect("set with the trail");
        control.asked_in = trail.parent();
    }

    /// The only place that acts.
    async fn perform(&mut self, effect: Effect, myself: &ActorRef<CallMsg>) {
        match effect {
            Effect::Command {
                insert_at,
                application,
                msg_id,
            } => {
                let control = self.control.as_ref().expect("fed only after the win");
                control.send(insert_at, application, msg_id).await;
            }
            Effect::Lookup(query) => self.look_up(query, myself),
            Effect::Offnet { request, msg_id } => {
                self.ask_stepswitch(*request, msg_id, myself).await
            }
            Effect::Webhook { request, tries } => self.tell_web(*request, tries),
            Effect::StartRecording(order) | Effect::RecordMessage(order) => {
                self.record(order, myself).await;
            }
            Effect::Mask { meant, by } => self.mask(meant, true, by, myself).await,
            Effect::Unmask { meant, by } => self.mask(meant, false, by, myself).await,
            Effect::StopRecording { meant, by } => {
                if let Some(recorder) = &self.recorder {
                    drop(recorder.cast(RecorderMsg::Stop { meant, by }));
                }
            }
            Effect::Unpark {
                slot,
                call_id,
                later,
            } => self.unpark(slot, call_id, later),
            Effect::Keep { slot } => self.decided(slot, true),
            Effect::Discard { slot } => self.decided(slot, false),
            Effect::Skipped {
                pointer,
                reason,
                by,
            } => self.skipped(&pointer, reason, by).await,
            Effect::Notification { name, fields } => {
                self.context.notify_people(name, *fields).await;
            }
            Effect::Warn { pointer, message } => {
                tracing::warn!(call_id = %self.route.call_id, account_id = %self.account, pointer, message, "callflow");
            }
        }
    }

    fn wait(&mut self, until: Option<Instant>, myself: &ActorRef<CallMsg>) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let Some(until) = until else { return };
        let myself = myself.clone();
        self.timer = Some(tokio::spawn(async move {
            tokio::time::sleep_until(until.into()).await;
            drop(myself.cast(CallMsg::Tell(Box::new(Input::Tick))));
        }));
    }

    fn finish(&mut self, myself: &ActorRef<CallMsg>) {
        self.finished = true;
        self.wait(None, myself);
        if let Some(recorder) = &self.recorder {
            drop(recorder.cast(RecorderMsg::CallEnded));
        }
        self.stop_when_done(myself);
    }

    /// A call outlives its flow until its recorder has sealed, those who want to know of its end can be told, and the parking slot
    /// that was asked for is known, for it is nobody's then.
    fn stop_when_done(&self, myself: &ActorRef<CallMsg>) {
        let told = self.told_at_end.is_empty() && self.asked.slots.is_empty();
        if self.finished && self.recorder.is_none() && told {
            tracing::info!(call_id = %self.route.call_id, account_id = %self.account, "call over");
            myself.stop(None);
        }
    }

    /// The recorder, if there is one, says the rest; nobody waits for it here.
    fn live(&self, account: AccountId, reply: RpcReplyPort<LiveCall>) {
        if account != self.account {
            return;
        }
        let flow = self.cursor.position().map(|position| FlowPosition {
            pointer: position.pointer,
            module: position.module,
            waiting_for: position.waiting_for,
        });
        if let Some(recorder) = &self.recorder {
            return drop(recorder.cast(RecorderMsg::Live(account, flow, reply)));
        }
        let call_id = self.call_id().clone();
        drop(reply.send(LiveCall {
            call_id,
            flow,
            recordings: Vec::new(),
        }));
    }

    async fn describe(&self) -> Value {
        let recording = match &self.recorder {
            Some(recorder) => ractor::call!(recorder, RecorderMsg::Describe).unwrap_or_default(),
            None => Value::Null,
        };
        json!({
            "call_id": self.call_id(),
            "account_id": self.account,
            "from": self.route.from,
            "request": self.route.request,
            "won": self.control.is_some(),
            "over": self.finished,
            "position": self.cursor.position(),
            "flows_to_come": self.cursor.to_come(),
            "keys_heard_of": self.keys.other_leg(),
            "recorder": recording,
        })
    }

    fn call_id(&self) -> &CallId {
        &self.route.call_id
    }
}
