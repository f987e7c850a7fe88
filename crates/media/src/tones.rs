//! Tones: the beep, ring-back and every `tone_stream://` a callflow may ask for.

use std::f64::consts::{PI, TAU};

use callreel_proto::Tone;

use crate::{Error, Pcm};

/// Peak of one tone's sum of frequencies: -10 dBFS, as loud as telephone signals usually are.
const PEAK: f64 = 0.316 * 32767.0;
/// Fade at both ends of a tone, so that it does not click.
const RAMP_S: f64 = 0.005;
/// Longest sound made in one go; a document cannot make the switch fill its memory. Longer signals use endless playback.
const MAX_SECONDS: u64 = 300;
/// More frequencies at once are noise, not a signal.
const MAX_FREQUENCIES: usize = 8;

/// Sounds tones one after the other. Frequencies and durations that are not numbers count as absent (silence, no time);
/// the whole is cut off after five minutes.
pub fn tones(spec: &[Tone], sample_rate: u32) -> Pcm {
    let most = MAX_SECONDS * u64::from(sample_rate);
    let mut samples: Vec<i16> = Vec::new();
    for tone in spec {
        let once = one_tone(tone, sample_rate, most);
        for _ in 0..tone.repeat.unwrap_or(1) {
            if once.is_empty() || samples.len() as u64 >= most {
                break;
            }
            samples.extend_from_slice(&once);
        }
    }
    samples.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Pcm {
        sample_rate,
        samples,
    }
}

fn one_tone(tone: &Tone, sample_rate: u32, most: u64) -> Vec<i16> {
    let samples = |ms: &str| {
        let ms = ms.trim().parse::<f64>().unwrap_or(0.0).max(0.0);
        ((ms * f64::from(sample_rate) / 1000.0).round() as u64).min(most)
    };
    let (on, off) = (samples(&tone.duration_on), samples(&tone.duration_off));
    let rate = f64::from(sample_rate.max(1));
    let steps: Vec<f64> = tone
        .frequencies
        .iter()
        .filter_map(|hz| hz.trim().parse::<f64>().ok())
        .filter(|hz| *hz > 0.0 && *hz < rate / 2.0)
        .take(MAX_FREQUENCIES)
        .map(|hz| hz * TAU / rate)
        .collect();
    let ramp = RAMP_S * rate;
    let peak = PEAK / steps.len().max(1) as f64;
    let mut out: Vec<i16> = (0..on)
        .map(|n| {
            let from_edge = (n.min(on - 1 - n) as f64 / ramp).min(1.0);
            let fade = 0.5 - 0.5 * (PI * from_edge).cos();
            let sum: f64 = steps.iter().map(|step| (n as f64 * step).sin()).sum();
            (sum * peak * fade) as i16
        })
        .collect();
    out.resize(usize::try_from(on + off).unwrap_or(usize::MAX), 0);
    out
}

/// A parsed `tone_stream://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToneStream {
    /// One round of it.
    pub tones: Vec<Tone>,
    /// Rounds; `None` means endless.
    pub loops: Option<u32>,
}

fn broken(at: &str, reason: &'static str) -> Error {
    Error::ToneStream {
        at: at.to_owned(),
        reason,
    }
}

/// Reads FreeSWITCH's notation: `tone_stream://%(2000,4000,440,480);loops=-1`. In each `%(on,off,hz…)` times are milliseconds;
/// `L=n` repeats the tones after it, `loops=n` the whole (`-1`: endless). Settings of timbre and volume (`v=`, `>=`, …) are ignored.
///
/// # Errors
/// [`Error::ToneStream`] names the part that does not parse.
pub fn tone_stream(address: &str) -> Result<ToneStream, Error> {
    let text = address.strip_prefix("tone_stream://").unwrap_or(address);
    let mut stream = ToneStream {
        tones: Vec::new(),
        loops: Some(1),
    };
    let mut repeat = None;
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("%(") {
            let (inside, after) = after
                .split_once(')')
                .ok_or_else(|| broken(rest, "the parenthesis is not closed"))?;
            stream.tones.push(tone_of(inside, repeat)?);
            rest = after.trim_start_matches([';', ' ']);
            continue;
        }
        let (part, after) = rest.split_once([';', '%']).map_or((rest, ""), |(part, _)| {
            (part, rest[part.len()..].trim_start_matches([';', ' ']))
        });
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| broken(part, "expected %(on,off,frequency) or key=value"))?;
        let number = value
            .trim()
            .parse::<i64>()
            .map_err(|_| broken(part, "the value is not a number"));
        match key.trim() {
            "loops" => stream.loops = u32::try_from(number?).ok(),
            "L" | "l" => repeat = u64::try_from(number?).ok(),
            _ => {}
        }
        rest = after;
    }
    if stream.tones.is_empty() {
        return Err(broken(text, "there is no tone in it"));
    }
    Ok(stream)
}

