//! Messages and greetings that have ended and whose speaker may still choose: until the flow says that one is kept, its ticket
//! stays with us, growing on disk, so that a crash loses nothing of it.

use callreel_callflow::Slot;
use callreel_proto::{EndReason, RecordingFact, RecordingNotice};
use callreel_spool::Ticket;

use super::{State, running::Running};
use crate::context::blocking;

/// One that waits for the word of the flow.
pub(super) struct Undecided {
    slot: Slot,
    /// It says that it has ended; the one on disk does not yet.
    ticket: Ticket,
    /// What becomes of it without a word.
    kept: bool,
    detail: Option<String>,
}

impl State {
    /// It has ended. Who hung up has nothing more to say about it.
    pub(super) async fn review(
        &mut self,
        running: Running,
        reason: EndReason,
        detail: Option<String>,
    ) {
        let undecided = Undecided {
            slot: running.slot().unwrap_or(Slot::NONE),
            kept: running.kind.is_kept_undecided(),
            ticket: running.ticket,
            detail,
        };
        match reason {
            EndReason::Hangup => self.decide_by_itself(undecided).await,
            _ => self.undecided.push(undecided),
        }
    }

    /// The flow keeps it, or does not.
    pub(super) async fn decided(&mut self, slot: Slot, keep: bool) {
        let Some(at) = self.undecided.iter().position(|u| u.slot == slot) else {
            return;
        };
        let undecided = self.undecided.remove(at);
        self.decide(undecided, keep).await;
    }

    /// Nobody is there to decide any more.
    pub(super) async fn decide_all(&mut self) {
        for undecided in std::mem::take(&mut self.undecided) {
            self.decide_by_itself(undecided).await;
        }
    }

    async fn decide_by_itself(&mut self, undecided: Undecided) {
        let kept = undecided.kept;
        self.decide(undecided, kept).await;
    }

    async fn decide(&mut self, undecided: Undecided, keep: bool) {
        let Undecided { ticket, detail, .. } = undecided;
        if keep {
            return self.promise_kept(ticket, None, detail).await;
        }
        self.context().held.release(ticket.recording_id());
        let notice = RecordingNotice {
            end_reason: ticket.end_reason(),
            detail: Some("its speaker did not keep it".to_owned()),
            ..self.notice(RecordingFact::Discarded, &ticket)
        };
        let (spool, id) = (self.context().spool.clone(), ticket.recording_id().clone());
        match blocking(move || spool.withdraw(&ticket)).await {
            Ok(()) => {
                tracing::info!(recording_id = %id, "its speaker did not keep it");
                self.context().notify(notice).await;
            }
            Err(error) => {
                tracing::warn!(recording_id = %id, error, "what its speaker did not keep stays on disk; the next start delivers it");
            }
        }
    }
}
