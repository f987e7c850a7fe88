//! A queue with who consumes it and what it hears: the bookkeeping that all transports share.

use std::collections::HashSet;

use callreel_proto::random_hex;

use crate::{Binding, Error, QueueDescription, QueueOptions, bus::LONGEST_NAME, queue::Queue};

/// One queue of this process.
pub(crate) struct Entry {
    pub(crate) queue: Queue,
    pub(crate) consumers: usize,
    pub(crate) bindings: HashSet<Binding>,
}

/// Options that were checked, with a name.
pub(crate) struct Named {
    pub(crate) name: String,
    shared: bool,
    capacity: usize,
}

impl QueueOptions {
    /// Checks the options and makes up a name if there is none.
    pub(crate) fn named(self, node: &str) -> Result<Named, Error> {
        let name = self.name.unwrap_or_else(|| unique_name(node));
        check_name(&name)?;
        if self.capacity == 0 {
            return Err(Error::NoCapacity(name));
        }
        Ok(Named {
            name,
            shared: self.shared,
            capacity: self.capacity,
        })
    }
}

impl Entry {
    pub(crate) fn new(options: &Named) -> Self {
        Self {
            queue: Queue::new(options.name.clone(), options.shared, options.capacity),
            consumers: 0,
            bindings: HashSet::new(),
        }
    }

    /// One consumer more, if the queue is as it wants it.
    pub(crate) fn join(&mut self, options: &Named) -> Result<(), Error> {
        let queue = &self.queue;
        let fits = queue.is_shared() && options.shared && queue.capacity() == options.capacity;
        if self.consumers > 0 && !fits {
            return Err(Error::QueueDiffers {
                name: queue.name().to_owned(),
                shared: if queue.is_shared() {
                    "shared"
                } else {
                    "private"
                },
                capacity: queue.capacity(),
            });
        }
        self.consumers += 1;
        Ok(())
    }

    pub(crate) fn describe(&self) -> QueueDescription {
        let level = self.queue.level();
        QueueDescription {
            name: self.queue.name().to_owned(),
            shared: self.queue.is_shared(),
            consumers: self.consumers,
            bindings: self.bindings.len(),
            capacity: self.queue.capacity(),
            depth: level.depth,
            accepted: level.accepted,
            dropped: level.dropped,
        }
    }
}

/// A name nobody else has.
pub(crate) fn unique_name(node: &str) -> String {
    format!("callreel@{node}-{}", random_hex(16))
}

/// A queue's name ends addresses and is a short string on the wire.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains('/') {
        return Err(Error::QueueName(name.to_owned()));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::TooLong(name.to_owned()));
    }
    Ok(())
}
