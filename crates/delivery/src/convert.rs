//! Makes the file that was asked for out of the one a switch has recorded. Blocks on disk and CPU; keeps no state, changes
//! no ticket and never the switch's file.

use std::{
    io::{self, Seek as _},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use callreel_media::{AudioReader, Converter, Error as MediaError};
use callreel_proto::AudioReport;
use callreel_spool::{AtRest, RenditionInfo, SwitchFile, Ticket, View};

use crate::{
    making::Making,
    part::DiskError,
    render::{Failure, Rendered, profile},
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
    let extension = Path::new(&origin.media_name).extension();
    let opened = AudioReader::open(whole(spool, ticket)?, extension.and_then(|it| it.to_str()));
    let mut reader = opened.map_err(|error| unusable(origin, error))?;
    let (profile, have) = (profile(promise), reader.shape());
    let asked = have.asked(&profile, promise.channels);
    let mut making = Making::begin(spool, ticket)?;
    let mut silence = Silence::over(&masks(ticket, origin), have.sample_rate);
    let mut redacted_ms = Vec::new();
    if asked == have && !promise.redact_dtmf && silence.is_empty() {
        each_block(&mut reader, origin, stop, |_| Ok(()))?;
        let mut from = spool.open_switch_file(ticket)?;
        let path = spool.rendition_path(ticket);
        io::copy(&mut from, &mut making).map_err(DiskError::at("write", &path))?;
    } else {
        let mut converter = Converter::new(have, &profile, promise.channels, &mut making)
            .map_err(|error| unusable(origin, error))?;
        each_block(&mut reader, origin, stop, |block| {
            converter.push(silence.pass(block))
        })?;
        redacted_ms = converter
            .finish()
            .map_err(|error| unusable(origin, error))?;
    }
    let duration_ms = reader.duration_ms();
    if duration_ms < promise.min_ms {
        return Ok(Rendered::TooShort);
    }
    let made = making.keep()?;
    Ok(Rendered::File(RenditionInfo {
        bytes: made.bytes,
        sha256: made.sha256,
        sealed_bytes: made.sealed_bytes,
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

/// The switch's file. What was sealed is proved to the end before anything is made of it: a decoder would take what does not
/// open for the end of the audio.
fn whole(spool: &View, ticket: &Ticket) -> Result<AtRest, Failure> {
    let mut file = spool.open_switch_file(ticket)?;
    if file.is_sealed() {
        let path = spool.switch_file_path(ticket);
        let proved = io::copy(&mut file, &mut io::sink()).and_then(|_| file.rewind());
        proved.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                Failure::Suspect(format!("{} is damaged: {error}", path.display()))
            }
            _ => DiskError::at("read", &path)(error).into(),
        })?;
    }
    Ok(file)
}
