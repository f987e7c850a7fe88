//! One queue on the broker and what comes from it. Never publishes, and never decides that a queue should be there.

use std::{collections::HashSet, sync::Arc};

use futures::{StreamExt, future::try_join_all};
use lapin::{
    Channel, Connection, Consumer,
    options::{BasicCancelOptions, QueueBindOptions, QueueDeleteOptions},
    types::{FieldTable, ShortString},
};

use super::{
    Shared, Wanted,
    counters::{Counters, count},
    lock,
    wire::{self, Unusable, short},
};
use crate::{Binding, queue::Queue};

/// Bindings asked for at once when a queue comes back.
const BATCH: usize = 100;

/// A queue on the broker, with a channel of its own: what the broker refuses to it closes no other.
pub(crate) struct Open {
    pub(crate) queue: Queue,
    channel: Channel,
    tag: ShortString,
    bound: HashSet<Binding>,
}

impl Open {
    /// Declares the queue, binds it, and only then consumes.
    pub(crate) async fn declare(
        connection: &Connection,
        queue: &Queue,
        bindings: Vec<Binding>,
    ) -> Result<(Self, Consumer), lapin::Error> {
        let name = short(queue.name());
        let channel = connection.create_channel().await?;
        let arguments = wire::queue_arguments(queue.capacity());
        channel
            .queue_declare(name.clone(), wire::queue_flags(), arguments)
            .await?;
        let mut open = Self {
            queue: queue.clone(),
            channel,
            tag: ShortString::default(),
            bound: HashSet::new(),
        };
        open.bind(bindings).await?;
        let flags = wire::consume_flags(queue.is_shared());
        let consumer = open
            .channel
            .basic_consume(name, "".into(), flags, FieldTable::default())
            .await?;
        open.tag = consumer.tag();
        Ok((open, consumer))
    }

    /// Binds what is not bound yet.
    pub(crate) async fn bind(&mut self, bindings: Vec<Binding>) -> Result<(), lapin::Error> {
        let missing: Vec<Binding> = bindings
            .into_iter()
            .filter(|binding| !self.bound.contains(binding))
            .collect();
        for batch in missing.chunks(BATCH) {
            try_join_all(batch.iter().map(|binding| {
                self.channel.queue_bind(
                    short(self.queue.name()),
                    short(binding.exchange.name()),
                    short(&binding.pattern),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
            }))
            .await?;
            self.bound.extend(batch.iter().cloned());
        }
        Ok(())
    }

    /// Binds or unbinds.
    pub(crate) async fn set(&mut self, binding: &Binding, bound: bool) -> Result<(), lapin::Error> {
        if bound {
            return self.bind(vec![binding.clone()]).await;
        }
        if self.bound.remove(binding) {
            self.channel
                .queue_unbind(
                    short(self.queue.name()),
                    short(binding.exchange.name()),
                    short(&binding.pattern),
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
    }

    /// Leaves the queue; a private one goes with that, a shared one with the last of all its consumers.
    pub(crate) async fn shut(self) -> Result<(), lapin::Error> {
        let (queue, channel) = (self.queue, self.channel);
        if queue.is_shared() {
            channel
                .basic_cancel(self.tag, BasicCancelOptions::default())
                .await?;
        } else {
            channel
                .queue_delete(short(queue.name()), QueueDeleteOptions::default())
                .await?;
        }
        channel.close(200, "left".into()).await
    }
}

/// Moves what comes into the queue's ring, which is bounded; so what the client library holds stays small.
pub(crate) async fn pump(mut consumer: Consumer, wanted: Wanted, shared: Arc<Shared>) -> Queue {
    let Wanted { queue, reader } = wanted;
    while let Some(Ok(delivery)) = consumer.next().await {
        let read = lock(&reader).read(delivery);
        match read {
            Ok(message) => queue.push(message),
            Err(why) => refuse(why, &queue, &shared.counters),
        }
        tokio::task::consume_budget().await;
    }
    queue
}

fn refuse(why: Unusable, queue: &Queue, counters: &Counters) {
    if why == Unusable::Repeated {
        count(&counters.repeated);
        return;
    }
    count(&counters.refused);
    if counters.unusable.count(why.name()) {
        let (queue, why) = (queue.name(), why.name());
        tracing::warn!(
            queue,
            why,
            "a message that nobody can use was dropped; more of its kind are only counted"
        );
    }
}
