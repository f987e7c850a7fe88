//! What every outcome means for a recording's ticket: the next step, its instant, and what the world is told. Blocks on
//! the spool's disk; time and jitter are told; knows no actor.

use std::fs;

use callreel_proto::{
    DeliveryAction, DeliveryOrder, Destination, Hold, RecordingFact, RecordingId, RecordingNotice,
    RecordingState, Utc,
};
use callreel_spool::{Error, Outbox, Ticket};
use tracing::{error, info, warn};

use crate::{
    book::Stage,
    render::{Failure, Rendered},
    schedule::{Decision, History, Policy, Verdict, after},
    upload::Tried,
};

#[cfg(test)]
mod tests;

/// Tries to render a recording whose encoder refuses it or panics. The same bytes seldom fare better a fourth time.
const RENDER_TRIES: u32 = 3;

/// Why a recording ended that nobody was left to end.
const DIED: &str = "its process died";

/// What an outcome led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is owed next, and when; `None` when nothing is.
    pub(crate) owed: Option<(Stage, Utc)>,
    /// What to publish.
    pub(crate) notice: Option<RecordingNotice>,
}

/// What a look through the spool found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Everything owed, with its instant.
    pub(crate) owed: Vec<(RecordingId, Stage, Utc)>,
    /// What to publish: recordings whose process died have ended.
    pub(crate) notices: Vec<RecordingNotice>,
}

/// What a recording needs now.
#[derive(Debug)]
pub(crate) enum Needs {
    /// This work, with this ticket.
    Work(Box<Ticket>),
    /// Other work than was thought.
    Other(Stage),
    /// Nothing.
    Nothing,
}

/// The tickets of one spool and the rules for them.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) spool: Outbox,
    pub(crate) policy: Policy,
    pub(crate) keep_undeliverable: bool,
}

impl Ledger {
    /// Everything owed. Recordings that a dead process left growing are ended now, and those whose story ended while their
    /// files could not be removed are removed.
    pub(crate) fn scan(&self, now: Utc) -> Result<Found, Error> {
        let mut found = Found::default();
        let tickets = self.spool.view().tickets()?;
        let recovered = self.spool.recover(&tickets).unwrap_or_else(|error| {
            // What is owed already does not wait for that.
            error!(%error, "cannot end what a dead process left growing; trying again in a minute");
            Vec::new()
        });
        for ticket in tickets.iter().chain(&recovered) {
            match ticket.state() {
                RecordingState::Delivered | RecordingState::Discarded => {
                    self.spool.settle(ticket)?
                }
                _ => {
                    if let Some((stage, due)) = self.owed(ticket, now) {
                        let id = ticket.recording_id().clone();
                        found.owed.push((id, stage, due));
                    }
                }
            }
        }
        let died = |ticket| notice(ticket, RecordingFact::Ended, Some(DIED.to_owned()));
        found.notices = recovered.iter().map(died).collect();
        Ok(found)
    }

    /// What one recording is owed, and when; `None` also if it is not in this spool.
    pub(crate) fn look(&self, id: &RecordingId, now: Utc) -> Result<Option<(Stage, Utc)>, Error> {
        let ticket = self.spool.view().ticket(id)?;
        Ok(ticket.and_then(|ticket| self.owed(&ticket, now)))
    }

    fn owed(&self, ticket: &Ticket, now: Utc) -> Option<(Stage, Utc)> {
        let due = self
            .policy
            .resume_at(now, ticket.delivery().next_attempt_at);
        self.stage(ticket).map(|stage| (stage, due))
    }

    fn stage(&self, ticket: &Ticket) -> Option<Stage> {
        match ticket.state() {
            RecordingState::Ended if self.is_still_on_switch(ticket) => Some(Stage::Fetch),
            RecordingState::Ended => Some(Stage::Render),
            RecordingState::Rendered | RecordingState::Delivering => Some(Stage::Deliver),
            RecordingState::Growing
            | RecordingState::Delivered
            | RecordingState::Undeliverable
            | RecordingState::Discarded => None,
        }
    }

