//! Reads WAV and MP3 bytes into linear audio, gapless: an MP3's encoder delay and padding are trimmed as its tag says.

use std::io::Cursor;

use symphonia::{
    core::{
        audio::AudioSpec,
        codecs::audio::{AudioDecoder, AudioDecoderOptions},
        errors::Error as DecodeError,
        formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
        io::MediaSourceStream,
        meta::MetadataOptions,
    },
    default::{get_codecs, get_probe},
};

use crate::{Error, Pcm};

/// Broken frames in a row that a player would skip; more means this is not audio.
const MAX_BROKEN_FRAMES: usize = 50;

fn undecodable(reason: impl std::fmt::Display) -> Error {
    Error::Undecodable(reason.to_string())
}

/// Decodes a whole file: one [`Pcm`] per channel, all of the same rate and length.
///
/// `hint_extension` (such as `mp3`, without the dot) helps to tell formats apart; a wrong one does no harm.
///
/// # Errors
/// [`Error::Undecodable`] when the bytes are neither WAV nor MP3, hold no audio, or change their shape midway.
pub fn read_audio(bytes: Vec<u8>, hint_extension: Option<&str>) -> Result<Vec<Pcm>, Error> {
    let mut hint = Hint::new();
    if let Some(extension) = hint_extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut format = get_probe()
        .probe(
            &hint,
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(undecodable)?;
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| undecodable("there is no audio track in it"))?;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|parameters| parameters.audio())
        .ok_or_else(|| undecodable("its codec is not named"))?;
    let mut decoder = get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(undecodable)?;
    let track_id = track.id;
    decode_track(format.as_mut(), decoder.as_mut(), track_id)
}

fn decode_track(
    format: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track_id: u32,
) -> Result<Vec<Pcm>, Error> {
    let mut spec: Option<AudioSpec> = None;
    let mut channels: Vec<Vec<i16>> = Vec::new();
    let mut frame: Vec<Vec<i16>> = Vec::new();
    let mut broken_in_a_row = 0;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // A file cut off in the middle of a frame ends there.
            Err(DecodeError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(undecodable(e)),
        };
        if packet.track_id != track_id {
            continue;
        }
        let audio = match decoder.decode(&packet) {
            Ok(audio) => audio,
            Err(DecodeError::DecodeError(_)) if broken_in_a_row < MAX_BROKEN_FRAMES => {
                broken_in_a_row += 1;
                continue;
            }
            Err(e) => return Err(undecodable(e)),
        };
        broken_in_a_row = 0;
        if spec.get_or_insert_with(|| audio.spec().clone()) != audio.spec() {
            return Err(undecodable("its rate or channels change midway"));
        }
        audio.copy_to_vecs_planar(&mut frame);
        channels.resize_with(frame.len(), Vec::new);
        for (channel, new) in channels.iter_mut().zip(&frame) {
            channel.extend_from_slice(new);
        }
    }
    let spec = spec.ok_or_else(|| undecodable("there is no audio in it"))?;
    Ok(channels
        .into_iter()
        .map(|samples| Pcm {
            sample_rate: spec.rate(),
            samples,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(spec: hound::WavSpec, frames: &[i16]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for sample in frames {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_wav_comes_back_sample_by_sample() {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 22050,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let frames: Vec<i16> = (0..2000).map(|n| n * 13).collect();
        let read = read_audio(wav(spec, &frames), None).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].sample_rate, 22050);
        assert!(read[0].samples.iter().eq(frames.iter().step_by(2)));
        assert!(read[1].samples.iter().eq(frames.iter().skip(1).step_by(2)));
    }

    #[test]
    fn what_is_not_audio_is_an_error_that_says_what_to_give() {
        for junk in [
            Vec::new(),
            b"hello".to_vec(),
            vec![0xff; 3000],
            b"RIFF\0\0\0\0WAVE".to_vec(),
        ] {
            let error = read_audio(junk, Some("mp3")).unwrap_err();
            assert!(error.to_string().contains("WAV or MP3"), "{error}");
        }
    }
}
