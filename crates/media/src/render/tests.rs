//! What a recording sounds like after everything a network can do to it: placed, aligned, of exact length.

use std::time::Duration;

use callreel_proto::{AudioFormat, Channels, Leg};

use super::*;
use crate::{
    Codec, Pcm, level,
    sample::{MS, Phone, S, Sent, cut, file, journal, likeness, onsets, play, ticks, voice, wav},
};

const CALLER: f64 = 310.0;
const CALLEE: f64 = 450.0;

fn caller() -> Phone {
    Phone::new(Leg::A, Codec::Pcmu)
}

fn callee() -> Phone {
    Phone::new(Leg::B, Codec::Pcmu)
}

fn conversation(seconds: usize) -> Vec<Sent> {
    journal([
        caller().talk(seconds * 50, voice(CALLER)),
        callee().talk(seconds * 50, voice(CALLEE)),
    ])
}

/// A packet spoken at 0 arrives 20 ms later: that is where its sound lies in the file.
const ARRIVAL_S: f64 = -0.02;

fn mp3() -> Profile {
    Profile::default()
}

fn at_rate(profile: Profile, sample_rate: u32) -> Profile {
    Profile {
        sample_rate: Some(sample_rate),
        ..profile
    }
}

#[test]
fn the_caller_is_left_and_the_callee_right_in_both_formats() {
    let journal = conversation(8);
    for (profile, least) in [(wav(), 0.99), (mp3(), 0.93)] {
        let (channels, summary) = play(&journal, cut(0, 8 * S), profile);
        assert_eq!((channels.len(), summary.channels), (2, 2));
        let span = (0.5, 7.5);
        let like = |channel: usize, hz| likeness(&channels[channel], span, ARRIVAL_S, voice(hz));
        for (channel, own, other) in [(0, CALLER, CALLEE), (1, CALLEE, CALLER)] {
            assert!(
                like(channel, own) > least,
                "{channel}: {}",
                like(channel, own)
            );
            assert!(like(channel, other).abs() < 0.1, "{channel} leaks");
        }
        assert!(summary.worst_misalignment < Duration::from_millis(1));
    }
}

#[test]
fn the_length_is_the_cuts_to_the_sample_whatever_came() {
    let journal = conversation(3);
    for length_ms in [0, 1, 71, 72, 999, 1000, 2345, 5000] {
        for rate in [8000, 16_000, 44_100] {
            for profile in [wav(), mp3()] {
                for channels in [
                    Channels::Stereo,
                    Channels::Mono,
                    Channels::Caller,
                    Channels::Callee,
                ] {
                    let cut = Cut {
                        channels,
                        ..cut(300 * MS, (300 + length_ms) * MS)
                    };
                    let (bytes, summary) = file(&journal, cut, at_rate(profile, rate));
                    let samples = length_ms * u64::from(rate) / 1000
                        + u64::from(rate == 44_100 && length_ms % 10 * 441 % 10 >= 5);
                    let case = format!(
                        "{length_ms} ms, {rate} Hz, {channels:?}, {}",
                        profile.format
                    );
                    assert_eq!(summary.samples, samples, "{case}");
                    assert_eq!(summary.sample_rate, rate);
                    if samples > 0 {
                        let played = crate::read_audio(bytes, None).unwrap();
                        assert_eq!(played.len(), usize::from(summary.channels), "{case}");
                        assert_eq!(played[0].samples.len() as u64, samples, "{case}");
                        assert_eq!(played[0].sample_rate, rate);
                    } else {
                        assert!(!bytes.is_empty(), "{case}: still a file");
                    }
                }
            }
        }
    }
}

#[test]
fn mp3_audio_lies_where_wav_audio_lies() {
    let journal = journal([
        caller().talk(500, ticks(1.0)),
        callee().talk(500, ticks(1.0)),
    ]);
    for rate in [8000, 16_000] {
        let (wav, _) = play(&journal, cut(0, 10 * S), at_rate(wav(), rate));
        let (mp3, _) = play(&journal, cut(0, 10 * S), at_rate(mp3(), rate));
        for (plain, coded) in wav.iter().zip(&mp3) {
            let (plain, coded) = (onsets(plain), onsets(coded));
            assert_eq!((plain.len(), coded.len()), (10, 10));
            for (plain, coded) in plain.iter().zip(&coded) {
                assert!((plain - coded).abs() < 0.003, "{plain} s and {coded} s");
            }
        }
    }
}

