//! One connection at work: restores what queues hear, then sends what is to be said and keeps the window of confirms. Ends
//! with the connection, and gives back what was not confirmed.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use callreel_proto::Exchange;
use futures::{StreamExt, stream::FuturesUnordered};
use lapin::{
    Channel, Confirmation, Connection, Event,
    options::{ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Shared, Wanted,
    counters::count,
    intake::{Open, pump},
    outbox::{Job, Outgoing, Question, Settle},
    window::{Sent, Settled, Window, send},
    wire::{self, short},
};
use crate::{Binding, Error, Lost, queue::Queue};

/// Times a message is sent. If the connection broke so often over the same messages, one of them may be why.
const ATTEMPTS: u32 = 5;

/// A change of what a queue hears takes a few milliseconds; a broker that takes this long does not work.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// How often queues that the broker refused are asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// How often messages that nobody was there to hear are sent again.
const HEARING_RETRY: Duration = Duration::from_millis(250);

/// What a closed bus may still say.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The bus was closed.
    Closed,
    /// The connection is gone, or of no use.
    Lost(String),
}

impl End {
    pub(crate) fn lost(reason: impl ToString) -> Self {
        Self::Lost(reason.to_string())
    }
}

/// Why a queue is not as it should be.
enum Fault {
    Refused(String),
    Lost(String),
}

/// A connection and what it was told.
pub(crate) struct Session {
    shared: Arc<Shared>,
    connection: Connection,
    open: HashMap<String, Open>,
    pumps: JoinSet<Queue>,
    refused: BTreeSet<String>,
    window: Window,
}

impl Session {
    pub(crate) fn new(shared: &Arc<Shared>, connection: Connection) -> Self {
        Self {
            shared: Arc::clone(shared),
            connection,
            open: HashMap::new(),
            pumps: JoinSet::new(),
            refused: BTreeSet::new(),
            window: Window::default(),
        }
    }

    /// Declares, binds and consumes everything there should be; returns the channel to publish on.
    pub(crate) async fn restore(&mut self) -> Result<Channel, End> {
        let publisher = self.publisher().await.map_err(End::lost)?;
        // From here on a change is either seen below or queued.
        self.shared.outbox.start_settling();
        for name in self.shared.names() {
            match self.settle(&name, None).await {
                Ok(()) => {}
                Err(Fault::Refused(reason)) => self.put_off(&name, &reason),
                Err(Fault::Lost(reason)) => return Err(End::Lost(reason)),
            }
        }
        Ok(publisher)
    }

    async fn publisher(&self) -> Result<Channel, lapin::Error> {
        let publisher = self.connection.create_channel().await?;
        for exchange in Exchange::ALL {
            let (name, kind) = (short(exchange.name()), wire::exchange_kind(exchange));
            publisher
                .exchange_declare(name, kind, wire::exchange_flags(), FieldTable::default())
                .await?;
        }
        publisher
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        Ok(publisher)
    }

