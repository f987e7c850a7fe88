//! The queue actor: one writer, owner of the schedule of all tickets of this spool. It hands work to the pools and puts
//! their outcomes into the ledger; it renders and sends nothing itself.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use callreel_bus::Bus;
use callreel_proto::{
    DeliveryAction, DeliveryOrder, Exchange, RecordingFact, RecordingId, RecordingNotice, Utc,
};
use callreel_spool::{Error as SpoolError, Outbox, Ticket};
use callreel_store::Store;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, concurrency::JoinHandle};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    DeliveryConfig,
    book::{Book, Stage},
    courier::Courier,
    encode::{self, EncodePool, Work},
    fetch::{self, Fetcher},
    ledger::{Ledger, Step},
    render::{self, Failure, Rendered},
    upload::{self, Desk, Tried, UploadPool},
};

mod work;

/// How often the spool is read for tickets nobody told of: a notice may be lost on a bus that drops the oldest, and a
/// process that died tells nobody.
const RESCAN: Duration = Duration::from_secs(60);
/// The longest sleep of the one timer; a wall clock that was set meanwhile is noticed after at most this.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Wait after the spool's own disk refused something.
const DISK_PAUSE: Duration = Duration::from_secs(5);
/// How long tries under way may go on when the role stops; what is cut off then is tried again at the next start.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Owed recordings named one by one in a description; beyond, they are only counted.
const DESCRIBED: usize = 100;

/// What the queue hears.
#[derive(Debug)]
pub(crate) enum QueueMsg {
    /// From itself, at the start and every minute: read the spool.
    Scan,
    /// From the bus; answered when it has been dealt with.
    Heard(Heard, RpcReplyPort<()>),
    /// From the fetcher.
    Fetched(RecordingId, Result<(), Failure>),
    /// From the encode pool.
    Rendered(RecordingId, Result<Rendered, Failure>),
    /// From the upload pool.
    Tried(RecordingId, Tried),
    /// From its timer: something is due.
    Wake,
    /// From anyone: a picture of the role.
    Describe(RpcReplyPort<Value>),
    /// From the role's owner: hand out nothing more, stop when all is back.
    Stop,
    /// From itself: stop now.
    Halt,
}

/// What the bus told.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A recording has ended.
    Ended(RecordingId),
    /// A person wants something done.
    Ordered(DeliveryOrder),
}

/// What the queue is made of.
pub(crate) struct Parts {
    pub(crate) config: DeliveryConfig,
    pub(crate) courier: Courier,
    pub(crate) fetcher: Fetcher,
    pub(crate) bus: Bus,
    pub(crate) spool: Outbox,
    pub(crate) store: Store,
    /// This node's name on the bus.
    pub(crate) node: String,
}

/// What happened since the start.
#[derive(Debug, Default, Serialize)]
struct Counters {
    rendered: u64,
    retrying: u64,
    delivered: u64,
    undeliverable: u64,
    discarded: u64,
}

pub(crate) struct State {
    bus: Bus,
    node: String,
    ledger: Ledger,
    book: Book,
    fetcher: Fetcher,
    report_fetched: fetch::Report,
    fetches_per_switch: usize,
    encode: EncodePool,
    upload: UploadPool,
    uploads_per_host: usize,
    /// How many recordings may be out for each stage.
    capacities: [usize; Stage::ALL.len()],
    cut_off: CancellationToken,
    timer: Option<(Utc, JoinHandle<()>)>,
    rescan: JoinHandle<()>,
    counters: Counters,
    stopping: bool,
}

/// The actor; its state is made at the start.
pub(crate) struct Queue;

impl Actor for Queue {
    type Msg = QueueMsg;
    type State = State;
    type Arguments = Parts;

