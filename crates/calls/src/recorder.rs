//! The recorder of one call: keeps a ticket and a place in the capture for every recording, from order to end.
//! It never touches audio and never waits for a delivery.
//!
//! | Who sends | Message | Why |
//! |---|---|---|
//! | the call | `Start`, `StopNewest` | the flow ordered it |
//! | the call | `Event` | the switch said something about the channel |
//! | its own timer | `LimitReached` | a recording is long enough |
//! | the call | `CallEnded` | the channel is gone: end everything, then stop |
//!
//! If it dies, the call asks [`crate::abandon`] to seal the capture and to end its recordings as interrupted.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use callreel_callflow::{Input, OrderDestination, RecordingKind, RecordingOrder, Slot};
use callreel_proto::{
    CallEvent, CallId, CaptureId, EndReason, EventName, InsertAt, MediaFork, RecordingFact,
    RecordingId, RecordingNotice, RouteReq, Utc,
};
use callreel_spool::{CaptureHeader, Mark, Ticket};
use ractor::{Actor, ActorProcessingErr, ActorRef, MessagingErr, RpcReplyPort};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    abandon,
    call::CallMsg,
    capture::{Capture, CaptureClock, Counters},
    context::{Context, Control, blocking},
    order,
};

/// A message's limit is the switch's to enforce; so much later the recorder ends it all the same.
const MESSAGE_GRACE: Duration = Duration::from_secs(5);

/// The actor; all it knows is in [`State`].
pub(crate) struct Recorder;

/// What a recorder is told.
pub(crate) enum RecorderMsg {
    /// From the call: begin this recording.
    Start(Box<RecordingOrder>),
    /// From the call: end the newest running `record_call` recording.
    StopNewest,
    /// From the call: the switch said something about the recorded channel.
    Event(EventName, Box<CallEvent>),
    /// From this actor's timer: the recording has reached its limit.
    LimitReached(RecordingId),
    /// From the call: the channel is gone.
    CallEnded,
    /// From the call, for people: what is being recorded.
    Describe(RpcReplyPort<Value>),
}

/// What a recorder is started with.
pub(crate) struct Args {
    pub(crate) call: ActorRef<CallMsg>,
    pub(crate) control: Control,
    pub(crate) route: Arc<RouteReq>,
}

/// Everything a recorder knows.
pub(crate) struct State {
    args: Args,
    capture: Option<Live>,
    /// Running recordings, oldest first.
    running: BTreeMap<Slot, Running>,
    /// How many files this call has asked for so far.
    files: u32,
}

/// The capture of this call while something is being recorded.
struct Live {
    id: CaptureId,
    clock: CaptureClock,
    fork: MediaFork,
    counters: Arc<Counters>,
}

struct Running {
    ticket: Ticket,
    kind: RecordingKind,
    media_name: String,
    /// Sends `LimitReached`; aborted when the recording ends before.
    limit: JoinHandle<Result<(), MessagingErr<RecorderMsg>>>,
}

impl Actor for Recorder {
    type Msg = RecorderMsg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        _: ActorRef<RecorderMsg>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            args,
            capture: None,
            running: BTreeMap::new(),
            files: 0,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<RecorderMsg>,
        message: RecorderMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RecorderMsg::Start(order) => state.start(*order, &myself).await,
            RecorderMsg::StopNewest => state.stop_newest().await,
            RecorderMsg::Event(name, event) => state.hear(name, &event).await,
            RecorderMsg::LimitReached(id) => state.end_by_id(&id, EndReason::TimeLimit).await,
            RecorderMsg::CallEnded => {
                state.end_all(EndReason::Hangup).await;
                myself.stop(None);
            }
            RecorderMsg::Describe(reply) => drop(reply.send(state.describe())),
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

