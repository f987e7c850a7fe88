//! Decodes WAV and MP3 files block by block, gapless: an MP3's encoder delay and padding are trimmed as its tag says.

use std::{
    io::{Cursor, Read, Seek},
    panic::{AssertUnwindSafe, catch_unwind},
};

use callreel_proto::AudioFormat;
use symphonia::{
    core::{
        audio::AudioSpec,
        codecs::audio::{
            AudioCodecId, AudioDecoder, AudioDecoderOptions,
            well_known::{CODEC_ID_MP3, CODEC_ID_PCM_S16LE},
        },
        errors::Error as DecodeError,
        formats::{
            FormatId, FormatOptions, FormatReader, TrackType,
            probe::Hint,
            well_known::{FORMAT_ID_MP3, FORMAT_ID_WAVE},
        },
        io::{MediaSource, MediaSourceStream},
        meta::MetadataOptions,
    },
    default::{get_codecs, get_probe},
};

use crate::{Error, Pcm};

mod source;

use source::Source;

/// Broken frames in a row that a player would skip; more means this is not audio.
const MAX_BROKEN_FRAMES: usize = 50;

/// Runs a piece of the decoder. Where overflows are checked it panics on heads that no honest file has, such as 60,000 channels.
fn guarded<T>(decode: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    decoded.unwrap_or_else(|_| Err(undecodable("its numbers make no sense")))
}

fn undecodable(reason: impl std::fmt::Display) -> Error {
    Error::Undecodable(reason.to_string())
}

/// What kind of audio file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioShape {
    /// One of the formats recordings have; `None` for others that can be decoded, such as WAV in µ-law, or one whose
    /// writer died before it wrote the lengths into its head.
    pub format: Option<AudioFormat>,
    /// Samples per second.
    pub sample_rate: u32,
    /// How many.
    pub channels: u16,
}

/// An audio file that is being decoded. Its memory does not grow with the file.
pub struct AudioReader {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    spec: AudioSpec,
    shape: AudioShape,
    block: Vec<Vec<i16>>,
    /// The block was decoded to learn the shape, and nobody has seen it yet.
    unseen: bool,
    frames: u64,
}

impl AudioReader {
    /// Reads the head of a file and its first audio.
    ///
    /// `hint_extension` (such as `mp3`, without the dot) helps to tell formats apart; a wrong one does no harm.
    ///
    /// # Errors
    /// [`Error::Undecodable`] when the bytes are neither WAV nor MP3 or hold no audio.
    pub fn open(
        from: impl Read + Seek + Send + Sync + 'static,
        hint_extension: Option<&str>,
    ) -> Result<Self, Error> {
        guarded(|| Self::open_unguarded(from, hint_extension))
    }

    fn open_unguarded(
        from: impl Read + Seek + Send + Sync + 'static,
        hint_extension: Option<&str>,
    ) -> Result<Self, Error> {
        let source = Source::new(from).map_err(undecodable)?;
        let is_finished = !source.is_unfinished();
        let (mut format, mut decoder, track_id) = probe(source, hint_extension)?;
        let mut block = Vec::new();
        let spec = next_block(format.as_mut(), decoder.as_mut(), track_id, &mut block)?
            .ok_or_else(|| undecodable("there is no audio in it"))?;
        let codec = decoder.codec_params().codec;
        Ok(Self {
            shape: AudioShape {
                format: recording_format(format.format_info().format, codec)
                    .filter(|_| is_finished),
                sample_rate: spec.rate(),
                channels: u16::try_from(block.len()).unwrap_or(u16::MAX),
            },
            frames: 0,
            unseen: true,
            format,
            decoder,
            track_id,
            spec,
            block,
        })
    }

    /// What kind of file it is.
    pub fn shape(&self) -> AudioShape {
        self.shape
    }

    /// The next piece of audio: as many samples of each channel; `None` at the end. A file that is cut off ends there.
    ///
    /// # Errors
    /// [`Error::Undecodable`] when too much of it is broken, or it changes its shape midway.
    pub fn next_block(&mut self) -> Result<Option<&[Vec<i16>]>, Error> {
        if !std::mem::take(&mut self.unseen) {
            let (format, decoder) = (self.format.as_mut(), self.decoder.as_mut());
            let block = &mut self.block;
            match guarded(|| next_block(format, decoder, self.track_id, block))? {
                None => return Ok(None),
                Some(spec) if spec != self.spec => {
                    return Err(undecodable("its rate or channels change midway"));
                }
                Some(_) => {}
            }
        }
        self.frames += self.block.first().map_or(0, Vec::len) as u64;
        Ok(Some(&self.block))
    }

    /// Length of what was read so far, milliseconds, rounded down.
    pub fn duration_ms(&self) -> u64 {
        let ms = u128::from(self.frames) * 1000 / u128::from(self.shape.sample_rate.max(1));
        u64::try_from(ms).unwrap_or(u64::MAX)
    }
}

