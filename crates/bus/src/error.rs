//! What can go wrong on the bus, said so that a person knows what to change.

use callreel_proto::Exchange;

/// A failed operation on the bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `bus.url` names a transport this version does not have.
    #[error("bus.url {0:?} is not supported: use \"embedded:\"")]
    UnsupportedUrl(String),
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
