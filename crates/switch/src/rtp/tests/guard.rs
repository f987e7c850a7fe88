//! What strangers, garbage and absence do to a leg.

use std::time::Instant;

use proptest::prelude::*;

use super::super::fork::{Copies, ForkSocket};
use super::super::inbound::Inbound;
use super::*;

#[tokio::test]
async fn an_intruder_cannot_take_a_running_stream_but_a_moved_phone_can_return() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::Pcmu).await;
    right.greet(0).await;
    // The phone is behind a NAT: it does not send from where SDP said.
    let mut natted = Phone::new(0xaaaa).await;
    for _ in 0..4 {
        natted.send(&left.leg, 0, &[1; 160]).await;
    }
    assert_eq!(left.event().await, MediaEvent::FirstPacket);
    left.leg.bridge(&right.leg);
    let mut intruder = Phone::new(0xeeee).await;
    for _ in 0..5 {
        intruder.send(&left.leg, 0, &[6; 160]).await;
    }
    left.until(|stats| stats.foreign == 3 + 5).await;
    natted.send(&left.leg, 0, &[2; 160]).await;
    assert_eq!(right.phone.hear().await.payload, [2; 160]);
    right.send(0, &[3; 160]).await;
    assert_eq!(natted.hear().await.payload, [3; 160]);
    assert_eq!(left.leg.stats().source, Some(natted.addr()));
    // A second of silence, and the phone comes from another port.
    let mut moved = Phone::new(0xaaaa).await;
    let quiet = Instant::now();
    while left.leg.stats().source != Some(moved.addr()) {
        moved.send(&left.leg, 0, &[4; 160]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(quiet.elapsed() < PATIENCE);
    }
    assert!(quiet.elapsed() > Duration::from_millis(900));
    assert!(intruder.heard_nothing());
}

#[tokio::test]
async fn a_stranger_who_tries_all_ports_does_not_get_what_a_silent_phone_is_sent() {
    let engine = engine();
    let left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::Pcmu).await;
    right.greet(0).await;
    left.leg.bridge(&right.leg);
    let stranger = Phone::new(0xeeee).await;
    let header = stranger.header();
    for _ in 0..5 {
        stranger.send_at(&left.leg, 0, header, &[6; 160]).await;
    }
    left.until(|stats| stats.foreign == 5).await;
    right.send(0, &[3; 160]).await;
    assert_eq!(left.phone.hear().await.payload, [3; 160]);
    assert!(stranger.heard_nothing());
}

#[tokio::test]
async fn a_phone_that_speaks_another_codec_of_its_offer_is_heard_from_where_it_said_it_is() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::Pcma).await;
    right.greet(0).await;
    left.leg.bridge(&right.leg);
    let mut stranger = Phone::new(0xeeee).await;
    stranger.send(&left.leg, 8, &[6; 160]).await;
    left.until(|stats| stats.foreign == 1).await;
    left.send(8, &[7; 160]).await;
    assert_eq!(left.event().await, MediaEvent::FirstPacket);
    assert_eq!(right.phone.hear().await.payload, [7; 160]);
}

#[tokio::test]
async fn garbage_wrong_payload_types_and_rtcp_are_counted_and_dropped() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::Pcmu).await;
    left.greet(0).await;
    right.greet(0).await;
    left.leg.bridge(&right.leg);
    let garbage: [&[u8]; 6] = [
        b"",
        b"\r\n\r\n",
        &[0x80; 11],
        &[0x8f; 12],
        &[0x40; 172],
        &[0x80; 1700],
    ];
    for datagram in garbage {
        left.phone.send_raw(&left.leg, datagram).await;
    }
    left.send(18, &[0; 20]).await;
    left.send(13, &[0; 1]).await;
    let rtcp = (LOOPBACK, left.leg.local_port() + 1);
    left.phone
        .socket
        .send_to(&[0x80, 200, 0, 6], rtcp)
        .await
        .unwrap();
    let stats = left
        .until(|stats| stats.unexpected == 2 && stats.rtcp == 1)
        .await;
    assert_eq!(stats.malformed, 6);
    assert_eq!(stats.received, 1);
    left.send(0, &[7; 160]).await;
    assert_eq!(right.phone.hear().await.payload, [7; 160]);
}

