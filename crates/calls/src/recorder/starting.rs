//! How a recording begins: the ticket, then the command, then the switch's word; and what becomes of one that never does.

use std::time::Duration;

use callreel_callflow::{Input, OrderDestination, RecordingOrder};
use callreel_proto::{
    CallEvent, InsertAt, OrderedBy, RecordCall, RecordingFact, RecordingNotice, Requested,
    TraceParent, Utc,
};
use callreel_spool::{Mark, Ticket};
use callreel_telemetry::{ACCOUNT_ID, CALL_ID, RECORDING_ID, Span, metrics};
use ractor::ActorRef;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    RecorderMsg, State,
    audio::Audio,
    running::{Key, Names, Orderer, Running, Stage},
};
use crate::{
    context::blocking,
    control::Control,
    files::{self, FileNames},
    held::Holding,
    order,
};

/// A message's limit is the switch's to enforce, and so is that of a file it keeps; so much later the recorder ends it all
/// the same.
const GRACE: Duration = Duration::from_secs(5);
/// A message that a switch keeps is recorded when all that was queued before it is done: so long beyond its limit nothing is
/// said about it, as the flow has it.
const TURN: Duration = Duration::from_secs(60);

impl State {
    /// Begins what was ordered: one recording, or one of each party. Says which, the caller's first.
    pub(super) async fn start(
        &mut self,
        order: RecordingOrder,
        by: Orderer,
        myself: &ActorRef<RecorderMsg>,
    ) -> Result<Vec<Key>, String> {
        let Some([caller, callee]) = order::parts(&order) else {
            return Ok(vec![self.begin(order, by, None, myself).await?]);
        };
        let first = self.begin(caller, by, None, myself).await?;
        // Refused, it has been said to be skipped: one party's voice is better than none.
        let Ok(second) = self.begin(callee, Orderer::Nobody, None, myself).await else {
            return Ok(vec![first]);
        };
        for (key, twin) in [(first, second), (second, first)] {
            if let Some(running) = self.running.get_mut(&key) {
                running.twin = Some(twin);
            }
        }
        Ok(vec![first, second])
    }

    /// Begins a recording; with `terms` it is another's.
    ///
    /// # Errors
    /// It was refused, and that has been said.
    pub(super) async fn begin(
        &mut self,
        order: RecordingOrder,
        by: Orderer,
        terms: Option<RecordCall>,
        myself: &ActorRef<RecorderMsg>,
    ) -> Result<Key, String> {
        let mut span = self.span(&order);
        let ticket = match self.promise(&order, span.parent(), myself).await {
            Ok(ticket) => ticket,
            Err(reason) => {
                span.failed("refused", &reason);
                self.refuse(by, order.by, reason.clone()).await;
                return Err(reason);
            }
        };
        self.orders += 1;
        let key = Key(self.orders);
        let id = ticket.recording_id();
        span.set(RECORDING_ID, id);
        let destination = ticket.promise().destination.describe();
        tracing::info!(call_id = %self.call_id(), recording_id = %id, account_id = %self.args.account, destination, "recording");
        metrics().recordings_started.add(1, &[]);
        let mut terms = terms.unwrap_or_else(|| order::own_terms(&order, id));
        let names = Names::of(&ticket, &by, &terms);
        terms.recording_id = Some(names.id.clone());
        let media_name = names.media_name.clone();
        let (insert_at, command) = order::start(&order, terms, media_name, self.audio.target());
        let mut running = Running::new(ticket.clone(), &order, by, names, span);
        let command_id = running.command_id.clone();
        if let Audio::Fork(_) = self.audio
            && running.is_beside()
        {
            running.unconfirmed = Some(command.clone());
            self.wait_for_word(key, myself);
        }
        self.running.insert(key, running);
        self.wait_for_begin(key, &order, myself);
        let control = self.control_of(key);
        control.send(insert_at, command, Some(command_id)).await;
        if self.masked_by.is_some() {
            self.tell_switch_to_mask(key, true).await;
        }
        if let Audio::Fork(_) = self.audio {
            self.notify_started(&ticket, &order.by).await;
        }
        Ok(key)
    }

