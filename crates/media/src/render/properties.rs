//! What holds for every call: no order, repetition, loss or numbering of packets moves a sample of those that came.

use callreel_proto::Leg;
use proptest::prelude::*;

use super::*;
use crate::{
    Codec,
    sample::{MS, Phone, S, Sent, cut, file, journal, play, voice, wav},
};

const CALLER: f64 = 310.0;
const CALLEE: f64 = 450.0;

fn caller() -> Phone {
    Phone::new(Leg::A, Codec::Pcmu)
}

/// Delays some packets, sends some twice. One of a leg's packets in ten comes at once, and the last, so that the place of the leg is known.
fn disturbed(clean: &[Sent], seed: &[(u16, bool)]) -> Vec<Sent> {
    let mut all = Vec::new();
    let mut sent_by = [0, 0];
    let count = |leg| clean.iter().filter(|sent| sent.leg == leg).count();
    for (n, sent) in clean.iter().enumerate() {
        let (delay_ms, twice) = seed[n % seed.len()];
        let mut moved = sent.clone();
        let nth = &mut sent_by[index(sent.leg)];
        *nth += 1;
        if *nth % 10 != 1 && *nth != count(sent.leg) {
            moved.arrival_ns += u64::from(delay_ms) * MS;
        }
        if twice {
            let mut again = moved.clone();
            again.arrival_ns += u64::from(delay_ms) * MS / 2 + 1;
            all.push(again);
        }
        all.push(moved);
    }
    journal([all])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn reordering_and_duplicates_change_no_sample(
        seed in proptest::collection::vec((0u16..2500, any::<bool>()), 1..97),
        codec in prop::sample::select(Codec::ALL.to_vec()),
        pause in 0u32..400,
    ) {
        let mut phone = Phone::new(Leg::A, codec);
        let before = phone.talk(700, voice(CALLER));
        phone.pause(pause);
        let clean = journal([before, phone.talk(700, voice(CALLER)), Phone::new(Leg::B, Codec::Pcmu).talk(1500, voice(CALLEE))]);
        let (expected, clean_summary) = file(&clean, cut(0, 36 * S), wav());
        let disturbed = disturbed(&clean, &seed);
        let (bytes, summary) = file(&disturbed, cut(0, 36 * S), wav());
        prop_assert!(bytes == expected, "the audio differs");
        for (clean, leg) in clean_summary.legs.iter().zip(&summary.legs) {
            prop_assert_eq!(leg.late, 0);
            prop_assert_eq!(leg.packets, clean.packets);
            prop_assert_eq!(leg.lost, 0);
            prop_assert_eq!(&leg.gaps_ms, &[]);
            prop_assert_eq!(leg.silence, clean.silence);
        }
        let again: u64 = summary.legs.iter().map(|leg| leg.duplicate).sum();
        prop_assert_eq!(again, (disturbed.len() - clean.len()) as u64);
    }

    #[test]
    fn loss_moves_nothing_that_came(lost in proptest::collection::vec(any::<u8>(), 300)) {
        let clean = caller().talk(300, voice(CALLER));
        let kept: Vec<Sent> = clean
            .iter()
            .zip(&lost)
            .filter(|(_, dice)| **dice > 60)
            .map(|(sent, _)| sent.clone())
            .collect();
        let (whole, _) = play(&clean, cut(0, 7 * S), wav());
        let (part, summary) = play(&kept, cut(0, 7 * S), wav());
        prop_assert_eq!(part[0].samples.len(), whole[0].samples.len());
        for (n, dice) in lost.iter().enumerate() {
            // The first 4 ms after a covered gap are a blend.
            let at = 160 + n * 160 + 40;
            if *dice > 60 {
                prop_assert_eq!(&part[0].samples[at..at + 120], &whole[0].samples[at..at + 120]);
            }
        }
        let came = kept.len() as u64;
        prop_assert_eq!(summary.legs[0].packets, came);
        prop_assert!(summary.legs[0].lost <= 300 - came);
    }

    #[test]
    fn where_numbers_wrap_and_which_they_are_does_not_matter(sequence: u16, timestamp: u32, ssrc: u32) {
        let said = |phone: &mut Phone| {
            let first = phone.talk(60, voice(CALLER));
            phone.pause(20);
            [first, phone.talk(60, voice(CALLER))].concat()
        };
        let mut phone = caller();
        (phone.sequence, phone.timestamp, phone.ssrc) = (sequence, timestamp, ssrc);
        let numbered = file(&said(&mut phone), cut(0, 3 * S), wav());
        let plain = file(&said(&mut caller()), cut(0, 3 * S), wav());
        prop_assert!(numbered.0 == plain.0, "the audio differs");
        prop_assert_eq!(numbered.1, plain.1);
    }

    #[test]
    fn any_packets_at_all_make_a_file_of_the_right_length_and_legs_stay_apart(
        packets in proptest::collection::vec(
            (
                any::<bool>(),
                0u64..40_000,
                any::<u16>(),
                any::<u32>(),
                0u32..4,
                prop::sample::select(vec![0u8, 0, 8, 9, 13, 101, 111, 111, 77]),
                proptest::collection::vec(any::<u8>(), 0..400),
            ),
            0..200,
        ),
        start_ms in 0u64..20_000,
        length_ms in 0u64..20_000,
        masks in proptest::collection::vec((0u64..30_000, 0u64..5000), 0..3),
        channels in prop::sample::select(vec![Channels::Stereo, Channels::Mono, Channels::Caller, Channels::Callee]),
        redact_dtmf: bool,
        only_one: bool,
    ) {
        let sent: Vec<Sent> = packets
            .into_iter()
            .map(|(a, ms, sequence, timestamp, ssrc, payload_type, payload)| Sent {
                leg: if a || only_one { Leg::A } else { Leg::B },
                arrival_ns: ms * MS,
                payload_type,
                sequence,
                timestamp,
                ssrc,
                payload,
            })
            .collect();
        let cut = Cut {
            masks: masks.iter().map(|(from, length)| (from * MS, (from + length) * MS)).collect(),
            channels,
            ..cut(start_ms * MS, (start_ms + length_ms) * MS)
        };
        let profile = Profile { redact_dtmf, ..wav() };
        let (bytes, summary) = file(&journal([sent]), cut, profile);
        prop_assert_eq!(summary.duration_ms, length_ms);
        let rate = u64::from(summary.sample_rate);
        prop_assert_eq!(summary.samples, length_ms * rate / 1000);
        if length_ms == 0 {
            return Ok(());
        }
        let heard = crate::read_audio(bytes, None).unwrap();
        prop_assert_eq!(heard.len(), usize::from(summary.channels));
        for channel in &heard {
            prop_assert_eq!(channel.samples.len() as u64, summary.samples);
            for (from, length) in &masks {
                let sample = |ms: u64| (ms.saturating_sub(start_ms) * rate / 1000).min(summary.samples) as usize;
                let masked = &channel.samples[sample(*from)..sample(from + length)];
                prop_assert!(masked.iter().all(|s| *s == 0), "a mask is heard through");
            }
        }
        let other = match channels {
            Channels::Stereo => heard.get(1),
            Channels::Callee => heard.first(),
            Channels::Mono | Channels::Caller => None,
        };
        if let Some(other) = other.filter(|_| only_one) {
            prop_assert!(other.samples.iter().all(|s| *s == 0), "one leg is heard on the other");
        }
    }
}
