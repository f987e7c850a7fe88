//! What the queue does with what comes back from the pools: into the ledger with it, and the next step into the book.

use callreel_proto::{RecordingId, Utc};
use callreel_spool::Error as SpoolError;
use tracing::error;

use super::{DISK_PAUSE, State};
use crate::{
    book::Stage,
    breaker::{Instant, Sign},
    ledger::{Occasion, Step},
    render::{Failure, Rendered},
    schedule::Verdict,
    upload::Tried,
};

/// What a try tells of its destination; nothing if it never got so far.
fn sign(tried: &Tried) -> Option<Sign> {
    let (Tried::File(verdict) | Tried::Document(verdict)) = tried else {
        return Some(Sign::Alive);
    };
    match verdict {
        Verdict::Delivered | Verdict::Unwelcome { .. } => Some(Sign::Alive),
        Verdict::Retry {
            reason,
            retry_after,
        } => Some(Sign::Failed {
            reason: reason.clone(),
            retry_after: *retry_after,
        }),
        Verdict::Refused { .. } => None,
    }
}

impl State {
    pub(super) async fn fetched(&mut self, id: RecordingId, outcome: Result<(), Failure>) {
        if self.was_dropped(&id).await {
            return;
        }
        let (asked, when) = (id.clone(), self.occasion(&id));
        let step = self.ask(move |ledger| ledger.fetched(&asked, outcome, when));
        let step = step.await;
        self.came_back(id, Stage::Fetch, step).await;
    }

    pub(super) async fn rendered(&mut self, id: RecordingId, outcome: Result<Rendered, Failure>) {
        if self.was_dropped(&id).await {
            return;
        }
        let (asked, when) = (id.clone(), self.occasion(&id));
        let step = self.ask(move |ledger| ledger.rendered(&asked, outcome, when));
        let step = step.await;
        self.came_back(id, Stage::Render, step).await;
    }

    pub(super) async fn tried(&mut self, id: RecordingId, tried: Tried) {
        let when = self.occasion(&id);
        if let Some(sign) = sign(&tried) {
            let at = Instant {
                tick: self.watch.now(),
                wall: when.now,
                seed: rand::random(),
            };
            self.book.hear(&id, sign, at);
        }
        let is_still_here =
            matches!(&tried, Tried::File(verdict) if *verdict != Verdict::Delivered);
        if is_still_here && self.was_dropped(&id).await {
            return;
        }
        self.dropping.remove(&id);
        let asked = id.clone();
        let step = self.ask(move |ledger| ledger.tried(&asked, tried, when));
        let step = step.await;
        self.came_back(id, Stage::Deliver, step).await;
    }

    /// Whether somebody wanted it gone while it was out, and it is.
    async fn was_dropped(&mut self, id: &RecordingId) -> bool {
        match self.dropping.remove(id) {
            Some(order) => self.drop_recording(order).await,
            None => false,
        }
    }

    fn occasion(&self, id: &RecordingId) -> Occasion {
        Occasion {
            now: Utc::now(),
            waited: self.book.waited(id, self.watch.now()),
            seed: rand::random(),
        }
    }

    async fn came_back(&mut self, id: RecordingId, stage: Stage, step: Result<Step, SpoolError>) {
        match step {
            Ok(step) => self.take_step(id, step).await,
            Err(SpoolError::NoTicket(_)) => {
                self.book.remove(&id, self.watch.now());
            }
            Err(error) => self.disk_refused(&id, stage, &error),
        }
    }

    /// The ticket says what it said before, so the same work is done again: nothing is lost, something may be sent twice.
    pub(super) fn disk_refused(&mut self, id: &RecordingId, stage: Stage, error: &SpoolError) {
        error!(recording_id = %id, %error, "the spool cannot be written; trying again");
        self.pause(id, stage);
    }

    /// The same work again, a little later.
    pub(super) fn pause(&mut self, id: &RecordingId, stage: Stage) {
        let now = self.watch.now();
        self.book.put(id, stage, now.after(DISK_PAUSE), now);
    }

    pub(super) async fn take_step(&mut self, id: RecordingId, step: Step) {
        let now = self.watch.now();
        match step.owed {
            Some((stage, due)) => self.book.put(&id, stage, now.of(due, Utc::now()), now),
            None => drop(self.book.remove(&id, now)),
        }
        if let Some(notice) = step.notice {
            self.publish(notice).await;
        }
    }
}
