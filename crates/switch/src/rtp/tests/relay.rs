//! Bridged phones hear each other.

use super::*;

async fn pair(a: Codec, b: Codec) -> (Party, Party) {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, a).await;
    let mut right = Party::new(&engine, 0xbbbb, b).await;
    left.greet(a.payload_type()).await;
    right.greet(b.payload_type()).await;
    left.leg.bridge(&right.leg);
    (left, right)
}

#[tokio::test]
async fn both_ways_with_our_own_ssrc_and_unbroken_numbering() {
    let (mut left, mut right) = pair(Codec::Pcmu, Codec::Pcmu).await;
    for n in 0..10u8 {
        left.send(0, &[n; 160]).await;
        right.send(0, &[100 + n; 160]).await;
    }
    let (heard_right, heard_left) = (
        right.phone.hear_many(10).await,
        left.phone.hear_many(10).await,
    );
    for (heard, first, foreign) in [(&heard_right, 0, 0xaaaa), (&heard_left, 100, 0xbbbb)] {
        assert_continuous(heard);
        for (n, packet) in heard.iter().enumerate() {
            assert_eq!(packet.payload, [first + n as u8; 160]);
            assert_eq!(packet.payload_type, 0);
            assert_ne!(
                packet.header.ssrc, foreign,
                "the far end's SSRC is not passed on"
            );
            let since = packet
                .header
                .timestamp
                .wrapping_sub(heard[0].header.timestamp);
            assert_eq!(since, n as u32 * 160);
            assert_eq!(packet.header.marker, n == 0);
        }
    }
    assert_eq!(heard_left[0].from.port(), left.leg.local_port());
}

#[tokio::test]
async fn unbridged_phones_are_sent_nothing_and_a_new_bridge_continues_the_stream() {
    let (mut left, mut right) = pair(Codec::Pcma, Codec::Pcma).await;
    left.send(8, &[1; 160]).await;
    let mut heard = right.phone.hear_many(1).await;
    right.leg.unbridge();
    left.send(8, &[2; 160]).await;
    left.until(|stats| stats.received == 3).await;
    let engine = engine();
    let mut third = Party::new(&engine, 0xcccc, Codec::Pcma).await;
    third.greet(8).await;
    third.leg.bridge(&right.leg);
    third.send(8, &[3; 160]).await;
    heard.extend(right.phone.hear_many(1).await);
    assert_eq!(heard[1].payload, [3; 160]);
    assert_continuous(&heard);
    let step = heard[1]
        .header
        .timestamp
        .wrapping_sub(heard[0].header.timestamp);
    assert!((160..8000).contains(&step), "{step}");
    right.send(8, &[4; 160]).await;
    assert_eq!(third.phone.hear().await.payload, [4; 160]);
    assert!(left.phone.heard_nothing());
}

#[tokio::test]
async fn keys_pass_with_the_other_legs_payload_type_and_are_told_once() {
    let (mut left, right) = pair(Codec::Pcmu, Codec::Pcmu).await;
    right.leg.set_remote(Remote {
        keys: Some(Keys::usual(96)),
        ..right.phone.remote(Codec::Pcmu)
    });
    left.send(0, &[1; 160]).await;
    left.phone.press(&left.leg, 101, '7').await;
    left.send(0, &[2; 160]).await;
    let heard = right.phone.hear_many(10).await;
    assert_continuous(&heard);
    let keys: Vec<_> = heard[1..9].iter().collect();
    for key in &keys {
        assert_eq!(key.payload_type, 96);
        assert_eq!(key.header.timestamp, keys[0].header.timestamp);
        assert_eq!(Event::parse(&key.payload).unwrap().digit, '7');
    }
    assert_eq!(heard[9].payload_type, 0);
    let seven = MediaEvent::Digit {
        digit: '7',
        duration_ticks: 960,
    };
    assert_eq!(left.event().await, seven);
    left.phone.press(&left.leg, 101, '#').await;
    let hash = left.event().await;
    assert!(
        matches!(hash, MediaEvent::Digit { digit: '#', .. }),
        "{hash:?}"
    );
    assert_eq!(left.leg.stats().digits, 2);
}

