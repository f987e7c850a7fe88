//! The queue actor: one writer, owner of the schedule of all tickets of this spool. It hands work to the pools and puts
//! their outcomes into the ledger; it renders and sends nothing itself.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use callreel_attachments::Attachments;
use callreel_bus::Bus;
use callreel_proto::{DeliveryOrder, Exchange, RecordingFact, RecordingId, RecordingNotice};
use callreel_spool::{Error as SpoolError, Outbox, Ticket};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, concurrency::JoinHandle};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    DeliveryConfig,
    book::{Book, Stage},
    courier::Courier,
    encode::{self, EncodePool, Work},
    fetch::{self, Fetcher},
    ledger::{Found, Ledger},
    render::{self, Failure, Rendered},
    upload::{self, Desk, Tried, UploadPool},
    watch::{Tick, Watch},
};

mod orders;
mod outcomes;
mod receivers;
mod walk;
mod work;

use receivers::Receivers;

/// Wait after the spool's own disk refused something.
const DISK_PAUSE: Duration = Duration::from_secs(5);
/// Wait until it is looked again whether the disk has room for a switch's file.
const ROOM_PAUSE: Duration = Duration::from_secs(30);
/// How long tries under way may go on when the role stops; what is cut off then is tried again at the next start.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Pieces of work handed out before the queue hears what else happened: each costs a look at its ticket, and ten thousand
/// recordings may be due at once.
const HANDED_PER_TURN: usize = 64;
/// Owed recordings named one by one in a description; beyond, they are only counted.
const DESCRIBED: usize = 100;

/// What the queue hears.
#[derive(Debug)]
pub(crate) enum QueueMsg {
    /// From the walk: which of these recordings are not known?
    Unknown(Vec<RecordingId>, RpcReplyPort<Vec<RecordingId>>),
    /// From the walk: what tickets said; answered when it has been dealt with.
    Found(Found, RpcReplyPort<()>),
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
    /// From itself: more can be handed out.
    GoOn,
    /// From the node's heartbeat: how many recordings are owed.
    Count(RpcReplyPort<usize>),
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
    pub(crate) attachments: Attachments,
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
    watch: Watch,
    /// Walks through the spool, again and again.
    walker: JoinHandle<()>,
    /// Orders to drop what was under way when they came: no more than are.
    dropping: HashMap<RecordingId, DeliveryOrder>,
    receivers: Receivers,
    attachments: Attachments,
    fetcher: Fetcher,
    report_fetched: fetch::Report,
    fetches_per_switch: usize,
    encode: EncodePool,
    upload: UploadPool,
    uploads_per_host: usize,
    /// How many recordings may be out for each stage.
    capacities: [usize; Stage::ALL.len()],
    cut_off: CancellationToken,
    timer: Option<(Tick, JoinHandle<()>)>,
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
            attachments: parts.attachments.clone(),
            house: parts.config.house_access(),
            total: Duration::from_secs(parts.config.total_timeout_s),
            tells_metadata: parts.config.metadata_headers,
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
        let ledger = Ledger {
            spool: parts.spool.clone(),
            policy: config.policy(),
            keep_undeliverable: config.keep_undeliverable,
        };
        let reconnects = parts.bus.reconnects();
        let walking =
            walk::keep_walking(ledger.clone(), myself.clone(), cut_off.clone(), reconnects);
        Ok(State {
            bus: parts.bus,
            node: parts.node,
            ledger,
            book: Book::new(config.policy()),
            watch: Watch::start(),
            walker: tokio::spawn(walking),
            dropping: HashMap::new(),
            receivers: Receivers::start(parts.spool.clone()),
            attachments: parts.attachments.clone(),
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
            QueueMsg::Unknown(mut ids, reply) => {
                ids.retain(|id| !state.book.knows(id));
                // A walk that has ended asks no more.
                drop(reply.send(ids));
                return Ok(());
            }
            QueueMsg::Found(found, done) => {
                state.found(found).await;
                drop(done.send(()));
            }
            QueueMsg::Heard(heard, done) => {
                state.hear(heard).await;
                // Whoever told may be gone.
                drop(done.send(()));
            }
            QueueMsg::Fetched(id, outcome) => state.fetched(id, outcome).await,
            QueueMsg::Rendered(id, outcome) => state.rendered(id, outcome).await,
            QueueMsg::Tried(id, tried) => state.tried(id, tried).await,
            QueueMsg::Wake => state.timer = None,
            QueueMsg::GoOn => {}
            QueueMsg::Count(reply) => {
                drop(reply.send(state.book.len()));
                return Ok(());
            }
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
        if let Some((_, timer)) = state.timer.take() {
            timer.abort();
        }
        // The spool's lock is free only when the last worker has let go of it.
        state.cut_off.cancel();
        // A panic in it is in the log already.
        drop((&mut state.walker).await);
        state.fetcher.stop().await;
        state.receivers.stop().await;
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
        let (node, envelope) = (&self.node, notice.into_envelope());
        self.bus.tell(node, Exchange::Kapps, &key, envelope).await;
    }
}
