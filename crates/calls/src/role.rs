//! The role as the node sees it: starts the dispatcher and its queues, drains and stops them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use callreel_attachments::{Attachments, Outside};
use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_proto::{
    CallEvent, EventName, Exchange, LiveReq, MetaflowAction, MetaflowFlow, RecordRequest,
};
use callreel_spool::Writer;
use callreel_store::Store;
use ractor::{Actor, ActorRef, rpc::CallResult};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    bucket::Buckets,
    capture::CaptureThread,
    config::{CallsConfig, RecordingConfig},
    context::Context,
    dispatcher::{Dispatcher, DispatcherMsg},
    documents::{self, Documents},
    files::Files,
    held::Held,
    inbox,
    legs::Legs,
    mwi, orphans,
    sockets::CapturePorts,
    web::Web,
};

/// Messages taken from a queue and not yet handled. ractor's mailboxes have no bound; the inbox task stops taking at this
/// many, and the queue's own bound holds the rest.
const IN_HAND: usize = 1024;
/// Messages the node's queue holds: a burst of 500 calls with twenty events each.
const QUEUE: usize = 10_000;
/// The queue at which all calls nodes take turns: recordings that other applications want, of calls nobody here controls.
const REQUESTS: &str = "callreel_recorders";
/// Requests that may wait there: a few per call of a few hundred calls that begin at once.
const REQUESTS_QUEUE: usize = 1_000;
/// Time between two looks at the calls nothing is heard of.
const ROUND: Duration = Duration::from_secs(1);

/// A dispatcher that is too busy to count for so long is not waited for: the node says the rest of itself meanwhile.
const COUNTING: Duration = Duration::from_secs(1);

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
    ended: JoinHandle<()>,
    web: Arc<Web>,
    spool: Writer,
    /// Takes the requests of other applications, until the node drains.
    requests: JoinHandle<()>,
    /// What else runs as long as the role does.
    tasks: Vec<JoinHandle<()>>,
}