    /// Says what is to be said until the connection or the bus ends.
    pub(crate) async fn work(&mut self, publisher: Channel) -> End {
        let shared = Arc::clone(&self.shared);
        let mut events = pin!(self.connection.events_listener());
        let mut sending = FuturesUnordered::new();
        let [mut retry, mut hearing] = [RETRY, HEARING_RETRY].map(|period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let mut overdue = pin!(async {
            shared.closing().await;
            sleep(FLUSH_PATIENCE).await;
        });
        loop {
            while !self.window.is_full() {
                // What queues hear changes only when everything said before has arrived: so a task that publishes and then
                // binds does not hear itself.
                let changes_too = self.window.is_empty();
                match shared.outbox.pop(changes_too, &shared.counters) {
                    Some(Job::Publish(outgoing)) => {
                        let taken = self.take(outgoing);
                        sending.extend(taken.map(|sent| send(&publisher, sent)));
                    }
                    Some(Job::Settle(settle)) => {
                        if let Err(reason) = self.carry_out(settle).await {
                            return End::Lost(reason);
                        }
                    }
                    Some(Job::Ask(question)) => {
                        let answering = timeout(SETTLE_PATIENCE, self.answer(question));
                        match answering.await {
                            Ok(Ok(())) => {}
                            Ok(Err(reason)) => return End::Lost(reason),
                            Err(_) => return End::lost("the broker does not answer"),
                        }
                    }
                    None => break,
                }
            }
            self.gauge();
            if shared.outbox.is_closed() && self.window.is_empty() {
                return End::Closed;
            }
            let done = tokio::select! {
                event = events.next() => self.heed(event, &publisher),
                Some((number, confirmed)) = sending.next() => self.settled(number, confirmed),
                Some(ended) = self.pumps.join_next() => self.came_loose(ended.ok()).await,
                _ = retry.tick(), if !self.refused.is_empty() => self.ask_again().await,
                _ = hearing.tick() => {
                    shared.outbox.retry();
                    Ok(())
                }
                () = shared.outbox.filled() => Ok(()),
                () = &mut overdue => return End::Closed,
            };
            if let Err(reason) = done {
                return End::Lost(reason);
            }
        }
    }

    /// Ends the connection in peace.
    pub(crate) async fn finish(mut self) {
        let closing = self.connection.close(200, "the node stops".into());
        if let Ok(Err(error)) = timeout(FLUSH_PATIENCE, closing).await {
            tracing::debug!(%error, "the broker was left without a word");
        }
        self.give_back();
    }

    /// The connection is gone: what it brought is handed over, what it did not confirm goes back.
    pub(crate) async fn abandon(mut self) {
        self.open.clear();
        let handed_over = async { while self.pumps.join_next().await.is_some() {} };
        if timeout(FLUSH_PATIENCE, handed_over).await.is_err() {
            self.pumps.detach_all();
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        let unsettled = self.window.take();
        let counters = &self.shared.counters;
        counters
            .resent
            .fetch_add(unsettled.len() as u64, Ordering::Relaxed);
        self.shared.outbox.take_back(unsettled);
        counters.blocked.store(false, Ordering::Relaxed);
        self.gauge();
    }

    fn gauge(&self) {
        let unconfirmed = self.window.len() as u64;
        let counters = &self.shared.counters;
        counters.unconfirmed.store(unconfirmed, Ordering::Relaxed);
    }

    /// Takes a message in hand, unless it was tried too often.
    fn take(&mut self, mut outgoing: Outgoing) -> Option<Sent> {
        outgoing.attempts += 1;
        if outgoing.attempts > ATTEMPTS {
            self.failed(outgoing, Lost::Broken);
            return None;
        }
        Some(self.window.admit(outgoing))
    }

    fn failed(&self, outgoing: Outgoing, why: Lost) {
        let failed = count(&self.shared.counters.failed);
        tracing::error!(
            exchange = outgoing.message.exchange.name(),
            routing_key = outgoing.message.routing_key,
            failed,
            reason = %why,
            "a message could not be published"
        );
        outgoing.settle(Err(why));
    }

    fn settled(
        &mut self,
        number: u64,
        confirmed: lapin::Result<Confirmation>,
    ) -> Result<(), String> {
        let confirmed = confirmed.map_err(|error| error.to_string())?;
        for settled in self.window.confirm(number, confirmed) {
            match settled {
                Settled::Arrived(outgoing) => outgoing.settle(Ok(())),
                Settled::Refused(outgoing) => self.failed(outgoing, Lost::Refused),
                Settled::Unheard(outgoing) => {
                    let Shared {
                        outbox, counters, ..
                    } = &*self.shared;
                    outbox.defer(outgoing, counters);
                }
            }
        }
        Ok(())
    }

    fn heed(&self, event: Option<Event>, publisher: &Channel) -> Result<(), String> {
        let blocked = &self.shared.counters.blocked;
        match event {
            Some(Event::ConnectionBlocked(reason)) => {
                blocked.store(true, Ordering::Relaxed);
                tracing::warn!(reason, "the broker takes no messages for now: they wait");
                Ok(())
            }
            Some(Event::ConnectionUnblocked) => {
                blocked.store(false, Ordering::Relaxed);
                tracing::info!("the broker takes messages again");
                Ok(())
            }
            Some(Event::Error(error)) if !self.is_alive(publisher) => Err(error.to_string()),
            Some(_) => Ok(()),
            None => Err("the connection ended".to_owned()),
        }
    }

    fn is_alive(&self, publisher: &Channel) -> bool {
        self.connection.status().connected() && publisher.status().connected()
    }

    async fn carry_out(&mut self, settle: Settle) -> Result<(), String> {
        let name = &settle.queue;
        let was_open = self.open.contains_key(name);
        let settling = self.settle(name, settle.binding.as_ref());
        let fault = timeout(SETTLE_PATIENCE, settling)
            .await
            .unwrap_or_else(|_| Err(Fault::Lost("the broker does not answer".to_owned())));
        let answer = match fault {
            Ok(()) => Ok(()),
            Err(Fault::Lost(reason)) => return Err(reason),
            Err(Fault::Refused(reason)) => {
                self.put_off(name, &reason);
                let queue = name.clone();
                // A queue that is not back from an outage has its bindings remembered, as during the outage.
                if settle.binding.is_some() && !was_open {
                    Ok(())
                } else {
                    Err(Error::Refused { queue, reason })
                }
            }
        };
        if let Some(done) = settle.done {
            // Whoever gave up waiting does not want to know.
            drop(done.send(answer));
        }
        Ok(())
    }

    async fn answer(&self, question: Question) -> Result<(), String> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let name = short(&question.queue);
        let asked = async {
            let channel = self.connection.create_channel().await?;
            channel
                .queue_declare(name, options, FieldTable::default())
                .await?;
            channel.close(200, "answered".into()).await
        };
        let there = match asked.await {
            Ok(()) => true,
            Err(error) if !self.connection.status().connected() => return Err(error.to_string()),
            // Any other refusal says that somebody has it.
            Err(error) => !wire::is_not_found(&error),
        };
        if question.answer.send(there).is_err() {
            tracing::trace!(queue = question.queue, "who asked has given up");
        }
        Ok(())
    }

    /// The broker refused something about the queue, and has closed its channel with that.
    fn put_off(&mut self, name: &str, reason: &str) {
        self.open.remove(name);
        if self.refused.insert(name.to_owned()) {
            tracing::warn!(queue = name, reason, "the broker refuses a queue");
        }
    }

    async fn ask_again(&mut self) -> Result<(), String> {
        for name in std::mem::take(&mut self.refused) {
            let queue = name.clone();
            if let Err(Fault::Lost(reason)) = self.retry(queue).await {
                return Err(reason);
            }
        }
        Ok(())
    }

    async fn retry(&mut self, name: String) -> Result<(), Fault> {
        match timeout(SETTLE_PATIENCE, self.settle(&name, None)).await {
            Ok(Err(Fault::Refused(_))) => {
                self.open.remove(&name);
                self.refused.insert(name);
                Ok(())
            }
            Ok(Ok(())) => {
                self.shared.reconnected();
                Ok(())
            }
            Ok(lost) => lost,
            Err(_) => Err(Fault::Lost("the broker does not answer".to_owned())),
        }
    }

    /// A consumer ended. If nobody here wanted that, somebody deleted the queue, or the connection is about to end.
    async fn came_loose(&mut self, ended: Option<Queue>) -> Result<(), String> {
        let Some(queue) = ended else {
            return Ok(());
        };
        let name = queue.name();
        if self.open.get(name).is_none_or(|open| open.queue != queue) {
            return Ok(());
        }
        self.open.remove(name);
        tracing::warn!(
            queue = name,
            "a queue was taken from us: declaring it again"
        );
        match self.retry(name.to_owned()).await {
            Err(Fault::Lost(reason)) => Err(reason),
            _ => Ok(()),
        }
    }

    /// Makes the queue on the broker what it should be, or only in respect of one binding.
    async fn settle(&mut self, name: &str, only: Option<&Binding>) -> Result<(), Fault> {
        let wanted = self.shared.wanted(name);
        let stale = |open: &Open| wanted.as_ref().is_none_or(|w| w.queue != open.queue);
        if self.open.get(name).is_some_and(stale)
            && let Some(open) = self.open.remove(name)
        {
            let shut = open.shut().await;
            self.unless_lost(shut)?;
        }
        let Some(wanted) = wanted else {
            return Ok(());
        };
        if !self.open.contains_key(name) {
            let opened = self.open(&wanted).await;
            return self.or_fault(opened);
        }
        let Some(open) = self.open.get_mut(name) else {
            return Ok(());
        };
        let settled = match only {
            Some(binding) => {
                let bound = self.shared.is_bound(name, binding);
                open.set(binding, bound).await
            }
            None => open.bind(self.shared.bindings(name)).await,
        };
        self.or_fault(settled)
    }

    async fn open(&mut self, wanted: &Wanted) -> Result<(), lapin::Error> {
        let name = wanted.queue.name();
        let bindings = self.shared.bindings(name);
        let (open, consumer) = Open::declare(&self.connection, &wanted.queue, bindings).await?;
        self.open.insert(name.to_owned(), open);
        self.pumps
            .spawn(pump(consumer, wanted.clone(), Arc::clone(&self.shared)));
        Ok(())
    }

    fn or_fault(&self, result: Result<(), lapin::Error>) -> Result<(), Fault> {
        result.map_err(|error| {
            if self.connection.status().connected() {
                Fault::Refused(error.to_string())
            } else {
                Fault::Lost(error.to_string())
            }
        })
    }

    /// What is refused to a queue we leave does not matter.
    fn unless_lost(&self, result: Result<(), lapin::Error>) -> Result<(), Fault> {
        match self.or_fault(result) {
            Err(Fault::Refused(_)) | Ok(()) => Ok(()),
            lost => lost,
        }
    }
}