fn tone_of(inside: &str, repeat: Option<u64>) -> Result<Tone, Error> {
    let fields: Vec<&str> = inside.split(',').map(str::trim).collect();
    if let Some(field) = fields.iter().find(|f| f.parse::<f64>().is_err()) {
        return Err(broken(field, "expected a number"));
    }
    let [on, off, frequencies @ ..] = fields.as_slice() else {
        return Err(broken(inside, "a tone needs a time on and a time off"));
    };
    Ok(Tone {
        frequencies: frequencies.iter().map(|&hz| hz.to_owned()).collect(),
        duration_on: (*on).to_owned(),
        duration_off: (*off).to_owned(),
        repeat,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;

    /// How strongly a frequency sounds (Goertzel), as a share of the whole.
    fn share(samples: &[i16], hz: f64, rate: u32) -> f64 {
        let step = TAU * hz / f64::from(rate);
        let (mut re, mut im, mut energy) = (0.0, 0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let x = f64::from(*sample);
            re += x * (n as f64 * step).cos();
            im += x * (n as f64 * step).sin();
            energy += x * x;
        }
        2.0 * (re * re + im * im) / (samples.len() as f64 * energy)
    }

    #[test]
    fn the_beep_is_half_a_second_of_440_hz_and_a_pause() {
        for rate in [8000, 16000] {
            let beep = tones(&[Tone::beep()], rate);
            assert_eq!(beep.samples.len(), rate as usize * 6 / 10);
            let (sound, pause) = beep.samples.split_at(rate as usize / 2);
            assert!(share(sound, 440.0, rate) > 0.95);
            assert!(level(sound) > 3000);
            assert_eq!(level(pause), 0);
            assert_eq!(sound[0], 0, "it starts without a click");
        }
    }

    #[test]
    fn a_hostile_spec_is_cut_off() {
        let endless = Tone {
            frequencies: vec!["440".into(), "NaN".into(), "1e300".into(), "-3".into()],
            duration_on: "1e18".into(),
            duration_off: "-7".into(),
            repeat: Some(u64::MAX),
        };
        assert_eq!(
            tones(&[endless.clone(), endless], 100).samples.len(),
            30_000
        );
        let nothing = Tone {
            duration_on: "0".into(),
            duration_off: "x".into(),
            repeat: Some(u64::MAX),
            ..Tone::beep()
        };
        assert!(tones(&[nothing], 8000).samples.is_empty());
    }

    #[test]
    fn freeswitchs_notation_is_read() {
        let ring = tone_stream("tone_stream://%(2000,4000,440,480);loops=-1").unwrap();
        assert_eq!(ring.loops, None);
        assert_eq!(ring.tones[0].frequencies, ["440", "480"]);
        let uk =
            tone_stream("tone_stream://v=-7;%(400,200,400,450);L=2;%(400,2200,400,450);loops=3")
                .unwrap();
        assert_eq!((uk.tones.len(), uk.loops), (2, Some(3)));
        assert_eq!((uk.tones[0].repeat, uk.tones[1].repeat), (None, Some(2)));
        assert_eq!(
            tone_stream("%(500,100,440)%(1,2,3)").unwrap().tones.len(),
            2
        );
    }

    #[test]
    fn a_broken_stream_is_named() {
        for (address, part) in [
            ("tone_stream://%(500,100", "%(500,100"),
            ("tone_stream://%(500)", "500"),
            ("tone_stream://%(a,1,2)", "a"),
            ("tone_stream://beep", "beep"),
            ("tone_stream://loops=x", "loops=x"),
            ("tone_stream://", ""),
        ] {
            let Error::ToneStream { at, .. } = tone_stream(address).unwrap_err() else {
                panic!("another error");
            };
            assert_eq!(at, part, "{address}");
        }
    }
}
