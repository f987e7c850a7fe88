//! Files of every shape a switch may send, and what becomes of them.

use std::{io::Cursor, sync::LazyLock};

use callreel_proto::AudioFormat;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{AudioReader, Pcm, read_audio};

const LEFT_HZ: f64 = 440.0;
const RIGHT_HZ: f64 = 1000.0;

fn sample(hz: f64, n: u32, rate: u32) -> i16 {
    let turn = f64::from(n) / f64::from(rate) * hz * std::f64::consts::TAU;
    (turn.sin() * 8000.0) as i16
}

/// A file of 1.5 s with a tone of its own on each channel.
fn file(format: AudioFormat, rate: u32, channels: u16) -> Vec<u8> {
    let have = AudioShape {
        format: None,
        sample_rate: rate,
        channels,
    };
    let tone = |hz| (0..rate * 3 / 2).map(|n| sample(hz, n, rate)).collect();
    let block: Vec<Vec<i16>> = [LEFT_HZ, RIGHT_HZ].map(tone).into();
    let asked = if channels == 2 {
        Channels::Stereo
    } else {
        Channels::Mono
    };
    let mut out = Cursor::new(Vec::new());
    let mut converter = Converter::new(have, &profile(format, None), asked, &mut out).unwrap();
    converter.push(&block[..usize::from(channels)]).unwrap();
    converter.finish().unwrap();
    out.into_inner()
}

fn profile(format: AudioFormat, sample_rate: Option<u32>) -> Profile {
    Profile {
        format,
        sample_rate,
        ..Profile::default()
    }
}

fn convert(file: Vec<u8>, profile: &Profile, channels: Channels) -> (AudioShape, Vec<Pcm>) {
    let mut reader = AudioReader::open(Cursor::new(file), None).unwrap();
    let mut out = Cursor::new(Vec::new());
    let mut converter = Converter::new(reader.shape(), profile, channels, &mut out).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        converter.push(block).unwrap();
    }
    converter.finish().unwrap();
    assert_eq!(reader.duration_ms(), 1500);
    let made = out.into_inner();
    let shape = AudioReader::open(Cursor::new(made.clone()), None)
        .unwrap()
        .shape();
    assert_eq!(shape, reader.shape().asked(profile, channels));
    (shape, read_audio(made, None).unwrap())
}

/// The amplitude of one frequency.
fn strength(pcm: &Pcm, hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in (0u32..).zip(&pcm.samples) {
        let turn = std::f64::consts::TAU * hz * f64::from(n) / f64::from(pcm.sample_rate);
        re += f64::from(*sample) * turn.cos();
        im += f64::from(*sample) * turn.sin();
    }
    2.0 * re.hypot(im) / pcm.samples.len() as f64
}

fn assert_hears(pcm: &Pcm, tones: &[f64]) {
    assert_eq!(pcm.samples.len(), pcm.sample_rate as usize * 3 / 2);
    for hz in [LEFT_HZ, RIGHT_HZ] {
        let heard = strength(pcm, hz);
        if tones.contains(&hz) {
            assert!((7000.0..9000.0).contains(&heard), "{hz} Hz at {heard}");
        } else {
            assert!(heard < 300.0, "{hz} Hz leaks at {heard}");
        }
    }
}

#[test]
fn every_format_becomes_every_format_at_any_rate_and_keeps_its_length_and_its_voices() {
    for from in [AudioFormat::Wav, AudioFormat::Mp3] {
        for to in [AudioFormat::Wav, AudioFormat::Mp3] {
            for (rate, asked) in [(8000, None), (16_000, Some(8000)), (44_100, Some(16_000))] {
                let file = file(from, rate, 2);
                let profile = profile(to, asked);
                let (shape, heard) = convert(file, &profile, Channels::Stereo);
                assert_eq!(shape.format, Some(to));
                assert_eq!(shape.sample_rate, asked.unwrap_or(rate));
                assert_hears(&heard[0], &[LEFT_HZ]);
                assert_hears(&heard[1], &[RIGHT_HZ]);
            }
        }
    }
}

#[test]
fn audio_at_another_rate_stays_in_its_place() {
    for (from, to) in [(16_000, 8000), (44_100, 16_000), (8000, 48_000)] {
        let wav = profile(AudioFormat::Wav, Some(to));
        let (_, heard) = convert(file(AudioFormat::Wav, from, 1), &wav, Channels::Mono);
        let inner = to / 10..to * 14 / 10;
        let error = |n| i32::from(heard[0].samples[n as usize]) - i32::from(sample(LEFT_HZ, n, to));
        let worst = inner.map(|n| error(n).abs()).max().unwrap();
        assert!(worst < 100, "{from} to {to}: off by {worst}");
    }
}

