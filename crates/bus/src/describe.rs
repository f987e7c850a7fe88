//! What the bus shows of itself to operators. Decides nothing.

use std::collections::BTreeMap;

use serde::Serialize;

/// A picture of the bus for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BusDescription {
    /// The node in made-up queue names.
    pub node: String,
    /// Messages published since the start.
    pub published: u64,
    /// Those that no queue heard. A broker says it only of tracked ones.
    pub unheard: u64,
    /// Messages that the queues below have dropped because they were full.
    pub dropped: u64,
    /// The connection to the broker, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkDescription>,
    /// By name.
    pub queues: Vec<QueueDescription>,
}

/// A picture of the connection to a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkDescription {
    /// Where the broker is, without the password.
    pub url: String,
    /// `connecting`, `connected` or `closed`.
    pub state: &'static str,
    /// Why the last connection or attempt failed.
    pub last_error: Option<String>,
    /// Whether the broker has told us to stop publishing because it is short of memory or disk.
    pub blocked: bool,
    /// Messages that wait to be sent.
    pub buffered: usize,
    /// Bytes of their bodies.
    pub buffered_bytes: usize,
    /// Messages that may wait; more, and the oldest are dropped.
    pub buffer_capacity: usize,
    /// Messages sent and not confirmed yet.
    pub unconfirmed: usize,
    /// Messages that may be unconfirmed; until then the next ones wait.
    pub window: usize,
    /// Times the connection was established again.
    pub reconnects: u64,
    /// Messages dropped unsent because the buffer was full.
    pub dropped: u64,
    /// Messages dropped unsent because they had waited too long to mean anything.
    pub expired: u64,
    /// Messages the broker did not accept.
    pub failed: u64,
    /// Messages sent again because the connection ended before they were confirmed.
    pub resent: u64,
    /// Received messages dropped because they were sent again and had come already.
    pub repeated: u64,
    /// Received messages dropped because no reader could use them: too large, encoded, or on an unknown exchange.
    pub refused: u64,
    /// Those by kind.
    pub unusable: BTreeMap<String, u64>,
}

/// A picture of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueDescription {
    /// Its name.
    pub name: String,
    /// Whether several subscribers may take turns at it.
    pub shared: bool,
    /// Subscribers.
    pub consumers: usize,
    /// Bindings.
    pub bindings: usize,
    /// Messages it can hold.
    pub capacity: usize,
    /// Messages it holds.
    pub depth: usize,
    /// Messages it has got since its start.
    pub accepted: u64,
    /// Messages it has dropped because it was full.
    pub dropped: u64,
}
