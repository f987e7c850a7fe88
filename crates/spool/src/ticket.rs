//! The ticket: a recording's promise on disk, and the only steps its state can take. Reads and writes no file.

use std::collections::BTreeMap;

use callreel_proto::{CaptureId, EndReason, Hold, OrderedBy, RecordingId, RecordingState, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use crate::{
    DeliveryLog, Error, ImpossibleTransition, Promise, RenditionInfo, Source, SwitchFile,
    evidence::{Announcement, Mask, Masks},
};

mod delivering;
pub(crate) mod file;
mod orders;

/// The version this program writes, and the newest one it reads. There is none before it.
const VERSION: u32 = 1;

/// A recording's ticket. Everything but the state's own fields is settled by the [`Promise`]; the state moves only by
/// the steps below (docs/recording-lifecycle.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    #[serde(rename = "ticket", deserialize_with = "known_version")]
    version: u32,
    #[serde(flatten, deserialize_with = "checked_promise")]
    promise: Promise,
    state: RecordingState,
    #[serde(default)]
    end_ns: Option<u64>,
    #[serde(default)]
    end_reason: Option<EndReason>,
    #[serde(default)]
    masks: Masks,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    announcements: Vec<Announcement>,
    #[serde(default)]
    rendition: Option<RenditionInfo>,
    #[serde(default)]
    delivery: DeliveryLog,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    #[serde(default)]
    document: Map<String, Value>,
}

fn known_version<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        VERSION => Ok(VERSION),
        other => Err(D::Error::custom(format!(
            "there is no ticket of version {other}: this program reads version {VERSION}"
        ))),
    }
}

fn checked_promise<'de, D: Deserializer<'de>>(from: D) -> Result<Promise, D::Error> {
    let promise = Promise::deserialize(from)?;
    promise.check().map_err(D::Error::custom)?;
    Ok(promise)
}

impl Ticket {
    /// The ticket of a recording that starts now; `document` is its metadata document as far as it is known.
    ///
    /// # Errors
    /// See [`Promise::check`].
    pub fn new(promise: Promise, document: Map<String, Value>) -> Result<Self, Error> {
        promise.check()?;
        Ok(Self {
            version: VERSION,
            promise,
            state: RecordingState::Growing,
            end_ns: None,
            end_reason: None,
            masks: Masks::default(),
            announcements: Vec::new(),
            rendition: None,
            delivery: DeliveryLog::default(),
            hold: None,
            document,
        })
    }

