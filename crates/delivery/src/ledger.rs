//! What every outcome means for a recording's ticket: the next step, its instant, and what the world is told. Blocks on
//! the spool's disk; time and jitter are told; knows no actor.

use std::{fs, time::Duration};

use callreel_proto::{
    AccountId, Destination, RecordingFact, RecordingId, RecordingNotice, RecordingState, Utc,
};
use callreel_spool::{Error, ImpossibleTransition, Outbox, RenditionInfo, Ticket};
use callreel_telemetry::metrics;
use tracing::{error, info, warn};

use crate::{
    book::Stage,
    render::{Failure, Rendered},
    schedule::{Decision, History, Policy, Verdict, after},
    upload::Tried,
};

mod orders;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use walk::Found;

/// Tries to render a recording whose encoder refuses it or panics. The same bytes seldom fare better a fourth time.
const RENDER_TRIES: u32 = 3;

/// What an outcome led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is owed next, and when; `None` when nothing is.
    pub(crate) owed: Option<(Stage, Utc)>,
    /// What to publish.
    pub(crate) notice: Option<RecordingNotice>,
}

/// What is owed of a recording, as its ticket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owed {
    /// Whose it is.
    pub(crate) account: AccountId,
    /// The next work on it.
    pub(crate) stage: Stage,
    /// When it began to be recorded.
    pub(crate) began: Utc,
    /// When that is due; long ago, if it has been due since.
    pub(crate) due: Utc,
}

/// What a recording needs now.
#[derive(Debug)]
pub(crate) enum Needs {
    /// This work, with this ticket.
    Work(Box<Ticket>),
    /// Other work than was thought.
    Other(Stage),
    /// Room on the spool's disk: its file stays on its switch until there is.
    Room,
    /// Nothing.
    Nothing,
}

/// When an outcome came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion {
    pub(crate) now: Utc,
    /// How long the recording has waited and been tried since its last outcome, or since this process found it. Real time:
    /// the wall clock may have been set meanwhile.
    pub(crate) waited: Duration,
    /// Any number; it chooses the jitter.
    pub(crate) seed: u64,
}

/// The tickets of one spool and the rules for them.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) spool: Outbox,
    pub(crate) policy: Policy,
    pub(crate) keep_undeliverable: bool,
}

impl Ledger {
    /// What one recording is owed; `None` also if it is not in this spool.
    pub(crate) fn look(&self, id: &RecordingId, now: Utc) -> Result<Option<Owed>, Error> {
        let ticket = self.spool.view().ticket(id)?;
        Ok(ticket.and_then(|ticket| self.owed(&ticket, now)))
    }