type Opened = (Box<dyn FormatReader>, Box<dyn AudioDecoder>, u32);

fn probe(
    source: impl MediaSource + 'static,
    hint_extension: Option<&str>,
) -> Result<Opened, Error> {
    let mut hint = Hint::new();
    if let Some(extension) = hint_extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let format = get_probe()
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
    let decoder = get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(undecodable)?;
    let track_id = track.id;
    Ok((format, decoder, track_id))
}

fn recording_format(container: FormatId, codec: AudioCodecId) -> Option<AudioFormat> {
    match (container, codec) {
        (FORMAT_ID_WAVE, CODEC_ID_PCM_S16LE) => Some(AudioFormat::Wav),
        (FORMAT_ID_MP3, CODEC_ID_MP3) => Some(AudioFormat::Mp3),
        _ => None,
    }
}

/// Decodes the next frame that can be decoded into `block`, one vector per channel.
fn next_block(
    format: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track_id: u32,
    block: &mut Vec<Vec<i16>>,
) -> Result<Option<AudioSpec>, Error> {
    let mut broken_in_a_row = 0;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(None),
            // A file cut off in the middle of a frame ends there.
            Err(DecodeError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(None);
            }
            Err(e) => return Err(undecodable(e)),
        };
        if packet.track_id != track_id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(audio) => {
                audio.copy_to_vecs_planar(block);
                return Ok(Some(audio.spec().clone()));
            }
            Err(DecodeError::DecodeError(_)) if broken_in_a_row < MAX_BROKEN_FRAMES => {
                broken_in_a_row += 1;
            }
            Err(e) => return Err(undecodable(e)),
        }
    }
}

/// Decodes a whole file: one [`Pcm`] per channel, all of the same rate and length.
///
/// # Errors
/// See [`AudioReader::open`] and [`AudioReader::next_block`].
pub fn read_audio(bytes: Vec<u8>, hint_extension: Option<&str>) -> Result<Vec<Pcm>, Error> {
    let mut reader = AudioReader::open(Cursor::new(bytes), hint_extension)?;
    let mut channels: Vec<Vec<i16>> = Vec::new();
    while let Some(block) = reader.next_block()? {
        channels.resize_with(block.len(), Vec::new);
        for (channel, new) in channels.iter_mut().zip(block) {
            channel.extend_from_slice(new);
        }
    }
    let sample_rate = reader.shape().sample_rate;
    let pcm = |samples| Pcm {
        sample_rate,
        samples,
    };
    Ok(channels.into_iter().map(pcm).collect())
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
    fn a_wav_whose_writer_died_is_read_to_its_end() {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let frames: Vec<i16> = (0..5001 * 2).collect();
        let whole = wav(spec, &frames);
        let mut died = whole.clone();
        // As a common library begins a file: no audio, and a head that ends before it has begun.
        died[4..8].copy_from_slice(&8u32.to_le_bytes());
        died[40..44].copy_from_slice(&0u32.to_le_bytes());
        for (file, format) in [(whole, Some(AudioFormat::Wav)), (died, None)] {
            let reader = AudioReader::open(Cursor::new(file.clone()), None).unwrap();
            assert_eq!(reader.shape().format, format);
            let read = read_audio(file, Some("wav")).unwrap();
            assert!(read[0].samples.iter().eq(frames.iter().step_by(2)));
            assert!(read[1].samples.iter().eq(frames.iter().skip(1).step_by(2)));
        }
    }

    #[test]
    fn an_absurd_number_of_channels_is_an_error_and_no_panic() {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let honest = wav(spec, &[1; 400]);
        for channels in [0, 33, 256, 4096, 0x8000, 60_000, u16::MAX] {
            let mut absurd = honest.clone();
            absurd[22..24].copy_from_slice(&channels.to_le_bytes());
            // Hidden behind what a decoder skips, too.
            for file in [absurd.clone(), [b"noise".to_vec(), absurd].concat()] {
                let error = read_audio(file, Some("wav")).unwrap_err();
                assert!(error.to_string().contains("WAV or MP3"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_not_audio_is_an_error_that_says_what_to_give() {
        for junk in [
            Vec::new(),
            b"hello".to_vec(),
            vec![0xff; 3000],
            b"RIFF\0\0\0\0WAVE".to_vec(),
            b"RIFF\x08\0\0\0WAVEdata\0\0\0\0more".to_vec(),
            b"RIFF\x08\0\0\0WAVEjunk\xff\xff\xff\xffmore".to_vec(),
        ] {
            let error = read_audio(junk, Some("mp3")).unwrap_err();
            assert!(error.to_string().contains("WAV or MP3"), "{error}");
        }
    }
}