    /// Reads a ticket's file; the error is a sentence for people.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let ticket: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let ended = ticket.end_ns.is_some() && ticket.end_reason.is_some();
        let rendered = ticket.rendition.is_some();
        match ticket.state {
            RecordingState::Growing if ended => Err("it is growing and has an end".to_owned()),
            RecordingState::Growing => Ok(ticket),
            _ if !ended => Err("it is not growing and has no end".to_owned()),
            RecordingState::Rendered | RecordingState::Delivering if !rendered => {
                Err("it is on its way and has no rendition".to_owned())
            }
            _ => Ok(ticket),
        }
    }

    /// What was promised.
    pub fn promise(&self) -> &Promise {
        &self.promise
    }

    /// The recording.
    pub fn recording_id(&self) -> &RecordingId {
        &self.promise.recording_id
    }

    /// The capture its audio is cut from, unless a switch has it.
    pub fn capture_id(&self) -> Option<&CaptureId> {
        self.promise.source.capture_id()
    }

    /// The file a foreign switch has its audio in, unless a capture has it.
    pub fn switch_file(&self) -> Option<&SwitchFile> {
        self.promise.source.switch_file()
    }

    /// Where the recording is on its way.
    pub fn state(&self) -> RecordingState {
        self.state
    }

    /// Its end on the source's clock, nanoseconds, once it has ended.
    pub fn end_ns(&self) -> Option<u64> {
        self.end_ns
    }

    /// Why it ended, once it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.end_reason
    }

    /// Spans that are heard as silence, nanoseconds of the source's clock; only a growing recording's last one can be
    /// open.
    pub fn masks(&self) -> &[Mask] {
        self.masks.spans()
    }

    /// [`Ticket::masks`] for a renderer: one that is still open lasts to the end.
    pub fn closed_masks(&self) -> Vec<(u64, u64)> {
        self.masks.closed(self.end_ns.unwrap_or(u64::MAX))
    }

    /// What told the parties that they are recorded.
    pub fn announcements(&self) -> &[Announcement] {
        &self.announcements
    }

    /// The audio file, once there is one.
    pub fn rendition(&self) -> Option<&RenditionInfo> {
        self.rendition.as_ref()
    }

    /// What has been tried to deliver it, and what is next.
    pub fn delivery(&self) -> &DeliveryLog {
        &self.delivery
    }

    /// Its legal hold, if it has one.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The metadata document as far as it is known.
    pub fn document(&self) -> &Map<String, Value> {
        &self.document
    }

    /// The metadata document, to add what has become known.
    pub fn document_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.document
    }

    /// Milliseconds from start to end on the source's clock, once it has ended.
    pub fn length_ms(&self) -> Option<u64> {
        Some(self.end_ns?.saturating_sub(self.promise.start_ns) / 1_000_000)
    }

    /// From `at_ns` the recording hears silence; no change if it already does.
    ///
    /// # Errors
    /// The recording is not growing.
    pub fn masked(
        &mut self,
        at_ns: u64,
        by: Option<OrderedBy>,
    ) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Growing], "masking")?;
        self.masks.begin(at_ns, by);
        Ok(())
    }

    /// Whether it hears silence now.
    pub fn is_masked(&self) -> bool {
        self.masks.is_open()
    }

    /// From `at_ns` the recording hears audio again; no change if it already does.
    ///
    /// # Errors
    /// The recording is not growing.
    pub fn unmasked(
        &mut self,
        at_ns: u64,
        by: Option<OrderedBy>,
    ) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Growing], "unmasking")?;
        self.masks.close(at_ns, by);
        Ok(())
    }

    /// A party is being told that it is recorded; without an end until [`Ticket::announced`].
    ///
    /// # Errors
    /// The recording is not growing.
    pub fn announcing(&mut self, announcement: Announcement) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Growing], "an announcement")?;
        self.announcements.push(announcement);
        Ok(())
    }

    /// The newest announcement is over now. One before it that never was is one of which nobody said that it was heard.
    ///
    /// # Errors
    /// The recording is not growing.
    pub fn announced(&mut self, at_ns: u64) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Growing], "the end of an announcement")?;
        if let Some(announcement) = self.announcements.last_mut() {
            announcement.until_ns.get_or_insert(at_ns);
        }
        Ok(())
    }

    /// The first audio came only now: the recording starts here, not where it was ordered. A message waits for what is
    /// played before it.
    ///
    /// # Errors
    /// The recording is not growing.
    pub fn begin(&mut self, start_ns: u64, at: Utc) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Growing], "beginning")?;
        self.promise.start_ns = start_ns;
        self.promise.started_at = at;
        Ok(())
    }

    /// The switch told something about the file it records into; no change if a capture has the audio.
    ///
    /// # Errors
    /// The recording is not growing.
    pub fn switch_told(
        &mut self,
        learn: impl FnOnce(&mut SwitchFile),
    ) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Growing], "news of the switch's file")?;
        if let Source::Switch(file) = &mut self.promise.source {
            learn(file);
        }
        Ok(())
    }

    /// The recording ended at `end_ns` (its start, if that lies before it). An open mask ends with it.
    ///
    /// # Errors
    /// The recording is not growing.
    pub fn end(&mut self, end_ns: u64, reason: EndReason) -> Result<(), ImpossibleTransition> {
        self.only_from(&[RecordingState::Growing], "ending it")?;
        let end_ns = end_ns.max(self.promise.start_ns);
        self.masks.close(end_ns, None);
        self.end_ns = Some(end_ns);
        self.end_reason = Some(reason);
        self.state = RecordingState::Ended;
        Ok(())
    }

    /// Takes over what the journal knows about masks: where both know one, by its start, the journal is right.
    pub(crate) fn merge_masks(&mut self, journal: &BTreeMap<u64, Option<u64>>) {
        self.masks.merge(journal);
    }

    fn only_from(
        &self,
        states: &[RecordingState],
        step: &'static str,
    ) -> Result<(), ImpossibleTransition> {
        if states.contains(&self.state) {
            return Ok(());
        }
        Err(ImpossibleTransition {
            recording_id: self.promise.recording_id.clone(),
            from: self.state,
            step,
        })
    }
}
