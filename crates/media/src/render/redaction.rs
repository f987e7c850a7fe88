//! Audio that was taken away before it was kept, and keys that are silenced afterwards.

use std::time::Duration;

use super::*;
use crate::{
    Codec, level,
    sample::{Phone, S, Sent, cut, journal, likeness, play, voice, wav},
};

const CALLER: f64 = 310.0;
const CALLEE: f64 = 450.0;
/// A packet spoken at 0 arrives 20 ms later.
const ARRIVAL_S: f64 = -0.02;

fn redacting() -> Profile {
    Profile {
        redact_dtmf: true,
        ..wav()
    }
}

fn key_tone(t: f64) -> f64 {
    let tone = |hz: f64| (t * hz * std::f64::consts::TAU).sin() * 3000.0;
    tone(770.0) + tone(1336.0)
}

/// Empties the payloads of packets, as a recorder does with masked audio.
fn emptied(mut sent: Vec<Sent>, which: std::ops::Range<usize>) -> Vec<Sent> {
    for packet in &mut sent[which] {
        packet.payload.clear();
    }
    sent
}

#[test]
fn audio_that_was_taken_away_is_silent_keeps_time_and_is_no_loss() {
    for codec in Codec::ALL {
        let mut sent = emptied(Phone::new(Leg::A, codec).talk(300, voice(CALLER)), 100..200);
        sent.remove(150);
        let (channels, summary) = play(&journal([sent]), cut(0, 7 * S), wav());
        let report = &summary.legs[0];
        assert_eq!((report.packets, report.redacted), (200, 99), "{codec:?}");
        assert_eq!(
            (report.lost, report.concealed),
            (1, Duration::ZERO),
            "{codec:?}"
        );
        assert_eq!((report.late, report.reanchored), (0, 0), "{codec:?}");
        let rate = summary.sample_rate as usize;
        // What the codec's own delay rings on is over before the next packet.
        let silent = &channels[0].samples[rate * 203 / 100..rate * 401 / 100];
        assert!(silent.iter().all(|s| *s == 0), "{codec:?}");
        for span in [(0.1, 2.0), (4.06, 5.9)] {
            let like = likeness(&channels[0], span, ARRIVAL_S, voice(CALLER));
            assert!(like > 0.9, "{codec:?} {span:?}: {like}");
        }
        assert!(
            summary.worst_misalignment < Duration::from_millis(1),
            "{codec:?}"
        );
    }
}

#[test]
fn a_stream_that_begins_or_ends_taken_away_lies_where_it_was() {
    let sent = emptied(
        Phone::new(Leg::A, Codec::Pcmu).talk(200, voice(CALLER)),
        0..100,
    );
    let line = crate::sample::timeline(&emptied(sent.clone(), 190..200));
    assert_eq!(line.end_ns(), 4020 * crate::sample::MS);
    let (channels, summary) = play(&journal([sent]), cut(0, 4 * S), wav());
    assert_eq!(level(&channels[0].samples[..16_160]), 0);
    let like = likeness(&channels[0], (2.1, 3.9), ARRIVAL_S, voice(CALLER));
    assert!(like > 0.99, "{like}");
    assert_eq!(summary.legs[0].redacted, 100);
}

/// A phone that sends a key in the band for a moment, then as an event of 120 ms with updates, then talks on.
fn presses(phone: &mut Phone, event_clock: u32, own_timestamps: bool) -> Vec<Sent> {
    let mut sent = phone.talk(100, voice(CALLER));
    sent.extend(phone.talk(2, key_tone));
    let start = if own_timestamps {
        0x1234_5678
    } else {
        phone.timestamp
    };
    for n in 1..=6u16 {
        let duration = n * u16::try_from(event_clock / 50).unwrap();
        let [high, low] = duration.to_be_bytes();
        let mut event = phone.send(101, vec![5, if n == 6 { 0x8a } else { 10 }, high, low]);
        event.timestamp = start;
        sent.push(event);
    }
    sent.extend(phone.talk(100, voice(CALLER)));
    sent
}