    async fn pre_start(
        &self,
        myself: ActorRef<QueueMsg>,
        parts: Parts,
    ) -> Result<State, ActorProcessingErr> {
        let encode = start_encoding(&parts, &myself)?;
        let cut_off = CancellationToken::new();
        let desk = Desk {
            cut_off: cut_off.clone(),
            courier: parts.courier,
            store: parts.store,
            spool: parts.spool.clone(),
            report: {
                let queue = myself.clone();
                // A queue that is gone has no use for outcomes: the next start tries again.
                Arc::new(move |id, tried| drop(queue.cast(QueueMsg::Tried(id, tried))))
            },
        };
        let config = &parts.config;
        let upload =
            upload::start(config.upload_workers, Arc::new(desk), myself.get_cell()).await?;
        let capacities = [config.fetches, encode.capacity(), config.upload_workers];
        myself.cast(QueueMsg::Scan)?;
        Ok(State {
            bus: parts.bus,
            node: parts.node,
            ledger: Ledger {
                spool: parts.spool,
                policy: config.policy(),
                keep_undeliverable: config.keep_undeliverable,
            },
            book: Book::default(),
            fetcher: parts.fetcher,
            report_fetched: {
                let queue = myself.clone();
                Arc::new(move |id, outcome| drop(queue.cast(QueueMsg::Fetched(id, outcome))))
            },
            fetches_per_switch: config.fetches_per_switch,
            encode,
            upload,
            uploads_per_host: config.uploads_per_host,
            capacities,
            cut_off,
            timer: None,
            rescan: myself.send_interval(RESCAN, || QueueMsg::Scan),
            counters: Counters::default(),
            stopping: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<QueueMsg>,
        message: QueueMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            QueueMsg::Scan => state.scan().await,
            QueueMsg::Heard(heard, done) => {
                state.hear(heard).await;
                // Whoever told may be gone.
                drop(done.send(()));
            }
            QueueMsg::Fetched(id, outcome) => state.fetched(id, outcome).await,
            QueueMsg::Rendered(id, outcome) => state.rendered(id, outcome).await,
            QueueMsg::Tried(id, tried) => state.tried(id, tried).await,
            QueueMsg::Wake => state.timer = None,
            QueueMsg::Describe(reply) => {
                // Whoever asked may have stopped waiting.
                drop(reply.send(state.describe()));
                return Ok(());
            }
            QueueMsg::Stop => {
                state.stopping = true;
                state.fetcher.halt();
                state.encode.halt();
                drop(myself.send_after(STOP_GRACE, || QueueMsg::Halt));
            }
            QueueMsg::Halt => {
                myself.stop(None);
                return Ok(());
            }
        }
        state.go_on(&myself).await;
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<QueueMsg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.rescan.abort();
        if let Some((_, timer)) = state.timer.take() {
            timer.abort();
        }
        // The spool's lock is free only when the last worker has let go of it.
        state.cut_off.cancel();
        state.fetcher.stop().await;
        state.upload.get_cell().stop_and_wait(None, None).await?;
        Ok(())
    }
}

fn start_encoding(
    parts: &Parts,
    myself: &ActorRef<QueueMsg>,
) -> Result<EncodePool, std::io::Error> {
    let spool = parts.spool.clone();
    let work: Work = Arc::new(move |ticket: &Ticket, stop: &AtomicBool| {
        render::render(spool.view(), ticket, stop)
    });
    let queue = myself.clone();
    let report: encode::Report =
        Arc::new(move |id, outcome| drop(queue.cast(QueueMsg::Rendered(id, outcome))));
    EncodePool::start(parts.config.encode_threads(), &work, &report)
}

impl State {
    /// Work with the ledger away from the async threads; one piece at a time, because the actor waits for it.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Ledger) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let ledger = self.ledger.clone();
        tokio::task::spawn_blocking(move || question(&ledger))
            .await
            .expect("the ledger does not panic, and the runtime outlives its actors")
    }