#[tokio::test]
async fn packets_before_sdp_are_nobodys() {
    let (leg, _events) = engine().open().unwrap();
    let mut phone = Phone::new(1).await;
    phone.send(&leg, 0, &[1; 160]).await;
    let begin = Instant::now();
    while leg.stats().foreign == 0 {
        tokio::task::yield_now().await;
        assert!(begin.elapsed() < PATIENCE);
    }
    assert_eq!(leg.stats().source, None);
}

#[tokio::test]
async fn a_phone_that_falls_silent_is_reported_unless_it_is_on_hold() {
    let mut caller = Party::new(&engine(), 1, Codec::Pcmu).await;
    caller.greet(0).await;
    let begin = Instant::now();
    assert_eq!(caller.event().await, MediaEvent::Inactive);
    assert!(begin.elapsed() >= Duration::from_millis(900));
    assert_eq!(
        caller.event().await,
        MediaEvent::Inactive,
        "told again while it lasts"
    );
    caller.leg.set_remote(Remote {
        receive: false,
        ..caller.phone.remote(Codec::Pcmu)
    });
    let told = timeout(Duration::from_millis(1500), caller.events.recv()).await;
    assert!(told.is_err(), "{told:?}");
}

#[tokio::test]
async fn silence_is_told_whether_it_is_sent_or_merely_not_sent() {
    let mut caller = Party::new(&engine(), 1, Codec::Pcmu).await;
    let loud = encoded(Codec::Pcmu, &tone(440.0, 8000, 160)).remove(0);
    caller.send(0, &loud).await;
    assert_eq!(caller.event().await, MediaEvent::FirstPacket);
    let begin = Instant::now();
    caller.leg.watch_silence(Some(SilenceWatch {
        threshold: 200,
        after: Duration::from_millis(300),
    }));
    while caller.events.is_empty() {
        caller.send(0, &[0xff; 160]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(caller.event().await, MediaEvent::Silence);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    caller.send(0, &loud).await;
    assert_eq!(
        caller.event().await,
        MediaEvent::Silence,
        "nothing at all came any more"
    );
    caller.leg.watch_silence(None);
    caller.send(0, &loud).await;
    assert_eq!(caller.event().await, MediaEvent::Inactive);
}

/// An engine with room for one leg.
fn narrow_engine() -> MediaEngine {
    MediaEngine::start(RtpConfig {
        bind: LOOPBACK,
        ports: 27_000..=27_001,
        fork_bind: LOOPBACK,
        inactivity_s: 0,
    })
    .unwrap()
}

fn endless_silence() -> Playback {
    Playback {
        pcm: sound(vec![0; 160], 8000),
        times: None,
    }
}

/// Waits for a port to be free again.
async fn reopen(engine: &MediaEngine) -> (MediaLeg, mpsc::Receiver<MediaEvent>) {
    let begin = Instant::now();
    loop {
        match engine.open() {
            Ok(opened) => return opened,
            Err(_) => tokio::task::yield_now().await,
        }
        assert!(begin.elapsed() < PATIENCE, "the port never came back");
    }
}

#[tokio::test]
async fn a_closed_or_dropped_leg_ends_its_playback_and_events_and_gives_its_port_back() {
    let engine = narrow_engine();
    let (leg, mut events) = engine.open().unwrap();
    let exhausted = engine.open().unwrap_err().to_string();
    assert!(
        exhausted.contains("switch.rtp_ports 27000-27001"),
        "{exhausted}"
    );
    let id = leg.play(endless_silence());
    leg.clone().close();
    let broken = |id| Some(MediaEvent::PlaybackEnded { id, broken: true });
    assert_eq!(timeout(PATIENCE, events.recv()).await, Ok(broken(id)));
    assert_eq!(timeout(PATIENCE, events.recv()).await, Ok(None));
    leg.play(endless_silence());
    let (dropped, mut events) = reopen(&engine).await;
    let clone = dropped.clone();
    let id = clone.play(endless_silence());
    drop((dropped, clone));
    assert_eq!(timeout(PATIENCE, events.recv()).await, Ok(broken(id)));
    assert_eq!(timeout(PATIENCE, events.recv()).await, Ok(None));
    reopen(&engine).await;
}

#[tokio::test]
async fn a_flood_of_random_datagrams_leaves_the_call_alone() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::G722).await;
    left.greet(0).await;
    right.greet(9).await;
    left.leg.bridge(&right.leg);
    let stranger = Phone::new(0xeeee).await;
    for n in 0..3000u64 {
        let mut noise = vec![0; (n * 7 % 400) as usize];
        rand::fill(&mut noise[..]);
        stranger.send_raw(&left.leg, &noise).await;
        left.phone.send_raw(&left.leg, &noise).await;
        if n % 50 == 49 {
            let counted = |s: &LegStats| s.received + s.malformed + s.foreign + s.unexpected;
            let sent = 1 + 2 * (n + 1);
            left.until(|stats| counted(stats) == sent).await;
        }
    }
    right.send(9, &[1; 160]).await;
    let heard = left.phone.hear().await;
    assert_eq!((heard.payload_type, heard.payload.len()), (0, 160));
    assert_eq!(left.leg.stats().source, Some(left.phone.addr()));
}