#[test]
fn what_is_heard_around_an_event_is_silent_whatever_its_clock() {
    for (codec, clock, own) in [
        (Codec::Pcmu, 8000, false),
        (Codec::Opus, 48_000, false),
        (Codec::Opus, 8000, true),
        (Codec::G722, 8000, true),
    ] {
        let case = format!("{codec:?} with events at {clock} Hz");
        let caller = presses(&mut Phone::new(Leg::A, codec), clock, own);
        let callee = Phone::new(Leg::B, Codec::Pcmu).talk(208, voice(CALLEE));
        let journal = journal([caller, callee]);
        let (plain, _) = play(&journal, cut(0, 4 * S), wav());
        let (channels, summary) = play(&journal, cut(0, 4 * S), redacting());
        let rate = summary.sample_rate as usize;
        let ms = |from: usize, until: usize| rate * from / 1000..rate * until / 1000;
        // Spoken to 2.0 s, key to 2.16 s; everything arrives 20 ms later.
        assert!(
            level(&plain[0].samples[ms(2030, 2050)]) > 500,
            "{case}: it leaked"
        );
        let silent = &channels[0].samples[ms(2015, 2180)];
        assert!(silent.iter().all(|s| *s == 0), "{case}");
        assert!(plain[1] == channels[1], "{case}: the other party");
        for kept in [ms(0, 1980), ms(2240, 4000)] {
            let same = plain[0].samples[kept.clone()] == channels[0].samples[kept.clone()];
            assert!(same, "{case}: {kept:?}");
        }
        let [(from, until)] = summary.redacted_ms[..] else {
            panic!("{case}: {:?}", summary.redacted_ms);
        };
        assert!(
            (1980..=2020).contains(&from) && (2180..=2240).contains(&until),
            "{case}: {from} {until}"
        );
        assert_eq!(
            (summary.legs[0].lost, summary.legs[0].reanchored),
            (0, 0),
            "{case}"
        );
    }
}

#[test]
fn events_that_were_emptied_still_tell_when_a_key_was_pressed() {
    let mut sent = presses(&mut Phone::new(Leg::A, Codec::Pcmu), 8000, false);
    for event in sent.iter_mut().filter(|sent| sent.payload_type == 101) {
        event.payload.clear();
    }
    let (channels, summary) = play(&journal([sent]), cut(0, 4 * S), redacting());
    assert_eq!(level(&channels[0].samples[16_160..17_440]), 0);
    assert_eq!(summary.redacted_ms.len(), 1);
    assert_eq!(summary.legs[0].unknown, 0);
}

#[test]
fn tones_in_the_band_are_silent_on_either_leg_and_reported_once() {
    let talk = |leg, codec| {
        let mut phone = Phone::new(leg, codec);
        let before = phone.talk(100, voice(CALLER));
        let key = phone.talk(5, key_tone);
        [before, key, phone.talk(100, voice(CALLER))].concat()
    };
    for codec in Codec::ALL {
        let journal = journal([talk(Leg::A, codec), talk(Leg::B, Codec::Pcma)]);
        let (channels, summary) = play(&journal, cut(S, 4 * S), redacting());
        for channel in &channels {
            let rate = channel.sample_rate as usize;
            let silent = &channel.samples[rate * 102 / 100..rate * 112 / 100];
            assert_eq!(level(silent), 0, "{codec:?}");
            let like = likeness(channel, (1.2, 2.9), 1.0 + ARRIVAL_S, voice(CALLER));
            assert!(like > 0.9, "{codec:?}: {like}");
        }
        let report = summary.audio_report();
        let [(from, until)] = report.redacted_ms[..] else {
            panic!("{codec:?}: {report:?}");
        };
        assert!(
            (1000..=1020).contains(&from) && (1120..=1140).contains(&until),
            "{codec:?}: {from} {until}"
        );
        assert_eq!(
            report.legs.keys().copied().collect::<Vec<_>>(),
            [Leg::A, Leg::B]
        );
        assert_eq!(report.legs[&Leg::B].packets, 150);
    }
}