#[test]
fn a_cut_in_the_middle_and_its_masks_are_where_they_should_be() {
    let journal = conversation(10);
    let cut = Cut {
        masks: vec![(4 * S, 5 * S), (6 * S + 1, 6 * S + 2), (0, 3100 * MS)],
        ..cut(3 * S, 9 * S)
    };
    let (channels, summary) = play(&journal, cut, wav());
    assert_eq!(summary.duration_ms, 6000);
    for (channel, hz) in [(0, CALLER), (1, CALLEE)] {
        let pcm = &channels[channel];
        let spoken = |from, to| likeness(pcm, (from, to), 3.0 + ARRIVAL_S, voice(hz));
        for (from, to) in [(0.1, 1.0), (2.0, 3.0), (3.001, 6.0)] {
            assert!(spoken(from, to) > 0.99, "{from} s: {}", spoken(from, to));
        }
        assert_eq!(level(&pcm.samples[8000..16_000]), 0, "the mask");
        assert_eq!(level(&pcm.samples[..800]), 0, "the mask that began before");
        assert_ne!(pcm.samples[7999], 0);
        assert_eq!(pcm.samples[24_000], 0, "even a nanosecond masks its sample");
    }
}

#[test]
fn mono_holds_both_and_caller_and_callee_hold_one() {
    let journal = conversation(4);
    let render = |channels| {
        let cut = Cut {
            channels,
            ..cut(0, 4 * S)
        };
        play(&journal, cut, wav())
    };
    let span = (0.5, 3.5);
    let (mono, _) = render(Channels::Mono);
    assert_eq!(mono.len(), 1);
    for hz in [CALLER, CALLEE] {
        let share = likeness(&mono[0], span, ARRIVAL_S, voice(hz));
        assert!((0.6..0.8).contains(&share), "{share}");
    }
    let (alone, summary) = render(Channels::Caller);
    assert!(likeness(&alone[0], span, ARRIVAL_S, voice(CALLER)) > 0.99);
    assert_eq!(summary.legs[1], LegReport::default());
    let (alone, summary) = render(Channels::Callee);
    assert_eq!((alone.len(), summary.heard.as_slice()), (1, &[Leg::B][..]));
    assert!(likeness(&alone[0], span, ARRIVAL_S, voice(CALLEE)) > 0.99);
    assert_eq!(summary.legs[0], LegReport::default());
}

#[test]
fn wideband_in_the_cut_makes_it_wideband_and_codecs_may_change_midway() {
    let mut phone = caller();
    let narrow = phone.talk(200, voice(CALLER));
    phone.with_codec(Codec::G722);
    let wide = phone.talk(200, voice(CALLER));
    phone.with_codec(Codec::Pcma);
    let journal = journal([narrow, wide, phone.talk(200, voice(CALLER))]);
    let (channels, summary) = play(&journal, cut(0, 12 * S), wav());
    assert_eq!(summary.sample_rate, 16_000);
    for span in [(0.5, 3.9), (4.2, 7.9), (8.2, 11.5)] {
        let like = likeness(&channels[0], span, ARRIVAL_S, voice(CALLER));
        assert!(like > 0.95, "{span:?}: {like}");
    }
    assert!(summary.legs[0].silence < Duration::from_millis(30));
    let (_, before) = file(&journal, cut(0, 3 * S), wav());
    assert_eq!(before.sample_rate, 8000, "no wideband in this cut");
}

#[test]
fn silence_suppression_hold_and_loss_last_as_long_as_they_did() {
    let mut phone = caller();
    let mut parts = vec![phone.talk(100, voice(CALLER))];
    phone.pause(100);
    parts.push(phone.talk(100, voice(CALLER)));
    phone.freeze(100);
    parts.push(phone.talk(350, voice(CALLER)));
    let mut lossy = parts.pop().unwrap();
    lossy.drain(100..200);
    parts.push(lossy);
    let (channels, summary) = play(&journal(parts), cut(0, 15 * S), wav());
    let heard: Vec<bool> = channels[0]
        .samples
        .chunks(800)
        .map(|part| level(part) > 50)
        .collect();
    let silent = |from_s: f64, to_s: f64| {
        let parts = (from_s * 10.0) as usize + 1..(to_s * 10.0) as usize;
        heard[parts].iter().all(|heard| !heard)
    };
    assert!(
        silent(2.0, 4.0) && silent(6.0, 8.0) && silent(10.0, 12.0),
        "{heard:?}"
    );
    for (from, to) in [(0.1, 2.0), (4.1, 6.0), (8.1, 10.0), (12.1, 14.9)] {
        let like = likeness(&channels[0], (from, to), ARRIVAL_S, voice(CALLER));
        assert!(like > 0.99, "{from} s: {like}");
    }
    let report = &summary.legs[0];
    assert_eq!((report.lost, report.reanchored), (100, 1));
    assert_eq!(report.silence, Duration::from_millis(6020));
}

