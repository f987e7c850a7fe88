//! Where rendered samples go: a WAV by hound or an MP3 by LAME, both with their exact length in the header.

use std::io::{Seek, SeekFrom, Write};

use mp3lame_encoder::{
    Bitrate, Builder, DualPcm, Encoder, FlushGap, Mode, MonoPcm, Quality, VbrMode,
    max_required_buffer_size,
};

use callreel_proto::AudioFormat;

use crate::{Error, Profile};

/// The rates that both WAV and MP3 can have.
pub(crate) const SAMPLE_RATES: [u32; 9] = [
    8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
];

/// How MP3s are made. The defaults are the telephone profile: plain left and right, constant bit rate, the fastest of LAME's
/// quality levels, which is also the best for speech at these bit rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mp3Settings {
    /// LAME's quality, 0 (slowest) to 9.
    pub quality: u8,
    /// Bit rate of two channels in kbit/s; `None`: by the sample rate.
    pub stereo_kbps: Option<u32>,
    /// Bit rate of one channel in kbit/s; `None`: by the sample rate.
    pub mono_kbps: Option<u32>,
}

impl Default for Mp3Settings {
    fn default() -> Self {
        Self {
            quality: 7,
            stereo_kbps: None,
            mono_kbps: None,
        }
    }
}

impl Mp3Settings {
    /// Bit rate in kbit/s: speech of any level keeps a PESQ above 4 at these (docs/performance.md). Below 24 at 8 kHz, or 40 at 16 kHz for one channel,
    /// the smallest frame has no room for the length tag, without which players hear the encoder's delay.
    fn kbps(&self, channels: u16, sample_rate: u32) -> u32 {
        let (stereo, mono) = match sample_rate {
            ..=12_000 => (64, 32),
            12_001..=24_000 => (96, 48),
            _ => (96, 64),
        };
        match channels {
            1 => self.mono_kbps.unwrap_or(mono),
            _ => self.stereo_kbps.unwrap_or(stereo),
        }
    }
}

fn lame(reason: impl std::fmt::Display) -> Error {
    Error::Encoder {
        encoder: "MP3",
        reason: reason.to_string(),
    }
}

fn riff(error: hound::Error) -> Error {
    match error {
        hound::Error::IoError(e) => Error::Write(e),
        other => Error::Encoder {
            encoder: "WAV",
            reason: other.to_string(),
        },
    }
}

/// An open file of either format.
pub(crate) enum Sink<W: Write + Seek> {
    Wav(hound::WavWriter<W>),
    Mp3(Box<Mp3<W>>),
}

impl<W: Write + Seek> Sink<W> {
    /// Opens the file that `profile` asks for, with this rate.
    pub(crate) fn open(
        out: W,
        channels: u16,
        sample_rate: u32,
        profile: &Profile,
    ) -> Result<Self, Error> {
        if !SAMPLE_RATES.contains(&sample_rate) {
            return Err(Error::Profile(format!(
                "{sample_rate} Hz is not a sample rate of WAV and MP3; use one of {SAMPLE_RATES:?}"
            )));
        }
        match profile.format {
            AudioFormat::Wav => Self::wav(out, channels, sample_rate),
            AudioFormat::Mp3 => Self::mp3(out, channels, sample_rate, &profile.mp3),
        }
    }

    fn wav(out: W, channels: u16, sample_rate: u32) -> Result<Self, Error> {
        let spec = hound::WavSpec {
            channels,
            sample_rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        hound::WavWriter::new(out, spec)
            .map(Self::Wav)
            .map_err(riff)
    }

    fn mp3(out: W, channels: u16, sample_rate: u32, settings: &Mp3Settings) -> Result<Self, Error> {
        Mp3::new(out, channels, sample_rate, settings).map(|mp3| Self::Mp3(Box::new(mp3)))
    }

    /// Writes a block: one or two channels of equal length.
    pub(crate) fn write(&mut self, left: &[i16], right: Option<&[i16]>) -> Result<(), Error> {
        match self {
            Self::Wav(wav) => {
                let channels = 1 + right.is_some() as usize;
                let samples = u32::try_from(left.len() * channels).map_err(lame)?;
                let mut block = wav.get_i16_writer(samples);
                for (n, sample) in left.iter().enumerate() {
                    block.write_sample(*sample);
                    if let Some(right) = right {
                        block.write_sample(right[n]);
                    }
                }
                block.flush().map_err(riff)
            }
            Self::Mp3(mp3) => mp3.write(left, right),
        }
    }

    /// Writes what is left and the header.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self {
            Self::Wav(wav) => wav.finalize().map_err(riff),
            Self::Mp3(mp3) => mp3.finish(),
        }
    }
}

pub(crate) struct Mp3<W> {
    encoder: Encoder,
    out: W,
    start: u64,
    encoded: Vec<u8>,
}

