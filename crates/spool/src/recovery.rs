//! After a crash: gives every recording that was growing its end, from what its journal holds. Done twice, it changes
//! nothing more.

use std::collections::{BTreeMap, HashMap};

use callreel_proto::{CaptureId, EndReason, RecordingId, RecordingState, Utc};

use crate::{Error, Mark, Record, Source, Spool, Ticket};

impl Spool {
    /// Ends every growing recording: at the end its journal names, or else interrupted at the journal's last record.
    /// Returns those it ended. To be called once after [`Spool::open`], before any call is taken.
    ///
    /// A recording whose journal cannot be opened at the moment (a missing permission, say) stays growing and is named
    /// in the log: ending it would throw away audio that is still there. A recording that a foreign switch keeps stays
    /// growing until its limit has passed, for the switch may still be recording: whoever can reach the switch stops it.
    ///
    /// # Errors
    /// The disk refused to write a ticket.
    pub fn recover(&self) -> Result<Vec<Ticket>, Error> {
        let mut by_capture: HashMap<CaptureId, Vec<Ticket>> = HashMap::new();
        let mut ended = Vec::new();
        for ticket in self.tickets()? {
            if ticket.state() != RecordingState::Growing {
                continue;
            }
            match &ticket.promise().source {
                Source::Capture(id) => by_capture.entry(id.clone()).or_default().push(ticket),
                Source::Switch(_) if limit_passed(&ticket) => {
                    ended.push(self.interrupt(ticket.recording_id())?);
                }
                Source::Switch(_) => {}
            }
        }
        for (capture, tickets) in by_capture {
            let Some(story) = self.story(&capture) else {
                continue;
            };
            for mut ticket in tickets {
                story.end(&mut ticket)?;
                self.room().write_ticket(&ticket)?;
                tracing::warn!(
                    recording_id = %ticket.recording_id(), end_reason = ?ticket.end_reason(),
                    length_ms = ticket.length_ms(), "ended a recording that a crash had left growing"
                );
                ended.push(ticket);
            }
        }
        self.remove_unpromised()?;
        ended.sort_by_key(|ticket| ticket.promise().started_at);
        Ok(ended)
    }

    /// Removes captures a crash left before any recording was promised: no ticket needs them, and their journal names no
    /// recording. One that names a recording whose ticket is missing stays: only a person can tell what became of it.
    fn remove_unpromised(&self) -> Result<(), Error> {
        for id in self.view().captures()? {
            if !self.serves(&id) && !self.names_a_recording(&id)? {
                tracing::info!(capture_id = %id, "removed a capture of which nothing was promised");
                self.remove_capture_if_unused(&id)?;
            }
        }
        Ok(())
    }

