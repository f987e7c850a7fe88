//! The recorder of one call: keeps a ticket for every recording, and its audio's source, from order to end. It never touches
//! audio and never waits for a delivery.
//!
//! | Who sends | Message | Why |
//! |---|---|---|
//! | the call | `Start`, `Stop`, `Mask`, `Decided` | the flow ordered it |
//! | the call, or the dispatcher | `Asked` | another application ordered it |
//! | another recorder of the call | `CallMasked` | the call is masked for all that record it |
//! | the call, or the dispatcher | `Act` | a program wants it |
//! | the call | `Dialled` | a party wants it, by keys |
//! | the call, or the dispatcher | `Event` | the switch said something about the channel, or about a file of its own |
//! | the call, or the dispatcher | `Replaced` | the channel goes on under another id |
//! | its own timers | `Due`, `Unconfirmed` | a recording is long enough, or the switch has been silent for too long |
//! | the call, or the dispatcher | `Live` | somebody wants to know what is recorded |
//! | the call | `Released`, `Transferred` | another controller has the call |
//! | the call | `CallEnded` | the channel is gone: end everything, then stop |
//!
//! If it dies, the call asks [`crate::orphans`] to finish its recordings as interrupted.

mod announcing;
mod audio;
mod ending;
mod fork;
mod live;
mod masking;
mod request;
mod reviewing;
mod running;
mod starting;
mod switch_file;
mod transfer;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use callreel_callflow::{Input, Meant, RecordingOrder, Slot};
use callreel_proto::{
    AccountId, CallEvent, CallId, Envelope, EventName, FlowPosition, LiveCall, MetaflowAction,
    OrderedBy, RecordRequest, RecordingFact, RecordingNotice, RouteReq, TraceParent,
};
use callreel_spool::{Mark, Ticket};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort};
use serde_json::{Map, Value, json};

use crate::{
    call::CallMsg,
    context::{Context, blocking},
    control::{Control, Owner},
};
pub(crate) use request::answer_error;

use audio::Audio;
use masking::Whom;
use reviewing::Undecided;
use running::{Due, Key, Orderer, Running};

/// The actor; all it knows is in [`State`].
pub(crate) struct Recorder;

/// What a recorder is told.
pub(crate) enum RecorderMsg {
    /// From another recorder of the same call: it is masked from here, or no longer.
    CallMasked(bool, OrderedBy),
    /// From the call: begin this recording, which is ordered in this span.
    Start(Box<RecordingOrder>, Option<TraceParent>),
    /// From the call: end this running `record_call` recording of the flow.
    Stop {
        /// Which one.
        meant: Meant,
        /// By which step; none if the leg that it is of has gone.
        by: Option<OrderedBy>,
    },
    /// From the call: from here, or no longer, silence is heard.
    Mask {
        /// What.
        meant: Meant,
        /// From here; else no longer.
        on: bool,
        /// Who wants it.
        by: OrderedBy,
    },
    /// From the call: the speaker of what has ended keeps it, or does not.
    Decided {
        /// Which one.
        slot: Slot,
        /// Whether it is delivered.
        keep: bool,
    },
    /// From the call or the dispatcher: what another application wants of a recording.
    Asked(Box<Envelope<RecordRequest>>),
    /// From the call or the dispatcher: what a program wants of the live call.
    Act(Box<Envelope<MetaflowAction>>),
    /// From the call: what a party wants of it, by keys.
    Dialled(Map<String, Value>, OrderedBy),
    /// From the call or the dispatcher: the switch said something about the recorded channel.
    Event(EventName, Box<CallEvent>),
    /// From the call or the dispatcher: the recorded channel has this id now.
    Replaced(CallId),
    /// From this actor's timer: what a recording waited for has not come, or its limit has.
    Due(Key, Due),
    /// From this actor's timer: our switch should have said that it forks.
    Unconfirmed(Key),
    /// From the call: another controller has the call; nothing more may be said to the switch about it.
    Released,
    /// From the call: it was transferred, and has another controller.
    Transferred,
    /// From the call: the channel is gone.
    CallEnded,
    /// From the call or the dispatcher: what is recorded of the call that stands here in its flow, if it is this account's; else
    /// nothing.
    Live(AccountId, Option<FlowPosition>, RpcReplyPort<LiveCall>),
    /// From the call, for people: what is being recorded.
    Describe(RpcReplyPort<Value>),
}

