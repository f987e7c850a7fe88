//! Ears: decodes a file with ffmpeg (a witness not of our making) and finds tones in it.

use std::io::Write;

use super::run;

/// Tests listen at this rate whatever the file has.
const RATE: u32 = 8000;
/// A tone is looked for in steps of this many samples (10 ms).
const STEP: usize = 80;
/// Each look covers this many samples (40 ms).
const WINDOW: usize = 320;

/// Decoded audio.
#[derive(Debug)]
pub(crate) struct Heard {
    /// One vector per channel, −1…1.
    pub(crate) channels: Vec<Vec<f32>>,
    /// Sample rate of the file itself.
    pub(crate) file_rate: u32,
    /// Codec of the file, as ffprobe names it.
    pub(crate) codec: String,
}

/// Decodes a file's bytes.
pub(crate) fn listen(bytes: &[u8]) -> Heard {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = file.path().to_str().unwrap();
    let probe = run(
        "ffprobe",
        &[
            "-v",
            "error",
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
            "-i",
            path,
            "-f",
            "s16le",
            "-ar",
            &RATE.to_string(),
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
    }
}

impl Heard {
    /// Length in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.channels[0].len() as f64 / f64::from(RATE)
    }

    /// Where a tone of this frequency sounds in a channel: spans in seconds. Interruptions under 60 ms are bridged.
    pub(crate) fn tone(&self, channel: usize, hz: f32) -> Vec<(f64, f64)> {
        // Half a window of silence around the file, so that a tone is heard to its very edges.
        let audio = [
            &[0.0; WINDOW / 2],
            &self.channels[channel][..],
            &[0.0; WINDOW / 2],
        ]
        .concat();
        let mut spans: Vec<(f64, f64)> = Vec::new();
        for (step, window) in audio.windows(WINDOW).step_by(STEP).enumerate() {
            if !is_tone(window, hz) {
                continue;
            }
            let centre = (step * STEP) as f64 / f64::from(RATE);
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

    /// Loudness of a stretch of a channel: root mean square, 0…1.
    pub(crate) fn loudness(&self, channel: usize, from_s: f64, to_s: f64) -> f32 {
        let at = |s: f64| ((s * f64::from(RATE)) as usize).min(self.channels[channel].len());
        let part = &self.channels[channel][at(from_s)..at(to_s)];
        assert!(!part.is_empty(), "nothing between {from_s} and {to_s}");
        (part.iter().map(|x| x * x).sum::<f32>() / part.len() as f32).sqrt()
    }
}

/// Whether most of a window's energy is at this frequency (Goertzel).
fn is_tone(window: &[f32], hz: f32) -> bool {
    let energy: f32 = window.iter().map(|x| x * x).sum();
    if energy / (window.len() as f32) < 1e-5 {
        return false;
    }
    let w = 2.0 * std::f32::consts::PI * hz / RATE as f32;
    let coefficient = 2.0 * w.cos();
    let (mut s1, mut s2) = (0.0f32, 0.0f32);
    for x in window {
        (s1, s2) = (x + coefficient * s1 - s2, s1);
    }
    let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    2.0 * power / (window.len() as f32 * energy) > 0.6
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
fn mulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs() + 132).min(32_635 + 132);
    let mut exponent = 7;
    while exponent > 0 && magnitude & (0x80 << exponent) == 0 {
        exponent -= 1;
    }
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

/// Writes samples as a WAV file.
pub(crate) fn write_wav(path: &std::path::Path, samples: &[i16], rate: u32) {
    let bytes = u32::try_from(samples.len() * 2).unwrap();
    let mut wav = Vec::new();
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + bytes).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&rate.to_le_bytes());
    wav.extend_from_slice(&(rate * 2).to_le_bytes());
    wav.extend_from_slice(b"\x02\0\x10\0data");
    wav.extend_from_slice(&bytes.to_le_bytes());
    for sample in samples {
        wav.extend_from_slice(&sample.to_le_bytes());
    }
    std::fs::write(path, wav).unwrap();
}