    async fn start(&mut self, order: RecordingOrder, myself: &ActorRef<RecorderMsg>) {
        let slot = order.slot;
        if let Err(reason) = self.try_start(order, myself).await {
            tracing::error!(call_id = %self.call_id(), reason, "recording refused: this audio is not kept");
            self.notify(RecordingFact::Skipped, None, None, Some(reason.clone()))
                .await;
            self.tell(Input::RecordingRefused { slot, reason });
            self.close_if_idle().await;
        }
    }

    async fn try_start(
        &mut self,
        order: RecordingOrder,
        myself: &ActorRef<RecorderMsg>,
    ) -> Result<(), String> {
        self.open_capture()?;
        let live = self.capture.as_ref().expect("opened above");
        let (capture_id, fork, start_ns) = (live.id.clone(), live.fork, live.clock.now_ns());
        if matches!(order.destination, OrderDestination::Url { .. }) {
            self.files += 1;
        }
        let place = order::Place {
            route: &self.args.route,
            account: self.account(),
            capture_id: &capture_id,
            start_ns,
            nth: self.files,
        };
        let ticket = order::ticket(&order, place)?;
        let id = ticket.recording_id().clone();
        let media_name = ticket.promise().file_name.clone();
        let spool = self.context().spool.clone();
        let promised = ticket.clone();
        blocking(move || spool.create_ticket(&promised)).await?;
        let begun = vec![(start_ns, Mark::RecordingStarted(id.clone()))];
        self.context().captures.mark(&capture_id, begun).await;
        let destination = ticket.promise().destination.describe();
        let running = Running {
            ticket,
            kind: order.kind.clone(),
            media_name: media_name.clone(),
            limit: limit_timer(&order, self.since(start_ns), id.clone(), myself),
        };
        self.running.insert(order.slot, running);
        let (insert_at, command) = order::command(&order, id.clone(), media_name, fork);
        self.args.control.send(insert_at, command, None).await;

        tracing::info!(call_id = %self.call_id(), recording_id = %id, account_id = %self.account(), destination, "recording");
        self.notify(RecordingFact::Started, Some(id), None, Some(destination))
            .await;
        Ok(())
    }

    /// Binds sockets and opens a journal, unless that has been done for a recording that still runs.
    fn open_capture(&mut self) -> Result<(), String> {
        if self.capture.is_some() {
            return Ok(());
        }
        let context = Arc::clone(self.context());
        let sockets = context.ports.pair().map_err(|e| e.to_string())?;
        let port = |i: usize| sockets[i].local_addr().map(|a: SocketAddr| a.port());
        let at = |port| SocketAddr::new(context.config.advertised(), port);
        let fork = MediaFork {
            a: at(port(0).map_err(|e| e.to_string())?),
            b: at(port(1).map_err(|e| e.to_string())?),
        };
        let header = CaptureHeader {
            capture_id: CaptureId::random(),
            call_id: self.call_id().clone(),
            account_id: self.account(),
            started_at: Utc::now(),
        };
        let id = header.capture_id.clone();
        let journal = context
            .spool
            .create_capture(header)
            .map_err(|e| e.to_string())?;
        let counters = Arc::new(Counters::default());
        let clock = CaptureClock::start();
        context.captures.open(Capture {
            id: id.clone(),
            sockets,
            journal,
            clock,
            counters: Arc::clone(&counters),
        });
        self.capture = Some(Live {
            id,
            clock,
            fork,
            counters,
        });
        Ok(())
    }

    /// How long ago this instant of the capture's clock was.
    fn since(&self, start_ns: u64) -> Duration {
        let now_ns = self
            .capture
            .as_ref()
            .map_or(start_ns, |live| live.clock.now_ns());
        Duration::from_nanos(now_ns.saturating_sub(start_ns))
    }

    async fn stop_newest(&mut self) {
        let newest = self
            .running
            .iter()
            .rev()
            .find(|(_, r)| r.kind == RecordingKind::Recording)
            .map(|(slot, _)| *slot);
        match newest {
            Some(slot) => self.end(slot, EndReason::Stopped).await,
            None => tracing::debug!(call_id = %self.call_id(), "nothing to stop"),
        }
    }

