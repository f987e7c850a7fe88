//! The steps of a ticket from its recording's end to the end of its story. Reads and writes no file.

use std::time::Duration;

use callreel_proto::{EndReason, Hold, RecordingState, Utc};

use super::Ticket;
use crate::{ImpossibleTransition, PlacedInfo, RenditionInfo};

impl Ticket {
    /// What was said to be its account's public key was none, and its account says another now, or none at all.
    ///
    /// # Errors
    /// The recording does not wait to be rendered.
    pub fn recipient_mended(
        &mut self,
        recipient: Option<String>,
    ) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Ended], "another recipient")?;
        self.promise.recipient = recipient;
        Ok(())
    }

    /// The audio file is on disk.
    ///
    /// # Errors
    /// The recording has not ended, or has been rendered already.
    pub fn rendered(&mut self, rendition: RenditionInfo) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Ended], "rendering")?;
        self.rendition = Some(rendition);
        self.delivery.failing_ms = 0;
        self.delivery.next_attempt_at = None;
        self.delivery.last_error = None;
        self.state = RecordingState::Rendered;
        Ok(())
    }

    /// The switch's file is here: how often it was asked for in vain no longer counts.
    ///
    /// # Errors
    /// The recording does not wait to be rendered.
    pub fn fetched(&mut self) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Ended], "having its file fetched")?;
        self.delivery.render_failures = 0;
        self.delivery.render_failing_since = None;
        self.delivery.failing_ms = 0;
        self.delivery.next_attempt_at = None;
        self.delivery.last_error = None;
        Ok(())
    }

    /// It has waited so long for what fails now, since it failed before; nothing counts before the first failure.
    pub fn waited(&mut self, how_long: Duration) {
        let failed_before = match self.rendition {
            None => self.delivery.render_failing_since.is_some(),
            Some(_) => self.delivery.first_attempt_at.is_some(),
        };
        if failed_before {
            let ms = u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX);
            self.delivery.failing_ms = self.delivery.failing_ms.saturating_add(ms);
        }
    }

    /// Rendering failed at `at` and will be tried again at `next`.
    ///
    /// # Errors
    /// The recording does not wait to be rendered.
    pub fn rendering_failed(
        &mut self,
        at: Utc,
        error: impl Into<String>,
        next: Utc,
    ) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Ended], "a failed rendering")?;
        self.delivery.render_failures = self.delivery.render_failures.saturating_add(1);
        self.delivery.render_failing_since.get_or_insert(at);
        self.delivery.last_error = Some(error.into());
        self.delivery.next_attempt_at = Some(next);
        Ok(())
    }

    /// The audio file is gone or spoilt: it must be rendered once more.
    ///
    /// # Errors
    /// There is no audio file that could be missed.
    pub fn rendition_lost(&mut self) -> Result<(), ImpossibleTransition> {
        self.only_from(
            &[RecordingState::Rendered, RecordingState::Delivering],
            "losing its rendition",
        )?;
        self.rendition = None;
        self.state = RecordingState::Ended;
        Ok(())
    }

    /// A delivery failed at `at` and will be tried again at `next`.
    ///
    /// # Errors
    /// The recording is not on its way.
    pub fn attempt_failed(
        &mut self,
        at: Utc,
        error: impl Into<String>,
        next: Utc,
    ) -> Result<(), ImpossibleTransition> {
        self.attempted(at, "a failed delivery")?;
        self.delivery.refusals = 0;
        self.delivery.last_error = Some(error.into());
        self.delivery.next_attempt_at = Some(next);
        Ok(())
    }

    /// As [`Ticket::attempt_failed`]; the destination answered that it does not want the file as it is.
    ///
    /// # Errors
    /// The recording is not on its way.
    pub fn attempt_refused(
        &mut self,
        at: Utc,
        error: impl Into<String>,
        next: Utc,
    ) -> Result<(), ImpossibleTransition> {
        let refusals = self.delivery.refusals.saturating_add(1);
        self.attempt_failed(at, error, next)?;
        self.delivery.refusals = refusals;
        Ok(())
    }

    /// The destination acknowledged the file, but something (the document) is still owed, to be tried at `next`.
    ///
    /// # Errors
    /// The recording is not on its way.
    pub fn uploaded(&mut self, at: Utc, next: Option<Utc>) -> Result<(), ImpossibleTransition> {
        self.attempted(at, "an upload")?;
        self.delivery.uploaded_at.get_or_insert(at);
        self.delivery.last_error = None;
        self.delivery.next_attempt_at = next;
        Ok(())
    }

    /// A storage plan's handler has the file; the document, which says where, is still owed.
    ///
    /// # Errors
    /// The recording is not on its way.
    pub fn placed(&mut self, at: Utc, place: PlacedInfo) -> Result<(), ImpossibleTransition> {
        self.uploaded(at, None)?;
        self.delivery.placed = Some(place);
        Ok(())
    }

    /// Where it goes, or was put, for people: without credentials.
    pub fn place(&self) -> String {
        let placed = self.delivery.placed.as_ref();
        placed.map_or_else(
            || self.promise.delivered_to().describe(),
            |p| p.told.clone(),
        )
    }

    /// Everything that was promised is done.
    ///
    /// # Errors
    /// The recording is not on its way.
    pub fn delivered(&mut self, at: Utc) -> Result<(), ImpossibleTransition> {
        if self.delivery.uploaded_at.is_none() {
            self.attempted(at, "being delivered")?;
            self.delivery.uploaded_at = Some(at);
        }
        self.only_from(&[RecordingState::Delivering], "being delivered")?;
        self.delivery.last_error = None;
        self.finish(RecordingState::Delivered, at);
        Ok(())
    }

    /// Given up at `at` for this reason; everything stays on disk.
    ///
    /// # Errors
    /// The recording has not ended, or its story is over.
    pub fn undeliverable(
        &mut self,
        at: Utc,
        reason: impl Into<String>,
    ) -> Result<(), ImpossibleTransition> {
        self.only_from(
            &[
                RecordingState::Ended,
                RecordingState::Rendered,
                RecordingState::Delivering,
            ],
            "giving up",
        )?;
        self.delivery.last_error = Some(reason.into());
        self.finish(RecordingState::Undeliverable, at);
        Ok(())
    }

    /// Dropped at `at` by the rule or the order named in `why`.
    ///
    /// # Errors
    /// The recording has not ended, its story is over, or a legal hold is on it.
    pub fn discarded(
        &mut self,
        at: Utc,
        why: impl Into<String>,
    ) -> Result<(), ImpossibleTransition> {
        if self.hold.is_some() {
            self.only_from(&[], "discarding it while a legal hold is on it")?;
        }
        self.only_from(
            &[
                RecordingState::Ended,
                RecordingState::Rendered,
                RecordingState::Delivering,
                RecordingState::Undeliverable,
            ],
            "discarding",
        )?;
        self.delivery.last_error = Some(why.into());
        self.finish(RecordingState::Discarded, at);
        Ok(())
    }

    /// Dropped because it is shorter than [`Promise::min_ms`](crate::Promise::min_ms); the end reason says so from now on.
    ///
    /// # Errors
    /// As [`Ticket::discarded`].
    pub fn too_short(&mut self, at: Utc) -> Result<(), ImpossibleTransition> {
        let min_ms = self.promise.min_ms;
        self.discarded(at, format!("shorter than the minimum of {min_ms} ms"))?;
        self.end_reason = Some(EndReason::TooShort);
        Ok(())
    }

    /// A person wants it tried again, at once: the counts of failures and refusals and the time to give up start anew.
    ///
    /// # Errors
    /// The recording has not ended, or was delivered or discarded.
    pub fn retry(&mut self) -> Result<(), ImpossibleTransition> {
        use RecordingState::{Delivering, Ended, Rendered, Undeliverable};
        self.only_from(&[Ended, Rendered, Delivering, Undeliverable], "a retry")?;
        if self.state == Undeliverable {
            self.state = match (&self.rendition, self.delivery.attempts) {
                (None, _) => Ended,
                (Some(_), 0) => Rendered,
                (Some(_), _) => Delivering,
            };
        }
        self.delivery.render_failures = 0;
        self.delivery.render_failing_since = None;
        self.delivery.first_attempt_at = None;
        self.delivery.refusals = 0;
        self.delivery.failing_ms = 0;
        self.delivery.next_attempt_at = None;
        self.delivery.finished_at = None;
        Ok(())
    }

    /// Puts a legal hold on it, or lifts it with `None`. While it has one it is never discarded.
    ///
    /// # Errors
    /// It is discarded already.
    pub fn set_hold(&mut self, hold: Option<Hold>) -> Result<(), ImpossibleTransition> {
        use RecordingState::{Delivered, Delivering, Ended, Growing, Rendered, Undeliverable};
        self.only_from(
            &[
                Growing,
                Ended,
                Rendered,
                Delivering,
                Undeliverable,
                Delivered,
            ],
            "a legal hold",
        )?;
        self.hold = hold;
        Ok(())
    }

    fn attempted(&mut self, at: Utc, step: &'static str) -> Result<(), ImpossibleTransition> {
        self.only_from(
            &[RecordingState::Rendered, RecordingState::Delivering],
            step,
        )?;
        self.state = RecordingState::Delivering;
        self.delivery.attempts = self.delivery.attempts.saturating_add(1);
        self.delivery.first_attempt_at.get_or_insert(at);
        Ok(())
    }

    fn finish(&mut self, state: RecordingState, at: Utc) {
        self.state = state;
        self.delivery.next_attempt_at = None;
        self.delivery.finished_at = Some(at);
    }
}
