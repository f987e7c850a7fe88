//! One leg of a call as an actor: owns its dialog, its media and its command queue; hears of everything through messages.

mod actor;
mod after;
mod aside;
mod bridge;
mod bridging;
mod commands;
mod confirm;
mod consulting;
mod dialling;
mod dialog;
mod facts;
mod handing_on;
mod hold_music;
mod inbound;
mod joining;
mod life;
mod message;
mod outbound;
mod paging;
mod pickup;
mod playing;
mod recording;
mod referring;
mod soft_hold;
mod transferred;
mod transferring;
mod unbridging;
mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use callreel_media::Codec;
use callreel_proto::{CallEvent, CallId, EventName, HangupCause, TraceParent};
use callreel_telemetry::{ACCOUNT_ID, CALL_ID, Span};
use ractor::{ActorRef, RpcReplyPort};
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver};
use rsipstack::dialog::invite_dialog::InviteDialog;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::describe::ChannelPicture;
use crate::events::{Direction, OtherLeg, Parties, Reporter};
use crate::peer::Peer;
use crate::queue::{Queue, Slip};
use crate::routing::Routed;
use crate::rtp::{MediaEvent, MediaLeg, PlayId, Remote};
use crate::sdp::{Allowed, Ours, Theirs};
use crate::session_timer::Timer;
use crate::shared::Shared;
use crate::sounds::Sound;
use crate::status::Row;
use crate::vars::Vars;

use crate::states::Progress;
pub(crate) use actor::ChannelActor;
use actor::{pump_dialog, pump_media};
pub(crate) use outbound::Outbound;

/// What a channel hears.
pub(crate) enum ChannelMsg {
    /// From the dialog's watcher: the SIP dialog changed, or a request came within it.
    Dialog(Box<DialogState>),
    /// From the media engine, through the leg's pump.
    Media(MediaEvent),
    /// From the switch's queue on the bus: a dialplan command, as JSON.
    Command(Value),
    /// From the routing task: who controls the call.
    Routed(Routed),
    /// From the leg this one is joined to: its phone wants this leg to go elsewhere.
    Transfer(Box<referring::TransferOrder>),
    /// From the routing task of a transferred leg: who controls it now. With the number of the order.
    Rerouted(u64, Routed),
    /// From the leg that was asked to go elsewhere, by the number of the order: it has gone, or this status refuses it.
    TransferOutcome(u64, Option<u16>),
    /// From the leg this one is joined to: it ends while this one looks for where to go.
    TransferorGone(CallId),
    /// From another leg of the same phone: that phone wants the other ends of both joined.
    Join(Box<joining::JoinOrder>),
    /// From the leg that was asked so: whom its call is with.
    Joinable(Box<joining::Joinable>),
    /// From the leg that was asked so: its call is with nobody.
    Alone(Box<joining::Alone>),
    /// From the phone's leg that joins two others: this one is the A leg of the new conversation.
    Adopt(Box<joining::Adoption>),
    /// From the A leg of that conversation: this one is its B leg; with the A leg and its `Fetch-ID`.
    Serve(Box<(outbound::Owner, OtherLeg, Option<String>)>),
    /// From the phone's leg that joins two others, or the leg this one is joined to, which goes by itself: this one's other end is
    /// joined to that leg, or goes to that number.
    Relieved(referring::Kind, String),
    /// From the leg this one is joined to: they are parted; true if this one stays.
    Unbridged(bool),
    /// From a leg that picks up another, and from that one.
    Pickup(Box<pickup::PickupMsg>),
    /// From the task that tells the phone how its REFER went: it knows.
    Told(u64),
    /// From the task that made a sound: here it is.
    Fetched {
        /// The playback it is for.
        token: u64,
        /// The sound, or why there is none.
        sound: Result<Box<Sound>, String>,
    },
    /// From the task that made a sound no command asked for: here it is.
    Aside {
        /// What it is for.
        aside: aside::Aside,
        /// The sound, or why there is none.
        sound: Result<Sound, String>,
    },
    /// From the task that waits for it: a command handed on to a recorder did not arrive.
    NotTaken {
        /// The command.
        slip: Slip,
        /// Why.
        reason: String,
    },
    /// From the leg this one is joined to: what was played to that leg from here is over; true if it was broken off.
    PlayedThere(PlayId, bool),
    /// From a B leg to its A leg.
    Leg {
        /// The bridge it was dialled for.
        bridge: u64,
        /// Its place in that bridge.
        leg: usize,
        /// What happened to it.
        fact: LegFact,
    },
    /// From the A leg to its B leg.
    Order(LegOrder),
    /// From the channel's own timers.
    Due(Due),
    /// From the supervisor: end the call.
    HangUp(HangupCause),
    /// From the watch over controllers, again and again: nobody is there to say what comes next.
    Abandoned,
    /// From whoever wants to see it.
    Describe(RpcReplyPort<ChannelPicture>),
    /// From the task that answers questions about channels.
    Row(RpcReplyPort<Row>),
}