#[tokio::test]
async fn a_phone_without_telephone_event_hears_no_keys_and_no_gap() {
    let (mut left, right) = pair(Codec::Pcmu, Codec::Pcmu).await;
    right.leg.set_remote(Remote {
        keys: None,
        ..right.phone.remote(Codec::Pcmu)
    });
    left.send(0, &[1; 160]).await;
    left.phone.press(&left.leg, 101, '5').await;
    left.send(0, &[2; 160]).await;
    let heard = right.phone.hear_many(2).await;
    assert_continuous(&heard);
    assert_eq!(heard[1].payload, [2; 160]);
    let five = left.event().await;
    assert!(
        matches!(five, MediaEvent::Digit { digit: '5', .. }),
        "{five:?}"
    );
}

#[tokio::test]
async fn a_key_whose_end_is_lost_is_told_all_the_same() {
    let engine = engine();
    let mut caller = Party::new(&engine, 1, Codec::Pcmu).await;
    caller.greet(0).await;
    let event = Event {
        digit: '3',
        end: false,
        volume: 10,
        duration: 320,
    };
    let header = caller.phone.header();
    let payload = event.payload().unwrap();
    caller
        .phone
        .send_at(&caller.leg, 101, header, &payload)
        .await;
    let three = MediaEvent::Digit {
        digit: '3',
        duration_ticks: 320,
    };
    assert_eq!(caller.event().await, three);
}

#[tokio::test]
async fn keys_of_a_stream_that_began_anew_are_heard() {
    let engine = engine();
    let mut caller = Party::new(&engine, 1, Codec::Pcmu).await;
    caller.greet(0).await;
    let restarts = [(1, 1_000_000), (2, 500_000), (2, 400_000)];
    for ((ssrc, timestamp), digit) in restarts.into_iter().zip("123".chars()) {
        (caller.phone.ssrc, caller.phone.timestamp) = (ssrc, timestamp);
        caller.phone.press(&caller.leg, 101, digit).await;
        let told = caller.event().await;
        assert!(
            matches!(told, MediaEvent::Digit { digit: d, .. } if d == digit),
            "{told:?}"
        );
    }
    assert_eq!(caller.leg.stats().digits, 3);
}

#[tokio::test]
async fn transcoding_between_all_codecs_keeps_a_tone_and_its_time() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let (mut left, right) = pair(from, to).await;
            let rate = from.sample_rate();
            for payload in encoded(from, &tone(1000.0, rate, rate as usize / 2)) {
                left.send(from.payload_type(), &payload).await;
            }
            let heard = right.phone.hear_many(25).await;
            assert_continuous(&heard);
            for (n, packet) in heard.iter().enumerate() {
                assert_eq!(packet.payload_type, to.payload_type());
                assert_eq!(to.ticks(&packet.payload), to.rtp_clock() / 50);
                let since = packet
                    .header
                    .timestamp
                    .wrapping_sub(heard[0].header.timestamp);
                assert_eq!(since, n as u32 * to.rtp_clock() / 50);
            }
            let (pcm, rate) = (decoded(to, &heard), to.sample_rate());
            let settled = &pcm[pcm.len() / 5..];
            let purity = purity(settled, 1000.0, rate);
            assert!(purity > 0.98, "{from:?} to {to:?}: {purity}");
            let level = callreel_media::level(settled);
            assert!(
                (9000..11_500).contains(&level),
                "{from:?} to {to:?}: {level}"
            );
        }
    }
}

#[tokio::test]
async fn transcoding_keeps_pauses_and_losses_and_makes_frames_of_20_ms() {
    let (mut left, right) = pair(Codec::Pcmu, Codec::Pcma).await;
    left.send(0, &[0xff; 240]).await;
    left.send(0, &[0xff; 240]).await;
    let steady = right.phone.hear_many(3).await;
    assert_continuous(&steady);
    assert!(steady.iter().all(|packet| packet.payload.len() == 160));
    // A lost packet of 30 ms, then a pause of half a second.
    left.phone.sequence = left.phone.sequence.wrapping_add(1);
    left.phone.timestamp = left.phone.timestamp.wrapping_add(240);
    left.send(0, &[0xff; 160]).await;
    left.phone.timestamp = left.phone.timestamp.wrapping_add(4000);
    left.send(0, &[0xff; 160]).await;
    let rest = right.phone.hear_many(2).await;
    let sequence = |n: usize| {
        rest[n]
            .header
            .sequence
            .wrapping_sub(steady[0].header.sequence)
    };
    let time = |n: usize| {
        rest[n]
            .header
            .timestamp
            .wrapping_sub(steady[0].header.timestamp)
    };
    assert_eq!((sequence(0), time(0)), (4, 720), "the loss is one number");
    assert_eq!((sequence(1), time(1)), (5, 4880), "the pause is none");
}