    /// What was never tried is due since it began, so that of all that is due the oldest comes first.
    fn owed(&self, ticket: &Ticket, now: Utc) -> Option<Owed> {
        let planned = ticket.delivery().next_attempt_at;
        let planned = planned.unwrap_or(ticket.promise().started_at.min(now));
        Some(Owed {
            account: ticket.promise().account_id.clone(),
            stage: self.stage(ticket)?,
            began: ticket.promise().started_at,
            due: self.policy.resume_at(now, Some(planned)),
        })
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
            Some(Stage::Fetch) if !self.spool.space().for_a_fetch() => Needs::Room,
            Some(stage) if stage == wanted => Needs::Work(Box::new(ticket)),
            Some(other) => Needs::Other(other),
            None => Needs::Nothing,
        })
    }

    fn file_is_spoilt(&self, ticket: &Ticket) -> bool {
        let owes_only_document = ticket.delivery().uploaded_at.is_some();
        let there = fs::metadata(self.spool.view().rendition_path(ticket));
        let bytes = ticket.rendition().map(RenditionInfo::bytes_on_disk);
        !owes_only_document && there.map(|file| file.len()).ok() != bytes
    }

    /// The account says another public key now than the recording was promised to, which was none.
    pub(crate) fn mended(
        &self,
        id: &RecordingId,
        recipient: Option<String>,
    ) -> Result<Ticket, Error> {
        let (ticket, ()) = self.spool.update_ticket(id, |ticket| {
            ticket.recipient_mended(recipient).map_err(Error::from)
        })?;
        Ok(ticket)
    }

    /// A fetch came back.
    pub(crate) fn fetched(
        &self,
        id: &RecordingId,
        outcome: Result<(), Failure>,
        when: Occasion,
    ) -> Result<Step, Error> {
        let mut ticket = self.ticket(id)?;
        match outcome {
            Ok(()) => {
                ticket.fetched()?;
                self.spool.save_ticket(&ticket)?;
                Ok(Step {
                    owed: Some((Stage::Render, when.now)),
                    notice: None,
                })
            }
            Err(failure) => self.no_file(ticket, Stage::Fetch, failure, when),
        }
    }

    /// A rendering came back.
    pub(crate) fn rendered(
        &self,
        id: &RecordingId,
        outcome: Result<Rendered, Failure>,
        when: Occasion,
    ) -> Result<Step, Error> {
        let mut ticket = self.ticket(id)?;
        match outcome {
            Ok(Rendered::File(rendition)) => {
                ticket.rendered(rendition)?;
                self.spool.save_ticket(&ticket)?;
                Ok(Step {
                    owed: Some((Stage::Deliver, when.now)),
                    notice: Some(notice(&ticket, RecordingFact::Rendered, None)),
                })
            }
            Ok(Rendered::TooShort) => {
                let rule = format!("shorter than the minimum of {} ms", ticket.promise().min_ms);
                self.nothing_to_send(ticket, Ticket::too_short, &rule, when.now)
            }
            Ok(Rendered::Nothing) => {
                let rule = "it ended at the moment it began";
                let discard = |ticket: &mut Ticket, now| ticket.discarded(now, rule);
                self.nothing_to_send(ticket, discard, rule, when.now)
            }
            Err(failure) => self.no_file(ticket, Stage::Render, failure, when),
        }
    }

    /// A rule says that no file of it is sent anywhere. What is held for the law is kept all the same.
    fn nothing_to_send(
        &self,
        mut ticket: Ticket,
        discard: impl FnOnce(&mut Ticket, Utc) -> Result<(), ImpossibleTransition>,
        rule: &str,
        now: Utc,
    ) -> Result<Step, Error> {
        if ticket.hold().is_some() {
            return self.give_up(ticket, &format!("{rule}; a legal hold keeps it"), now);
        }
        discard(&mut ticket, now)?;
        self.discard(&ticket)
    }

    /// What becomes of a recording that could not be fetched or rendered.
    fn no_file(
        &self,
        mut ticket: Ticket,
        stage: Stage,
        failure: Failure,
        when: Occasion,
    ) -> Result<Step, Error> {
        let (reason, most) = match failure {
            Failure::Stopped => {
                return Ok(Step {
                    owed: Some((stage, when.now)),
                    notice: None,
                });
            }
            Failure::Hopeless(reason) => (reason, 1),
            Failure::Suspect(reason) => (reason, RENDER_TRIES),
            Failure::Passing(reason) => (reason, u32::MAX),
        };
        ticket.waited(when.waited);
        let failures = ticket.delivery().render_failures.saturating_add(1);
        let history = history(&ticket, failures, 0);
        match self
            .policy
            .after_failure(when.now, history, None, when.seed)
        {
            Decision::TryAt(next) if failures < most => {
                if stage == Stage::Render {
                    error!(recording_id = %ticket.recording_id(), call_id = %ticket.promise().call_id, account_id = %ticket.promise().account_id, reason, "rendering failed");
                }
                ticket.rendering_failed(when.now, &*reason, next)?;
                self.spool.save_ticket(&ticket)?;
                Ok(retrying(&ticket, stage, &reason, next))
            }
            _ => self.give_up(ticket, &reason, when.now),
        }
    }

    /// A try came back.
    pub(crate) fn tried(
        &self,
        id: &RecordingId,
        tried: Tried,
        when: Occasion,
    ) -> Result<Step, Error> {
        let ticket = self.ticket(id)?;
        match tried {
            Tried::File(Verdict::Delivered) => self.acknowledged(ticket, when.now),
            Tried::File(Verdict::Refused { reason }) => self.give_up(ticket, &reason, when.now),
            Tried::File(Verdict::Retry {
                reason,
                retry_after,
            }) => self.not_taken(ticket, &reason, retry_after, false, when),
            Tried::File(Verdict::Unwelcome {
                reason,
                retry_after,
            }) => self.not_taken(ticket, &reason, retry_after, true, when),
            Tried::Placed(place) => {
                let mut ticket = ticket;
                ticket.placed(when.now, place)?;
                self.owe_document(&ticket, when.now)
            }
            Tried::Kept(hold) if ticket.hold() != hold.as_ref() => {
                let mut ticket = ticket;
                // Somebody put a hold on it, or lifted it, while the document was being saved.
                ticket.uploaded(when.now, None)?;
                self.owe_document(&ticket, when.now)
            }
            Tried::Document(Verdict::Delivered) | Tried::Kept(_) => self.finish(ticket, when.now),
            Tried::Document(
                Verdict::Retry { reason, .. }
                | Verdict::Unwelcome { reason, .. }
                | Verdict::Refused { reason },
            ) => self.document_failed(ticket, &reason, when),
        }
    }

    /// The destination did not take the file this time; `refused` if it was there to say so.
    fn not_taken(
        &self,
        mut ticket: Ticket,
        reason: &str,
        retry_after: Option<Duration>,
        refused: bool,
        when: Occasion,
    ) -> Result<Step, Error> {
        ticket.waited(when.waited);
        let log = ticket.delivery();
        let refusals = if refused {
            log.refusals.saturating_add(1)
        } else {
            0
        };
        let history = history(&ticket, log.attempts.saturating_add(1), refusals);
        let decision = self
            .policy
            .after_failure(when.now, history, retry_after, when.seed);
        let next = match decision {
            Decision::TryAt(next) => next,
            Decision::GiveUp => when.now,
        };
        if refused {
            ticket.attempt_refused(when.now, reason, next)?;
        } else {
            ticket.attempt_failed(when.now, reason, next)?;
        }
        match decision {
            Decision::GiveUp => self.give_up(ticket, reason, when.now),
            Decision::TryAt(next) => {
                self.spool.save_ticket(&ticket)?;
                Ok(retrying(&ticket, Stage::Deliver, reason, next))
            }
        }
    }

    /// The file is where it must be. For a URL the document is still owed; the store took both.
    fn acknowledged(&self, mut ticket: Ticket, now: Utc) -> Result<Step, Error> {
        match ticket.promise().destination {
            Destination::AccountDb => self.finish(ticket, now),
            Destination::Http { .. } => {
                ticket.uploaded(now, None)?;
                self.owe_document(&ticket, now)
            }
        }
    }

    /// The file is where it must be, and the document is owed at once.
    fn owe_document(&self, ticket: &Ticket, now: Utc) -> Result<Step, Error> {
        self.spool.save_ticket(ticket)?;
        Ok(Step {
            owed: Some((Stage::Deliver, now)),
            notice: None,
        })
    }

    /// Everything promised is done: nothing of the recording stays in the spool.
    fn finish(&self, mut ticket: Ticket, now: Utc) -> Result<Step, Error> {
        let told_before =
            ticket.delivery().uploaded_at.is_some() && ticket.delivery().last_error.is_some();
        ticket.delivered(now)?;
        self.spool.settle(&ticket)?;
        let destination = ticket.place();
        info!(recording_id = %ticket.recording_id(), call_id = %ticket.promise().call_id, account_id = %ticket.promise().account_id, destination, "delivered");
        metrics()
            .delivery_lateness
            .record(lateness_s(&ticket, now), &[]);
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
        when: Occasion,
    ) -> Result<Step, Error> {
        let failures = ticket.delivery().attempts.saturating_add(1);
        let next = after(when.now, self.policy.wait(failures, when.seed));
        warn!(recording_id = %ticket.recording_id(), call_id = %ticket.promise().call_id, account_id = %ticket.promise().account_id, reason, "the metadata document is not saved yet");
        let first = ticket.delivery().last_error.is_none();
        ticket.attempt_failed(when.now, reason, next)?;
        self.spool.save_ticket(&ticket)?;
        let told = format!(
            "{}; its document is not saved yet: {reason}",
            ticket.place()
        );
        Ok(Step {
            owed: Some((Stage::Deliver, next)),
            notice: first.then(|| notice(&ticket, RecordingFact::Delivered, Some(told))),
        })
    }

    fn give_up(&self, mut ticket: Ticket, reason: &str, now: Utc) -> Result<Step, Error> {
        let kept = self.keep_undeliverable || ticket.hold().is_some();
        error!(recording_id = %ticket.recording_id(), call_id = %ticket.promise().call_id, account_id = %ticket.promise().account_id, reason, kept, "undeliverable");
        ticket.undeliverable(now, reason)?;
        if kept {
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

    fn discard(&self, ticket: &Ticket) -> Result<Step, Error> {
        self.spool.settle(ticket)?;
        let rule = ticket.delivery().last_error.clone();
        info!(recording_id = %ticket.recording_id(), call_id = %ticket.promise().call_id, account_id = %ticket.promise().account_id, rule, "discarded");
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

fn history(ticket: &Ticket, failures: u32, refusals: u32) -> History {
    History {
        failures,
        refusals,
        failing_for: Duration::from_millis(ticket.delivery().failing_ms),
    }
}

fn retrying(ticket: &Ticket, stage: Stage, reason: &str, next: Utc) -> Step {
    let told = format!("{reason}; next try at {}", next.rfc3339());
    warn!(
        recording_id = %ticket.recording_id(), call_id = %ticket.promise().call_id, account_id = %ticket.promise().account_id, reason, next = next.rfc3339(),
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
        destination: (fact == RecordingFact::Delivered).then(|| ticket.place()),
        bytes: file.map(|file| file.bytes),
        sha256: file.map(|file| file.sha256.clone()),
        duration_ms: file.map(|file| file.duration_ms),
        detail,
        ..RecordingNotice::new(fact, account_id, call_id)
    }
}

/// Seconds since the recording ended.
fn lateness_s(ticket: &Ticket, now: Utc) -> f64 {
    let length_ms = ticket.length_ms().unwrap_or_default();
    let length_ms = i64::try_from(length_ms).unwrap_or(i64::MAX);
    let ended_ms = ticket
        .promise()
        .started_at
        .unix_ms()
        .saturating_add(length_ms);
    now.unix_ms().saturating_sub(ended_ms).max(0) as f64 / 1000.0
}
