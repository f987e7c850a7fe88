//! After a crash: gives every recording that was growing its end, from what its journal holds. Done twice, it changes
//! nothing more.

use std::collections::{BTreeMap, HashMap, HashSet};

use callreel_proto::{CaptureId, EndReason, RecordingId, RecordingState, Utc};

use crate::{
    Error, Mark, Record, Source, Ticket, View, WriterId, captures, desk::Desk, locks::Lock, writers,
};

/// See [`crate::Writer::recover`]. Looks only at these tickets, and again at what they say by now.
pub(crate) fn recover(desk: &Desk, tickets: &[Ticket]) -> Result<Vec<Ticket>, Error> {
    let view = desk.view();
    // One at a time: whoever comes second finds nothing left to do.
    let _alone = Lock::wait(&view.recovery_lock())?;
    let mut by_capture: HashMap<&CaptureId, Vec<&Ticket>> = HashMap::new();
    let mut ended = Vec::new();
    for ticket in orphans(view, tickets)? {
        match &ticket.promise().source {
            Source::Capture(id) => by_capture.entry(id).or_default().push(ticket),
            Source::Switch(_) if limit_passed(ticket) => {
                ended.extend(Story::by_the_clock(ticket).end_on_disk(desk, ticket)?);
            }
            Source::Switch(_) => {}
        }
    }
    for (capture, orphans) in by_capture {
        let Some(story) = story(view, capture) else {
            continue;
        };
        for ticket in orphans {
            ended.extend(story.end_on_disk(desk, ticket)?);
        }
    }
    remove_unpromised(view)?;
    writers::remove_dead(view)?;
    ended.sort_by_key(|ticket| ticket.promise().started_at);
    Ok(ended)
}

/// See [`crate::Writer::adopt`].
pub(crate) fn adopt(desk: &Desk, tickets: &[Ticket], by: &WriterId) -> Result<Vec<Ticket>, Error> {
    let _alone = Lock::wait(&desk.view().recovery_lock())?;
    let mut adopted = Vec::new();
    for orphan in orphans(desk.view(), tickets)? {
        if orphan.switch_file().is_some() {
            let _turn = desk.turn(orphan.recording_id());
            let ticket = desk.ticket(orphan.recording_id())?;
            desk.save(&ticket, Some(by))?;
            adopted.push(ticket);
        }
    }
    Ok(adopted)
}

/// Those that grow and have nobody left to end them. Only under the recovery lock is that true for long.
fn orphans<'a>(view: &View, tickets: &'a [Ticket]) -> Result<Vec<&'a Ticket>, Error> {
    let mut orphans = Vec::new();
    for ticket in tickets {
        if ticket.state() == RecordingState::Growing && is_orphan(view, ticket.recording_id())? {
            orphans.push(ticket);
        }
    }
    Ok(orphans)
}

/// Whether the recording grows and nobody is left to end it.
pub(crate) fn is_orphan(view: &View, id: &RecordingId) -> Result<bool, Error> {
    if let Some(writer) = view.writer_of(id)?
        && view.lives(&writer)?
    {
        return Ok(false);
    }
    // Looked at only now, because a writer may end a recording and die then.
    let ticket = view.ticket(id)?;
    Ok(ticket.is_some_and(|ticket| ticket.state() == RecordingState::Growing))
}

/// Removes captures a crash left before any recording was promised: no ticket needs them, and their journal names no
/// recording. One that names a recording whose ticket is missing stays: only a person can tell what became of it.
fn remove_unpromised(view: &View) -> Result<(), Error> {
    let mut unclaimed = HashSet::new();
    captures::each_capture(view, |id| {
        if captures::claims(view, id)?.is_empty()
            && !captures::is_open(view, id)?
            && !names_a_recording(view, id)?
        {
            unclaimed.insert(id.clone());
        }
        Ok(())
    })?;
    if !unclaimed.is_empty() {
        // An older version made no claims, and nobody may have mended them yet.
        view.for_each_ticket(|ticket| {
            ticket.capture_id().map(|id| unclaimed.remove(id));
            Ok::<_, Error>(())
        })?;
    }
    for id in unclaimed {
        if captures::remove_if_unclaimed(view, &id)? {
            tracing::info!(capture_id = %id, "removed a capture of which nothing was promised");
        }
    }
    Ok(())
}

/// A journal of which nothing can be read may be a conversation, unless a crash came before its first byte.
fn names_a_recording(view: &View, capture: &CaptureId) -> Result<bool, Error> {
    let mut reader = match view.read_journal(capture) {
        Ok(reader) => reader,
        Err(Error::NoCapture(_)) => return Ok(false),
        Err(_) => {
            let path = view.journal_path(capture);
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

/// See [`crate::Writer::interrupt`].
pub(crate) fn interrupt(desk: &Desk, id: &RecordingId) -> Result<Ticket, Error> {
    let ticket = desk.ticket(id)?;
    if ticket.state() != RecordingState::Growing {
        return Ok(ticket);
    }
    // The journal is read before the ticket is taken: nobody waits for a ticket meanwhile.
    let story = match ticket.capture_id() {
        Some(capture) => story(desk.view(), capture),
        None => Some(Story::by_the_clock(&ticket)),
    };
    let Some(story) = story else {
        return Ok(ticket);
    };
    match story.end_on_disk(desk, &ticket)? {
        Some(ended) => Ok(ended),
        None => desk.ticket(id),
    }
}

fn story(view: &View, capture: &CaptureId) -> Option<Story> {
    let mut story = Story::default();
    let read = view.read_journal(capture).and_then(|mut reader| {
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

    /// Ends the recording on disk and returns its ticket, unless it has ended since it was seen.
    fn end_on_disk(&self, desk: &Desk, seen: &Ticket) -> Result<Option<Ticket>, Error> {
        let _turn = desk.turn(seen.recording_id());
        let mut ticket = desk.ticket(seen.recording_id())?;
        if ticket.state() != RecordingState::Growing {
            return Ok(None);
        }
        self.end(&mut ticket)?;
        desk.save(&ticket, None)?;
        tracing::warn!(
            recording_id = %ticket.recording_id(), end_reason = ?ticket.end_reason(), length_ms = ticket.length_ms(),
            "ended a recording whose recorder had died"
        );
        Ok(Some(ticket))
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