    async fn hear(&mut self, name: EventName, event: &CallEvent) {
        match name {
            EventName::RecordStart => self.switch_started(event).await,
            EventName::RecordStop => self.switch_stopped(event).await,
            EventName::ChannelAnswer => self.note(Mark::Answered).await,
            EventName::ChannelBridge => self.note(Mark::Bridged).await,
            EventName::ChannelUnbridge => self.note(Mark::Unbridged).await,
            EventName::ChannelDestroy => self.note(Mark::HungUp).await,
            _ => {}
        }
    }

    /// The switch forks: from where, and for a message, from when.
    async fn switch_started(&mut self, event: &CallEvent) {
        let Some(live) = &self.capture else { return };
        let info = event.recording.clone().unwrap_or_default();
        if let Some(source) = info.fork_source {
            self.context().captures.expect_source(&live.id, source);
        }
        let now_ns = live.clock.now_ns();
        let Some(slot) = self.slot_of(event) else {
            return;
        };
        let running = self.running.get_mut(&slot).expect("found above");
        if running.kind == RecordingKind::Recording {
            return;
        }
        if let Err(error) = running.ticket.begin(now_ns, Utc::now()) {
            tracing::warn!(%error, "a message began twice");
            return;
        }
        let ticket = running.ticket.clone();
        self.save(ticket).await;
    }

    async fn switch_stopped(&mut self, event: &CallEvent) {
        let Some(slot) = self.slot_of(event) else {
            return;
        };
        let cause = event
            .recording
            .as_ref()
            .and_then(|r| r.completion_cause.as_deref());
        let reason = match cause {
            Some("time_limit") => EndReason::TimeLimit,
            Some("hangup") => EndReason::Hangup,
            Some("silence") => EndReason::Silence,
            _ if event.silence_terminated == Some(true) => EndReason::Silence,
            _ => EndReason::Stopped,
        };
        self.end(slot, reason).await;
    }

    /// The running recording an event is about: by id, else by the file name stock switches give.
    fn slot_of(&self, event: &CallEvent) -> Option<Slot> {
        let id = event.recording.as_ref().and_then(|r| r.id.as_deref());
        let path = event.application_response.as_deref().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        self.running
            .iter()
            .find(|(_, running)| match id {
                Some(id) => running.ticket.recording_id().as_str() == id,
                None => running.media_name == name,
            })
            .map(|(slot, _)| *slot)
    }

    async fn note(&mut self, mark: Mark) {
        if let Some(live) = &self.capture {
            let marks = vec![(live.clock.now_ns(), mark)];
            self.context().captures.mark(&live.id, marks).await;
        }
    }

    async fn end_by_id(&mut self, id: &RecordingId, reason: EndReason) {
        let slot = self
            .running
            .iter()
            .find(|(_, running)| running.ticket.recording_id() == id)
            .map(|(slot, _)| *slot);
        if let Some(slot) = slot {
            self.end(slot, reason).await;
        }
    }

    async fn end_all(&mut self, reason: EndReason) {
        while let Some(slot) = self.running.keys().next_back().copied() {
            self.end(slot, reason).await;
        }
        self.close_if_idle().await;
    }

    /// Ends one recording: mark and flush, seal if it was the last, then the ticket, then the world.
    async fn end(&mut self, slot: Slot, reason: EndReason) {
        let Some(mut running) = self.running.remove(&slot) else {
            return;
        };
        running.limit.abort();
        let id = running.ticket.recording_id().clone();
        let live = self.capture.as_ref().expect("open while something runs");
        let (end_ns, fork) = (live.clock.now_ns(), live.fork);
        let mark = vec![(end_ns, Mark::RecordingEnded(id.clone(), reason))];
        self.context().captures.mark(&live.id, mark).await;
        if reason != EndReason::Hangup {
            self.release_switch(&running, fork).await;
        }
        self.close_if_idle().await;
        if let Err(error) = running.ticket.end(end_ns, reason) {
            tracing::error!(recording_id = %id, %error, "a recording ended twice");
            return;
        }
        let length_ms = running.ticket.length_ms().unwrap_or(0);
        tracing::info!(call_id = %self.call_id(), recording_id = %id, account_id = %self.account(), ?reason, length_ms, "recording ended");
        let notice = self.notice(RecordingFact::Ended, Some(id), Some(reason), None);
        if self.save(running.ticket.clone()).await {
            self.context().notify(notice).await;
        } else {
            let context = Arc::clone(self.context());
            tokio::spawn(abandon::save_ended(context, running.ticket, notice));
        }
        self.tell(Input::RecordingEnded {
            slot,
            reason,
            length_ms,
        });
    }

