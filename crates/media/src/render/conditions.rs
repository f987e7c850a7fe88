//! Every condition a call can meet, one by one: where its marked material lies afterwards, how much of it is there, and how long the file is.

use std::time::Duration;

use super::*;
use crate::{
    Codec, Pcm, level,
    sample::{MS, Phone, S, Sent, cut, journal, likeness, play, shift, song, wav},
};

const CALLER: f64 = 700.0;
const CALLEE: f64 = 1500.0;
/// A packet spoken at 0 arrives 20 ms later.
const ARRIVAL_S: f64 = -0.02;
const SECONDS: usize = 12;

struct Dice(u64);

impl Dice {
    /// From 0 to below 1.
    fn roll(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// What a network does to the packets of one leg.
type Network = fn(Vec<Sent>, &mut Dice) -> Vec<Sent>;

fn lossy(sent: Vec<Sent>, dice: &mut Dice, share: f64) -> Vec<Sent> {
    sent.into_iter().filter(|_| dice.roll() >= share).collect()
}

fn jittery(mut sent: Vec<Sent>, dice: &mut Dice, most_ms: f64) -> Vec<Sent> {
    for packet in &mut sent {
        packet.arrival_ns += (dice.roll() * most_ms * MS as f64) as u64;
    }
    sent
}

fn renumbered(mut sent: Vec<Sent>, change: impl Fn(&mut Sent)) -> Vec<Sent> {
    let middle = sent.len() / 2;
    sent[middle..].iter_mut().for_each(change);
    sent
}

/// Delays that grow and shrink while the order is kept, as in the queue of a router.
fn queued(mut sent: Vec<Sent>, dice: &mut Dice, most_ms: f64) -> Vec<Sent> {
    let mut behind = 0;
    for packet in &mut sent {
        let delayed = packet.arrival_ns + (dice.roll() * most_ms * MS as f64) as u64;
        behind = delayed.max(behind);
        packet.arrival_ns = behind;
    }
    sent
}

/// A condition, the least likeness of a second of audio under it, and the farthest it may lie from its place, in ms.
const CONDITIONS: &[(&str, Network, f64, f64)] = &[
    ("nothing", |sent, _| sent, 0.98, 0.25),
    ("1 % loss", |sent, dice| lossy(sent, dice, 0.01), 0.9, 0.25),
    ("5 % loss", |sent, dice| lossy(sent, dice, 0.05), 0.8, 0.25),
    ("10 % loss", |sent, dice| lossy(sent, dice, 0.1), 0.7, 0.5),
    (
        "bursts of loss",
        |sent, _| {
            let numbered = sent.into_iter().enumerate();
            numbered
                .filter(|(n, _)| n % 100 < 90)
                .map(|(_, packet)| packet)
                .collect()
        },
        0.85,
        0.25,
    ),
    (
        "40 ms of jitter",
        |sent, dice| jittery(sent, dice, 40.0),
        0.95,
        1.5,
    ),
    (
        "120 ms of jitter",
        |sent, dice| jittery(sent, dice, 120.0),
        0.95,
        3.0,
    ),
    (
        "reordering",
        |mut sent, _| {
            for pair in sent.chunks_exact_mut(2) {
                pair[0].arrival_ns = pair[1].arrival_ns + 5 * MS;
            }
            sent
        },
        0.98,
        0.25,
    ),
    (
        "duplicates",
        |sent, dice| {
            let again =
                |packet: &Sent, dice: &mut Dice| (dice.roll() < 0.3).then(|| packet.clone());
            let twice: Vec<Sent> = sent
                .iter()
                .filter_map(|packet| again(packet, dice))
                .collect();
            [sent, jittery(twice, dice, 300.0)].concat()
        },
        0.98,
        0.25,
    ),
    (
        "a jump of timestamps",
        |sent, _| {
            renumbered(sent, |packet| {
                packet.timestamp = packet.timestamp.wrapping_add(987_654)
            })
        },
        0.9,
        0.25,
    ),
    (
        "a jump of sequence numbers",
        |sent, _| {
            renumbered(sent, |packet| {
                packet.sequence = packet.sequence.wrapping_add(20_000)
            })
        },
        0.9,
        0.25,
    ),
    (
        "another source",
        |sent, _| {
            renumbered(sent, |packet| {
                packet.ssrc ^= 0xff;
                packet.timestamp = packet.timestamp.wrapping_add(0x8765_4321);
                packet.sequence = packet.sequence.wrapping_add(0x1234);
            })
        },
        0.9,
        0.25,
    ),
    (
        "a stall of three seconds",
        |mut sent, _| {
            let end = sent[400].arrival_ns;
            for (n, packet) in sent[250..400].iter_mut().enumerate() {
                packet.arrival_ns = end + n as u64 * 50_000;
            }
            sent
        },
        0.98,
        0.25,
    ),
];

fn assert_lies_well(case: &str, channel: &Pcm, hz: f64, least: f64, farthest_ms: f64) {
    for second in 1..SECONDS - 1 {
        let span = (second as f64, second as f64 + 1.0);
        let (ms, like) = shift(channel, span, ARRIVAL_S, song(hz));
        assert!(
            like >= least,
            "{case}: second {second} of {hz} Hz is like its own by {like:.3} at {ms} ms"
        );
        assert!(
            ms.abs() <= farthest_ms,
            "{case}: second {second} lies {ms} ms off"
        );
    }
}

#[test]
fn whatever_the_network_does_audio_lies_in_its_place_and_legs_apart() {
    for codecs in [[Codec::Pcmu, Codec::G722], [Codec::Opus, Codec::Pcma]] {
        for (name, network, least, farthest_ms) in CONDITIONS {
            let case = format!("{codecs:?} with {name}");
            let mut dice = Dice(42);
            let mut leg = |leg, codec, hz| {
                network(
                    Phone::new(leg, codec).talk(SECONDS * 50, song(hz)),
                    &mut dice,
                )
            };
            let journal = journal([
                leg(Leg::A, codecs[0], CALLER),
                leg(Leg::B, codecs[1], CALLEE),
            ]);
            let (channels, summary) = play(&journal, cut(0, SECONDS as u64 * S), wav());
            assert_eq!(summary.duration_ms, SECONDS as u64 * 1000, "{case}");
            for ((channel, codec), (own, other)) in channels
                .iter()
                .zip(codecs)
                .zip([(CALLER, CALLEE), (CALLEE, CALLER)])
            {
                // What Opus makes of a tone is less like it.
                let least = if codec == Codec::Opus {
                    least - 0.2
                } else {
                    *least
                };
                assert_lies_well(&case, channel, own, least, *farthest_ms);
                let leak = likeness(channel, (1.0, 11.0), ARRIVAL_S, song(other));
                assert!(leak.abs() < 0.05, "{case}: leaks {leak}");
            }
        }
    }
}

#[test]
fn a_leg_that_never_speaks_is_silence_and_one_that_joins_late_lies_where_it_joined() {
    for codec in Codec::ALL {
        let caller = Phone::new(Leg::A, codec).talk(SECONDS * 50, song(CALLER));
        let end = SECONDS as u64 * S;
        let (channels, summary) = play(&journal([caller.clone()]), cut(0, end), wav());
        assert!(channels[1].samples.iter().all(|s| *s == 0), "{codec:?}");
        assert_eq!(summary.legs[1].silence, Duration::from_nanos(end));
        let mut late = Phone::new(Leg::B, codec);
        late.clock_ns = 3.7e9;
        let journal = journal([caller, late.talk(415, song(CALLEE))]);
        let (channels, _) = play(&journal, cut(0, end), wav());
        let rate = channels[1].sample_rate as usize;
        assert_eq!(
            level(&channels[1].samples[..rate * 37 / 10]),
            0,
            "{codec:?}"
        );
        for second in 4..11 {
            let span = (f64::from(second), f64::from(second) + 1.0);
            let (ms, like) = shift(&channels[1], span, ARRIVAL_S, song(CALLEE));
            assert!(
                ms.abs() <= 0.25 && like > 0.7,
                "{codec:?}: {second} {ms} {like}"
            );
        }
    }
}

#[test]
fn codecs_and_packet_lengths_change_in_one_source() {
    let mut phone = Phone::new(Leg::A, Codec::Pcmu);
    let mut sent = Vec::new();
    let turns = [
        (Codec::Pcmu, 20),
        (Codec::Opus, 20),
        (Codec::G722, 10),
        (Codec::Pcma, 30),
        (Codec::Opus, 60),
        (Codec::Opus, 10),
        (Codec::Pcmu, 40),
        (Codec::Pcmu, 60),
    ];
    for (codec, ptime) in turns {
        phone.with_codec(codec);
        phone.ptime = ptime;
        sent.extend(phone.talk(3000 / ptime as usize, song(CALLER)));
    }
    let (channels, summary) = play(&journal([sent]), cut(0, 24 * S), wav());
    assert_eq!(summary.sample_rate, 16_000);
    for (n, (codec, ptime)) in turns.into_iter().enumerate() {
        let from = n as f64 * 3.0;
        let (ms, like) = shift(&channels[0], (from + 0.3, from + 2.9), -0.03, song(CALLER));
        assert!(like > 0.7, "{codec:?} {ptime} ms: {like}");
        // It lies where the shortest packets of its run of timestamps do.
        assert!(
            (-20.25..=30.25).contains(&ms),
            "{codec:?} {ptime} ms lies {ms} ms off"
        );
    }
    let report = &summary.legs[0];
    assert_eq!(
        (report.lost, report.late, report.invalid, report.concealed),
        (0, 0, 0, Duration::ZERO)
    );
    assert!(
        report.silence < Duration::from_millis(400),
        "{:?}",
        report.silence
    );
}

#[test]
fn three_hours_of_drifting_opus_stay_in_place() {
    let mut phone = Phone::new(Leg::A, Codec::Opus);
    phone.ppm = -200.0;
    // An hour passes in silence suppression between minutes of speech.
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.extend(phone.talk(1500, song(CALLER)));
        let arrived = phone.clock_ns;
        while phone.clock_ns < arrived + 3570e9 {
            phone.pause(500);
            sent.extend(phone.talk(1, |_| 0.0));
        }
    }
    let spoken_s = phone.clock_ns / 1e9;
    assert!(spoken_s > 10_790.0);
    sent.extend(phone.talk(1500, song(CALLER)));
    let start_s = spoken_s.floor();
    let cut = cut(start_s as u64 * S, (start_s as u64 + 29) * S);
    let (channels, summary) = play(&sent, cut, wav());
    assert_eq!(summary.duration_ms, 29_000);
    for second in 2..28 {
        let span = (f64::from(second), f64::from(second) + 1.0);
        let (ms, like) = shift(&channels[0], span, start_s + ARRIVAL_S, song(CALLER));
        assert!(
            ms.abs() < 5.0 && like > 0.6,
            "second {second}: {ms} ms, {like}"
        );
    }
}

#[test]
fn a_long_loss_ends_without_a_bang() {
    let syllables = |t: f64| song(CALLER)(t) * 3.0 * (t * 5.0 * std::f64::consts::PI).sin().powi(2);
    let loudest = |channel: &Pcm| channel.samples.iter().map(|s| s.unsigned_abs()).max();
    let clean = Phone::new(Leg::A, Codec::G722).talk(SECONDS * 50, syllables);
    let numbered = clean.iter().cloned().enumerate();
    let lossy: Vec<Sent> = numbered
        .filter(|(n, _)| n % 23 < 13)
        .map(|(_, sent)| sent)
        .collect();
    let play = |sent: &[Sent]| loudest(&play(sent, cut(0, SECONDS as u64 * S), wav()).0[0]);
    let (clean, lossy) = (play(&clean), play(&lossy));
    assert!(
        lossy < clean.map(|peak| peak + peak / 4),
        "{lossy:?} after {clean:?}"
    );
}

#[test]
fn jitter_without_loss_changes_no_sample_of_a_minute() {
    let clean = Phone::new(Leg::A, Codec::Pcmu).talk(60 * 50, song(CALLER));
    // Without what the longest delay pushes over the end.
    let spoken = |sent: &[Sent]| {
        let (channels, summary) = play(sent, cut(0, 61 * S), wav());
        let heard = &channels[0].samples;
        let from = heard.iter().position(|s| *s != 0).expect("it speaks");
        (heard[from..from + 59 * 8000].to_vec(), summary)
    };
    let (expected, _) = spoken(&clean);
    for most_ms in [40.0, 120.0] {
        for seed in 0..8 {
            let (heard, summary) = spoken(&queued(clean.clone(), &mut Dice(seed), most_ms));
            let corrected = summary.legs[0].drift_corrected;
            assert_eq!(corrected, Duration::ZERO, "{most_ms} ms, {seed}");
            assert!(heard == expected, "{most_ms} ms, {seed}: samples differ");
        }
    }
}

#[test]
fn a_phone_that_counts_from_the_start_again_is_heard() {
    let mut phone = Phone::new(Leg::A, Codec::Pcmu);
    let (sequence, timestamp) = (phone.sequence, phone.timestamp);
    let before = phone.talk(75, song(CALLER));
    phone.freeze(75);
    (phone.sequence, phone.timestamp) = (sequence, timestamp);
    let sent = journal([before, phone.talk(150, song(CALLER))]);
    let (channels, summary) = play(&sent, cut(0, 7 * S), wav());
    for span in [(0.1, 1.5), (3.1, 5.9)] {
        let (ms, like) = shift(&channels[0], span, ARRIVAL_S, song(CALLER));
        assert!(ms.abs() <= 0.25 && like > 0.98, "{span:?}: {ms} ms, {like}");
    }
    let report = &summary.legs[0];
    let counts = (report.packets, report.duplicate, report.lost, report.late);
    assert_eq!(counts, (225, 0, 0, 0));
    assert_eq!((report.reanchored, report.ssrc_changes), (1, 0));
}

#[test]
fn what_the_far_end_sent_elsewhere_during_a_prompt_is_no_loss() {
    let mut far = Phone::new(Leg::B, Codec::Pcma);
    let mut before = far.talk(100, song(CALLEE));
    before.drain(50..53);
    let mut prompt = Phone::new(Leg::B, Codec::Pcma);
    (prompt.ssrc, prompt.clock_ns) = (0xcccc, far.clock_ns);
    // It went on talking, to nobody.
    far.talk(30, song(CALLEE));
    let sent = [
        before,
        prompt.talk(30, song(CALLER)),
        far.talk(100, song(CALLEE)),
    ];
    let (_, summary) = play(&journal(sent), cut(0, 5 * S), wav());
    let report = &summary.legs[1];
    assert_eq!(
        (report.lost, report.packets, report.ssrc_changes),
        (3, 227, 2)
    );
    assert_eq!(report.concealed, Duration::from_millis(60));
}
