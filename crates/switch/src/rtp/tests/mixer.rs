//! Several phones hear each other.

use callreel_proto::MediaFork;

use super::*;

/// A phone that says this sample for ever, 20 ms at a time.
async fn speaks(party: &mut Party, codec: Codec, sample: i16) {
    let mut payload = Vec::new();
    let samples = codec.sample_rate() as usize / 50;
    Encoder::new(codec).encode(&vec![sample; samples], &mut payload);
    party.send(codec.payload_type(), &payload).await;
}

/// Waits until it is sent a packet as loud as this, in its codec.
async fn hears(party: &Party, codec: Codec, wanted: u32) {
    let mut decoder = Decoder::new(codec);
    let heard = async {
        loop {
            let packet = party.phone.hear().await;
            assert_eq!(packet.payload_type, codec.payload_type());
            let mut pcm = Vec::new();
            decoder.decode(&packet.payload, &mut pcm);
            if callreel_media::level(&pcm).abs_diff(wanted) < wanted / 10 {
                return;
            }
        }
    };
    let heard = timeout(PATIENCE, heard).await;
    heard.unwrap_or_else(|_| panic!("a level of {wanted} was never heard"));
}

async fn party(engine: &MediaEngine, ssrc: u32, codec: Codec) -> Party {
    let mut party = Party::new(engine, ssrc, codec).await;
    party.greet(codec.payload_type()).await;
    party
}

#[tokio::test]
async fn the_mute_hear_the_speaker_each_in_its_codec_and_are_not_heard() {
    let engine = engine();
    let mut alice = party(&engine, 1, Codec::Pcmu).await;
    let mut bob = party(&engine, 2, Codec::Pcma).await;
    let carol = party(&engine, 3, Codec::G722).await;
    let mixer = Mixer::start();
    alice.leg.join(&mixer, true);
    bob.leg.join(&mixer, false);
    carol.leg.join(&mixer, false);
    for _ in 0..8 {
        speaks(&mut alice, Codec::Pcmu, 4000).await;
        speaks(&mut bob, Codec::Pcma, 9000).await;
    }
    hears(&bob, Codec::Pcma, 4000).await;
    hears(&carol, Codec::G722, 4000).await;
    for packet in alice.phone.hear_many(20).await {
        let mut pcm = Vec::new();
        Decoder::new(Codec::Pcmu).decode(&packet.payload, &mut pcm);
        assert!(callreel_media::level(&pcm) < 10, "the mute are not heard");
    }
}

#[tokio::test]
async fn all_who_speak_hear_all_the_others_and_go_on_when_one_leaves() {
    let engine = engine();
    let mut alice = party(&engine, 1, Codec::Pcmu).await;
    let mut bob = party(&engine, 2, Codec::Pcmu).await;
    let carol = party(&engine, 3, Codec::Pcmu).await;
    let mixer = Mixer::start();
    for leg in [&alice.leg, &bob.leg, &carol.leg] {
        leg.join(&mixer, true);
    }
    for _ in 0..8 {
        speaks(&mut alice, Codec::Pcmu, 3000).await;
        speaks(&mut bob, Codec::Pcmu, 5000).await;
    }
    hears(&alice, Codec::Pcmu, 5000).await;
    hears(&bob, Codec::Pcmu, 3000).await;
    hears(&carol, Codec::Pcmu, 8000).await;
    bob.leg.unbridge();
    assert_continuous(&carol.phone.hear_many(10).await);
    for _ in 0..8 {
        speaks(&mut alice, Codec::Pcmu, 3000).await;
        speaks(&mut bob, Codec::Pcmu, 5000).await;
    }
    hears(&carol, Codec::Pcmu, 3000).await;
}

#[tokio::test]
async fn what_a_member_hears_is_forked_and_a_playback_has_precedence() {
    let engine = engine();
    let mut alice = party(&engine, 1, Codec::Pcmu).await;
    let mut bob = party(&engine, 2, Codec::Pcmu).await;
    let recorder = [Phone::new(8).await, Phone::new(9).await];
    let [a, b] = [recorder[0].addr(), recorder[1].addr()];
    alice.leg.start_fork(MediaFork { a, b }).unwrap();
    let mixer = Mixer::start();
    alice.leg.join(&mixer, true);
    bob.leg.join(&mixer, true);
    for _ in 0..8 {
        speaks(&mut bob, Codec::Pcmu, 5000).await;
    }
    hears(&alice, Codec::Pcmu, 5000).await;
    let copies = recorder[1].hear_many(10).await;
    assert_continuous(&copies);
    let pcm = Arc::new(Pcm {
        sample_rate: 8000,
        samples: vec![20_000; 1600],
    });
    alice.leg.play(Playback {
        pcm,
        times: Some(1),
    });
    hears(&alice, Codec::Pcmu, 20_000).await;
    while !matches!(
        alice.event().await,
        MediaEvent::PlaybackEnded { broken: false, .. }
    ) {}
    for _ in 0..8 {
        speaks(&mut bob, Codec::Pcmu, 5000).await;
    }
    hears(&alice, Codec::Pcmu, 5000).await;
}
