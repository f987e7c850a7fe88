//! Keeps what was sent beside what was recorded, as WAV files for judges outside this program.

use std::path::Path;

use callreel_media::Pcm;

use super::{place::Place, row::Outcome};

/// Writes two files per leg: `CASE-LEG-sent.wav` and `CASE-LEG-recorded.wav`, one channel each, of one rate and length, in step.
///
/// # Errors
/// The disk refused.
pub(crate) fn keep(outcome: &Outcome<'_>, folder: &Path) -> Result<(), hound::Error> {
    for ((sent, place), (recorded, leg)) in outcome
        .legs
        .iter()
        .zip(outcome.files.mp3.channels.iter().zip("ab".chars()))
    {
        let name = |what| folder.join(format!("{}-{leg}-{what}.wav", outcome.case.name()));
        write(&name("sent"), &reference(&sent.decoded, place, recorded))?;
        write(&name("recorded"), recorded)?;
    }
    Ok(())
}

/// What a perfect file would hold in the recorded one's place.
fn reference(decoded: &Pcm, place: &Place, recorded: &Pcm) -> Pcm {
    let speech = decoded.resampled(recorded.sample_rate);
    Pcm {
        sample_rate: recorded.sample_rate,
        samples: place.lay(&speech.samples, recorded.samples.len()),
    }
}

fn write(path: &Path, sound: &Pcm) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: sound.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec)?;
    for sample in &sound.samples {
        file.write_sample(*sample)?;
    }
    file.finalize()
}