    /// The span of what is ordered now.
    fn span(&self, order: &RecordingOrder) -> Span {
        Span::within(self.args.control.asked_in, "recording")
            .with(CALL_ID, order::leg(order, &self.args.route.call_id))
            .with(ACCOUNT_ID, &self.args.account)
    }

    /// Where commands about a recording go: those about a file of the other leg name that leg.
    pub(super) fn control_of(&self, key: Key) -> Control {
        if let Some(heir) = self.control_of_heir(key) {
            return heir.clone();
        }
        let mut control = self.args.control.clone();
        control.asked_in = self.running.get(&key).and_then(|r| r.span.parent());
        if let Audio::File = self.audio
            && let Some(leg) = self.running.get(&key).and_then(|r| r.leg.as_ref())
        {
            control.call_id.clone_from(leg);
        }
        control
    }

    /// Says that a recording has begun, and whether it hears nothing yet.
    async fn notify_started(&self, ticket: &Ticket, by: &OrderedBy) {
        let mut notice = self.notice(RecordingFact::Started, ticket);
        notice.ordered_by = Some(by.clone());
        notice.time_limit_s = Some(ticket.promise().time_limit_s);
        notice.detail = Some(ticket.promise().destination.describe());
        self.context().notify(notice).await;
        if let Some(mask) = ticket.masks().last().filter(|_| ticket.is_masked()) {
            let by = mask.by.as_ref().unwrap_or(by);
            self.notify_masked(ticket, true, by, mask.from_ns).await;
        }
    }

    /// Puts the promise on disk.
    async fn promise(
        &mut self,
        order: &RecordingOrder,
        span: Option<TraceParent>,
        myself: &ActorRef<RecorderMsg>,
    ) -> Result<Ticket, String> {
        if self.over {
            return Err("the call is over".to_owned());
        }
        let masked = self.masked_by.is_some();
        let (source, start_ns) = self.audio.open(order, &self.args, masked).await?;
        let leg = order::leg(order, &self.args.route.call_id);
        let files = self.files.entry(leg.clone()).or_default();
        // The two files of one order share its number.
        if matches!(order.destination, OrderDestination::Url { .. }) && !order::is_second(order) {
            *files += 1;
        }
        let place = order::Place {
            route: &self.args.route,
            account: self.args.account.clone(),
            recipient: self.args.recipient.clone(),
            source,
            start_ns,
            nth: *files,
            peer: self.peer.as_ref(),
            span,
        };
        let mut ticket = order::ticket(order, place, &self.context().config)?;
        if masked {
            let silent = ticket.masked(start_ns, self.masked_by.clone());
            silent.map_err(|error| error.to_string())?;
        }
        let spool = self.context().spool.clone();
        let promised = ticket.clone();
        let holding = Holding {
            owner: self.owner,
            recorder: myself.clone(),
            leg: self.call_id().clone(),
            by: order.by.clone(),
        };
        let id = ticket.recording_id().clone();
        self.context().held.take(id, holding);
        if let Err(reason) = blocking(move || spool.create_ticket(&promised)).await {
            self.context().held.release(ticket.recording_id());
            return Err(reason);
        }
        let id = ticket.recording_id();
        let begun = Mark::RecordingStarted(id.clone());
        let silent = masked.then(|| Mark::Masked(id.clone()));
        for mark in [begun].into_iter().chain(silent) {
            self.audio.mark(self.context(), Some(start_ns), mark).await;
        }
        Ok(ticket)
    }

