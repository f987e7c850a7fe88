//! Opus on a leg: under its own clock, with whatever the other leg has.

use callreel_proto::MediaFork;

use super::*;

/// Two legs, joined; the left one has Opus under these numbers.
async fn joined(other: Codec) -> (Party, Party) {
    let engine = engine();
    let left = Party::new(&engine, 0xaaaa, Codec::Opus).await;
    let mut right = Party::new(&engine, 0xbbbb, other).await;
    left.leg.set_remote(Remote {
        payload_type: 107,
        keys: Some(Keys {
            payload_type: 97,
            clock: 48_000,
        }),
        ..left.phone.remote(Codec::Opus)
    });
    right.greet(other.payload_type()).await;
    left.leg.bridge(&right.leg);
    (left, right)
}

fn event(digit: char, duration: u16, end: bool) -> Vec<u8> {
    let event = Event {
        digit,
        end,
        volume: 10,
        duration,
    };
    event.payload().unwrap().to_vec()
}

#[tokio::test]
async fn opus_is_relayed_untouched_and_forked_under_its_usual_numbers() {
    let (mut left, right) = joined(Codec::Opus).await;
    let (a, b) = (Phone::new(0).await, Phone::new(0).await);
    let fork = MediaFork {
        a: a.addr(),
        b: b.addr(),
    };
    left.leg.start_fork(fork).unwrap();
    let sent = encoded(Codec::Opus, &tone(700.0, 16_000, 1600));
    let mut relayed = Vec::new();
    for payload in &sent {
        let header = left.phone.header();
        left.phone.send_at(&left.leg, 107, header, payload).await;
        left.phone.sequence = left.phone.sequence.wrapping_add(1);
        left.phone.timestamp = left.phone.timestamp.wrapping_add(960);
        let copy = a.hear().await;
        assert_eq!((copy.payload_type, copy.header), (111, header));
        assert_eq!(copy.payload, *payload);
        relayed.push(right.phone.hear().await);
    }
    assert_continuous(&relayed);
    for (n, (heard, payload)) in relayed.iter().zip(&sent).enumerate() {
        assert_eq!((heard.payload_type, &heard.payload), (111, payload));
        let since = relayed[n].header.timestamp;
        let since = since.wrapping_sub(relayed[0].header.timestamp);
        assert_eq!(since, n as u32 * 960);
    }
    // A prompt is encoded for an Opus phone, in the fork, too.
    left.leg.play(Playback {
        pcm: sound(tone(440.0, 8000, 3200), 8000),
        times: Some(1),
    });
    let (played, forked) = (left.phone.hear_many(20).await, b.hear_many(20).await);
    assert_continuous(&played);
    assert_continuous(&forked);
    assert!(played.iter().all(|packet| packet.payload_type == 107));
    assert!(forked.iter().all(|packet| packet.payload_type == 111));
    let step = forked[1]
        .header
        .timestamp
        .wrapping_sub(forked[0].header.timestamp);
    assert_eq!(step, 960);
    let pcm = decoded(Codec::Opus, &forked);
    assert!(purity(&pcm[pcm.len() / 4..], 440.0, 16_000) > 0.95);
}

#[tokio::test]
async fn keys_cross_from_one_clock_to_the_other() {
    let (mut left, mut right) = joined(Codec::Pcmu).await;
    let opus = encoded(Codec::Opus, &tone(700.0, 16_000, 320)).remove(0);
    let header = left.phone.header();
    left.phone.send_at(&left.leg, 107, header, &opus).await;
    let sound = right.phone.hear().await;
    assert_eq!(left.event().await, MediaEvent::FirstPacket);
    // 100 ms into the stream a key of 120 ms.
    let pressed = Header {
        sequence: header.sequence.wrapping_add(1),
        timestamp: header.timestamp.wrapping_add(4800),
        ..header
    };
    let payload = event('5', 5760, true);
    left.phone.send_at(&left.leg, 97, pressed, &payload).await;
    let told = MediaEvent::Digit {
        digit: '5',
        duration_ticks: 960,
    };
    assert_eq!(left.event().await, told);
    let heard = right.phone.hear().await;
    assert_eq!(
        (heard.payload_type, heard.payload),
        (101, event('5', 960, true))
    );
    let after = heard.header.timestamp.wrapping_sub(sound.header.timestamp);
    assert_eq!(after, 800);
    // And back.
    let header = right.phone.header();
    right
        .phone
        .send_at(&right.leg, 101, header, &event('6', 960, true))
        .await;
    let heard = left.phone.hear().await;
    assert_eq!(
        (heard.payload_type, heard.payload),
        (97, event('6', 5760, true))
    );
    let six = right.event().await;
    assert!(
        matches!(
            six,
            MediaEvent::Digit {
                digit: '6',
                duration_ticks: 960
            }
        ),
        "{six:?}"
    );
    // Keys of ours.
    left.leg.send_digits("7").unwrap();
    let last = left.phone.hear_many(8).await.pop().unwrap();
    assert_eq!(last.payload, event('7', 5760, true));
}

#[tokio::test]
async fn a_change_to_another_clock_is_another_stream() {
    let (left, mut right) = joined(Codec::Pcmu).await;
    let greeting = encoded(Codec::Opus, &tone(700.0, 16_000, 320)).remove(0);
    let header = left.phone.header();
    left.phone.send_at(&left.leg, 107, header, &greeting).await;
    right.send(0, &[0x55; 160]).await;
    let before = left.phone.hear().await;
    assert_eq!(before.payload_type, 107);
    left.leg.set_remote(left.phone.remote(Codec::Pcmu));
    let mut heard = Vec::new();
    for n in 1..4 {
        right.send(0, &[n; 160]).await;
        heard.push(left.phone.hear().await);
    }
    assert_continuous(&heard);
    assert_eq!(heard[0].payload, [1; 160], "nothing is lost");
    assert_ne!(heard[0].header.ssrc, before.header.ssrc);
    assert!(heard[0].header.marker);
    // What the phone still sends in the old codec under a number that means nothing now is dropped.
    left.phone.send_at(&left.leg, 111, header, &greeting).await;
    left.until(|stats| stats.unexpected == 1).await;
}
