//! How a recording ends: by whom, what the switch is told, and what the ticket says. The promise itself is delivery's then.

use std::{sync::Arc, time::Duration};

use callreel_callflow::{Input, Meant, Recorded};
use callreel_proto::{
    Application, CallEvent, Destination, EndReason, InsertAt, OrderedBy, RecordingFact,
    RecordingNotice,
};
use callreel_spool::{Mark, Ticket};
use callreel_telemetry::{KeyValue, metrics};
use ractor::ActorRef;
use tokio::time::Instant;

use super::{
    RecorderMsg, State,
    audio::Audio,
    running::{Due, Key, Running, Stage},
    switch_file,
};
use crate::{
    context::{Context, blocking},
    files::{self, FileNames},
    order,
};

/// Time between two tries to save the ticket of an ended recording on a disk that refuses it.
const DISK_PAUSE: Duration = Duration::from_secs(1);

impl State {
    /// What the flow means: its newest `record_call`, of that name if it names one; or this very recording, whoever wanted
    /// it, for the leg it is of has gone.
    pub(super) async fn stop(
        &mut self,
        meant: &Meant,
        by: Option<OrderedBy>,
        myself: &ActorRef<RecorderMsg>,
    ) {
        let Some(key) = self.meant(meant) else {
            return tracing::debug!(call_id = %self.call_id(), ?meant, "nothing to stop");
        };
        match by {
            Some(by) => self.end_by(key, by, myself).await,
            None => self.end_with_its_leg(key, myself).await,
        }
    }

    /// Ends a recording of a leg that has gone, while the one its audio comes from lives.
    pub(super) async fn end_with_its_leg(&mut self, key: Key, myself: &ActorRef<RecorderMsg>) {
        self.tell_switch_to_stop(key).await;
        self.end(key, EndReason::Hangup, myself).await;
    }

    /// The running recording that a flow means.
    pub(super) fn meant(&self, meant: &Meant) -> Option<Key> {
        self.newest(|running| match meant {
            Meant::Usual => running.is_the_flows(None),
            Meant::Named(name) => running.is_the_flows(Some(name)),
            Meant::Slot(slot) => running.slot() == Some(*slot) && running.goes_on(),
            Meant::Id(id) => running.ticket.recording_id().as_str() == id,
        })
    }

    /// Ends a recording because somebody wants it ended.
    pub(super) async fn end_by(&mut self, key: Key, by: OrderedBy, myself: &ActorRef<RecorderMsg>) {
        for key in self.pair(key) {
            if let Some(running) = self.running.get_mut(&key) {
                running.ended_by.get_or_insert_with(|| by.clone());
            }
        }
        self.end(key, EndReason::Stopped, myself).await;
    }

    /// What a recording waited for has not come.
    pub(super) async fn due(&mut self, key: Key, due: Due, myself: &ActorRef<RecorderMsg>) {
        // A word that was on its way when what it waited for came is nothing any more.
        let Some(running) = self.running.get(&key).filter(|r| r.waits_for(due)) else {
            return;
        };
        match (due, running.stage) {
            (Due::Start, _) if running.is_beside() => self.goes_on_unconfirmed(key, myself),
            (Due::Start, _) => self.end(key, EndReason::TimeLimit, myself).await,
            (Due::Limit, _) => self.end(key, EndReason::TimeLimit, myself).await,
            (Due::Stop, Stage::Ending(reason)) => self.end_unconfirmed(key, reason).await,
            (Due::Stop, _) => {}
        }
    }

    /// The switch says that a recording is over.
    pub(super) async fn switch_stopped(&mut self, event: &CallEvent) {
        let Some(key) = self.meant_by(event) else {
            return;
        };
        if self.is_of_the_past(key, &event.call_id) {
            return;
        }
        let running = self.running.get(&key).expect("found by the event");
        let limit_s = running.ticket.promise().time_limit_s;
        let reason = match running.stage {
            Stage::Ending(reason) => reason,
            _ => switch_file::reason(event, limit_s),
        };
        match self.audio {
            Audio::Fork(_) => {
                let at_ns = self.audio.late_ns(event);
                self.end_fork(key, reason, at_ns).await;
            }
            Audio::File => self.file_ended(key, event, reason).await,
        }
    }

    /// It and, if the parties are kept separate, the other's; the caller's first.
    pub(super) fn pair(&self, key: Key) -> Vec<Key> {
        let twin = self.running.get(&key).and_then(|running| running.twin);
        let mut pair: Vec<Key> = [key].into_iter().chain(twin).collect();
        pair.sort_unstable();
        pair
    }

    /// The running recording an event is about.
    pub(super) fn meant_by(&self, event: &CallEvent) -> Option<Key> {
        let meant = self.running.iter().find(|(_, r)| r.is_meant_by(event));
        meant.map(|(key, _)| *key)
    }

