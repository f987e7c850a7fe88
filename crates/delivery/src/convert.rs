//! Makes the file that was asked for out of the one a switch has recorded. Blocks on disk and CPU; keeps no state, changes
//! no ticket and never the switch's file.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use callreel_media::{AudioReader, Converter, Error as MediaError};
use callreel_proto::AudioReport;
use callreel_spool::{RenditionInfo, SwitchFile, Ticket, View};

use crate::{
    part::{DiskError, Part},
    render::{BLOCK, Failure, Rendered, digest, flushed, profile},
};

mod silence;
#[cfg(test)]
mod tests;

use silence::Silence;

/// Makes the rendition, over whatever an earlier try left there. A file that already is what was asked for is taken over
/// byte for byte, unless keys or masks are to be taken out of it, but not unheard: what cannot be decoded is no recording.
pub(crate) fn convert(
    spool: &View,
    ticket: &Ticket,
    origin: &SwitchFile,
    stop: &AtomicBool,
) -> Result<Rendered, Failure> {
    let promise = ticket.promise();
    let path = spool.switch_file_path(ticket);
    let bytes = File::open(&path).map_err(DiskError::at("open", &path))?;
    let extension = Path::new(&origin.media_name).extension();
    let opened = AudioReader::open(bytes, extension.and_then(|it| it.to_str()));
    let mut reader = opened.map_err(|error| unusable(origin, error))?;
    let (profile, have) = (profile(promise), reader.shape());
    let asked = have.asked(&profile, promise.channels);
    let part = Part::of(spool.rendition_path(ticket));
    let out = part.create()?;
    let mut silence = Silence::over(&masks(ticket, origin), have.sample_rate);
    let mut redacted_ms = Vec::new();
    let file = if asked == have && !promise.redact_dtmf && silence.is_empty() {
        each_block(&mut reader, origin, stop, |_| Ok(()))?;
        copied(&path, out, &part)?
    } else {
        let mut out = BufWriter::with_capacity(BLOCK, out);
        let mut converter = Converter::new(have, &profile, promise.channels, &mut out)
            .map_err(|error| unusable(origin, error))?;
        each_block(&mut reader, origin, stop, |block| {
            converter.push(silence.pass(block))
        })?;
        redacted_ms = converter
            .finish()
            .map_err(|error| unusable(origin, error))?;
        flushed(out, &part)?
    };
    let duration_ms = reader.duration_ms();
    if duration_ms < promise.min_ms {
        return Ok(Rendered::TooShort);
    }
    let (bytes, sha256) = digest(part.path())?;
    part.keep(&file)?;
    Ok(Rendered::File(RenditionInfo {
        bytes,
        sha256,
        sealed_bytes: None,
        duration_ms,
        sample_rate: asked.sample_rate,
        channels: asked.channels,
        // Of packets nothing is known; of keys that were taken out, it is.
        report: promise.redact_dtmf.then(|| AudioReport {
            redacted_ms,
            ..AudioReport::default()
        }),
    }))
}

/// What the switch could not leave out: it masks what it records beside other commands, and a message is the running one.
fn masks(ticket: &Ticket, origin: &SwitchFile) -> Vec<(u64, u64)> {
    let start_ns = ticket.promise().start_ns;
    let from_start = |ns: u64| ns.saturating_sub(start_ns);
    let masks = ticket.closed_masks().into_iter();
    masks
        .filter(|_| origin.in_turn)
        .map(|(from, until)| (from_start(from), from_start(until)))
        .collect()
}

fn each_block(
    reader: &mut AudioReader,
    origin: &SwitchFile,
    stop: &AtomicBool,
    mut feed: impl FnMut(&[Vec<i16>]) -> Result<(), MediaError>,
) -> Result<(), Failure> {
    while let Some(block) = reader.next_block().map_err(|e| unusable(origin, e))? {
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::Stopped);
        }
        feed(block).map_err(|e| unusable(origin, e))?;
    }
    Ok(())
}

/// A person should know whose file it is.
fn unusable(origin: &SwitchFile, error: MediaError) -> Failure {
    match error {
        MediaError::Write(_) => Failure::Passing(error.to_string()),
        other => Failure::Suspect(format!(
            "{} of {}: {other}",
            origin.path.as_deref().unwrap_or(&origin.media_name),
            origin.node
        )),
    }
}

fn copied(from: &Path, mut to: File, part: &Part) -> Result<File, DiskError> {
    let mut bytes = File::open(from).map_err(DiskError::at("open", from))?;
    io::copy(&mut bytes, &mut to).map_err(DiskError::at("write", part.path()))?;
    Ok(to)
}