    /// A fork records from the order on, and its limit counts from there, however long the disk took for the ticket. A
    /// switch that keeps a file says when it begins; a message waits for its turn there.
    fn wait_for_begin(&mut self, key: Key, order: &RecordingOrder, myself: &ActorRef<RecorderMsg>) {
        let context = std::sync::Arc::clone(self.context());
        let running = self.running.get_mut(&key).expect("inserted just now");
        match &self.audio {
            Audio::Fork(fork) => {
                let start_ns = running.ticket.promise().start_ns;
                let since_ns = fork.now_ns().map_or(0, |now| now.saturating_sub(start_ns));
                let left = order
                    .time_limit
                    .saturating_sub(Duration::from_nanos(since_ns));
                let grace = if running.is_beside() {
                    Duration::ZERO
                } else {
                    GRACE
                };
                running.enter(Stage::Recording, left + grace, key, myself);
            }
            Audio::File => {
                if let Some(names) = FileNames::of(&running.ticket) {
                    context.files.expect(&names, myself);
                }
                let patience = if running.is_beside() {
                    context.calls.record_start_timeout()
                } else {
                    order.time_limit + TURN
                };
                running.enter(Stage::Ordered, patience, key, myself);
            }
        }
    }

    pub(super) fn wait_for_word(&self, key: Key, myself: &ActorRef<RecorderMsg>) {
        let patience = self.context().calls.record_start_timeout();
        myself.send_after(patience, move || RecorderMsg::Unconfirmed(key));
    }

    /// Our switch has not said that it forks. A broker that dies takes orders with it that it had confirmed: it is told
    /// again, which changes nothing if it does fork.
    pub(super) async fn order_again(&mut self, key: Key, myself: &ActorRef<RecorderMsg>) {
        let Some(running) = self.running.get(&key).filter(|running| running.goes_on()) else {
            return;
        };
        let Some(command) = running.unconfirmed.clone() else {
            return;
        };
        self.wait_for_word(key, myself);
        // Until then the first order may still be on its way.
        if self.context().bus.is_connected() {
            tracing::warn!(call_id = %self.call_id(), account_id = %self.args.account, recording_id = %running.ticket.recording_id(), "the switch did not say that it forks the call to us; it is told again");
            let command_id = running.command_id.clone();
            let control = self.control_of(key);
            control.send(InsertAt::Now, command, Some(command_id)).await;
        }
    }

    /// The switch says that it records: from where it forks, or into which file.
    pub(super) async fn switch_started(
        &mut self,
        event: &CallEvent,
        myself: &ActorRef<RecorderMsg>,
    ) {
        if let Audio::Fork(fork) = &self.audio
            && let Some(source) = event.recording.as_ref().and_then(|info| info.fork_source)
        {
            fork.expect_source(self.context(), source);
        }
        let Some(key) = self.meant_by(event) else {
            return;
        };
        match &self.audio {
            Audio::Fork(fork) => {
                let now_ns = fork.now_ns();
                let running = self.running.get_mut(&key).expect("found by the event");
                running.unconfirmed = None;
                self.message_began(key, now_ns).await;
                self.has_begun(key).await;
            }
            Audio::File => self.file_began(key, event, myself).await,
        }
    }

    /// The flow may wait for it, and the parties are told. Heard twice, it changes nothing more.
    async fn has_begun(&mut self, key: Key) {
        let Some(running) = self.running.get_mut(&key) else {
            return;
        };
        if std::mem::replace(&mut running.begun, true) || !running.is_beside() {
            return;
        }
        if let Some(slot) = running.slot() {
            self.tell(Input::RecordingStarted { slot });
        }
        self.announce(key).await;
    }

    /// A message starts with its first audio, not where it was ordered: it waits for what is played before it.
    async fn message_began(&mut self, key: Key, now_ns: Option<u64>) {
        let Some(running) = self.running.get_mut(&key).filter(|r| !r.is_beside()) else {
            return;
        };
        let Some(now_ns) = now_ns else { return };
        if let Err(error) = running.ticket.begin(now_ns, Utc::now()) {
            tracing::warn!(%error, "a message began twice");
            return;
        }
        let ticket = running.ticket.clone();
        self.save(ticket).await;
    }

