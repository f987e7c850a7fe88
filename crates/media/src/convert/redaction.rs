//! Keys in the files of foreign switches.

use std::io::Cursor;

use callreel_proto::AudioFormat;

use super::*;
use crate::{Pcm, level, read_audio};

fn converted(channels: Channels, redact_dtmf: bool) -> (Vec<Pcm>, Vec<(u64, u64)>) {
    let have = AudioShape {
        format: None,
        sample_rate: 8000,
        channels: 2,
    };
    let profile = Profile {
        format: AudioFormat::Wav,
        redact_dtmf,
        ..Profile::default()
    };
    let tone = |n: usize, hz: f64| (n as f64 / 8000.0 * hz * std::f64::consts::TAU).sin() * 4000.0;
    // The left party presses 5 from 1.0 to 1.2 s; the right one hums all the time.
    let left: Vec<i16> = (0..16_000)
        .map(|n| match n {
            8000..9600 => (tone(n, 770.0) + tone(n, 1336.0)) as i16,
            _ => tone(n, 300.0) as i16,
        })
        .collect();
    let right: Vec<i16> = (0..16_000).map(|n| tone(n, 500.0) as i16).collect();
    let mut out = Cursor::new(Vec::new());
    let mut converter = Converter::new(have, &profile, channels, &mut out).unwrap();
    for (left, right) in left.chunks(777).zip(right.chunks(777)) {
        converter.push(&[left.to_vec(), right.to_vec()]).unwrap();
    }
    let redacted = converter.finish().unwrap();
    (read_audio(out.into_inner(), None).unwrap(), redacted)
}

#[test]
fn keys_are_silenced_on_the_channel_that_has_them() {
    let (plain, none) = converted(Channels::Stereo, false);
    assert!(none.is_empty());
    let (clean, redacted) = converted(Channels::Stereo, true);
    let [(from, until)] = redacted[..] else {
        panic!("one key: {redacted:?}");
    };
    assert!((980..=1000).contains(&from) && (1200..=1220).contains(&until));
    assert_eq!(level(&clean[0].samples[8000..9600]), 0);
    assert!(clean[0].samples[..7800] == plain[0].samples[..7800]);
    assert!(clean[0].samples[9800..] == plain[0].samples[9800..]);
    assert!(clean[1] == plain[1]);
}

#[test]
fn mixed_channels_lose_the_key_and_keep_the_other_voice() {
    let (mixed, _) = converted(Channels::Mono, true);
    let (callee, _) = converted(Channels::Callee, true);
    assert_eq!(mixed[0].samples.len(), 16_000);
    assert!(mixed[0].samples[8000..9600] == callee[0].samples[8000..9600]);
    let (caller, redacted) = converted(Channels::Caller, true);
    assert_eq!(level(&caller[0].samples[8000..9600]), 0);
    assert_eq!(redacted.len(), 1);
}