    /// A fetched file appears when it is whole and safe, so the disk knows best.
    fn is_still_on_switch(&self, ticket: &Ticket) -> bool {
        ticket.switch_file().is_some() && !self.spool.view().switch_file_path(ticket).exists()
    }

    /// The ticket for a piece of work, just before the work. A file that is gone or cut is rendered again.
    pub(crate) fn hand_out(&self, id: &RecordingId, wanted: Stage) -> Result<Needs, Error> {
        let Some(mut ticket) = self.spool.view().ticket(id)? else {
            return Ok(Needs::Nothing);
        };
        if self.stage(&ticket) == Some(Stage::Deliver) && self.file_is_spoilt(&ticket) {
            warn!(recording_id = %id, "the audio file is gone or cut; it is rendered again");
            ticket.rendition_lost()?;
            self.spool.save_ticket(&ticket)?;
        }
        Ok(match self.stage(&ticket) {
            Some(stage) if stage == wanted => Needs::Work(Box::new(ticket)),
            Some(other) => Needs::Other(other),
            None => Needs::Nothing,
        })
    }

    fn file_is_spoilt(&self, ticket: &Ticket) -> bool {
        let owes_only_document = ticket.delivery().uploaded_at.is_some();
        let there = fs::metadata(self.spool.view().rendition_path(ticket));
        let bytes = ticket.rendition().map(|rendition| rendition.bytes);
        !owes_only_document && there.map(|file| file.len()).ok() != bytes
    }

    /// A fetch came back.
    pub(crate) fn fetched(
        &self,
        id: &RecordingId,
        outcome: Result<(), Failure>,
        now: Utc,
        seed: u64,
    ) -> Result<Step, Error> {
        let mut ticket = self.ticket(id)?;
        match outcome {
            Ok(()) => {
                ticket.fetched()?;
                self.spool.save_ticket(&ticket)?;
                Ok(Step {
                    owed: Some((Stage::Render, now)),
                    notice: None,
                })
            }
            Err(failure) => self.no_file(ticket, Stage::Fetch, failure, now, seed),
        }
    }

    /// A rendering came back.
    pub(crate) fn rendered(
        &self,
        id: &RecordingId,
        outcome: Result<Rendered, Failure>,
        now: Utc,
        seed: u64,
    ) -> Result<Step, Error> {
        let mut ticket = self.ticket(id)?;
        match outcome {
            Ok(Rendered::File(rendition)) => {
                ticket.rendered(rendition)?;
                self.spool.save_ticket(&ticket)?;
                Ok(Step {
                    owed: Some((Stage::Deliver, now)),
                    notice: Some(notice(&ticket, RecordingFact::Rendered, None)),
                })
            }
            Ok(Rendered::TooShort) => {
                ticket.too_short(now)?;
                self.discard(&ticket)
            }
            Ok(Rendered::Nothing) => {
                ticket.discarded(now, "it ended at the moment it began")?;
                self.discard(&ticket)
            }
            Err(failure) => self.no_file(ticket, Stage::Render, failure, now, seed),
        }
    }

    /// What becomes of a recording that could not be fetched or rendered.
    fn no_file(
        &self,
        mut ticket: Ticket,
        stage: Stage,
        failure: Failure,
        now: Utc,
        seed: u64,
    ) -> Result<Step, Error> {
        let history = History {
            failures: ticket.delivery().render_failures + 1,
            first_at: ticket.delivery().render_failing_since.unwrap_or(now),
        };
        let (reason, most) = match failure {
            Failure::Stopped => {
                return Ok(Step {
                    owed: Some((stage, now)),
                    notice: None,
                });
            }
            Failure::Hopeless(reason) => (reason, 1),
            Failure::Suspect(reason) => (reason, RENDER_TRIES),
            Failure::Passing(reason) => (reason, u32::MAX),
        };
        match self.policy.after_failure(now, history, None, seed) {
            Decision::TryAt(next) if history.failures < most => {
                if stage == Stage::Render {
                    error!(recording_id = %ticket.recording_id(), reason, "rendering failed");
                }
                ticket.rendering_failed(now, &*reason, next)?;
                self.spool.save_ticket(&ticket)?;
                Ok(retrying(&ticket, stage, &reason, next))
            }
            _ => self.give_up(ticket, &reason, now),
        }
    }