#[test]
fn channels_are_mixed_chosen_and_doubled_as_asked() {
    let wav = profile(AudioFormat::Wav, None);
    let two = || file(AudioFormat::Wav, 8000, 2);
    let one = || file(AudioFormat::Wav, 8000, 1);
    let (_, mixed) = convert(two(), &wav, Channels::Mono);
    assert_eq!(mixed.len(), 1);
    assert_hears(&mixed[0], &[LEFT_HZ, RIGHT_HZ]);
    let (_, caller) = convert(two(), &wav, Channels::Caller);
    assert_hears(&caller[0], &[LEFT_HZ]);
    let (_, callee) = convert(two(), &wav, Channels::Callee);
    assert_eq!(callee.len(), 1);
    assert_hears(&callee[0], &[RIGHT_HZ]);
    let (_, anyone) = convert(one(), &wav, Channels::Callee);
    assert_hears(&anyone[0], &[LEFT_HZ]);
    let (_, doubled) = convert(one(), &wav, Channels::Stereo);
    assert_hears(&doubled[0], &[LEFT_HZ]);
    assert_eq!(doubled[0], doubled[1]);
    let (_, same) = convert(one(), &wav, Channels::Mono);
    assert_hears(&same[0], &[LEFT_HZ]);
}

/// A WAV in G.711, as a switch may be told to record: `law` is 6 (a-law) or 7 (µ-law).
fn g711(law: u8, codec: crate::Codec) -> Vec<u8> {
    let tone: Vec<i16> = (0..12_000).map(|n| sample(LEFT_HZ, n, 8000)).collect();
    let mut data = Vec::new();
    crate::Encoder::new(codec).encode(&tone, &mut data);
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((38 + 12_000u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(18u32.to_le_bytes());
    file.extend([law, 0, 1, 0]);
    file.extend(8000u32.to_le_bytes());
    file.extend(8000u32.to_le_bytes());
    file.extend([1, 0, 8, 0, 0, 0]);
    file.extend(b"data");
    file.extend(12_000u32.to_le_bytes());
    file.extend(data);
    file
}

#[test]
fn g711_in_a_wav_is_no_wav_of_ours_and_becomes_one() {
    for (law, codec) in [(6, crate::Codec::Pcma), (7, crate::Codec::Pcmu)] {
        let file = g711(law, codec);
        let shape = AudioReader::open(Cursor::new(file.clone()), None)
            .unwrap()
            .shape();
        assert_eq!(shape.format, None);
        let (_, heard) = convert(file, &profile(AudioFormat::Wav, None), Channels::Mono);
        assert_hears(&heard[0], &[LEFT_HZ]);
    }
}

#[test]
fn what_cannot_be_a_call_is_refused_before_anything_is_made_of_it() {
    let refused = |sample_rate, channels| {
        let have = AudioShape {
            format: None,
            sample_rate,
            channels,
        };
        let out = Cursor::new(Vec::new());
        let converter = Converter::new(have, &Profile::default(), Channels::Stereo, out);
        converter.err().unwrap().to_string()
    };
    assert_eq!(
        refused(8000, 6),
        "cannot decode the audio: a call has one or two channels of 4000 to 192000 Hz, this has 6 of 8000 Hz; give a WAV or MP3 file"
    );
    assert!(refused(1, 1).contains("1 of 1 Hz"));
    assert!(refused(u32::MAX, 2).contains("2 of 4294967295 Hz"));
    let odd = profile(AudioFormat::Mp3, Some(8001));
    let have = AudioShape {
        format: None,
        sample_rate: 8000,
        channels: 1,
    };
    let made = Converter::new(have, &odd, Channels::Mono, Cursor::new(Vec::new()));
    assert!(matches!(made.err(), Some(Error::Profile(_))));
}

#[test]
fn a_rate_recordings_cannot_have_becomes_the_nearest_below_it() {
    let shape = |sample_rate| AudioShape {
        format: None,
        sample_rate,
        channels: 1,
    };
    let asked = |rate| {
        let asked = shape(rate).asked(&Profile::default(), Channels::Mono);
        asked.sample_rate
    };
    assert_eq!((asked(96_000), asked(16_000)), (48_000, 16_000));
    assert_eq!((asked(15_999), asked(6000)), (12_000, 8000));
}

proptest! {
    #[test]
    fn a_damaged_file_is_an_error_or_audio_and_never_more(
        mp3: bool,
        damage in vec((0usize..4096, any::<u8>()), 1..20),
        cut in 0usize..30_000,
    ) {
        static FILES: LazyLock<[Vec<u8>; 2]> =
            LazyLock::new(|| [AudioFormat::Wav, AudioFormat::Mp3].map(|format| file(format, 8000, 2)));
        let mut file = FILES[usize::from(mp3)].clone();
        file.truncate(cut);
        for (at, byte) in damage {
            if let Some(hit) = file.get_mut(at) {
                *hit = byte;
            }
        }
        if let Ok(channels) = read_audio(file, None) {
            let samples: usize = channels.iter().map(|pcm| pcm.samples.len()).sum();
            prop_assert!(samples < 1_000_000);
        }
    }
}
