//! What can go wrong on the bus, said so that a person knows what to change.

use callreel_proto::Exchange;

/// Why a message that the bus had taken reached nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The buffer for an absent broker was full, and this was its oldest message.
    #[error("the buffer for the broker was full")]
    Crowded,
    /// It waited a minute for the broker.
    #[error("the broker was away for too long")]
    Expired,
    /// The broker said no.
    #[error("the broker did not accept it")]
    Refused,
    /// The connection broke each time it was sent.
    #[error("the connection broke over it again and again")]
    Broken,
    /// No queue has its address, on a broker for ten seconds: who was there may be reconnecting too.
    #[error("nobody is at its address")]
    Unheard,
    /// The bus was closed before the broker had it.
    #[error("the bus was closed before the broker had it")]
    Closed,
}

/// A failed operation on the bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `bus.url` names a transport this version does not have.
    #[error(
        "bus.url {0:?} is not supported: use \"embedded:\" or amqp(s)://USER:PASSWORD@HOST:PORT/VHOST"
    )]
    UnsupportedUrl(String),
    /// The broker does not answer, or not to us.
    #[error(
        "bus.url {url}: {reason}; is RabbitMQ running there, and do user, password and vhost fit?"
    )]
    Unreachable {
        /// Where it was looked for, without the password.
        url: String,
        /// What happened.
        reason: String,
    },
    /// `bus.ca_file` cannot be read.
    #[error("bus.ca_file {path}: {reason}")]
    CaFile {
        /// The file.
        path: String,
        /// What happened.
        reason: String,
    },
    /// The broker does not give us the queue.
    #[error("the broker refuses queue {queue:?}: {reason}; does somebody else use the name?")]
    Refused {
        /// The queue.
        queue: String,
        /// The broker's words.
        reason: String,
    },
    /// A routing key, pattern, name or token that AMQP cannot carry.
    #[error(
        "{0:?} is too long: AMQP carries names of 255 bytes, and the bus pid:// tokens of 4096"
    )]
    TooLong(String),
    /// A message nobody would take.
    #[error("a message of {0} bytes is too large for the bus, which takes 4 MiB")]
    TooLarge(usize),
    /// A queue or node name that would make addresses ambiguous.
    #[error("{0:?} cannot be a queue name: it must not be empty nor contain \"/\" or \"://\"")]
    QueueName(String),
    /// A queue that could hold nothing.
    #[error("queue {0:?} has capacity 0: it must hold at least one message")]
    NoCapacity(String),
    /// A second subscriber to a queue that is not shared, or one that wants the queue otherwise than it is.
    #[error(
        "queue {name:?} exists with other options: it is {shared} and holds {capacity} messages"
    )]
    QueueDiffers {
        /// The queue.
        name: String,
        /// `shared` or `private`.
        shared: &'static str,
        /// Messages it holds.
        capacity: usize,
    },
    /// An address that names no queue.
    #[error("{0:?} is no address: expected QUEUE, pid://TOKEN/QUEUE or consumer://TOKEN/QUEUE")]
    Address(String),
    /// Straight addressing on an exchange that distributes by pattern.
    #[error(
        "exchange {} is not direct: only targeted and callctl deliver to one address",
        .0.name()
    )]
    NotDirect(Exchange),
    /// The subscription of this queue is gone.
    #[error("queue {0:?} is gone: its last subscription was dropped")]
    QueueGone(String),
    /// The bus was closed.
    #[error("the bus is closed: this node is shutting down")]
    Closed,
}
