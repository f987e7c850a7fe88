//! What becomes of messages whose senders want to know, and word of connections that are there again. Sends nothing.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::{oneshot, watch};

use crate::Lost;

/// What becomes of a message: a future that is ready when a queue has it, or when it is lost. In one process it is ready
/// at once. Dropping it changes nothing for the message.
#[derive(Debug)]
#[must_use = "who does not want to know sends without a receipt"]
pub struct Receipt(Fate);

#[derive(Debug)]
enum Fate {
    Settled(Result<(), Lost>),
    Open(oneshot::Receiver<Result<(), Lost>>),
}

/// The other end of a [`Receipt`].
#[derive(Debug)]
pub(crate) struct Answer(oneshot::Sender<Result<(), Lost>>);

impl Receipt {
    /// Of a message whose fate is known.
    pub(crate) fn settled(outcome: Result<(), Lost>) -> Self {
        Self(Fate::Settled(outcome))
    }

    /// Of a message whose fate is open.
    pub(crate) fn open() -> (Self, Answer) {
        let (answer, receipt) = oneshot::channel();
        (Self(Fate::Open(receipt)), Answer(answer))
    }
}

impl Future for Receipt {
    type Output = Result<(), Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Fate::Settled(outcome) => Poll::Ready(outcome.clone()),
            // An end without an answer is the end of the bus.
            Fate::Open(answer) => Pin::new(answer)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(Lost::Closed))),
        }
    }
}

impl Answer {
    pub(crate) fn give(self, outcome: Result<(), Lost>) {
        // Whoever dropped the receipt does not want to know.
        drop(self.0.send(outcome));
    }
}

/// Word that we may have missed something: the broker was away, or a queue of ours was, and is there again. What was
/// published meanwhile, or lay in a queue, may be lost.
#[derive(Debug)]
pub struct Reconnects(Option<watch::Receiver<u64>>);

impl Reconnects {
    /// Of a bus that is never away.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    pub(crate) fn of(times: watch::Receiver<u64>) -> Self {
        Self(Some(times))
    }

    /// Waits for the next time all is there again, connection, queues and bindings; several that nobody waited for are
    /// one. For ever on a bus inside the process and on one that was closed. Safe to cancel.
    pub async fn next(&mut self) {
        let changed = match &mut self.0 {
            Some(times) => times.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending().await
        }
    }
}