#[test]
fn a_lost_packet_is_covered_and_counted() {
    let mut sent = caller().talk(200, voice(CALLER));
    sent.remove(150);
    sent.remove(100);
    sent.remove(99);
    let (channels, summary) = play(&journal([sent]), cut(0, 4 * S), wav());
    let report = &summary.legs[0];
    assert_eq!(
        (report.lost, report.concealed),
        (3, Duration::from_millis(60))
    );
    assert_eq!(report.gaps_ms, [(2000, 2040), (3020, 3040)]);
    for (from, to) in [(2.0, 2.04), (3.02, 3.04)] {
        let like = likeness(&channels[0], (from, to), ARRIVAL_S, voice(CALLER));
        assert!(like > 0.5, "{from} s: {like}");
    }
}

#[test]
fn telephone_events_are_no_audio_and_no_loss() {
    let mut phone = caller();
    let mut sent = phone.talk(100, voice(CALLER));
    let start = phone.timestamp;
    for n in 0..2u32 {
        let mut event = phone.send(101, vec![5, 10, 0, 160]);
        event.timestamp = start;
        assert_eq!(phone.timestamp, start.wrapping_add(160 * (n + 1)));
        sent.push(event);
    }
    sent.extend(phone.talk(100, voice(CALLER)));
    sent.push(phone.send(96, vec![1; 20]));
    let (channels, summary) = play(&journal([sent]), cut(0, 5 * S), wav());
    let report = &summary.legs[0];
    assert_eq!((report.packets, report.lost, report.unknown), (200, 0, 1));
    assert_eq!(report.concealed, Duration::ZERO);
    assert_eq!(
        level(&channels[0].samples[16_170..16_470]),
        0,
        "40 ms of a key"
    );
}

#[test]
fn another_source_takes_over_and_the_one_before_keeps_its_place() {
    let mut phone = caller();
    let first = phone.talk(100, voice(CALLER));
    let mut prompt = Phone::new(Leg::A, Codec::Pcmu);
    (prompt.ssrc, prompt.timestamp, prompt.clock_ns) = (1, 5, phone.clock_ns);
    let between = prompt.talk(100, voice(CALLEE));
    phone.pause(50);
    let overlapped = phone.talk(100, voice(CALLER));
    let (channels, summary) = play(&journal([first, between, overlapped]), cut(0, 6 * S), wav());
    let like = |from, to, hz| likeness(&channels[0], (from, to), ARRIVAL_S, voice(hz));
    assert!(like(0.1, 2.0, CALLER) > 0.99);
    assert!(
        like(2.05, 4.0, CALLEE) > 0.99,
        "the newer source has the floor"
    );
    assert!(
        like(4.05, 5.0, CALLER) > 0.99,
        "the older one comes back in its place"
    );
    let report = &summary.legs[0];
    assert_eq!(
        (report.ssrc_changes, report.superseded, report.reanchored),
        (2, 50, 0)
    );
}

#[test]
fn two_hours_of_drifting_clocks_stay_aligned() {
    let (mut fast, mut slow) = (caller(), callee());
    (fast.ppm, slow.ppm) = (200.0, -200.0);
    let seconds = 2 * 3600;
    let journal = journal([
        fast.talk(seconds * 50, ticks(30.0)),
        slow.talk(seconds * 50, ticks(30.0)),
    ]);
    let end = seconds as u64 * S;
    let (channels, summary) = play(&journal, cut(0, end), wav());
    assert_eq!(summary.duration_ms, 7_200_000);
    let [left, right] = [onsets(&channels[0]), onsets(&channels[1])];
    assert!(
        left.len() >= 239 && left.len() == right.len(),
        "{} {}",
        left.len(),
        right.len()
    );
    let (mut worst_place, mut worst_pair) = (0.0_f64, 0.0_f64);
    for (n, (a, b)) in left.iter().zip(&right).enumerate() {
        let spoken = n as f64 * 30.0 - ARRIVAL_S;
        worst_place = worst_place.max((a - spoken).abs()).max((b - spoken).abs());
        worst_pair = worst_pair.max((a - b).abs());
    }
    assert!(
        worst_place < 0.005,
        "{worst_place} s from where it was spoken"
    );
    assert!(worst_pair < 0.005, "{worst_pair} s between the legs");
    for report in &summary.legs {
        let corrected = report.drift_corrected.as_secs_f64();
        assert!((1.40..1.48).contains(&corrected), "{corrected} s of 1.44 s");
    }
    assert!(summary.worst_misalignment < Duration::from_millis(10));
}

