//! Phones hear what they are played, in time: the clock is the test's own, so that a busy machine changes nothing.

use tokio::time::Instant;

use super::*;

fn playback(ms: usize) -> Playback {
    Playback {
        pcm: sound(tone(440.0, 8000, ms * 8), 8000),
        times: Some(1),
    }
}

#[tokio::test(start_paused = true)]
async fn a_playback_lasts_as_long_as_its_sound_and_is_paced() {
    let mut caller = Party::new(&engine(), 1, Codec::Pcmu).await;
    let id = caller.leg.play(playback(395));
    let begin = Instant::now();
    let heard = caller.phone.hear_many(20).await;
    let took = begin.elapsed();
    assert_continuous(&heard);
    for (n, packet) in heard.iter().enumerate() {
        assert_eq!((packet.payload_type, packet.payload.len()), (0, 160));
        assert_eq!(packet.header.marker, n == 0);
        let since = packet
            .header
            .timestamp
            .wrapping_sub(heard[0].header.timestamp);
        assert_eq!(since, n as u32 * 160);
    }
    assert!(purity(&decoded(Codec::Pcmu, &heard), 440.0, 8000) > 0.95);
    // Nineteen frames after the first; the clock counts whole milliseconds.
    assert_eq!(took.as_millis(), 380);
    let ended = MediaEvent::PlaybackEnded { id, broken: false };
    assert_eq!(caller.event().await, ended);
    assert_eq!(begin.elapsed().as_millis(), 400);
    assert_eq!(caller.leg.stats().sent, 20);
    assert!(caller.phone.heard_nothing());
}

#[tokio::test(start_paused = true)]
async fn a_wideband_sound_is_played_to_each_codec_at_its_rate() {
    for codec in Codec::ALL {
        let caller = Party::new(&engine(), 1, codec).await;
        caller.leg.play(Playback {
            pcm: sound(tone(700.0, 22_050, 4410), 22_050),
            times: Some(1),
        });
        let heard = caller.phone.hear_many(10).await;
        let pcm = decoded(codec, &heard);
        let purity = purity(&pcm[pcm.len() / 5..], 700.0, codec.sample_rate());
        assert!(purity > 0.95, "{codec:?}: {purity}");
        assert!(heard.iter().all(|p| p.payload_type == codec.payload_type()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_playback_or_a_stop_breaks_the_running_one() {
    let mut caller = Party::new(&engine(), 1, Codec::Pcmu).await;
    let endless = Playback {
        times: None,
        ..playback(20)
    };
    let first = caller.leg.play(endless.clone());
    let mut heard = caller.phone.hear_many(3).await;
    let second = caller.leg.play(endless);
    let broken = |id| MediaEvent::PlaybackEnded { id, broken: true };
    assert_eq!(caller.event().await, broken(first));
    heard.extend(caller.phone.hear_many(3).await);
    caller.leg.stop_playback();
    assert_eq!(caller.event().await, broken(second));
    caller.leg.stop_playback();
    let third = caller.leg.play(playback(40));
    heard.extend(
        caller
            .phone
            .hear_many(caller.leg.stats().sent as usize - heard.len() + 2)
            .await,
    );
    assert_continuous(&heard);
    let ended = MediaEvent::PlaybackEnded {
        id: third,
        broken: false,
    };
    assert_eq!(caller.event().await, ended);
    assert!(caller.events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_playback_replaces_the_bridge_for_its_time_in_one_continuous_stream() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::Pcmu).await;
    left.greet(0).await;
    right.greet(0).await;
    left.leg.bridge(&right.leg);
    left.send(0, &[1; 160]).await;
    let mut heard = right.phone.hear_many(1).await;
    right.leg.play(playback(100));
    for _ in 0..5 {
        heard.push(right.phone.hear().await);
        left.send(0, &[2; 160]).await;
        left.until(|stats| stats.received as usize == 1 + heard.len())
            .await;
    }
    let ended = right.event().await;
    assert!(matches!(
        ended,
        MediaEvent::PlaybackEnded { broken: false, .. }
    ));
    left.send(0, &[3; 160]).await;
    heard.push(right.phone.hear().await);
    assert_continuous(&heard);
    assert!(heard[1..6].iter().all(|packet| packet.payload != [2; 160]));
    assert_eq!(heard[6].payload, [3; 160]);
    assert!(heard[1].header.marker && heard[6].header.marker);
    let time = |n: usize| heard[n].header.timestamp;
    for n in 1..7 {
        assert!(
            time(n).wrapping_sub(time(n - 1)) >= 160,
            "{n}: time goes forward"
        );
    }
    assert!(time(6).wrapping_sub(time(0)) < 16_000);
}

#[tokio::test(start_paused = true)]
async fn time_goes_on_while_the_phone_is_on_hold() {
    let mut caller = Party::new(&engine(), 1, Codec::Pcmu).await;
    caller.leg.play(playback(300));
    let first = caller.phone.hear().await;
    caller.leg.set_remote(Remote {
        send: false,
        ..caller.phone.remote(Codec::Pcmu)
    });
    let ended = caller.event().await;
    assert!(matches!(
        ended,
        MediaEvent::PlaybackEnded { broken: false, .. }
    ));
    assert_eq!(caller.leg.stats().sent, 1);
    caller.leg.set_remote(caller.phone.remote(Codec::Pcmu));
    caller.leg.play(playback(20));
    let sent = caller.until(|stats| stats.sent > 1).await.sent;
    let last = caller
        .phone
        .hear_many(sent as usize - 1)
        .await
        .pop()
        .unwrap();
    let since = last.header.timestamp.wrapping_sub(first.header.timestamp);
    assert!((2400..2560).contains(&since), "{since}");
    assert!(last.header.marker);
}

#[tokio::test(start_paused = true)]
async fn dialled_digits_reach_the_other_end_and_others_are_refused() {
    let engine = engine();
    let caller = Party::new(&engine, 1, Codec::Pcmu).await;
    // The far end is another leg of the engine, whose detector hears the keys.
    let (far, mut events) = engine.open().unwrap();
    let at = |port| Remote {
        addr: (LOOPBACK, port).into(),
        ..caller.phone.remote(Codec::Pcmu)
    };
    caller.leg.set_remote(at(far.local_port()));
    far.set_remote(at(caller.leg.local_port()));
    caller.leg.send_digits("4").unwrap();
    caller.leg.send_digits("2").unwrap();
    let mut digits = String::new();
    while digits.len() < 2 {
        let event = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
        if let MediaEvent::Digit {
            digit,
            duration_ticks,
        } = event
        {
            assert_eq!(duration_ticks, 960);
            digits.push(digit);
        }
    }
    assert_eq!(digits, "42");
    let odd = caller.leg.send_digits("1z").unwrap_err();
    assert!(matches!(odd, Error::NotADigit('z')));
    caller.leg.set_remote(Remote {
        keys: None,
        ..at(far.local_port())
    });
    let refused = caller.leg.send_digits("1").unwrap_err();
    assert!(matches!(refused, Error::NoTelephoneEvent));
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_sends_is_never_left_without_a_packet_for_long() {
    let mut caller = Party::new(&engine(), 1, Codec::Pcma).await;
    caller.greet(8).await;
    let alive = caller.phone.hear().await;
    assert!(alive.header.marker);
    let pcm = decoded(Codec::Pcma, &[alive]);
    assert!(pcm.iter().all(|sample| sample.abs() <= 8), "silence");
    let begin = Instant::now();
    caller.phone.hear().await;
    let apart = begin.elapsed();
    assert!(apart >= Duration::from_millis(800), "{apart:?}");
}