    async fn scan(&mut self) {
        match self.ask(|ledger| ledger.scan(Utc::now())).await {
            Ok(found) => {
                for (id, stage, due) in found.owed {
                    if !self.book.contains(&id) {
                        self.book.put(id, stage, due);
                    }
                }
                for notice in found.notices {
                    self.publish(notice).await;
                }
            }
            Err(error) => error!(%error, "cannot read the spool; trying again in a minute"),
        }
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Ended(id) => self.look(id).await,
            Heard::Ordered(order) => self.obey(order).await,
        }
    }

    async fn look(&mut self, id: RecordingId) {
        if self.book.contains(&id) {
            return;
        }
        let asked = id.clone();
        match self
            .ask(move |ledger| ledger.look(&asked, Utc::now()))
            .await
        {
            Ok(Some((stage, due))) => self.book.put(id, stage, due),
            // Of another node's spool, or done with already.
            Ok(None) => {}
            Err(error) => error!(recording_id = %id, %error, "cannot read its ticket"),
        }
    }

    async fn obey(&mut self, order: DeliveryOrder) {
        let id = order.recording_id.clone();
        let out = self.book.is_out(&id);
        match order.action {
            DeliveryAction::Hold | DeliveryAction::Release => self.hold(order).await,
            DeliveryAction::Retry if out => {}
            DeliveryAction::Drop if out => self.book.unwant(&id),
            DeliveryAction::Retry => {
                let asked = id.clone();
                let step = self.ask(move |ledger| ledger.retry(&asked, Utc::now()));
                let step = step.await;
                self.ordered(id, step).await;
            }
            DeliveryAction::Drop => self.drop_recording(id).await,
        }
    }

    /// A hold changes nothing about what is owed, so that it is put on what is being worked on too.
    async fn hold(&mut self, order: DeliveryOrder) {
        let id = order.recording_id.clone();
        match self
            .ask(move |ledger| ledger.hold(&order, Utc::now()))
            .await
        {
            Ok(notice) => self.publish(notice).await,
            Err(SpoolError::NoTicket(_)) => {}
            Err(error) => warn!(recording_id = %id, %error, "cannot obey the order"),
        }
    }

    async fn drop_recording(&mut self, id: RecordingId) {
        let asked = id.clone();
        let step = self.ask(move |ledger| ledger.drop_recording(&asked, Utc::now()));
        let step = step.await;
        self.ordered(id, step).await;
    }

    async fn ordered(&mut self, id: RecordingId, step: Result<Step, SpoolError>) {
        match step {
            Ok(step) => self.take_step(id, step).await,
            // An order for a recording of another node's spool is heard here too.
            Err(SpoolError::NoTicket(_)) => {}
            Err(error) => warn!(recording_id = %id, %error, "cannot obey the order"),
        }
    }

    async fn fetched(&mut self, id: RecordingId, outcome: Result<(), Failure>) {
        if self.book.is_unwanted(&id) {
            return self.drop_recording(id).await;
        }
        let asked = id.clone();
        let step = self
            .ask(move |ledger| ledger.fetched(&asked, outcome, Utc::now(), rand::random()))
            .await;
        self.came_back(id, Stage::Fetch, step).await;
    }

    async fn rendered(&mut self, id: RecordingId, outcome: Result<Rendered, Failure>) {
        if self.book.is_unwanted(&id) {
            return self.drop_recording(id).await;
        }
        let asked = id.clone();
        let step = self
            .ask(move |ledger| ledger.rendered(&asked, outcome, Utc::now(), rand::random()))
            .await;
        self.came_back(id, Stage::Render, step).await;
    }

    async fn tried(&mut self, id: RecordingId, tried: Tried) {
        let delivered = matches!(
            tried,
            Tried::File(crate::schedule::Verdict::Delivered) | Tried::Document(_)
        );
        if self.book.is_unwanted(&id) && !delivered {
            return self.drop_recording(id).await;
        }
        let asked = id.clone();
        let step = self
            .ask(move |ledger| ledger.tried(&asked, tried, Utc::now(), rand::random()))
            .await;
        self.came_back(id, Stage::Deliver, step).await;
    }

    async fn came_back(&mut self, id: RecordingId, stage: Stage, step: Result<Step, SpoolError>) {
        match step {
            Ok(step) => self.take_step(id, step).await,
            Err(SpoolError::NoTicket(_)) => drop(self.book.remove(&id)),
            Err(error) => self.disk_refused(id, stage, &error),
        }
    }

    /// The ticket says what it said before, so the same work is done again: nothing is lost, something may be sent twice.
    fn disk_refused(&mut self, id: RecordingId, stage: Stage, error: &SpoolError) {
        error!(recording_id = %id, %error, "the spool cannot be written; trying again");
        let until = crate::schedule::after(Utc::now(), DISK_PAUSE);
        self.book.put(id, stage, until);
    }

    async fn take_step(&mut self, id: RecordingId, step: Step) {
        match step.owed {
            Some((stage, due)) => self.book.put(id, stage, due),
            None => drop(self.book.remove(&id)),
        }
        if let Some(notice) = step.notice {
            self.publish(notice).await;
        }
    }

    async fn publish(&mut self, notice: RecordingNotice) {
        let counters = &mut self.counters;
        match notice.fact {
            RecordingFact::Rendered => counters.rendered += 1,
            RecordingFact::Retrying => counters.retrying += 1,
            RecordingFact::Delivered => counters.delivered += 1,
            RecordingFact::Undeliverable => counters.undeliverable += 1,
            RecordingFact::Discarded => counters.discarded += 1,
            RecordingFact::Started
            | RecordingFact::Masked
            | RecordingFact::Unmasked
            | RecordingFact::Ended
            | RecordingFact::Skipped
            | RecordingFact::Held
            | RecordingFact::Released
            | RecordingFact::Deleted => {}
        }
        let key = notice.routing_key();
        let mut envelope = notice.into_envelope();
        envelope.headers.node.clone_from(&self.node);
        let sent = self.bus.publish(Exchange::Kapps, &key, envelope.to_bytes());
        if let Err(error) = sent.await {
            warn!(key, %error, "cannot publish a notice");
        }
    }
}
