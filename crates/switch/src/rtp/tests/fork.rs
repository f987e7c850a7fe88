//! A recorder hears both directions of a leg, as docs/fork.md promises.

use callreel_proto::MediaFork;

use super::*;

/// A recorder's two ports.
struct Recorder {
    a: Phone,
    b: Phone,
}

impl Recorder {
    async fn new() -> Self {
        Self {
            a: Phone::new(0).await,
            b: Phone::new(0).await,
        }
    }

    fn fork(&self) -> MediaFork {
        MediaFork {
            a: self.a.addr(),
            b: self.b.addr(),
        }
    }
}

#[tokio::test]
async fn a_bridge_is_forked_as_both_phones_sent_it_untranscoded() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::G722).await;
    // Dynamic numbers on both legs: the fork knows only 0, 8, 9 and 101.
    left.leg.set_remote(Remote {
        payload_type: 110,
        keys: Some(Keys::usual(97)),
        ..left.phone.remote(Codec::Pcmu)
    });
    left.greet(110).await;
    right.greet(9).await;
    left.leg.bridge(&right.leg);
    let recorder = Recorder::new().await;
    let source = left.leg.start_fork(recorder.fork()).unwrap();
    for n in 0..5u8 {
        let sent = left.send(110, &[n; 160]).await;
        let heard = recorder.a.hear().await;
        assert_eq!((heard.payload_type, heard.header), (0, sent));
        assert_eq!((heard.payload, heard.from), (vec![n; 160], source));
        let sent = right.send(9, &[n; 160]).await;
        let heard = recorder.b.hear().await;
        assert_eq!((heard.payload_type, heard.header), (9, sent));
        assert_eq!((heard.payload, heard.from), (vec![n; 160], source));
    }
    left.phone.press(&left.leg, 97, '1').await;
    assert_eq!(recorder.a.hear().await.payload_type, 101);
    assert!(recorder.b.heard_nothing());
    let stats = left.until(|stats| stats.forked == 18).await;
    assert_eq!(stats.fork_failed, 0);
    assert_eq!(right.leg.stats().forked, 0);
}

#[tokio::test]
async fn prompts_are_forked_as_generated_with_an_ssrc_of_their_own() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcma).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::Pcma).await;
    left.greet(8).await;
    right.greet(8).await;
    left.leg.bridge(&right.leg);
    let recorder = Recorder::new().await;
    left.leg.start_fork(recorder.fork()).unwrap();
    let prompt = || Playback {
        pcm: sound(tone(440.0, 8000, 800), 8000),
        times: Some(1),
    };
    let mut forked = Vec::new();
    let mut heard = Vec::new();
    for round in 0..2u8 {
        left.leg.play(prompt());
        forked.extend(recorder.b.hear_many(5).await);
        heard.extend(left.phone.hear_many(5).await);
        assert!(matches!(
            left.event().await,
            MediaEvent::PlaybackEnded { .. }
        ));
        let sent = right.send(8, &[round; 160]).await;
        assert_eq!(
            recorder.b.hear().await.header,
            sent,
            "the peer's packets in between"
        );
        left.phone.hear().await;
    }
    assert_continuous(&forked);
    assert!(![0xaaaa, 0xbbbb].contains(&forked[0].header.ssrc));
    for (copy, original) in forked.iter().zip(&heard) {
        assert_eq!(copy.payload, original.payload);
        assert_eq!(copy.payload_type, 8);
        assert_ne!(copy.header.ssrc, original.header.ssrc);
    }
    let between = forked[5]
        .header
        .timestamp
        .wrapping_sub(forked[4].header.timestamp);
    assert!(between >= 160, "{between}");
}

#[tokio::test]
async fn a_caller_alone_is_forked_until_the_fork_is_stopped() {
    let mut caller = Party::new(&engine(), 0xaaaa, Codec::Pcmu).await;
    let recorder = Recorder::new().await;
    caller.leg.start_fork(recorder.fork()).unwrap();
    let sent = caller.send(0, &[1; 160]).await;
    assert_eq!(recorder.a.hear().await.header, sent);
    caller.leg.stop_fork(&recorder.fork());
    caller.send(0, &[2; 160]).await;
    caller.until(|stats| stats.received == 2).await;
    assert_eq!(caller.leg.stats().forked, 1);
    caller.leg.start_fork(recorder.fork()).unwrap();
    caller.send(0, &[3; 160]).await;
    assert_eq!(recorder.a.hear().await.payload, [3; 160]);
    assert!(recorder.b.heard_nothing());
}