#[tokio::test]
async fn legs_told_to_send_to_each_other_do_not_send_for_ever() {
    let engine = engine();
    let left = Party::new(&engine, 1, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 2, Codec::Pcmu).await;
    let (to_left, to_right) = (left.leg.local_port(), right.leg.local_port());
    for (party, port) in [(&left, to_right), (&right, to_left)] {
        party.leg.set_remote(Remote {
            addr: (LOOPBACK, port).into(),
            ..party.phone.remote(Codec::Pcmu)
        });
    }
    left.leg.bridge(&right.leg);
    left.leg.send_digits("1").unwrap();
    while !matches!(right.event().await, MediaEvent::Digit { .. }) {}
    right.until(|stats| stats.received >= 8).await;
    let sent = left.leg.stats().sent + right.leg.stats().sent;
    assert!(sent < 20, "{sent}");
}

/// Mostly valid headers, so that what follows them is reached.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let payload_type = prop_oneof![Just(0u8), Just(8), Just(9), Just(101), any::<u8>()];
    let start = prop_oneof![Just(0x80u8), Just(0x90), Just(0xa0), any::<u8>()];
    (
        start,
        payload_type,
        prop::collection::vec(any::<u8>(), 0..400),
    )
        .prop_map(|(start, payload_type, mut rest)| {
            rest.insert(0, payload_type);
            rest.insert(0, start);
            rest
        })
}

proptest! {
    #[test]
    fn no_sequence_of_datagrams_upsets_a_leg(many in prop::collection::vec((datagrams(), 0..3u16), 1..60)) {
        let socket = ForkSocket::open(LOOPBACK).unwrap();
        let now = Instant::now();
        let mut inbound = Inbound::new(Copies::new(socket), None, now);
        let remote = Remote {
            addr: (LOOPBACK, 1).into(),
            codec: Codec::G722,
            payload_type: 9,
            keys: Some(Keys::usual(101)),
            send: true,
            receive: true,
        };
        inbound.set_remote(remote, now);
        inbound.watch_silence(Some(SilenceWatch { threshold: 1, after: Duration::ZERO }), now);
        let mut admitted = 0;
        for (n, (datagram, from)) in many.iter().enumerate() {
            let now = now + Duration::from_millis(300 * n as u64);
            if let Some(packet) = inbound.admit(now, (LOOPBACK, *from).into(), datagram) {
                admitted += 1;
                inbound.take(now, &packet, |_| {});
            }
            inbound.tick(now, |_| {});
        }
        let stats = inbound.stats;
        prop_assert_eq!(stats.received, admitted);
        let all = stats.received + stats.malformed + stats.foreign + stats.unexpected;
        prop_assert_eq!(all, many.len() as u64);
    }
}
