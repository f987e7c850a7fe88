//! Ears: decodes a file with ffmpeg (a witness not of our making) and finds tones in it.

use std::io::Write;

use super::run;

/// Tests listen at this rate whatever the file has, unless they want to hear what a telephone cannot.
const RATE: u32 = 8000;
/// A tone is looked for so many times a second.
const LOOKS: u32 = 100;
/// Each look covers this part of a second (40 ms).
const LOOK: u32 = 25;

/// Decoded audio.
#[derive(Debug)]
pub(crate) struct Heard {
    /// One vector per channel, −1…1.
    pub(crate) channels: Vec<Vec<f32>>,
    /// Sample rate of the file itself.
    pub(crate) file_rate: u32,
    /// Codec of the file, as ffprobe names it.
    pub(crate) codec: String,
    /// Samples a second of `channels`.
    rate: u32,
}

/// Decodes a file's bytes.
pub(crate) fn listen(bytes: &[u8]) -> Heard {
    listen_at(bytes, RATE)
}

/// Decodes a file's bytes at this rate.
pub(crate) fn listen_at(bytes: &[u8], listened: u32) -> Heard {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = file.path().to_str().unwrap();
    // Without being told, ffmpeg guesses: one in some hundred MP3s of a tenth of a second is taken for something else.
    let format = if bytes.starts_with(b"RIFF") {
        "wav"
    } else {
        "mp3"
    };
    let probe = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-f",
            format,
            "-show_entries",
            "stream=codec_name,sample_rate,channels",
            "-of",
            "default=nw=1:nk=1",
            path,
        ],
    );
    let probe = String::from_utf8(probe).unwrap();
    let [codec, rate, channels] = probe.lines().collect::<Vec<_>>()[..] else {
        panic!("ffprobe said {probe:?}");
    };
    let count: usize = channels.parse().unwrap();
    let pcm = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            format,
            "-i",
            path,
            "-f",
            "s16le",
            "-ar",
            &listened.to_string(),
            "-",
        ],
    );
    let samples: Vec<f32> = pcm
        .chunks_exact(2)
        .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0)
        .collect();
    let channels = (0..count)
        .map(|c| samples.iter().skip(c).step_by(count).copied().collect())
        .collect();
    Heard {
        channels,
        file_rate: rate.parse().unwrap(),
        codec: codec.to_owned(),
        rate: listened,
    }
}

impl Heard {
    /// What was heard on a telephone: one channel at 8 kHz.
    pub(crate) fn of(samples: Vec<f32>) -> Self {
        Self {
            channels: vec![samples],
            file_rate: RATE,
            codec: "rtp".to_owned(),
            rate: RATE,
        }
    }

    /// Length in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.channels[0].len() as f64 / f64::from(self.rate)
    }

    /// Where a tone of this frequency sounds in a channel: spans in seconds. Interruptions under 60 ms are bridged.
    pub(crate) fn tone(&self, channel: usize, hz: f32) -> Vec<(f64, f64)> {
        let (step, window) = ((self.rate / LOOKS) as usize, (self.rate / LOOK) as usize);
        let edge = vec![0.0; window / 2];
        // Half a window of silence around the file, so that a tone is heard to its very edges.
        let audio = [&edge[..], &self.channels[channel], &edge].concat();
        let mut spans: Vec<(f64, f64)> = Vec::new();
        for (nth, look) in audio.windows(window).step_by(step).enumerate() {
            if !is_tone(look, hz, self.rate) {
                continue;
            }
            let centre = (nth * step) as f64 / f64::from(self.rate);
            match spans.last_mut() {
                Some(last) if centre - last.1 < 0.06 => last.1 = centre,
                _ => spans.push((centre, centre)),
            }
        }
        spans.retain(|(from, to)| to - from > 0.05);
        spans
    }

    /// The one span of a tone.
    pub(crate) fn only_tone(&self, channel: usize, hz: f32) -> (f64, f64) {
        let spans = self.tone(channel, hz);
        assert_eq!(spans.len(), 1, "{hz} Hz in channel {channel}: {spans:?}");
        spans[0]
    }

    /// The part of a channel's loud stretches of a quarter second in which this tone sounds and no other; `None` if there
    /// are none.
    pub(crate) fn share_of(&self, channel: usize, hz: f32) -> Option<f64> {
        let window = (self.rate / 4) as usize;
        let loud =
            |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>() > 1e-3 * part.len() as f32;
        let windows = self.channels[channel].chunks_exact(window);
        let windows: Vec<_> = windows
            .filter(|w| w.chunks_exact(window / 8).all(loud))
            .collect();
        let sounds = windows.iter().filter(|w| is_tone(w, hz, self.rate)).count();
        (!windows.is_empty()).then(|| sounds as f64 / windows.len() as f64)
    }

    /// The amplitude, 0…1, that a frequency has anywhere in a channel, beside whatever else sounds.
    pub(crate) fn loudest_tone(&self, channel: usize, hz: f32) -> f32 {
        let (step, window) = ((self.rate / LOOKS) as usize, (self.rate / LOOK) as usize);
        let looks = self.channels[channel].windows(window).step_by(step);
        // Hann's window, without which a loud tone is heard at every frequency.
        let hann = |n: usize| 1.0 - (2.0 * std::f32::consts::PI * n as f32 / window as f32).cos();
        let powers = looks.map(|look| {
            let faded = look.iter().enumerate().map(|(n, x)| x * hann(n));
            power(&faded.collect::<Vec<_>>(), hz, self.rate)
        });
        2.0 * powers.fold(0.0, f32::max).sqrt() / window as f32
    }

    /// Loudness of a stretch of a channel: root mean square, 0…1.
    pub(crate) fn loudness(&self, channel: usize, from_s: f64, to_s: f64) -> f32 {
        let at = |s: f64| ((s * f64::from(self.rate)) as usize).min(self.channels[channel].len());
        let part = &self.channels[channel][at(from_s)..at(to_s)];
        assert!(!part.is_empty(), "nothing between {from_s} and {to_s}");
        (part.iter().map(|x| x * x).sum::<f32>() / part.len() as f32).sqrt()
    }
}