/// What a recorder is started with.
pub(crate) struct Args {
    /// The call whose flow it records; none if another application controls the call.
    pub(crate) call: Option<ActorRef<CallMsg>>,
    /// Where commands for the channel go.
    pub(crate) control: Control,
    pub(crate) route: Arc<RouteReq>,
    pub(crate) account: AccountId,
    /// The account's public key, to which its recordings are sealed.
    pub(crate) recipient: Option<String>,
    /// The leg that the channel is bridged with already.
    pub(crate) peer: Option<CallId>,
}

/// Everything a recorder knows.
pub(crate) struct State {
    args: Args,
    audio: Audio,
    /// Those that have ended and are kept, or not, when the flow says so: one or two at a time, for a caller speaks one at a
    /// time.
    undecided: Vec<Undecided>,
    /// Running recordings, oldest first.
    running: BTreeMap<Key, Running>,
    /// How many recordings have been ordered so far.
    orders: u32,
    /// How many files have been asked for so far, of each leg.
    files: HashMap<CallId, u32>,
    /// Nothing of the call is to be heard, now or in what is yet to begin: who wanted that.
    masked_by: Option<OrderedBy>,
    /// The leg the recorded one is bridged with.
    peer: Option<CallId>,
    /// Under whose name the node keeps what this actor records.
    owner: ActorId,
    /// The leg that is recorded in the place of ours, which has left.
    heir: Option<Control>,
    /// Nothing new begins; the actor ends with its last recording.
    over: bool,
    /// Nothing more may be said to the switch.
    silenced: bool,
    /// When the channel went, by the capture's clock, if we heard of it late.
    gone_ns: Option<u64>,
}

impl Actor for Recorder {
    type Msg = RecorderMsg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<RecorderMsg>,
        mut args: Args,
    ) -> Result<State, ActorProcessingErr> {
        let owner = match &args.call {
            Some(call) => call.get_id(),
            None => myself.get_id(),
        };
        if args.call.is_none() {
            args.control.owner = Owner::Recorder(myself);
        }
        Ok(State {
            audio: Audio::of(&args.route),
            peer: args.peer.clone(),
            args,
            undecided: Vec::new(),
            running: BTreeMap::new(),
            orders: 0,
            files: HashMap::new(),
            masked_by: None,
            owner,
            heir: None,
            over: false,
            silenced: false,
            gone_ns: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<RecorderMsg>,
        message: RecorderMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RecorderMsg::Start(order, _) if state.is_done_already(&order) => {
                tracing::info!(call_id = %state.call_id(), account_id = %state.args.account, by = ?order.by, "recorded on since before the transfer");
            }
            RecorderMsg::Start(order, asked_in) => {
                state.args.control.asked_in = asked_in;
                let by = Orderer::Flow(order.slot);
                // Refused, it has been said.
                drop(state.start(*order, by, &myself).await);
            }
            RecorderMsg::Stop { meant, by } => state.stop(&meant, by, &myself).await,
            RecorderMsg::Mask { meant, on, by } => state.mask_meant(&meant, on, by).await,
            RecorderMsg::Decided { slot, keep } => state.decided(slot, keep).await,
            RecorderMsg::Asked(request) => state.asked(request, &myself).await,
            RecorderMsg::CallMasked(on, by) => state.mask(Whom::Call, on, by).await,
            RecorderMsg::Act(request) => state.act(request, &myself).await,
            RecorderMsg::Dialled(data, by) => state.dialled(&data, &by, &myself).await,
            RecorderMsg::Event(name, event) => state.hear(name, &event, &myself).await,
            RecorderMsg::Replaced(call_id) => state.args.control.call_id = call_id,
            RecorderMsg::Due(key, due) => state.due(key, due, &myself).await,
            RecorderMsg::Unconfirmed(key) => state.order_again(key, &myself).await,
            RecorderMsg::Released => state.release(&myself).await,
            RecorderMsg::Transferred => state.transferred(&myself).await,
            RecorderMsg::CallEnded => state.call_ended(&myself).await,
            RecorderMsg::Live(account, flow, reply) => state.live(&account, flow, reply),
            RecorderMsg::Describe(reply) => drop(reply.send(state.describe())),
        }
        if state.over && state.running.is_empty() {
            myself.stop(None);
        }
        Ok(())
    }
}

impl State {
    fn context(&self) -> &Arc<Context> {
        &self.args.control.context
    }