/// What a B leg tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegFact {
    /// 180.
    Ringing,
    /// 183 with a session description: it can be heard.
    EarlyMedia,
    /// 200, but whoever answered has yet to press a key.
    Confirming,
    /// 200, with this codec.
    Answered(Codec),
    /// It never was answered.
    Failed(HangupCause, Option<u16>),
    /// It was answered and is gone.
    Gone,
}

/// What a B leg is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegOrder {
    /// It is joined to its A leg.
    Joined,
    /// It is to end.
    HangUp(HangupCause),
}

/// Timers of a channel. Those that may be overtaken carry the number of what they were set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The call was not answered for too long.
    Answer,
    /// The hunt of this bridge wants to know the time.
    Hunt(u64),
    /// A recorded message has reached its limit.
    Message(u64),
    /// A call recording has reached its limit.
    Recording(u64),
    /// A `sleep` is over.
    Sleep(u64),
    /// A `park` has lasted as long as it may.
    Park(u64),
    /// A REFER should have been decided about.
    Refer(u64),
    /// The session timer wants a refresh, or has not got one.
    Session(u64),
}

/// Who has a call, as its `route_resp` told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Controller {
    /// Where its messages go.
    pub(crate) queue: String,
    /// `App-Name`.
    pub(crate) app: String,
    /// `Node`.
    pub(crate) node: String,
}

/// How a channel begins.
pub(crate) enum Begin {
    /// By an INVITE of a phone.
    Inbound(Box<Inbound>),
    /// By a bridge that dials a phone.
    Outbound(Box<Outbound>),
}

/// What an inbound channel is made of.
pub(crate) struct Inbound {
    pub(crate) peer: Peer,
    pub(crate) dialog: InviteDialog,
    pub(crate) states: DialogStateReceiver,
    pub(crate) parties: Parties,
    pub(crate) channel_vars: Vars,
    pub(crate) fetch_id: String,
    pub(crate) sip_headers: Vars,
    pub(crate) user_agent: Option<String>,
    pub(crate) media: MediaLeg,
    pub(crate) events: mpsc::Receiver<MediaEvent>,
    pub(crate) theirs: Option<Theirs>,
    pub(crate) allowed: Allowed,
    pub(crate) timer: Option<Timer>,
    pub(crate) max_forwards: u32,
    /// The span it was sent in, if the switch itself has sent it.
    pub(crate) asked_in: Option<TraceParent>,
}