    /// A try came back.
    pub(crate) fn tried(
        &self,
        id: &RecordingId,
        tried: Tried,
        now: Utc,
        seed: u64,
    ) -> Result<Step, Error> {
        let mut ticket = self.ticket(id)?;
        let history = History {
            failures: ticket.delivery().attempts.saturating_add(1),
            first_at: ticket.delivery().first_attempt_at.unwrap_or(now),
        };
        match tried {
            Tried::File(Verdict::Delivered) => self.acknowledged(ticket, now),
            Tried::File(Verdict::Refused { reason }) => self.give_up(ticket, &reason, now),
            Tried::File(Verdict::Retry {
                reason,
                retry_after,
            }) => match self.policy.after_failure(now, history, retry_after, seed) {
                Decision::GiveUp => self.give_up(ticket, &reason, now),
                Decision::TryAt(next) => {
                    ticket.attempt_failed(now, &*reason, next)?;
                    self.spool.save_ticket(&ticket)?;
                    Ok(retrying(&ticket, Stage::Deliver, &reason, next))
                }
            },
            Tried::Document(Verdict::Delivered) => self.finish(ticket, now),
            Tried::Document(Verdict::Retry { reason, .. } | Verdict::Refused { reason }) => {
                self.document_failed(ticket, &reason, now, history, seed)
            }
        }
    }

    /// The file is where it must be. For a URL the document is still owed; the store took both.
    fn acknowledged(&self, mut ticket: Ticket, now: Utc) -> Result<Step, Error> {
        match ticket.promise().destination {
            Destination::AccountDb => self.finish(ticket, now),
            Destination::Http { .. } => {
                ticket.uploaded(now, None)?;
                self.spool.save_ticket(&ticket)?;
                Ok(Step {
                    owed: Some((Stage::Deliver, now)),
                    notice: None,
                })
            }
        }
    }

    /// Everything promised is done: nothing of the recording stays in the spool.
    fn finish(&self, mut ticket: Ticket, now: Utc) -> Result<Step, Error> {
        let told_before =
            ticket.delivery().uploaded_at.is_some() && ticket.delivery().last_error.is_some();
        ticket.delivered(now)?;
        self.spool.settle(&ticket)?;
        let destination = ticket.promise().destination.describe();
        info!(recording_id = %ticket.recording_id(), destination, "delivered");
        Ok(Step {
            owed: None,
            notice: (!told_before)
                .then(|| notice(&ticket, RecordingFact::Delivered, Some(destination))),
        })
    }

    /// The receiver has the file, so the recording counts as delivered; its document is tried for ever, because a store
    /// comes back, and the upload never again.
    fn document_failed(
        &self,
        mut ticket: Ticket,
        reason: &str,
        now: Utc,
        history: History,
        seed: u64,
    ) -> Result<Step, Error> {
        let next = match self.policy.after_failure(now, history, None, seed) {
            Decision::TryAt(next) => next,
            Decision::GiveUp => after(now, self.policy.max),
        };
        warn!(recording_id = %ticket.recording_id(), reason, "the metadata document is not saved yet");
        let first = ticket.delivery().last_error.is_none();
        ticket.attempt_failed(now, reason, next)?;
        self.spool.save_ticket(&ticket)?;
        let told = format!(
            "{}; its document is not saved yet: {reason}",
            ticket.promise().destination.describe()
        );
        Ok(Step {
            owed: Some((Stage::Deliver, next)),
            notice: first.then(|| notice(&ticket, RecordingFact::Delivered, Some(told))),
        })
    }

