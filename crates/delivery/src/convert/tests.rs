//! Files a switch may send, and what they become.

use std::fs;

use callreel_proto::{AudioFormat, Channels, EndReason};
use callreel_spool::{Promise, Source, SpoolConfig, Writer};
use sha2::Digest as _;

use super::*;
use crate::testing;

struct Arrived {
    _dir: tempfile::TempDir,
    spool: View,
    ticket: Box<Ticket>,
}

fn arrived(file: &[u8], change: impl FnOnce(&mut Promise)) -> Arrived {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(dir.path(), &SpoolConfig::default()).unwrap();
    let ticket = testing::ended_on_switch(&writer, change);
    let spool = writer.view().clone();
    fs::write(spool.switch_file_path(&ticket), file).unwrap();
    Arrived {
        _dir: dir,
        spool,
        ticket,
    }
}

impl Arrived {
    fn render(&self) -> Result<Rendered, Failure> {
        crate::render::render(&self.spool, &self.ticket, &AtomicBool::new(false))
    }

    fn made(&self) -> Vec<u8> {
        fs::read(self.spool.rendition_path(&self.ticket)).unwrap()
    }

    /// What lies in the recording's folder.
    fn names(&self) -> Vec<String> {
        let path = self.spool.switch_file_path(&self.ticket);
        let dir = fs::read_dir(path.parent().unwrap()).unwrap();
        let mut names: Vec<_> = dir
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_file_that_is_what_was_asked_for_is_taken_over_byte_for_byte() {
    for format in [AudioFormat::Wav, AudioFormat::Mp3] {
        // What follows the audio is the switch's own and stays, too.
        let mut file = testing::tone(format);
        file.extend(b"LIST\x04\0\0\0INFO");
        let arrived = arrived(&file, |promise| promise.format = format);
        let Ok(Rendered::File(info)) = arrived.render() else {
            panic!("{:?}", arrived.render());
        };
        assert!(arrived.made() == file);
        assert_eq!(info.bytes, file.len() as u64);
        assert_eq!(info.sha256, hex::encode(sha2::Sha256::digest(&file)));
        let shape = (info.duration_ms, info.sample_rate, info.channels);
        assert_eq!(shape, (500, 8000, 2));
        let kept = ["call_recording_x%40y.wav", "switch-file", "ticket.json"];
        assert_eq!(arrived.names(), kept);
    }
}

#[test]
fn a_masked_message_is_silent_though_its_switch_cannot_mask() {
    for (in_turn, silent) in [(true, true), (false, false)] {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path(), &SpoolConfig::default()).unwrap();
        let mut ticket = testing::ticket(|promise| {
            promise.source = Source::Switch(SwitchFile {
                in_turn,
                ..SwitchFile::default()
            });
        });
        ticket.masked(100_000_000, None).unwrap();
        ticket.unmasked(300_000_000, None).unwrap();
        ticket.end(500_000_000, EndReason::Stopped).unwrap();
        writer.create_ticket(&ticket).unwrap();
        let spool = writer.view().clone();
        let path = spool.switch_file_path(&ticket);
        fs::write(&path, testing::tone(AudioFormat::Wav)).unwrap();
        crate::render::render(&spool, &ticket, &AtomicBool::new(false)).unwrap();
        let made = fs::read(spool.rendition_path(&ticket)).unwrap();
        // Stereo samples of 16 bits at 8 kHz behind a head of 44 bytes.
        let at = |ms: usize| 44 + ms * 32;
        let is_silent = |from, until| made[at(from)..at(until)].iter().all(|byte| *byte == 0);
        assert_eq!(is_silent(100, 300), silent);
        assert!(!is_silent(0, 95) && !is_silent(305, 495));
    }
}

#[test]
fn keys_are_taken_out_of_a_file_that_else_is_what_was_asked_for() {
    let rate = 8000.0;
    let hum = |hz: f64, n: u32| (std::f64::consts::TAU * hz * f64::from(n) / rate).sin() * 6000.0;
    // A key, 200 ms, in the middle of a second of silence.
    let key = |n: u32| match n {
        3200..4800 => (hum(697.0, n) + hum(1209.0, n)) as i16,
        _ => 0,
    };
    let pcm: Vec<i16> = (0..8000).map(key).collect();
    let file = testing::encoded(AudioFormat::Wav, &[pcm.clone(), vec![0; 8000]]);
    let arrived = arrived(&file, |promise| promise.redact_dtmf = true);
    let Ok(Rendered::File(info)) = arrived.render() else {
        panic!("{:?}", arrived.render());
    };
    let heard = callreel_media::read_audio(arrived.made(), None).unwrap();
    assert_eq!(heard[0].samples.len(), 8000);
    assert_eq!(callreel_media::level(&heard[0].samples), 0);
    let spans = info.report.unwrap().redacted_ms;
    let [(from, until)] = spans[..] else {
        panic!("{spans:?}");
    };
    assert!(
        (360..=400).contains(&from) && (600..=640).contains(&until),
        "{spans:?}"
    );
}

#[test]
fn another_file_becomes_what_was_asked_for_and_the_switchs_stays() {
    let file = testing::tone(AudioFormat::Wav);
    let arrived = arrived(&file, |promise| {
        promise.format = AudioFormat::Mp3;
        promise.channels = Channels::Mono;
        promise.sample_rate = Some(16_000);
    });
    let Ok(Rendered::File(info)) = arrived.render() else {
        panic!("{:?}", arrived.render());
    };
    let shape = (info.duration_ms, info.sample_rate, info.channels);
    assert_eq!(shape, (500, 16_000, 1));
    let heard = callreel_media::read_audio(arrived.made(), None).unwrap();
    assert_eq!((heard.len(), heard[0].samples.len()), (1, 8000));
    assert!(callreel_media::level(&heard[0].samples) > 3000);
    assert!(fs::read(arrived.spool.switch_file_path(&arrived.ticket)).unwrap() == file);
}

#[test]
fn the_minimum_counts_what_is_heard_not_what_was_told() {
    for format in [AudioFormat::Wav, AudioFormat::Mp3] {
        let shorter = arrived(&testing::tone(AudioFormat::Wav), |promise| {
            promise.format = format;
            promise.min_ms = 501;
        });
        assert_eq!(shorter.render(), Ok(Rendered::TooShort));
        assert_eq!(shorter.names(), ["switch-file", "ticket.json"]);
    }
    let enough = arrived(&testing::tone(AudioFormat::Wav), |promise| {
        promise.min_ms = 500
    });
    assert!(matches!(enough.render(), Ok(Rendered::File(_))));
}

#[test]
fn what_cannot_be_heard_is_named_with_its_origin_and_kept() {
    let noise: Vec<u8> = (0..40_000u32).map(|n| ((n * n) >> 5) as u8).collect();
    for junk in [&b""[..], b"404 Not Found", &noise] {
        let arrived = arrived(junk, |_| {});
        let Err(Failure::Suspect(reason)) = arrived.render() else {
            panic!("{:?}", arrived.render());
        };
        let said = "/tmp/0f1e.wav of freeswitch@fs1: cannot decode the audio: ";
        assert!(reason.starts_with(said), "{reason}");
        assert_eq!(arrived.names(), ["switch-file", "ticket.json"]);
    }
}

#[test]
fn a_stop_breaks_off_and_leaves_nothing_half_made() {
    for format in [AudioFormat::Wav, AudioFormat::Mp3] {
        let arrived = arrived(&testing::tone(AudioFormat::Wav), |p| p.format = format);
        let stopped =
            crate::render::render(&arrived.spool, &arrived.ticket, &AtomicBool::new(true));
        assert_eq!(stopped, Err(Failure::Stopped));
        assert_eq!(arrived.names(), ["switch-file", "ticket.json"]);
    }
}

#[test]
fn a_file_that_is_not_there_may_still_come() {
    let arrived = arrived(b"", |_| {});
    fs::remove_file(arrived.spool.switch_file_path(&arrived.ticket)).unwrap();
    assert!(matches!(arrived.render(), Err(Failure::Passing(_))));
}

#[test]
fn a_sealed_file_becomes_what_it_would_without_its_seal_and_a_spoilt_one_nothing() {
    for (format, same) in [(AudioFormat::Wav, true), (AudioFormat::Mp3, false)] {
        let tone = testing::tone(AudioFormat::Wav);
        let plain = arrived(&tone, |promise| promise.format = format);
        let Ok(Rendered::File(expected)) = plain.render() else {
            panic!("{:?}", plain.render());
        };
        let mut sealed = arrived(b"", |promise| promise.format = format);
        fs::remove_file(sealed.spool.switch_file_path(&sealed.ticket)).unwrap();
        sealed.spool = sealed.spool.with_keys(testing::keys());
        let path = sealed.spool.switch_file_path(&sealed.ticket);
        let file = fs::File::create(&path).unwrap();
        let to = sealed.spool.keys().seals_to().unwrap();
        let mut sealing = callreel_spool::Sealing::begin(to, file).unwrap();
        io::Write::write_all(&mut sealing, &tone).unwrap();
        sealing.finish().unwrap();
        let Ok(Rendered::File(info)) = sealed.render() else {
            panic!("{:?}", sealed.render());
        };
        let sealed_bytes = info.sealed_bytes;
        let expected = RenditionInfo {
            sealed_bytes,
            ..expected
        };
        assert_eq!(info, expected);
        assert_eq!(info.bytes == tone.len() as u64, same);
        let kept = [
            "call_recording_x%40y.wav.age",
            "switch-file.age",
            "ticket.json",
        ];
        assert_eq!(sealed.names(), kept);

        let mut spoilt = fs::read(&path).unwrap();
        let middle = spoilt.len() / 2;
        spoilt[middle] ^= 1;
        fs::write(&path, &spoilt).unwrap();
        let Err(Failure::Suspect(why)) = sealed.render() else {
            panic!("what was changed is no audio");
        };
        assert!(why.contains("switch-file.age is damaged"), "{why}");
    }
}