    /// The switch has opened its file. Heard twice, it changes nothing more.
    pub(super) async fn file_began(
        &mut self,
        key: Key,
        event: &CallEvent,
        myself: &ActorRef<RecorderMsg>,
    ) {
        let running = self.running.get_mut(&key).expect("found by the event");
        if running.begun {
            return;
        }
        let ticket = &mut running.ticket;
        let told = ticket
            .begin(0, Utc::now())
            .and_then(|()| ticket.switch_told(|file| files::learn(file, event)));
        if let Err(error) = told {
            tracing::error!(%error, "a file that began after its end");
            return;
        }
        running.since = Instant::now();
        if running.goes_on() {
            let limit = Duration::from_secs(running.ticket.promise().time_limit_s);
            running.enter(Stage::Recording, limit + GRACE, key, myself);
        }
        let (ticket, by) = (running.ticket.clone(), running.ordered_by.clone());
        self.save(ticket.clone()).await;
        self.notify_started(&ticket, &by).await;
        self.has_begun(key).await;
    }

    /// The switch has not said that it records. It may do so all the same: an event can be lost, and a recording must not be.
    pub(super) fn goes_on_unconfirmed(&mut self, key: Key, myself: &ActorRef<RecorderMsg>) {
        let Some(running) = self.running.get_mut(&key) else {
            return;
        };
        let id = running.ticket.recording_id();
        tracing::warn!(recording_id = %id, "the switch did not say that it records; its file is fetched at the end all the same");
        let limit = Duration::from_secs(running.ticket.promise().time_limit_s);
        let left = limit.saturating_sub(running.lasted());
        running.enter(Stage::Recording, left + GRACE, key, myself);
    }

    /// A command could not be executed: if it was one that starts a recording, there will be none.
    pub(super) async fn switch_refused(&mut self, event: &CallEvent) {
        let command = event.request.as_ref().and_then(Requested::command);
        let msg_id = command
            .and_then(|command| command.get("Msg-ID"))
            .and_then(Value::as_str);
        let refused = self
            .running
            .iter()
            .find(|(_, running)| Some(running.command_id.as_str()) == msg_id)
            .map(|(key, _)| *key);
        if let Some(key) = refused {
            let said = event
                .error_message
                .as_deref()
                .or(event.dialplan_error.as_deref());
            let reason = format!("the switch refused: {}", said.unwrap_or("no reason given"));
            return self.give_up(key, reason).await;
        }
        self.announcement_refused(msg_id).await;
    }

    /// Takes a promise back that the switch will not help to keep.
    pub(super) async fn give_up(&mut self, key: Key, reason: String) {
        let Some(mut running) = self.running.remove(&key) else {
            return;
        };
        running.rest();
        running.span.failed("refused", &reason);
        if let Some(names) = FileNames::of(&running.ticket) {
            self.context().files.forget(&names);
        }
        self.context().held.release(running.ticket.recording_id());
        let (spool, ticket) = (self.context().spool.clone(), running.ticket);
        if let Err(error) = blocking(move || spool.withdraw(&ticket)).await {
            tracing::warn!(call_id = %self.call_id(), account_id = %self.args.account, error, "the ticket of a refused recording stays on disk");
        }
        self.refuse(running.by, running.ordered_by, reason).await;
    }

    /// Says that something ordered is not recorded, and cleans up after it.
    pub(super) async fn refuse(&mut self, by: Orderer, ordered_by: OrderedBy, reason: String) {
        tracing::error!(call_id = %self.call_id(), account_id = %self.args.account, reason, "recording refused: this audio is not kept");
        let (account_id, call_id) = (self.args.account.clone(), self.args.route.call_id.clone());
        let notice = RecordingNotice {
            ordered_by: Some(ordered_by),
            detail: Some(reason.clone()),
            ..RecordingNotice::new(RecordingFact::Skipped, account_id, call_id)
        };
        self.context().notify(notice).await;
        match by {
            Orderer::Flow(slot) => self.tell(Input::RecordingRefused { slot, reason }),
            Orderer::Other(request) => self.answer_error(&request, &reason).await,
            Orderer::Nobody => {}
        }
        self.close_if_idle().await;
    }
}