    /// Ends a recording, and the other party's if both are kept separate: a fork here and now, a file as soon as the switch
    /// has closed it.
    pub(super) async fn end(
        &mut self,
        key: Key,
        reason: EndReason,
        myself: &ActorRef<RecorderMsg>,
    ) {
        for key in self.pair(key) {
            match self.audio {
                Audio::Fork(_) => {
                    let gone_ns = self.gone_ns.filter(|_| reason == EndReason::Hangup);
                    self.end_fork(key, reason, gone_ns).await;
                }
                Audio::File => self.end_file(key, reason, myself).await,
            }
        }
    }

    /// Ends it then, or now.
    async fn end_fork(&mut self, key: Key, reason: EndReason, at_ns: Option<u64>) {
        let Some(running) = self.running.get(&key) else {
            return;
        };
        let at_ns = at_ns.map(|at_ns| at_ns.max(running.ticket.promise().start_ns));
        let mark = Mark::RecordingEnded(running.ticket.recording_id().clone(), reason);
        let end_ns = self.audio.mark(self.context(), at_ns, mark).await;
        if reason != EndReason::Hangup && running.is_beside() {
            self.tell_switch_to_stop(key).await;
        }
        let end_ns = end_ns.expect("the capture is open while something runs");
        self.finish(key, reason, end_ns, None).await;
    }

    /// The file is complete only when the switch says so: it is told to stop, unless it stops by itself, and given time.
    async fn end_file(&mut self, key: Key, reason: EndReason, myself: &ActorRef<RecorderMsg>) {
        if reason != EndReason::Hangup {
            self.tell_switch_to_stop(key).await;
        }
        let patience = self.context().calls.record_stop_timeout();
        if let Some(running) = self.running.get_mut(&key).filter(|r| r.goes_on()) {
            running.until = Some(Instant::now());
            running.enter(Stage::Ending(reason), patience, key, myself);
        }
    }

    /// Tells the switch that a recording is to end. Our switch ends a message by itself; nothing is said about a call that
    /// has another controller.
    async fn tell_switch_to_stop(&self, key: Key) {
        let Some(running) = self.running.get(&key).filter(|_| !self.silenced) else {
            return;
        };
        let stop = if running.is_beside() {
            let (id, name) = (&running.names.id, &running.names.media_name);
            order::stop(Some(id.clone()), name.clone(), self.audio.target())
        } else {
            Application::Break
        };
        self.control_of(key).send(InsertAt::Now, stop, None).await;
    }

    /// The switch has closed its file.
    async fn file_ended(&mut self, key: Key, event: &CallEvent, reason: EndReason) {
        let running = self.running.get_mut(&key).expect("found by the event");
        let lasted_ms = files::length_ms(event);
        let length = lasted_ms.map_or_else(|| running.lasted(), Duration::from_millis);
        let learn = |file: &mut _| files::learn(file, event);
        if let Err(error) = running.ticket.switch_told(learn) {
            tracing::error!(%error, "a file that ended twice");
        }
        self.finish(key, reason, nanoseconds(length), None).await;
    }

    /// The switch has not said that it has closed its file: it may be there all the same.
    async fn end_unconfirmed(&mut self, key: Key, reason: EndReason) {
        let running = self.running.get_mut(&key).expect("its timer found it");
        let mut guessed = false;
        let assume = |file: &mut _| guessed = files::assume_path(file);
        if let Err(error) = running.ticket.switch_told(assume) {
            tracing::error!(%error, "a file that ended twice");
        }
        let file = running.ticket.switch_file().cloned().unwrap_or_default();
        let detail = format!(
            "the switch {} did not say that it had ended; {} is fetched all the same{}",
            file.node,
            file.path.unwrap_or_default(),
            if guessed { ", where it usually is" } else { "" },
        );
        tracing::warn!(call_id = %self.args.route.call_id, account_id = %self.args.account, recording_id = %running.ticket.recording_id(), detail, "recording ended unconfirmed");
        let length = running.lasted();
        self.finish(key, reason, nanoseconds(length), Some(detail))
            .await;
    }

    /// Writes the end: first the ticket, then the world.
    async fn finish(&mut self, key: Key, reason: EndReason, end_ns: u64, detail: Option<String>) {
        let Some(mut running) = self.running.remove(&key) else {
            return;
        };
        running.rest();
        if let Some(names) = FileNames::of(&running.ticket) {
            self.context().files.forget(&names);
        }
        self.close_if_idle().await;
        let id = running.ticket.recording_id().clone();
        if let Err(error) = running.ticket.end(end_ns, reason) {
            tracing::error!(recording_id = %id, %error, "a recording ended twice");
            return;
        }
        let length_ms = running.ticket.length_ms().unwrap_or(0);
        tracing::info!(call_id = %self.call_id(), recording_id = %id, account_id = %self.args.account, ?reason, length_ms, "recording ended");
        let why = KeyValue::new("callreel.end_reason", reason.name());
        metrics().recordings_ended.add(1, &[why]);
        running.span.set("callreel.end_reason", reason.name());
        let (slot, media_name) = (running.slot(), running.heard_as());
        let recorded = recorded(&running.ticket, length_ms);
        if running.review {
            self.review(running, reason, detail).await;
        } else {
            self.promise_kept(running.ticket, running.ended_by.take(), detail)
                .await;
        }
        if let Some(slot) = slot {
            self.tell(Input::Recorded(recorded));
            self.tell(Input::RecordingEnded {
                slot,
                reason,
                length_ms,
                media_name,
            });
        }
    }