#[test]
fn corrections_of_the_clock_make_no_click() {
    let mut phone = caller();
    phone.ppm = 200.0;
    let tone = |t: f64| (t * 300.0 * std::f64::consts::TAU).sin() * 9000.0;
    let (channels, summary) = play(&phone.talk(50 * 60, tone), cut(S, 59 * S), wav());
    assert!(summary.legs[0].drift_corrected > Duration::from_millis(5));
    // The steepest step of this tone is 2120; a click would be more.
    let steepest = channels[0]
        .samples
        .windows(2)
        .map(|w| w[0].abs_diff(w[1]))
        .max();
    assert!(steepest.unwrap() < 2700, "{steepest:?}");
}

#[test]
fn what_comes_too_late_is_counted_and_changes_nothing() {
    let clean = conversation(40);
    let mut late = clean.clone();
    let stray = late
        .iter()
        .position(|p| p.leg == Leg::A && p.arrival_ns > 5 * S)
        .unwrap();
    let mut straggler = late.remove(stray);
    straggler.arrival_ns = 36 * S;
    let without = file(&late, cut(0, 40 * S), wav()).0;
    late.push(straggler);
    let (bytes, summary) = file(&journal([late]), cut(0, 40 * S), wav());
    assert_eq!(bytes, without);
    assert_eq!(
        (
            summary.legs[0].late + summary.legs[0].refused,
            summary.legs[1].late
        ),
        (1, 0)
    );
}

#[test]
fn a_flood_is_held_within_bounds() {
    let mut flood = Vec::new();
    for n in 0..60_000u32 {
        flood.push(Sent {
            leg: Leg::A,
            arrival_ns: u64::from(n) * 10_000,
            payload_type: 0,
            sequence: n as u16,
            timestamp: n * 160,
            ssrc: n / 5,
            payload: vec![n as u8; 160],
        });
    }
    let (_, summary) = file(&flood, cut(0, S), wav());
    assert_eq!(summary.samples, 8000);
    assert!(summary.legs[0].refused > 50_000);
}

#[test]
fn what_no_file_can_be_is_refused_in_words() {
    let line = crate::TimelineBuilder::new().finish();
    let open = |cut: Cut, profile: Profile| {
        Renderer::new(cut, profile, &line, std::io::Cursor::new(Vec::new()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert!(open(cut(2, 1), wav()).contains("no length"));
    assert!(open(cut(0, u64::MAX), wav()).contains("a day"));
    assert!(open(cut(0, S), at_rate(wav(), 9000)).contains("9000 Hz"));
    let settings = |quality, kbps| Profile {
        mp3: Mp3Settings {
            quality,
            stereo_kbps: kbps,
            mono_kbps: None,
        },
        ..mp3()
    };
    assert!(open(cut(0, S), settings(10, None)).contains("quality"));
    assert!(open(cut(0, S), settings(7, Some(50))).contains("50 kbit/s"));
    assert!(open(cut(0, S), settings(7, Some(16))).contains("exact length"));
    assert_eq!(open(cut(0, S), settings(0, Some(64))), "");
}

#[test]
fn rendering_needs_no_memory_for_the_whole_call() {
    let journal = conversation(120);
    let line = crate::sample::timeline(&journal);
    let mut out = std::io::Cursor::new(Vec::new());
    let mut renderer = Renderer::new(cut(0, 120 * S), wav(), &line, &mut out).unwrap();
    let mut most = 0;
    for sent in &journal {
        renderer.push(&sent.packet()).unwrap();
        most = most.max(
            renderer
                .tracks
                .iter()
                .map(|track| track.renderer.held_packets() + track.ready.len() / 160)
                .max()
                .unwrap_or(0),
        );
    }
    assert!(most < 900, "{most} packets' worth is held");
    assert!(!renderer.is_done());
    let _: Summary = renderer.finish().unwrap();
    let pcm: Vec<Pcm> = crate::read_audio(out.into_inner(), None).unwrap();
    assert!(likeness(&pcm[1], (100.0, 119.0), ARRIVAL_S, voice(CALLEE)) > 0.99);
    assert_eq!(AudioFormat::Wav.extension(), "wav");
}