    fn give_up(&self, mut ticket: Ticket, reason: &str, now: Utc) -> Result<Step, Error> {
        error!(
            recording_id = %ticket.recording_id(), reason, kept = self.keep_undeliverable,
            "undeliverable"
        );
        ticket.undeliverable(now, reason)?;
        if self.keep_undeliverable {
            self.spool.save_ticket(&ticket)?;
        } else {
            ticket.discarded(now, reason)?;
            self.spool.settle(&ticket)?;
        }
        Ok(Step {
            owed: None,
            notice: Some(notice(
                &ticket,
                RecordingFact::Undeliverable,
                Some(reason.to_owned()),
            )),
        })
    }

    /// A person wants it tried again at once.
    pub(crate) fn retry(&self, id: &RecordingId, now: Utc) -> Result<Step, Error> {
        let (ticket, ()) = self
            .spool
            .update_ticket(id, |ticket| ticket.retry().map_err(Error::from))?;
        Ok(Step {
            owed: self.owed(&ticket, now),
            notice: None,
        })
    }

    /// A person wants it gone.
    pub(crate) fn drop_recording(&self, id: &RecordingId, now: Utc) -> Result<Step, Error> {
        let mut ticket = self.ticket(id)?;
        ticket.discarded(now, "dropped by order")?;
        self.discard(&ticket)
    }

    /// A person wants it kept whatever happens, or no longer.
    pub(crate) fn hold(&self, order: &DeliveryOrder, now: Utc) -> Result<RecordingNotice, Error> {
        let hold = (order.action == DeliveryAction::Hold).then(|| Hold {
            by: order.by.clone().unwrap_or_else(|| "an operator".to_owned()),
            reason: order.reason.clone().unwrap_or_default(),
            since: now.gregorian_seconds(),
        });
        let fact = match hold {
            Some(_) => RecordingFact::Held,
            None => RecordingFact::Released,
        };
        let (ticket, ()) = self.spool.update_ticket(&order.recording_id, |ticket| {
            ticket.set_hold(hold).map_err(Error::from)
        })?;
        Ok(notice(&ticket, fact, Some(order.told())))
    }

    fn discard(&self, ticket: &Ticket) -> Result<Step, Error> {
        self.spool.settle(ticket)?;
        let rule = ticket.delivery().last_error.clone();
        info!(recording_id = %ticket.recording_id(), rule, "discarded");
        Ok(Step {
            owed: None,
            notice: Some(notice(ticket, RecordingFact::Discarded, rule)),
        })
    }

    fn ticket(&self, id: &RecordingId) -> Result<Ticket, Error> {
        let ticket = self.spool.view().ticket(id)?;
        ticket.ok_or_else(|| Error::NoTicket(id.clone()))
    }
}

fn retrying(ticket: &Ticket, stage: Stage, reason: &str, next: Utc) -> Step {
    let told = format!("{reason}; next try at {}", next.rfc3339());
    warn!(
        recording_id = %ticket.recording_id(), reason, next = next.rfc3339(),
        "trying again later"
    );
    Step {
        owed: Some((stage, next)),
        notice: Some(notice(ticket, RecordingFact::Retrying, Some(told))),
    }
}

fn notice(ticket: &Ticket, fact: RecordingFact, detail: Option<String>) -> RecordingNotice {
    let promise = ticket.promise();
    let (account_id, call_id) = (promise.account_id.clone(), promise.call_id.clone());
    let tells_of_file = matches!(fact, RecordingFact::Rendered | RecordingFact::Delivered);
    let file = ticket.rendition().filter(|_| tells_of_file);
    RecordingNotice {
        recording_id: Some(promise.recording_id.clone()),
        end_reason: ticket.end_reason(),
        destination: (fact == RecordingFact::Delivered).then(|| promise.destination.describe()),
        bytes: file.map(|file| file.bytes),
        sha256: file.map(|file| file.sha256.clone()),
        duration_ms: file.map(|file| file.duration_ms),
        detail,
        ..RecordingNotice::new(fact, account_id, call_id)
    }
}
