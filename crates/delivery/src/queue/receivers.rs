//! Tells whoever looks which receivers are left alone: writes it down when it changes, at most once a second.

use std::time::Duration;

use callreel_spool::{Outbox, ReceiverInfo};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::State;
use crate::ways::Trouble;

/// Between two times that it is written down: people look at it, and a count changes with every recording.
const PAUSE: Duration = Duration::from_secs(1);

/// The task that writes. What it has not written yet is replaced by what is newer.
pub(super) struct Receivers {
    news: watch::Sender<Vec<ReceiverInfo>>,
    stop: CancellationToken,
    writing: JoinHandle<()>,
}

impl Receivers {
    pub(super) fn start(spool: Outbox) -> Self {
        let (news, heard) = watch::channel(Vec::new());
        let stop = CancellationToken::new();
        Self {
            news,
            writing: tokio::spawn(write(heard, spool, stop.clone())),
            stop,
        }
    }

    /// Lets go of the spool.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        // A panic in it is in the log already.
        drop((&mut self.writing).await);
    }
}

async fn write(
    mut heard: watch::Receiver<Vec<ReceiverInfo>>,
    spool: Outbox,
    stop: CancellationToken,
) {
    while let Some(Ok(())) = stop.run_until_cancelled(heard.changed()).await {
        let (receivers, outbox) = (heard.borrow_and_update().clone(), spool.clone());
        let written = tokio::task::spawn_blocking(move || outbox.tell_receivers(&receivers));
        if let Ok(Err(error)) = written.await {
            warn!(%error, "cannot write down which receivers are left alone");
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
}

impl State {
    /// To be called whenever something may have changed.
    pub(super) fn tell_receivers(&self) {
        let receivers: Vec<ReceiverInfo> = self.book.troubled().map(info).collect();
        self.receivers.news.send_if_modified(|told| {
            let changed = *told != receivers;
            *told = receivers;
            changed
        });
    }
}

fn info(trouble: Trouble) -> ReceiverInfo {
    ReceiverInfo {
        host: trouble.name,
        failures: trouble.failures,
        failing_since: trouble.failing_since,
        last_error: trouble.last_error,
        next_probe: trouble.next_probe,
        waiting: trouble.waiting as u64,
    }
}