#[tokio::test]
async fn a_codec_changed_in_mid_call_is_followed() {
    let (mut left, right) = pair(Codec::Pcmu, Codec::Pcmu).await;
    left.send(0, &[9; 160]).await;
    let before = right.phone.hear().await;
    right.leg.set_remote(right.phone.remote(Codec::G722));
    left.send(0, &[9; 160]).await;
    let after = right.phone.hear().await;
    assert_eq!((before.payload_type, after.payload_type), (0, 9));
    assert_continuous(&[before, after]);
}

#[tokio::test]
async fn a_held_phone_is_sent_nothing_and_heard_by_nobody() {
    let (mut left, mut right) = pair(Codec::Pcmu, Codec::Pcmu).await;
    right.leg.set_remote(Remote {
        send: false,
        receive: false,
        ..right.phone.remote(Codec::Pcmu)
    });
    left.send(0, &[1; 160]).await;
    left.until(|stats| stats.received == 2).await;
    right.send(0, &[2; 160]).await;
    right.until(|stats| stats.while_held == 1).await;
    right.leg.set_remote(right.phone.remote(Codec::Pcmu));
    left.send(0, &[3; 160]).await;
    right.send(0, &[4; 160]).await;
    assert_eq!(right.phone.hear().await.payload, [3; 160]);
    assert_eq!(left.phone.hear().await.payload, [4; 160]);
}

#[tokio::test]
async fn extensions_and_padding_of_one_phone_do_not_reach_the_other() {
    let (left, right) = pair(Codec::Pcmu, Codec::Pcmu).await;
    let mut datagram = vec![0xb0, 0x00];
    datagram.extend(left.phone.sequence.to_be_bytes());
    datagram.extend(left.phone.timestamp.to_be_bytes());
    datagram.extend(left.phone.ssrc.to_be_bytes());
    datagram.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
    datagram.extend([5; 160]);
    datagram.extend([0, 0, 0, 4]);
    left.phone.send_raw(&left.leg, &datagram).await;
    assert_eq!(right.phone.hear().await.payload, [5; 160]);
}

/// Sends as fast as the machine can until told to stop.
fn shout(
    mut party: Party,
    stop: tokio_util::sync::CancellationToken,
) -> tokio::task::JoinHandle<Party> {
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            party.send(0, &[0x55; 160]).await;
            tokio::task::yield_now().await;
        }
        party
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn legs_that_relay_to_each_other_never_wait_for_each_other() {
    let (left, right) = pair(Codec::Pcmu, Codec::Pcma).await;
    let legs = [left.leg.clone(), right.leg.clone()];
    let stop = tokio_util::sync::CancellationToken::new();
    let shouting = [shout(left, stop.clone()), shout(right, stop.clone())];
    let change = async {
        let mut changes = 0;
        while changes < 2000 || legs.iter().any(|leg| leg.stats().sent < 200) {
            let (one, other) = (&legs[changes % 2], &legs[(changes + 1) % 2]);
            one.bridge(other);
            other.play(Playback {
                pcm: sound(vec![0; 160], 8000),
                times: Some(1),
            });
            tokio::task::yield_now().await;
            other.stop_playback();
            tokio::task::yield_now().await;
            one.unbridge();
            changes += 1;
        }
    };
    let unhindered = timeout(PATIENCE * 4, change).await;
    unhindered.expect("the legs wait for each other");
    stop.cancel();
    for party in shouting {
        let ended = timeout(PATIENCE, party).await;
        ended.expect("a leg hangs").unwrap();
    }
}