impl<W: Write + Seek> Mp3<W> {
    fn new(
        mut out: W,
        channels: u16,
        sample_rate: u32,
        settings: &Mp3Settings,
    ) -> Result<Self, Error> {
        let kbps = settings.kbps(channels, sample_rate);
        let encoder = build(channels, sample_rate, kbps, settings.quality)?;
        if !has_room_for_tag(channels, sample_rate, kbps) {
            return Err(Error::Profile(format!(
                "{kbps} kbit/s at {sample_rate} Hz leaves no room for the tag that holds the exact length; use a higher bit rate"
            )));
        }
        Ok(Self {
            start: out.stream_position()?,
            encoder,
            out,
            encoded: Vec::new(),
        })
    }

    fn write(&mut self, left: &[i16], right: Option<&[i16]>) -> Result<(), Error> {
        self.encoded.clear();
        self.encoded.reserve(max_required_buffer_size(left.len()));
        let written = match right {
            Some(right) => self
                .encoder
                .encode_to_vec(DualPcm { left, right }, &mut self.encoded),
            None => self.encoder.encode_to_vec(MonoPcm(left), &mut self.encoded),
        };
        written.map_err(lame)?;
        self.out.write_all(&self.encoded)?;
        Ok(())
    }

    fn finish(mut self) -> Result<(), Error> {
        self.encoded.clear();
        self.encoded.reserve(max_required_buffer_size(0));
        self.encoder
            .flush_to_vec::<FlushGap>(&mut self.encoded)
            .map_err(lame)?;
        self.out.write_all(&self.encoded)?;
        // LAME left an empty frame in front; now that the length is known, its tag goes there.
        let mut tag = Vec::with_capacity(self.encoder.lame_tag_size());
        self.encoder
            .lame_tag_encode_to_vec(&mut tag)
            .ok_or_else(|| lame("it gave no length tag"))?;
        self.out.seek(SeekFrom::Start(self.start))?;
        self.out.write_all(&tag)?;
        self.out.seek(SeekFrom::End(0))?;
        self.out.flush()?;
        Ok(())
    }
}

/// Whether LAME's tag (156 bytes behind header and side information) fits into one frame; otherwise LAME leaves it out without a word.
fn has_room_for_tag(channels: u16, sample_rate: u32, kbps: u32) -> bool {
    let (samples_per_frame, side_information) = match (sample_rate, channels) {
        (32_000.., 1) => (1152, 17),
        (32_000.., _) => (1152, 32),
        (_, 1) => (576, 9),
        (_, _) => (576, 17),
    };
    let frame_bytes = samples_per_frame / 8 * kbps * 1000 / sample_rate;
    frame_bytes >= 4 + side_information + 156
}

fn build(channels: u16, sample_rate: u32, kbps: u32, quality: u8) -> Result<Encoder, Error> {
    let quality = quality_of(quality)?;
    let bitrate = bitrate_of(kbps)?;
    let mode = if channels == 1 {
        Mode::Mono
    } else {
        Mode::Stereo
    };
    Builder::new()
        .ok_or_else(|| lame("it could not be created"))?
        .with_num_channels(if channels == 1 { 1 } else { 2 })
        .and_then(|b| b.with_sample_rate(sample_rate))
        .and_then(|b| b.with_output_sample_rate(std::num::NonZeroU32::new(sample_rate)))
        .and_then(|b| b.with_brate(bitrate))
        .and_then(|b| b.with_mode(mode))
        .and_then(|b| b.with_vbr_mode(VbrMode::Off))
        .and_then(|b| b.with_quality(quality))
        .and_then(|b| b.with_to_write_vbr_tag(true))
        .and_then(Builder::build)
        .map_err(lame)
}

fn quality_of(quality: u8) -> Result<Quality, Error> {
    Ok(match quality {
        0 => Quality::Best,
        1 => Quality::SecondBest,
        2 => Quality::NearBest,
        3 => Quality::VeryNice,
        4 => Quality::Nice,
        5 => Quality::Good,
        6 => Quality::Decent,
        7 => Quality::Ok,
        8 => Quality::SecondWorst,
        9 => Quality::Worst,
        other => {
            return Err(Error::Profile(format!(
                "{other} is not an MP3 quality; use 0 to 9"
            )));
        }
    })
}

fn bitrate_of(kbps: u32) -> Result<Bitrate, Error> {
    Ok(match kbps {
        8 => Bitrate::Kbps8,
        16 => Bitrate::Kbps16,
        24 => Bitrate::Kbps24,
        32 => Bitrate::Kbps32,
        40 => Bitrate::Kbps40,
        48 => Bitrate::Kbps48,
        64 => Bitrate::Kbps64,
        80 => Bitrate::Kbps80,
        96 => Bitrate::Kbps96,
        112 => Bitrate::Kbps112,
        128 => Bitrate::Kbps128,
        160 => Bitrate::Kbps160,
        192 => Bitrate::Kbps192,
        224 => Bitrate::Kbps224,
        256 => Bitrate::Kbps256,
        320 => Bitrate::Kbps320,
        other => {
            return Err(Error::Profile(format!(
                "{other} kbit/s is not an MP3 bit rate; use 24, 32, 40, 48, 64, 80, 96 or 128"
            )));
        }
    })
}