    /// A journal of which nothing can be read may be a conversation, unless a crash came before its first byte.
    fn names_a_recording(&self, capture: &CaptureId) -> Result<bool, Error> {
        let mut reader = match self.read_journal(capture) {
            Ok(reader) => reader,
            Err(Error::NoCapture(_)) => return Ok(false),
            Err(_) => {
                let path = self.view().journal_path(capture);
                return Ok(!path.metadata().is_ok_and(|file| file.len() == 0));
            }
        };
        while let Some(record) = reader.next_record()? {
            if let Record::Mark {
                mark: Mark::RecordingStarted(_),
                ..
            } = record
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends one growing recording as interrupted, as [`Spool::recover`] would at the next start: its recorder died in a
    /// process that lives. Its journal must be sealed. One that a foreign switch keeps ends now, or at its limit if that
    /// has passed. A recording that has ended already stays as it is.
    ///
    /// # Errors
    /// There is no such ticket, or it cannot be written. A journal that cannot be read for now is no error: the ticket
    /// comes back growing, and the next start ends it.
    pub fn interrupt(&self, id: &RecordingId) -> Result<Ticket, Error> {
        let ticket = self
            .ticket(id)?
            .ok_or_else(|| Error::NoTicket(id.clone()))?;
        if ticket.state() != RecordingState::Growing {
            return Ok(ticket);
        }
        // The journal is read before the ticket is taken: nobody waits for a ticket meanwhile.
        let story = match ticket.capture_id() {
            Some(capture) => match self.story(capture) {
                Some(story) => story,
                None => return Ok(ticket),
            },
            None => Story::by_the_clock(&ticket),
        };
        let (ticket, ()) = self.update_ticket(id, |ticket| match ticket.state() {
            RecordingState::Growing => story.end(ticket),
            _ => Ok(()),
        })?;
        Ok(ticket)
    }

    fn story(&self, capture: &CaptureId) -> Option<Story> {
        let mut story = Story::default();
        let read = self.read_journal(capture).and_then(|mut reader| {
            while let Some(record) = reader.next_record()? {
                story.hear(&record);
            }
            if let Some(tail) = reader.tail()? {
                tracing::warn!(
                    capture_id = %capture, bytes = tail.bytes, reason = tail.reason,
                    "a journal's tail was dropped"
                );
            }
            Ok(())
        });
        match read {
            Ok(()) => Some(story),
            Err(error @ (Error::NoCapture(_) | Error::NotAJournal { .. })) => {
                tracing::error!(capture_id = %capture, %error, "a growing recording has no audio");
                Some(story)
            }
            Err(error) => {
                tracing::error!(capture_id = %capture, %error, "a growing recording must wait for its journal");
                None
            }
        }
    }
}

/// What a journal tells about its recordings.
#[derive(Default)]
struct Story {
    last_ns: u64,
    ends: HashMap<RecordingId, (u64, EndReason)>,
    masks: HashMap<RecordingId, BTreeMap<u64, Option<u64>>>,
}

/// Whether a switch that was never told to stop must have stopped by itself.
fn limit_passed(ticket: &Ticket) -> bool {
    let limit_ms = ticket.promise().time_limit_s.saturating_mul(1000);
    age_ms(ticket) >= limit_ms
}

/// Milliseconds since the recording started, by the wall clock.
fn age_ms(ticket: &Ticket) -> u64 {
    let age = Utc::now().unix_ms() - ticket.promise().started_at.unix_ms();
    u64::try_from(age).unwrap_or(0)
}

impl Story {
    /// The story of a recording without a journal of ours: it may have lasted from its start to now, within its limit.
    fn by_the_clock(ticket: &Ticket) -> Self {
        let promise = ticket.promise();
        let lasted_ms = age_ms(ticket).min(promise.time_limit_s.saturating_mul(1000));
        Self {
            last_ns: promise.start_ns + lasted_ms.saturating_mul(1_000_000),
            ..Self::default()
        }
    }

    fn hear(&mut self, record: &Record<'_>) {
        self.last_ns = self.last_ns.max(record.at_ns());
        let Record::Mark { at_ns, mark } = record else {
            return;
        };
        match mark {
            Mark::RecordingEnded(id, reason) => {
                self.ends.entry(id.clone()).or_insert((*at_ns, *reason));
            }
            Mark::Masked(id) => {
                self.masks
                    .entry(id.clone())
                    .or_default()
                    .insert(*at_ns, None);
            }
            Mark::Unmasked(id) => {
                if let Some(mut last) = self.masks.get_mut(id).and_then(BTreeMap::last_entry) {
                    last.get_mut().get_or_insert(*at_ns);
                }
            }
            Mark::RecordingStarted(_)
            | Mark::Answered
            | Mark::Bridged
            | Mark::Unbridged
            | Mark::HungUp => {}
        }
    }

    fn end(&self, ticket: &mut Ticket) -> Result<(), Error> {
        if let Some(masks) = self.masks.get(ticket.recording_id()) {
            ticket.merge_masks(masks);
        }
        let (end_ns, reason) = self
            .ends
            .get(ticket.recording_id())
            .copied()
            .unwrap_or((self.last_ns, EndReason::Interrupted));
        Ok(ticket.end(end_ns, reason)?)
    }
}