/// What a channel knows.
pub(crate) struct Channel {
    shared: Arc<Shared>,
    me: ActorRef<ChannelMsg>,
    call_id: CallId,
    direction: Direction,
    reporter: Reporter,
    parties: Parties,
    channel_vars: Vars,
    /// Those that the legs it rings get too.
    exported_vars: Vars,
    application_vars: Vars,
    /// `X-` headers of the INVITE.
    sip_headers: Vars,
    user_agent: Option<String>,
    /// Who has the call, once somebody has.
    controller: Option<Controller>,
    peer: Peer,
    /// None while an outbound INVITE has not been sent.
    dialog: Option<InviteDialog>,
    media: MediaLeg,
    ours: Ours,
    allowed: Allowed,
    theirs: Option<Theirs>,
    agreed: Option<Remote>,
    /// Our 200 carried an offer: the ACK carries the answer.
    awaits_answer_in_ack: bool,
    progress: Progress,
    held: bool,
    hold_music: Option<hold_music::HoldMusic>,
    created: Instant,
    answered: Option<Instant>,
    other_leg: Option<OtherLeg>,
    joined: bool,
    /// It was joined once.
    talked: bool,
    over: bool,
    max_forwards: u32,
    queue: Queue,
    numbers: u64,
    playing: playing::Playing,
    waits: waiting::Waits,
    recordings: recording::Recordings,
    bridge: Option<bridge::Bridge>,
    /// Another leg is asked for.
    pickup: Option<pickup::Pickup>,
    /// What is heard while it rings.
    ringback: Option<PlayId>,
    /// Whoever answered must press a key first.
    confirm: Option<confirm::Confirm>,
    /// What the switch knows its own INVITE by, if this is the leg that sends it.
    looped: Option<String>,
    owner: Option<outbound::Owner>,
    referring: Option<referring::Referring>,
    transferred: Option<transferred::Transferred>,
    consulting: Option<consulting::Consulting>,
    session: Option<Timer>,
    session_epoch: u64,
    /// As long as it is there.
    span: Span,
}

/// What both kinds of channel are made of.
struct Parts {
    shared: Arc<Shared>,
    me: ActorRef<ChannelMsg>,
    call_id: CallId,
    direction: Direction,
    parties: Parties,
    channel_vars: Vars,
    peer: Peer,
    media: MediaLeg,
    allowed: Allowed,
    max_forwards: u32,
    span: Span,
}

impl Channel {
    fn new(parts: Parts) -> Self {
        let shared = parts.shared;
        let address = shared.own.for_media(parts.peer);
        let rtp = (address, parts.media.local_port()).into();
        let session_id = u64::from(rand::random::<u32>());
        let mut span = parts.span.with(CALL_ID, &parts.call_id);
        if let Some(account) = parts.channel_vars.get("Account-ID") {
            span.set(ACCOUNT_ID, account);
        }
        span.set_phone_number("callreel.number.calling", &parts.parties.caller_number);
        span.set_phone_number("callreel.number.dialled", parts.parties.destination());
        Self {
            reporter: Reporter::new(
                shared.bus.clone(),
                shared.identity.clone(),
                parts.call_id.clone(),
            ),
            parties: parts.parties,
            shared,
            me: parts.me,
            call_id: parts.call_id,
            direction: parts.direction,
            channel_vars: parts.channel_vars,
            exported_vars: Vars::default(),
            application_vars: Vars::default(),
            sip_headers: Vars::default(),
            user_agent: None,
            controller: None,
            peer: parts.peer,
            dialog: None,
            media: parts.media,
            ours: Ours::new(rtp, session_id),
            allowed: parts.allowed,
            theirs: None,
            agreed: None,
            awaits_answer_in_ack: false,
            progress: Progress::Trying,
            held: false,
            hold_music: None,
            created: Instant::now(),
            answered: None,
            other_leg: None,
            joined: false,
            talked: false,
            over: false,
            max_forwards: parts.max_forwards,
            queue: Queue::default(),
            numbers: 0,
            playing: playing::Playing::default(),
            waits: waiting::Waits::default(),
            recordings: recording::Recordings::default(),
            bridge: None,
            pickup: None,
            ringback: None,
            confirm: None,
            looped: None,
            owner: None,
            referring: None,
            transferred: None,
            consulting: None,
            session: None,
            session_epoch: 0,
            span,
        }
    }

    /// A number nothing else of this channel has.
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Publishes an event of this channel.
    async fn publish(&self, name: EventName, fill: impl FnOnce(&mut CallEvent) + Send) {
        // Boxed, for an event is large, and whatever publishes would carry its room.
        Box::pin(self.reporter.publish(name, self.look(), fill)).await;
    }