#[tokio::test]
async fn several_recorders_hear_a_leg_and_one_that_leaves_takes_nothing_from_the_others() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::Pcmu).await;
    left.greet(0).await;
    right.greet(0).await;
    left.leg.bridge(&right.leg);
    let mut recorders = Vec::new();
    for _ in 0..4 {
        let recorder = Recorder::new().await;
        left.leg.start_fork(recorder.fork()).unwrap();
        recorders.push(recorder);
    }
    // The same order again, and one too many.
    left.leg.start_fork(recorders[1].fork()).unwrap();
    let late = Recorder::new().await;
    let refused = left.leg.start_fork(late.fork()).unwrap_err();
    assert!(refused.to_string().contains("4 recorders"), "{refused}");
    let (said, heard) = (
        left.send(0, &[1; 160]).await,
        right.send(0, &[2; 160]).await,
    );
    for recorder in &recorders {
        assert_eq!(recorder.a.hear().await.header, said);
        assert_eq!(recorder.b.hear().await.header, heard);
    }
    left.leg.stop_fork(&recorders[1].fork());
    left.leg.start_fork(late.fork()).unwrap();
    let (said, heard) = (
        left.send(0, &[3; 160]).await,
        right.send(0, &[4; 160]).await,
    );
    for recorder in [&recorders[0], &recorders[2], &recorders[3], &late] {
        assert_eq!(recorder.a.hear().await.header, said);
        assert_eq!(recorder.b.hear().await.header, heard);
    }
    assert!(recorders[1].a.heard_nothing() && recorders[1].b.heard_nothing());
    assert_eq!(left.leg.stats().forked, 16);
}

#[tokio::test]
async fn what_a_held_phone_is_not_sent_is_not_recorded() {
    let engine = engine();
    let mut left = Party::new(&engine, 0xaaaa, Codec::Pcmu).await;
    let mut right = Party::new(&engine, 0xbbbb, Codec::Pcmu).await;
    left.greet(0).await;
    right.greet(0).await;
    left.leg.bridge(&right.leg);
    let recorder = Recorder::new().await;
    left.leg.start_fork(recorder.fork()).unwrap();
    left.leg.set_remote(Remote {
        send: false,
        ..left.phone.remote(Codec::Pcmu)
    });
    right.send(0, &[1; 160]).await;
    right.until(|stats| stats.received == 2).await;
    left.leg.set_remote(left.phone.remote(Codec::Pcmu));
    let sent = right.send(0, &[2; 160]).await;
    assert_eq!(recorder.b.hear().await.header, sent);
}

#[tokio::test]
async fn a_recorder_out_of_reach_is_refused_and_a_vanished_one_costs_only_copies() {
    let mut caller = Party::new(&engine(), 0xaaaa, Codec::Pcmu).await;
    let v6: SocketAddr = "[::1]:9".parse().unwrap();
    let error = caller
        .leg
        .start_fork(MediaFork { a: v6, b: v6 })
        .unwrap_err();
    assert!(error.to_string().contains("switch.fork_bind"), "{error}");
    let gone = Recorder::new().await.fork();
    caller.leg.start_fork(gone).unwrap();
    for n in 1..=5 {
        caller.send(0, &[1; 160]).await;
        caller.until(|stats| stats.received == n).await;
    }
}

#[tokio::test]
async fn an_unspecified_fork_bind_still_names_a_real_source() {
    let any = MediaEngine::start(RtpConfig {
        bind: LOOPBACK,
        ports: 22_000..=26_999,
        fork_bind: Ipv4Addr::UNSPECIFIED.into(),
        inactivity_s: 0,
    });
    let mut caller = Party::new(&any.unwrap(), 0xaaaa, Codec::Pcmu).await;
    let recorder = Recorder::new().await;
    let source = caller.leg.start_fork(recorder.fork()).unwrap();
    caller.send(0, &[1; 160]).await;
    assert_eq!(recorder.a.hear().await.from, source);
}