    fn call_id(&self) -> &CallId {
        &self.args.control.call_id
    }

    async fn hear(&mut self, name: EventName, event: &CallEvent, myself: &ActorRef<RecorderMsg>) {
        match name {
            EventName::RecordStart => self.switch_started(event, myself).await,
            EventName::RecordStop => self.switch_stopped(event).await,
            EventName::DialplanError => self.switch_refused(event).await,
            EventName::ChannelExecuteComplete => self.announced(event).await,
            EventName::ChannelAnswer => self.note(None, Mark::Answered).await,
            EventName::ChannelBridge => {
                self.note(None, Mark::Bridged).await;
                self.bridged_with(event.other_leg_call_id.clone()).await;
            }
            EventName::ChannelUnbridge => {
                self.peer = None;
                self.note(None, Mark::Unbridged).await;
            }
            EventName::ChannelTransferee if self.args.call.is_none() => {
                self.transferred(myself).await;
            }
            EventName::ChannelTransferor => self.leave_to(event, myself).await,
            // Nothing ends by that if all that matters now is another leg.
            EventName::ChannelDestroy if self.heir.is_some() && !self.is_heir(&event.call_id) => {}
            EventName::ChannelDestroy => {
                self.gone_ns = self.audio.late_ns(event);
                self.note(self.gone_ns, Mark::HungUp).await;
            }
            _ => {}
        }
        // Without a call that would say so.
        let gone = matches!(
            name,
            EventName::ChannelDestroy | EventName::ChannelDisconnected
        );
        if gone && self.is_heir(&event.call_id) {
            self.heir = None;
        }
        if gone && self.args.call.is_none() {
            self.call_ended(myself).await;
        }
    }

    async fn note(&self, at_ns: Option<u64>, mark: Mark) {
        self.audio.mark(self.context(), at_ns, mark).await;
    }

    /// Documents say which legs were recorded.
    async fn bridged_with(&mut self, peer: Option<CallId>) {
        self.peer = peer;
        let mut told = Vec::new();
        for running in self.running.values_mut() {
            let (of_b, doc) = (running.leg.is_some(), running.ticket.document_mut());
            if let (Some(peer), false) = (&self.peer, of_b)
                && let Some(Value::Object(legs)) = doc.get_mut("legs")
                && !legs.contains_key("b")
            {
                legs.insert("b".to_owned(), json!({ "call_id": peer }));
                told.push(running.ticket.clone());
            }
        }
        for ticket in told {
            self.save(ticket).await;
        }
    }

    /// Whether the ticket is on disk.
    async fn save(&self, ticket: Ticket) -> bool {
        let spool = self.context().spool.clone();
        let id = ticket.recording_id().clone();
        let saved = blocking(move || spool.save_ticket(&ticket)).await;
        if let Err(reason) = &saved {
            tracing::error!(recording_id = %id, reason, "ticket not saved; its end is tried again, and the journal has it for the next start");
        }
        saved.is_ok()
    }

    /// A notice about one recording.
    fn notice(&self, fact: RecordingFact, ticket: &Ticket) -> RecordingNotice {
        let promise = ticket.promise();
        let (account_id, call_id) = (promise.account_id.clone(), promise.call_id.clone());
        RecordingNotice {
            recording_id: Some(promise.recording_id.clone()),
            ..RecordingNotice::new(fact, account_id, call_id)
        }
    }

    /// The newest recording of which this holds.
    fn newest(&self, holds: impl Fn(&Running) -> bool) -> Option<Key> {
        let found = self.running.iter().rev().find(|(_, r)| holds(r));
        found.map(|(key, _)| *key)
    }

    fn tell(&self, input: Input) {
        if let Some(call) = &self.args.call {
            // A call that is gone needs no telling: the recorder seals on its own.
            drop(call.cast(CallMsg::Tell(Box::new(input))));
        }
    }

    fn describe(&self) -> Value {
        let mut picture = self.audio.describe();
        picture["recordings"] = self
            .running
            .values()
            .map(|running| {
                json!({
                    "recording_id": running.ticket.recording_id(),
                    "kind": running.kind,
                    "stage": running.stage,
                    "name": running.name,
                    "ordered_by": running.ordered_by,
                    "masked": running.ticket.is_masked(),
                    "destination": running.ticket.promise().destination.describe(),
                })
            })
            .collect();
        picture
    }
}