    /// Sets a timer. It may find the channel gone.
    fn set_timer(&self, after: Duration, due: Due) {
        drop(self.me.send_after(after, move || ChannelMsg::Due(due)));
    }

    async fn handle(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Describe(reply) => {
                // Nobody waiting for the picture any more is fine.
                drop(reply.send(self.picture()));
            }
            ChannelMsg::Row(reply) => drop(reply.send(self.row())),
            _ if self.over => {}
            ChannelMsg::Dialog(state) => self.on_dialog(*state).await,
            ChannelMsg::Media(event) => self.on_media(event).await,
            ChannelMsg::Command(command) => self.on_command(&command).await,
            ChannelMsg::Routed(routed) => self.on_routed(routed).await,
            ChannelMsg::Transfer(order) => self.on_transfer(*order),
            ChannelMsg::Rerouted(number, routed) => self.on_rerouted(number, routed).await,
            ChannelMsg::TransferOutcome(number, refused) => {
                self.on_transfer_outcome(number, refused).await;
            }
            ChannelMsg::TransferorGone(from) => self.on_transferor_gone(&from).await,
            ChannelMsg::Join(order) => self.on_join(*order),
            ChannelMsg::Joinable(found) => self.on_joinable(*found).await,
            ChannelMsg::Alone(alone) => self.on_alone(*alone),
            ChannelMsg::Adopt(adoption) => self.on_adopt(*adoption).await,
            ChannelMsg::Serve(service) => {
                let (owner, a_leg, fetch_id) = *service;
                self.on_serve(owner, a_leg, fetch_id).await;
            }
            ChannelMsg::Relieved(kind, to) => self.on_relieved(kind, to).await,
            ChannelMsg::Unbridged(stays) => self.on_unbridged(stays).await,
            ChannelMsg::Pickup(message) => self.on_pickup(*message).await,
            ChannelMsg::Told(number) => self.on_told(number).await,
            ChannelMsg::Fetched { token, sound } => self.on_fetched(token, sound).await,
            ChannelMsg::Aside { aside, sound } => self.on_aside(aside, sound).await,
            ChannelMsg::NotTaken { slip, reason } => {
                self.fail(slip, &reason).await;
            }
            ChannelMsg::PlayedThere(id, broken) => drop(self.end_playback(id, broken).await),
            ChannelMsg::Leg { bridge, leg, fact } => self.on_leg(bridge, leg, fact).await,
            ChannelMsg::Order(order) => self.on_order(order).await,
            ChannelMsg::Due(due) => self.on_due(due).await,
            ChannelMsg::HangUp(cause) => self.end(cause).await,
            ChannelMsg::Abandoned => self.on_abandoned().await,
        }
    }

    async fn on_media(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Digit {
                digit,
                duration_ticks,
            } => self.on_digit(digit, duration_ticks.into()).await,
            MediaEvent::PlaybackEnded { id, broken } => self.on_playback_ended(id, broken).await,
            MediaEvent::Silence => self.on_silence().await,
            MediaEvent::Inactive if self.answered.is_some() && !self.held => {
                tracing::info!(call_id = %self.call_id, "no RTP for too long");
                self.end(HangupCause::MediaTimeout).await;
            }
            MediaEvent::Inactive | MediaEvent::FirstPacket => {}
        }
    }

    async fn on_due(&mut self, due: Due) {
        match due {
            Due::Answer if self.answered.is_none() => self.end(HangupCause::NoAnswer).await,
            Due::Answer => {}
            Due::Hunt(bridge) => self.on_hunt_due(bridge).await,
            Due::Message(number) => self.on_message_limit(number).await,
            Due::Recording(number) => self.on_recording_limit(number).await,
            Due::Sleep(number) => self.on_sleep_over(number).await,
            Due::Park(number) => self.on_park_over(number).await,
            Due::Refer(number) => self.give_up_referring(Some(number)).await,
            Due::Session(epoch) => self.on_session_due(epoch).await,
        }
    }
}
