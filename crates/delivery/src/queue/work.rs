//! Which work the queue hands to whom, and when it looks again; and its picture for operators.

use std::{sync::Arc, time::Duration};

use callreel_proto::{Destination, RecordingId, Utc};
use callreel_spool::Ticket;
use ractor::ActorRef;
use serde_json::{Value, json};
use tracing::error;
use url::Position;

use super::{DESCRIBED, DISK_PAUSE, LONGEST_SLEEP, QueueMsg, State};
use crate::{book::Stage, ledger::Needs};

/// The receiver the next try goes to; none if it goes into the store.
fn host(ticket: &Ticket) -> Option<String> {
    let Destination::Http { url, .. } = &ticket.promise().destination else {
        return None;
    };
    let owes_only_document = ticket.delivery().uploaded_at.is_some();
    (!owes_only_document).then(|| url[Position::BeforeHost..Position::AfterPort].to_owned())
}

impl State {
    /// Hands out all that can be worked on, and sets the timer for what is due next.
    pub(super) async fn go_on(&mut self, myself: &ActorRef<QueueMsg>) {
        if self.stopping {
            if Stage::ALL.iter().all(|stage| self.book.out(*stage) == 0) {
                myself.stop(None);
            }
            return;
        }
        self.book.advance(Utc::now());
        for stage in Stage::ALL {
            while self.book.out(stage) < self.capacities[stage as usize]
                && let Some(id) = self.book.take(stage)
            {
                self.hand_out(id, stage).await;
            }
        }
        self.set_timer(myself);
    }

    async fn hand_out(&mut self, id: RecordingId, stage: Stage) {
        let asked = id.clone();
        match self.ask(move |ledger| ledger.hand_out(&asked, stage)).await {
            Ok(Needs::Work(ticket)) => {
                if let Some((way, most)) = self.way(&ticket, stage)
                    && !self.book.direct(&id, &way, most)
                {
                    return;
                }
                let taken = match stage {
                    Stage::Fetch => {
                        let report = Arc::clone(&self.report_fetched);
                        self.fetcher.dispatch(ticket, report);
                        true
                    }
                    Stage::Render => self.encode.submit(ticket).is_ok(),
                    Stage::Deliver => self.upload.dispatch(id.clone(), ticket).is_ok(),
                };
                if !taken {
                    // Neither happens while both pools live: no more is handed out than they take.
                    error!(recording_id = %id, ?stage, "a pool refused work");
                    let until = crate::schedule::after(Utc::now(), DISK_PAUSE);
                    self.book.put(id, stage, until);
                }
            }
            Ok(Needs::Other(stage)) => self.book.put(id, stage, Utc::now()),
            Ok(Needs::Nothing) => drop(self.book.remove(&id)),
            Err(error) => self.disk_refused(id, stage, &error),
        }
    }

    /// With whom this work is done, and with how many recordings at once; none if only with ourselves.
    fn way(&self, ticket: &Ticket, stage: Stage) -> Option<(String, usize)> {
        match stage {
            // No host has a space in its name.
            Stage::Fetch => ticket
                .switch_file()
                .map(|file| (format!("switch {}", file.node), self.fetches_per_switch)),
            Stage::Render => None,
            Stage::Deliver => host(ticket).map(|host| (host, self.uploads_per_host)),
        }
    }

    fn set_timer(&mut self, myself: &ActorRef<QueueMsg>) {
        let due = self.book.next_due();
        if self.timer.as_ref().map(|(at, _)| *at) == due {
            return;
        }
        if let Some((_, old)) = self.timer.take() {
            old.abort();
        }
        let Some(due) = due else {
            return;
        };
        let ms = due.unix_ms().saturating_sub(Utc::now().unix_ms());
        let wait = Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(LONGEST_SLEEP);
        let queue = myself.clone();
        let timer = ractor::concurrency::spawn(async move {
            tokio::time::sleep(wait).await;
            // A queue that is gone needs no waking.
            drop(queue.cast(QueueMsg::Wake));
        });
        self.timer = Some((due, timer));
    }

    pub(super) fn describe(&self) -> Value {
        let owed: Vec<Value> = self
            .book
            .iter()
            .take(DESCRIBED)
            .map(|(id, entry)| {
                let mut picture = json!(entry);
                picture["recording_id"] = json!(id);
                picture
            })
            .collect();
        json!({
            "owed": self.book.len(),
            "fetching": self.book.out(Stage::Fetch),
            "rendering": self.book.out(Stage::Render),
            "delivering": self.book.out(Stage::Deliver),
            "fetches": self.capacities[Stage::Fetch as usize],
            "encode_capacity": self.capacities[Stage::Render as usize],
            "upload_workers": self.capacities[Stage::Deliver as usize],
            "intake": self.fetcher.describe(),
            "since_start": self.counters,
            "recordings": owed,
        })
    }
}
