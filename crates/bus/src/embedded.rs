//! The broker inside the process: exchanges, queues and bindings as RabbitMQ would hold them. Routes bytes, reads none.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use callreel_proto::Exchange;

use crate::{
    Binding, BusDescription, Delivery, Error, QueueDescription, QueueOptions,
    entry::{Entry, unique_name},
    pattern::Patterns,
    queue::Queue,
};

/// All exchanges and queues of one process.
pub(crate) struct Broker {
    node: String,
    routes: RwLock<Routes>,
    published: AtomicU64,
    unheard: AtomicU64,
}

struct Routes {
    closed: bool,
    queues: HashMap<String, Entry>,
    exchanges: HashMap<Exchange, Table>,
}

/// Who hears what, by the exchange's type.
enum Table {
    Direct(HashMap<String, Vec<Queue>>),
    Topic(Patterns<Queue>),
    Fanout(Patterns<Queue>),
}

impl Broker {
    pub(crate) fn new(node: &str) -> Self {
        let exchanges = Exchange::ALL
            .into_iter()
            .map(|exchange| (exchange, Table::of(exchange)))
            .collect();
        Self {
            node: node.to_owned(),
            routes: RwLock::new(Routes {
                closed: false,
                queues: HashMap::new(),
                exchanges,
            }),
            published: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
        }
    }

    pub(crate) fn unique_name(&self) -> String {
        unique_name(&self.node)
    }

    /// Joins the queue as one more consumer, creating it if need be.
    pub(crate) fn subscribe(
        &self,
        options: QueueOptions,
        bindings: Vec<Binding>,
    ) -> Result<Queue, Error> {
        let options = options.named(&self.node)?;
        let mut routes = self.write();
        if routes.closed {
            return Err(Error::Closed);
        }
        let entry = routes
            .queues
            .entry(options.name.clone())
            .or_insert_with(|| Entry::new(&options));
        entry.join(&options)?;
        let queue = entry.queue.clone();
        for binding in bindings {
            routes.bind(&queue, binding)?;
        }
        Ok(queue)
    }

    pub(crate) fn has_queue(&self, name: &str) -> bool {
        self.read().queues.contains_key(name)
    }

    /// One consumer fewer; the last one takes the queue and its bindings with it.
    pub(crate) fn leave(&self, queue: &Queue) {
        let mut routes = self.write();
        let Some(entry) = routes.queues.get_mut(queue.name()) else {
            return;
        };
        entry.consumers -= 1;
        if entry.consumers > 0 {
            return;
        }
        let bindings = std::mem::take(&mut entry.bindings);
        routes.queues.remove(queue.name());
        for binding in bindings {
            routes
                .table(binding.exchange)
                .unbind(&binding.pattern, queue);
        }
        queue.close();
    }

    pub(crate) fn bind(&self, queue: &Queue, binding: Binding) -> Result<(), Error> {
        let mut routes = self.write();
        if routes.closed {
            return Err(Error::Closed);
        }
        routes.bind(queue, binding)
    }

    pub(crate) fn unbind(&self, queue: &Queue, binding: &Binding) -> Result<(), Error> {
        let mut routes = self.write();
        let entry = routes.entry(queue)?;
        if entry.bindings.remove(binding) {
            routes
                .table(binding.exchange)
                .unbind(&binding.pattern, queue);
        }
        Ok(())
    }

    /// Returns whether a queue heard it.
    pub(crate) fn publish(&self, delivery: Delivery) -> Result<bool, Error> {
        let mut heard = Vec::new();
        {
            let routes = self.read();
            if routes.closed {
                return Err(Error::Closed);
            }
            if let Some(table) = routes.exchanges.get(&delivery.exchange) {
                table.matching(&delivery.routing_key, &mut heard);
            }
        }
        self.published.fetch_add(1, Ordering::Relaxed);
        let Some(last) = heard.pop() else {
            self.unheard.fetch_add(1, Ordering::Relaxed);
            return Ok(false);
        };
        for queue in heard {
            queue.push(delivery.clone());
        }
        last.push(delivery);
        Ok(true)
    }

    pub(crate) fn close(&self) {
        let mut routes = self.write();
        routes.closed = true;
        for entry in routes.queues.values() {
            entry.queue.close();
        }
    }

    pub(crate) fn describe(&self) -> BusDescription {
        let routes = self.read();
        let mut queues: Vec<QueueDescription> =
            routes.queues.values().map(Entry::describe).collect();
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        BusDescription {
            node: self.node.clone(),
            published: self.published.load(Ordering::Relaxed),
            unheard: self.unheard.load(Ordering::Relaxed),
            dropped: queues.iter().map(|queue| queue.dropped).sum(),
            link: None,
            queues,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Routes> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Routes {
    fn bind(&mut self, queue: &Queue, binding: Binding) -> Result<(), Error> {
        let (exchange, pattern) = (binding.exchange, binding.pattern.clone());
        if self.entry(queue)?.bindings.insert(binding) {
            self.table(exchange).bind(&pattern, queue.clone());
        }
        Ok(())
    }

    fn entry(&mut self, queue: &Queue) -> Result<&mut Entry, Error> {
        self.queues
            .get_mut(queue.name())
            .filter(|entry| entry.queue == *queue)
            .ok_or_else(|| Error::QueueGone(queue.name().to_owned()))
    }

    fn table(&mut self, exchange: Exchange) -> &mut Table {
        self.exchanges
            .entry(exchange)
            .or_insert_with(|| Table::of(exchange))
    }
}

impl Table {
    fn of(exchange: Exchange) -> Self {
        match exchange.kind() {
            "direct" => Self::Direct(HashMap::new()),
            "fanout" => Self::Fanout(Patterns::default()),
            _ => Self::Topic(Patterns::default()),
        }
    }

    fn bind(&mut self, pattern: &str, queue: Queue) {
        match self {
            Self::Direct(keys) => keys.entry(pattern.to_owned()).or_default().push(queue),
            Self::Topic(patterns) | Self::Fanout(patterns) => patterns.bind(pattern, queue),
        }
    }

    fn unbind(&mut self, pattern: &str, queue: &Queue) {
        match self {
            Self::Direct(keys) => {
                if let Some(bound) = keys.get_mut(pattern) {
                    bound.retain(|other| other != queue);
                    if bound.is_empty() {
                        keys.remove(pattern);
                    }
                }
            }
            Self::Topic(patterns) | Self::Fanout(patterns) => patterns.unbind(pattern, queue),
        }
    }

    fn matching(&self, key: &str, heard: &mut Vec<Queue>) {
        match self {
            Self::Direct(keys) => heard.extend(keys.get(key).into_iter().flatten().cloned()),
            Self::Topic(patterns) => patterns.matching(key, heard),
            Self::Fanout(patterns) => patterns.everyone(heard),
        }
    }
}
