//! Renders one recording: two passes over its journal into the audio file, or a switch's file into the one asked for. Blocks
//! on disk and CPU; keeps no state and changes no ticket.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use callreel_media::{Cut, Packet, Profile, Renderer, Summary, TimelineBuilder};
use callreel_proto::{CaptureId, Leg};
use callreel_spool::{
    Error as SpoolError, JournalReader, Promise, Record, RenditionInfo, Source, Ticket, View,
};
use sha2::{Digest as _, Sha256};

use crate::{
    convert::convert,
    making::{Made, Making},
    part::DiskError,
};

/// Bytes of the file per read while it is hashed, and per write while it is made.
pub(crate) const BLOCK: usize = 256 * 1024;
/// How long after the end of a recording, by arrival, packets may still belong before it: what a network held back
/// in a stall. Nanoseconds; the rest of a long capture is not read for a short recording.
const LATENESS_NS: u64 = 5_000_000_000;
/// Records between two looks at the stop flag.
const STOP_EVERY: u64 = 4096;

/// What came of a rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// The file is safe on disk.
    File(RenditionInfo),
    /// The recording is shorter than its ticket asks; there is no file.
    TooShort,
    /// It ended at the moment it began; there is no file.
    Nothing,
}

/// Why there is no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The disk, or the switch that has the file: it may pass.
    #[error("{0}")]
    Passing(String),
    /// The decoder or the encoder refused or panicked: it may be the audio's fault.
    #[error("{0}")]
    Suspect(String),
    /// There is nothing to render from, nor anywhere to fetch it.
    #[error("{0}")]
    Hopeless(String),
    /// The role is stopping.
    #[error("rendering was stopped")]
    Stopped,
}

impl From<SpoolError> for Failure {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::NoCapture(_) | SpoolError::NotAJournal { .. } => {
                Self::Hopeless(error.to_string())
            }
            SpoolError::Damaged { .. } => Self::Suspect(error.to_string()),
            other => Self::Passing(other.to_string()),
        }
    }
}

impl From<callreel_media::Error> for Failure {
    fn from(error: callreel_media::Error) -> Self {
        match error {
            callreel_media::Error::Write(_) => Self::Passing(error.to_string()),
            other => Self::Suspect(other.to_string()),
        }
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        Self::Passing(error.to_string())
    }
}

/// Renders an ended recording into its file of the spool, over whatever an earlier try left there: what the encode pool does
/// with each ticket. Blocks on disk and CPU; `stop` breaks it off.
///
/// # Errors
/// The disk refused, the audio could not be decoded or encoded, or there is none.
pub fn render(spool: &View, ticket: &Ticket, stop: &AtomicBool) -> Result<Rendered, Failure> {
    match &ticket.promise().source {
        Source::Capture(id) => render_capture(spool, ticket, id, stop),
        Source::Switch(file) => convert(spool, ticket, file, stop),
    }
}

fn render_capture(
    spool: &View,
    ticket: &Ticket,
    capture: &CaptureId,
    stop: &AtomicBool,
) -> Result<Rendered, Failure> {
    let promise = ticket.promise();
    let mut reader = spool.read_journal(capture)?;
    let cut = cut(ticket)?;
    let length_ns = cut.end_ns - cut.start_ns;
    if length_ns < promise.min_ms.saturating_mul(1_000_000) {
        return Ok(Rendered::TooShort);
    }
    if length_ns == 0 {
        return Ok(Rendered::Nothing);
    }
    let mut making = Making::begin(spool, ticket)?;
    let until_ns = cut.end_ns.saturating_add(LATENESS_NS);

    let mut builder = TimelineBuilder::new();
    // The capture may still grow for another recording: the second pass must see what the first one saw.
    let of_leg = promise.of_leg;
    let seen = each_packet(&mut reader, of_leg, until_ns, u64::MAX, stop, |packet| {
        builder.push(packet);
        Ok(())
    })?;
    report_damage(&reader, ticket);
    let timeline = builder.finish();

    reader.rewind()?;
    let mut renderer = Renderer::new(cut, profile(promise), &timeline, &mut making)?;
    each_packet(&mut reader, of_leg, until_ns, seen, stop, |packet| {
        renderer.push(packet)?;
        Ok(())
    })?;
    let summary = renderer.finish()?;
    let made = making.keep()?;
    tracing::debug!(recording_id = %promise.recording_id, ?summary, "rendered");
    Ok(Rendered::File(rendition(made, &summary)))
}

fn rendition(made: Made, summary: &Summary) -> RenditionInfo {
    RenditionInfo {
        bytes: made.bytes,
        sha256: made.sha256,
        sealed_bytes: made.sealed_bytes,
        duration_ms: summary.duration_ms,
        sample_rate: summary.sample_rate,
        channels: summary.channels,
        report: Some(summary.audio_report()),
    }
}

fn cut(ticket: &Ticket) -> Result<Cut, Failure> {
    let promise = ticket.promise();
    let Some(end_ns) = ticket.end_ns() else {
        return Err(Failure::Hopeless("the recording has no end".to_owned()));
    };
    Ok(Cut {
        start_ns: promise.start_ns,
        end_ns,
        masks: ticket.closed_masks(),
        channels: promise.channels,
    })
}

/// Feeds the packets of at most `limit` records as the recorded leg sees them, and says how many records it read.
fn each_packet(
    reader: &mut JournalReader,
    of_leg: Leg,
    until_ns: u64,
    limit: u64,
    stop: &AtomicBool,
    mut feed: impl FnMut(&Packet<'_>) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut records = 0;
    while records < limit
        && let Some(record) = reader.next_record()?
        && record.at_ns() <= until_ns
    {
        records += 1;
        if let Record::Packet(p) = record {
            feed(&Packet {
                leg: if p.leg == of_leg { Leg::A } else { Leg::B },
                arrival_ns: p.arrival_ns,
                payload_type: p.payload_type,
                marker: p.marker,
                sequence: p.sequence,
                timestamp: p.timestamp,
                ssrc: p.ssrc,
                payload: p.payload,
            })?;
        }
        if records % STOP_EVERY == 0 && stop.load(Ordering::Relaxed) {
            return Err(Failure::Stopped);
        }
    }
    Ok(records)
}

/// A damaged journal is rendered as far as it goes; a person should know.
fn report_damage(reader: &JournalReader, ticket: &Ticket) {
    if let Ok(Some(tail)) = reader.tail() {
        tracing::warn!(
            recording_id = %ticket.recording_id(), call_id = %ticket.promise().call_id, account_id = %ticket.promise().account_id, bytes = tail.bytes, reason = tail.reason,
            "the journal ends before its file does; what lies before is rendered"
        );
    }
}

/// The rendition asked for, whatever it is made of.
pub(crate) fn profile(promise: &Promise) -> Profile {
    Profile {
        format: promise.format,
        sample_rate: promise.sample_rate,
        redact_dtmf: promise.redact_dtmf,
        ..Profile::default()
    }
}

/// Size and SHA-256: read back, because an encoder may rewrite the beginning of its file at the end.
pub(crate) fn digest(path: &Path) -> Result<(u64, String), DiskError> {
    let read = || {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut block = vec![0; BLOCK];
        let mut bytes = 0;
        loop {
            match file.read(&mut block)? {
                0 => return Ok((bytes, hex::encode(hash.finalize()))),
                read => {
                    hash.update(&block[..read]);
                    bytes += read as u64;
                }
            }
        }
    };
    read().map_err(DiskError::at("read", path))
}