/// Whether most of a window's energy is at this frequency.
fn is_tone(window: &[f32], hz: f32, rate: u32) -> bool {
    let energy: f32 = window.iter().map(|x| x * x).sum();
    if energy / (window.len() as f32) < 1e-5 {
        return false;
    }
    2.0 * power(window, hz, rate) / (window.len() as f32 * energy) > 0.6
}

/// The energy of a window at this frequency (Goertzel).
fn power(window: &[f32], hz: f32, rate: u32) -> f32 {
    let w = 2.0 * std::f32::consts::PI * hz / rate as f32;
    let coefficient = 2.0 * w.cos();
    let (mut s1, mut s2) = (0.0f32, 0.0f32);
    for x in window {
        (s1, s2) = (x + coefficient * s1 - s2, s1);
    }
    s1 * s1 + s2 * s2 - coefficient * s1 * s2
}

/// A tone as raw G.711 µ-law, the payload sipp streams.
pub(crate) fn mulaw_tone(hz: f32, seconds: f32) -> Vec<u8> {
    sine(hz, seconds).into_iter().map(mulaw).collect()
}

/// A sine of a third of full scale at 8 kHz.
pub(crate) fn sine(hz: f32, seconds: f32) -> Vec<i16> {
    sine_at(hz, seconds, RATE)
}

/// A sine of a third of full scale.
pub(crate) fn sine_at(hz: f32, seconds: f32, rate: u32) -> Vec<i16> {
    let count = (seconds * rate as f32) as usize;
    (0..count)
        .map(|n| {
            let phase = 2.0 * std::f32::consts::PI * hz * n as f32 / rate as f32;
            (phase.sin() * 10_000.0) as i16
        })
        .collect()
}

/// G.711 µ-law (ITU-T G.711 table 2a), written out here so that the tests do not lean on the code they test.
pub(crate) fn mulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs() + 132).min(32_635 + 132);
    let mut exponent = 7;
    while exponent > 0 && magnitude & (0x80 << exponent) == 0 {
        exponent -= 1;
    }
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

/// G.711 µ-law decoded, −1…1.
pub(crate) fn of_mulaw(byte: u8) -> f32 {
    let bits = !byte;
    let magnitude = ((i32::from(bits & 0x0f) << 3) + 132) << ((bits >> 4) & 7);
    let sample = (magnitude - 132) as f32 / 32_768.0;
    if bits & 0x80 == 0 { sample } else { -sample }
}

/// G.711 A-law (ITU-T G.711 table 1a).
pub(crate) fn alaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = i32::from(sample).abs().min(32_767) >> 4;
    let mut segment = 0;
    while magnitude >> (segment + 4) > 0 {
        segment += 1;
    }
    let mantissa = (magnitude >> (segment - 1).max(0)) & 0x0f;
    (sign | (segment << 4) as u8 | mantissa as u8) ^ 0x55
}

/// Writes samples as a WAV file of one channel.
pub(crate) fn write_wav(path: &std::path::Path, samples: &[i16], rate: u32) {
    write_wav_of(path, samples, rate, 1);
}

/// Writes samples as a WAV file of so many channels, which all are the same.
pub(crate) fn write_wav_of(path: &std::path::Path, samples: &[i16], rate: u32, channels: u16) {
    let samples: Vec<i16> = samples
        .iter()
        .flat_map(|sample| vec![*sample; usize::from(channels)])
        .collect();
    let bytes = u32::try_from(samples.len() * 2).unwrap();
    let mut wav = Vec::new();
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + bytes).to_le_bytes());
    let frame = channels * 2;
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0");
    wav.extend_from_slice(&channels.to_le_bytes());
    wav.extend_from_slice(&rate.to_le_bytes());
    wav.extend_from_slice(&(rate * u32::from(frame)).to_le_bytes());
    wav.extend_from_slice(&frame.to_le_bytes());
    wav.extend_from_slice(b"\x10\0data");
    wav.extend_from_slice(&bytes.to_le_bytes());
    for sample in samples {
        wav.extend_from_slice(&sample.to_le_bytes());
    }
    std::fs::write(path, wav).unwrap();
}