    /// Tells the switch that a `record_call` needs no fork any more. A message's `record` command ended by itself.
    async fn release_switch(&self, running: &Running, fork: MediaFork) {
        if running.kind != RecordingKind::Recording {
            return;
        }
        let id = running.ticket.recording_id().clone();
        let stop = order::stop(id, running.media_name.clone(), fork);
        self.args.control.send(InsertAt::Now, stop, None).await;
    }

    /// Seals the capture when nothing is being recorded: a later recording gets a capture of its own.
    async fn close_if_idle(&mut self) {
        if !self.running.is_empty() {
            return;
        }
        if let Some(live) = self.capture.take() {
            self.context().captures.close(&live.id).await;
        }
    }

    /// Says whether the ticket is on disk.
    async fn save(&self, ticket: Ticket) -> bool {
        let spool = self.context().spool.clone();
        let id = ticket.recording_id().clone();
        let saved = blocking(move || spool.save_ticket(&ticket)).await;
        if let Err(reason) = &saved {
            tracing::error!(recording_id = %id, reason, "ticket not saved; its end is tried again, and the journal has it for the next start");
        }
        saved.is_ok()
    }

    fn account(&self) -> callreel_proto::AccountId {
        self.args
            .route
            .account_id()
            .expect("only calls with an account are run")
    }

    async fn notify(
        &self,
        fact: RecordingFact,
        recording_id: Option<RecordingId>,
        end_reason: Option<EndReason>,
        detail: Option<String>,
    ) {
        let notice = self.notice(fact, recording_id, end_reason, detail);
        self.context().notify(notice).await;
    }

    fn notice(
        &self,
        fact: RecordingFact,
        recording_id: Option<RecordingId>,
        end_reason: Option<EndReason>,
        detail: Option<String>,
    ) -> RecordingNotice {
        RecordingNotice {
            fact,
            account_id: self.account(),
            call_id: self.call_id().clone(),
            recording_id,
            end_reason,
            detail,
        }
    }

    fn tell(&self, input: Input) {
        // A call that is gone needs no telling: the recorder seals on its own.
        drop(self.args.call.cast(CallMsg::Tell(Box::new(input))));
    }

    fn describe(&self) -> Value {
        json!({
            "capture_id": self.capture.as_ref().map(|live| live.id.as_str()),
            "received": self.capture.as_ref().map(|live| json!(&*live.counters)),
            "recordings": self.running.values().map(|running| json!({
                "recording_id": running.ticket.recording_id(),
                "kind": running.kind,
                "destination": running.ticket.promise().destination.describe(),
            })).collect::<Vec<_>>(),
        })
    }
}

/// The limit counts from the recording's start, not from when the disk had taken its ticket.
fn limit_timer(
    order: &RecordingOrder,
    elapsed: Duration,
    id: RecordingId,
    myself: &ActorRef<RecorderMsg>,
) -> JoinHandle<Result<(), MessagingErr<RecorderMsg>>> {
    let grace = match order.kind {
        RecordingKind::Recording => Duration::ZERO,
        RecordingKind::Message | RecordingKind::Voicemail { .. } => MESSAGE_GRACE,
    };
    myself.send_after(
        order.time_limit.saturating_sub(elapsed) + grace,
        move || RecorderMsg::LimitReached(id),
    )
}