    /// The ticket of a recording that has ended is delivery's from here.
    pub(super) async fn promise_kept(
        &mut self,
        ticket: Ticket,
        ended_by: Option<OrderedBy>,
        detail: Option<String>,
    ) {
        let notice = RecordingNotice {
            end_reason: ticket.end_reason(),
            ordered_by: ended_by,
            offset_ms: ticket.length_ms(),
            detail,
            ..self.notice(RecordingFact::Ended, &ticket)
        };
        if self.save(ticket.clone()).await {
            self.context().held.release(ticket.recording_id());
            self.context().notify(notice).await;
        } else {
            let context = Arc::clone(self.context());
            tokio::spawn(save_ended(context, ticket, notice));
        }
    }

    /// Seals the capture when no recording needs it: a later recording gets a capture of its own. What only masked ones
    /// need is not written down.
    pub(super) async fn close_if_idle(&mut self) {
        let context = Arc::clone(self.context());
        let (idle, shut) = (self.running.is_empty(), self.all_masked());
        let Audio::Fork(fork) = &mut self.audio else {
            return;
        };
        if idle {
            fork.close(&context).await;
        } else {
            fork.turn(&context, Vec::new(), shut).await;
        }
    }

    /// The channel is gone: what was forked ends here, what a switch keeps when it says so. What is made from another leg
    /// ends with that.
    pub(super) async fn call_ended(&mut self, myself: &ActorRef<RecorderMsg>) {
        self.end_all(EndReason::Hangup, myself).await;
        self.decide_all().await;
        self.close_if_idle().await;
        self.over = true;
        self.silenced = self.heir.is_none();
    }

    /// Another controller has the call. Our switch stops forking to us. A switch that keeps files goes on as it would:
    /// whoever controls the call now decides, and the file is whole when it says that it has ended.
    pub(super) async fn release(&mut self, myself: &ActorRef<RecorderMsg>) {
        if let Audio::Fork(_) = self.audio {
            self.end_all(EndReason::Usurped, myself).await;
        } else {
            self.let_go_of_switch().await;
        }
        self.decide_all().await;
        self.over = true;
        self.silenced = true;
    }

    async fn end_all(&mut self, reason: EndReason, myself: &ActorRef<RecorderMsg>) {
        let lives = |running: &Running| running.inherited && self.heir.is_some();
        let ends = self.running.iter().rev().filter(|(_, r)| !lives(r));
        let keys: Vec<Key> = ends.map(|(key, _)| *key).collect();
        for key in keys {
            self.end(key, reason, myself).await;
        }
    }

    /// Nobody may tell the switch anything about these any more, not even our next run.
    async fn let_go_of_switch(&mut self) {
        let mut tickets = Vec::new();
        for running in self.running.values_mut() {
            if running
                .ticket
                .switch_told(|file| file.control_queue.clear())
                .is_ok()
            {
                tickets.push(running.ticket.clone());
            }
        }
        for ticket in tickets {
            self.save(ticket).await;
        }
    }
}

/// What a flow may tell others of it.
fn recorded(ticket: &Ticket, length_ms: u64) -> Recorded {
    let destination = &ticket.promise().destination;
    let outside = matches!(destination, Destination::Http { .. });
    Recorded {
        id: ticket.recording_id().as_str().to_owned(),
        url: outside.then(|| destination.describe()),
        length_ms,
    }
}

fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// Saves the ticket of an ended recording as soon as the disk takes it, and tells the world then. A restart before that
/// reads the same end from the journal.
async fn save_ended(context: Arc<Context>, ticket: Ticket, notice: RecordingNotice) {
    let id = ticket.recording_id();
    let saved = loop {
        tokio::time::sleep(DISK_PAUSE).await;
        let (spool, ticket) = (context.spool.clone(), ticket.clone());
        let save = move || match spool.save_ticket(&ticket) {
            // An operator removed it meanwhile: nothing is owed any more.
            Err(callreel_spool::Error::NoTicket(_)) => Ok(()),
            saved => saved,
        };
        match blocking(save).await {
            Ok(()) => break id,
            Err(reason) => tracing::debug!(reason, "ticket still not saved"),
        }
    };
    context.held.release(saved);
    tracing::info!(recording_id = %saved, "the disk took the ticket after all");
    context.notify(notice).await;
}