impl Calls {
    /// Finishes what dead processes left in the spool, then takes calls.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(
        calls: CallsConfig,
        config: RecordingConfig,
        bus: Bus,
        store: Store,
        spool: Writer,
        outside: Outside,
        node: &str,
    ) -> Result<Self, Error> {
        let name = format!("{node}-calls-{}", callreel_proto::random_hex(8));
        let options = QueueOptions {
            name: Some(name),
            ..QueueOptions::private(QUEUE)
        };
        let inbox = bus.subscribe(options, Vec::new()).await?;
        let store = Documents::new(store, bus.clone());
        let changes = store.notices().await?;
        let attachments = Attachments::new(store.raw().clone(), outside.clone());
        let web = Arc::new(Web::new(outside));
        let shown = spool.clone();
        let context = Arc::new(Context {
            bus,
            store: store.clone(),
            spool,
            web: Arc::clone(&web),
            attachments,
            buckets: Mutex::new(Buckets::new(calls.flow_tokens, calls.flow_tokens_per_s)),
            captures: CaptureThread::start()?,
            ports: CapturePorts::new(config.capture_bind, config.capture_ports),
            files: Files::default(),
            held: Held::default(),
            legs: Legs::default(),
            binder: inbox.binder(),
            calls,
            config,
            node: node.to_owned(),
            queue: inbox.queue().to_owned(),
        });
        orphans::recover(&context).await?;
        let (dispatcher, ended) = Actor::spawn(None, Dispatcher, Arc::clone(&context)).await?;
        tokio::spawn(take(inbox, dispatcher.clone()));
        for binding in bindings(&context) {
            context.binder.bind(binding).await?;
        }
        let options = QueueOptions::shared(REQUESTS, REQUESTS_QUEUE);
        let wanted = Binding::new(Exchange::Kapps, RecordRequest::PATTERN);
        let requests = context.bus.subscribe(options, vec![wanted]).await?;
        let voicemail = mwi::subscribe(&context).await?;
        Ok(Self {
            requests: tokio::spawn(take(requests, dispatcher.clone())),
            tasks: vec![
                tokio::spawn(tell_of_reconnects(Arc::clone(&context), dispatcher.clone())),
                tokio::spawn(documents::follow(store, changes)),
                tokio::spawn(mwi::serve(Arc::clone(&context), voicemail)),
                tokio::spawn(keep_looking(dispatcher.clone())),
            ],
            dispatcher,
            ended,
            web,
            spool: shown,
        })
    }

    /// Bids for no more calls; those that run go on.
    pub fn drain(&self) {
        self.requests.abort();
        drop(self.dispatcher.cast(DispatcherMsg::Drain));
    }

    /// Returns when no call is left.
    pub async fn settled(&self) {
        // A dispatcher that is gone has no calls.
        drop(self.dispatcher.call(DispatcherMsg::Settled, None).await);
    }

    /// Counts what it has, for as long as the role runs.
    pub fn gauge(&self) -> Gauge {
        Gauge(self.dispatcher.clone())
    }

    /// What this role is doing, for people.
    pub async fn describe(&self) -> Value {
        ractor::call!(self.dispatcher, DispatcherMsg::Describe).unwrap_or_default()
    }

    /// The same in short: no call is asked.
    pub fn vitals(&self) -> Value {
        json!({ "spool": self.spool.describe() })
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
        // The last of them are about calls that ended just now.
        if tokio::time::timeout(patience, self.web.settled())
            .await
            .is_err()
        {
            tracing::error!(
                "what web servers were to be told of calls (cdr_url, webhook) is not all told"
            );
        }
        self.dispatcher.stop(None);
        self.ended().await;
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Counts what the role has.
#[derive(Debug, Clone)]
pub struct Gauge(ActorRef<DispatcherMsg>);

impl Gauge {
    /// Calls, and recordings of calls that others control; `None` if the role has ended or is too busy to say.
    pub async fn calls(&self) -> Option<usize> {
        let asked = self.0.call(DispatcherMsg::Count, Some(COUNTING));
        match asked.await {
            Ok(CallResult::Success(calls)) => Some(calls),
            _ => None,
        }
    }
}

/// What the node's queue hears, besides the events of its calls.
fn bindings(context: &Context) -> Vec<Binding> {
    let mut accounts: Vec<&str> = context
        .calls
        .accounts
        .iter()
        .map(|id| id.as_str())
        .collect();
    if accounts.is_empty() {
        accounts.push("*");
    }
    let requests = accounts.iter().flat_map(|account| {
        ["audio", "video"]
            .map(|kind| Binding::new(Exchange::Callmgr, format!("route.req.{kind}.{account}")))
    });
    let replies = Binding::new(Exchange::Targeted, context.queue.clone());
    // After a transfer a file of ours may end under the id of a leg we never heard of.
    // The same holds for the beginning of a file that is recorded from the other leg.
    let files = [EventName::RecordStart, EventName::RecordStop]
        .map(|name| Binding::new(Exchange::Callevt, CallEvent::pattern_of(name)));
    let live = [MetaflowAction::ACTIONS, MetaflowFlow::FLOWS]
        .map(|pattern| Binding::new(Exchange::Metaflow, pattern));
    let asked = Binding::new(Exchange::Kapps, LiveReq::KEY);
    let own = files.into_iter().chain(live).chain([asked, replies]);
    own.chain(requests).collect()
}

/// An inbox task: hands on what arrives, at most [`IN_HAND`] at a time.
async fn take(mut inbox: Subscription, dispatcher: ActorRef<DispatcherMsg>) {
    let places = Arc::new(Semaphore::new(IN_HAND));
    while let Some((delivery, place)) = inbox::next(&mut inbox, &places).await {
        let message = DispatcherMsg::Delivery(Box::new(delivery), place);
        if dispatcher.cast(message).is_err() {
            return;
        }
    }
}

/// Tells the dispatcher each time events may have been lost.
async fn tell_of_reconnects(context: Arc<Context>, dispatcher: ActorRef<DispatcherMsg>) {
    let mut reconnects = context.bus.reconnects();
    loop {
        reconnects.next().await;
        context.store.forget_all();
        if dispatcher.cast(DispatcherMsg::Reconnected).is_err() {
            return;
        }
    }
}

/// Has the dispatcher look after silent calls, one round after the other.
async fn keep_looking(dispatcher: ActorRef<DispatcherMsg>) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if dispatcher.cast(DispatcherMsg::Look).is_err() {
            return;
        }
    }
}
