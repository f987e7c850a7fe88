//! What a recorder hears when phones hold, resume, and change their codec, port or source in mid-call, and before the answer.

use callreel_proto::CallId;
use serde_json::json;
use tokio::net::UdpSocket;

use crate::support::{
    Call, Controller, Ears, Forked, Message, Phone, Scene, Talk, bridge_to, dialled, hears, packet,
    payload, sdp_with, soon, talking,
};

const SDP: &str = "Content-Type: application/sdp\n";

/// Alice has called Bob, and a recorder hears her leg.
struct Recorded {
    alice: Phone,
    /// Alice's dialog.
    call: Call,
    /// Where Alice speaks to.
    answer: Message,
    bob: Phone,
    /// Bob's dialog.
    called: Call,
    /// Where Bob speaks to.
    invite: Message,
    ears: Ears,
}

async fn recorded(scene: &Scene, controller: &mut Controller) -> Recorded {
    let Talk {
        alice,
        call,
        answer,
        bob,
        invite,
        ..
    } = talking(scene, controller).await;
    let ears = Ears::at(controller, &call.call_id).await;
    let talk = Recorded {
        called: bob.called(&invite),
        alice,
        call,
        answer,
        bob,
        invite,
        ears,
    };
    talk.hear_each_other(1).await;
    talk
}

impl Recorded {
    /// Alice says something; the recorder hears it.
    async fn alice_says(&self, sequence: u16, sample: u8) {
        self.alice.speak(self.answer.rtp(), sequence, sample).await;
        let heard = packet(&self.ears.a).await;
        assert_eq!((heard.sequence, heard.payload_type), (sequence, 0));
        assert_eq!(heard.payload, [sample; 160]);
    }

    /// Bob says something.
    async fn bob_says(&self, sequence: u16, sample: u8) {
        self.bob.speak(self.invite.rtp(), sequence, sample).await;
    }

    /// The switch has taken so many packets of Bob.
    async fn until_bob_was_received(&self, scene: &Scene, packets: u64) {
        let id = self.called.call_id.as_str();
        let received = async {
            loop {
                let channels = scene.switch.picture().await.channels;
                let leg = channels.iter().find(|c| c.call_id == id);
                if leg.is_some_and(|leg| leg.rtp.received >= packets) {
                    return;
                }
            }
        };
        soon("Bob's packets", received).await;
    }

    /// Both say something, and the other one and the recorder hear it, as the very next thing each of them hears.
    async fn hear_each_other(&self, sequence: u16) {
        let (of_alice, of_bob) = (0x10 + sequence as u8, 0x60 + sequence as u8);
        self.alice_says(sequence, of_alice).await;
        self.bob_says(sequence, of_bob).await;
        assert_eq!(payload(&self.ears.b).await, [of_bob; 160]);
        heard(&self.bob, of_alice).await;
        heard(&self.alice, of_bob).await;
    }
}

/// What a phone hears next, but for the silence that keeps its port open.
async fn heard(phone: &Phone, sample: u8) {
    loop {
        let (_, payload) = phone.hear().await;
        if payload != [0xff; 160] {
            return assert_eq!(payload, [sample; 160]);
        }
    }
}

/// re-INVITEs; the answer.
async fn renegotiate(phone: &Phone, call: &mut Call, body: &str) -> Message {
    phone.within(call, "INVITE", SDP, body).await;
    let answer = phone.final_response().await;
    assert_eq!(answer.status(), 200);
    phone.ack(call, &answer, "").await;
    answer
}

fn described(phone: &Phone, direction: &str) -> String {
    sdp_with(phone.rtp.local_addr().unwrap(), "0 101", direction)
}

#[tokio::test]
async fn held_time_is_silent_but_for_the_holding_phones_own_music() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let mut talk = recorded(&scene, &mut controller).await;
    let id = talk.call.call_id.clone();
    let hold = described(&talk.alice, "sendonly");
    renegotiate(&talk.alice, &mut talk.call, &hold).await;
    controller.event("CHANNEL_HOLD", &id).await;
    // Alice's phone plays music, Bob hears it, the recorder has it as hers. What Bob says meanwhile nobody hears.
    talk.alice_says(2, 0x55).await;
    heard(&talk.bob, 0x55).await;
    talk.bob_says(2, 0x66).await;
    talk.bob_says(3, 0x67).await;
    talk.until_bob_was_received(&scene, 3).await;
    let resume = described(&talk.alice, "sendrecv");
    renegotiate(&talk.alice, &mut talk.call, &resume).await;
    controller.event("CHANNEL_UNHOLD", &id).await;
    talk.hear_each_other(4).await;
    talk.ears.assert_deaf();

    // Nobody sends: nothing is in either stream.
    let silence = described(&talk.alice, "inactive");
    renegotiate(&talk.alice, &mut talk.call, &silence).await;
    talk.bob_says(5, 0x68).await;
    talk.until_bob_was_received(&scene, 5).await;
    let resume = described(&talk.alice, "sendrecv");
    renegotiate(&talk.alice, &mut talk.call, &resume).await;
    talk.hear_each_other(6).await;
    talk.ears.assert_deaf();
}

#[tokio::test]
async fn the_music_of_a_callee_who_holds_is_what_the_caller_hears() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let mut talk = recorded(&scene, &mut controller).await;
    let leg = talk.called.call_id.clone();
    let hold = described(&talk.bob, "sendonly");
    renegotiate(&talk.bob, &mut talk.called, &hold).await;
    controller.event("CHANNEL_HOLD", &leg).await;
    talk.bob_says(2, 0x71).await;
    assert_eq!(payload(&talk.ears.b).await, [0x71; 160]);
    heard(&talk.alice, 0x71).await;
    // What Alice says is hers, whoever hears it.
    talk.alice_says(2, 0x21).await;
    let resume = described(&talk.bob, "sendrecv");
    renegotiate(&talk.bob, &mut talk.called, &resume).await;
    controller.event("CHANNEL_UNHOLD", &leg).await;
    talk.hear_each_other(3).await;
    talk.ears.assert_deaf();
}

#[tokio::test]
async fn a_party_that_is_held_by_a_key_hears_music_until_the_key_that_takes_it_back() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let mut talk = recorded(&scene, &mut controller).await;
    let id = talk.call.call_id.clone();
    let hold =
        json!({"Insert-At": "now", "Unhold-Key": "5", "B-MOH": "tone_stream://%(4000,0,440)"});
    controller.command(&id, "soft_hold", hold).await;
    let music = async { while talk.bob.hear().await.1 == [0xff; 160] {} };
    soon("music", music).await;
    // What Bob says nobody hears.
    talk.bob_says(2, 0x66).await;
    for _ in 0..10 {
        assert_ne!(talk.alice.hear().await.1, [0x66; 160]);
    }
    let (alice, key) = (&talk.alice, "Content-Type: application/dtmf-relay\n");
    alice
        .within(&mut talk.call, "INFO", key, "Signal=5\r\nDuration=160\r\n")
        .await;
    alice.final_response().await;
    controller.completion(&id, "play").await;
    controller.completion(&id, "play").await;
    talk.alice.speak(talk.answer.rtp(), 20, 0x31).await;
    talk.bob_says(20, 0x32).await;
    hears(&talk.bob, 0x31).await;
    hears(&talk.alice, 0x32).await;

    // A break takes it back, too; and without another party there is nobody to hold.
    controller
        .command(
            &id,
            "soft_hold",
            json!({"Insert-At": "now", "Unhold-Key": "5"}),
        )
        .await;
    controller
        .command(&id, "break", json!({"Insert-At": "now"}))
        .await;
    controller.completion(&id, "play").await;
    controller.completion(&id, "play").await;
    talk.alice.speak(talk.answer.rtp(), 21, 0x33).await;
    hears(&talk.bob, 0x33).await;
    talk.bob.within(&mut talk.called, "BYE", "", "").await;
    controller.event("CHANNEL_UNBRIDGE", &id).await;
    controller
        .command(
            &id,
            "soft_hold",
            json!({"Insert-At": "now", "Unhold-Key": "5"}),
        )
        .await;
    let error = controller.event("dialplan", &id).await;
    assert_eq!(error["Request"]["Application-Name"], "soft_hold");
}

/// An RTP packet of 160 bytes.
fn rtp(payload_type: u8, sequence: u16, ssrc: u32, sample: u8) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([sample; 160]);
    packet
}

fn forked(payload_type: u8, sequence: u16, ssrc: u32, sample: u8) -> Forked {
    Forked {
        payload_type,
        sequence,
        ssrc,
        payload: vec![sample; 160],
    }
}

#[tokio::test]
async fn another_codec_port_and_source_are_followed_without_a_loss() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let mut talk = recorded(&scene, &mut controller).await;
    let to = talk.answer.rtp();
    // Another codec.
    let rtp_address = talk.alice.rtp.local_addr().unwrap();
    let wide = sdp_with(rtp_address, "9 101", "sendrecv");
    renegotiate(&talk.alice, &mut talk.call, &wide).await;
    // One that was on its way, and the first ones of the new codec.
    for (payload_type, sequence) in [(0, 2), (9, 3), (9, 4)] {
        let sent = rtp(payload_type, sequence, 0x0102_0304, 0x31);
        talk.alice.rtp.send_to(&sent, to).await.unwrap();
        let heard = packet(&talk.ears.a).await;
        assert_eq!(heard, forked(payload_type, sequence, 0x0102_0304, 0x31));
    }
    // Bob's is still what he sends, not what Alice is sent.
    talk.bob_says(2, 0x66).await;
    let heard = packet(&talk.ears.b).await;
    assert_eq!((heard.payload_type, heard.payload), (0, vec![0x66; 160]));

    // Another port and source, and back to the first codec.
    let moved = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let narrow = sdp_with(moved.local_addr().unwrap(), "8 101", "sendrecv");
    let answer = renegotiate(&talk.alice, &mut talk.call, &narrow).await;
    assert_eq!(answer.rtp(), to, "the switch stays where it is");
    for sequence in [900, 901] {
        let sent = rtp(8, sequence, 0xaaaa_aaaa, 0x41);
        moved.send_to(&sent, to).await.unwrap();
        let heard = packet(&talk.ears.a).await;
        assert_eq!(heard, forked(8, sequence, 0xaaaa_aaaa, 0x41));
    }
    // Who is left at the old place is nobody any more.
    let stray = rtp(0, 5, 0x0102_0304, 0x31);
    talk.alice.rtp.send_to(&stray, to).await.unwrap();
    let sent = rtp(8, 902, 0xaaaa_aaaa, 0x42);
    moved.send_to(&sent, to).await.unwrap();
    assert_eq!(packet(&talk.ears.a).await.payload, [0x42; 160]);
    talk.bob_says(3, 0x67).await;
    assert_eq!(payload(&talk.ears.b).await, [0x67; 160]);
    talk.ears.assert_deaf();
}

#[tokio::test]
async fn a_phone_that_asks_for_our_offer_in_mid_call_is_recorded_as_it_answers() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let mut talk = recorded(&scene, &mut controller).await;
    talk.alice.within(&mut talk.call, "INVITE", "", "").await;
    let offer = talk.alice.final_response().await;
    assert!(offer.body.contains("RTP/AVP 0 "), "{}", offer.body);
    let rtp_address = talk.alice.rtp.local_addr().unwrap();
    let answer = sdp_with(rtp_address, "8 101", "sendrecv");
    talk.alice.ack(&talk.call, &offer, &answer).await;
    // The ACK has arrived when Bob is heard in the codec it names.
    let mut sequence = 10;
    loop {
        talk.bob_says(sequence, 0x66).await;
        assert_eq!(payload(&talk.ears.b).await, [0x66; 160]);
        if talk.alice.hear().await.0 == 8 {
            break;
        }
        sequence += 1;
    }
    let sent = rtp(8, 20, 0x0102_0304, 0x31);
    talk.alice
        .rtp
        .send_to(&sent, talk.answer.rtp())
        .await
        .unwrap();
    let heard = packet(&talk.ears.a).await;
    assert_eq!(heard, forked(8, 20, 0x0102_0304, 0x31));
}

#[tokio::test]
async fn early_media_is_recorded_from_its_first_packet_and_the_answer_leaves_no_gap() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let (alice, call) = dialled(&scene, &mut controller).await;
    let id = call.call_id.clone();
    let ears = Ears::at(&mut controller, &id).await;
    controller.command(&id, "bridge", bridge_to("bob")).await;
    let invite = bob.request("INVITE").await;
    bob.reply(&invite, "183 Session Progress", "", &bob.sdp())
        .await;
    let early = alice.response().await;
    assert_eq!(early.status(), 183);
    let leg = CallId::new(invite.header("Call-ID"));
    controller.event("CHANNEL_PROGRESS_MEDIA", &leg).await;
    controller.event("CHANNEL_PROGRESS_MEDIA", &id).await;
    for sequence in 1..4 {
        bob.speak(invite.rtp(), sequence, 0x70).await;
        assert_eq!(packet(&ears.b).await.sequence, sequence);
        // Some callers speak before anybody answers, to open their NAT.
        alice.speak(early.rtp(), sequence, 0x10).await;
        assert_eq!(packet(&ears.a).await.sequence, sequence);
    }
    bob.reply(&invite, "200 OK", "", &bob.sdp()).await;
    for sequence in 4..7 {
        bob.speak(invite.rtp(), sequence, 0x71).await;
        assert_eq!(packet(&ears.b).await.sequence, sequence);
    }
    bob.request("ACK").await;
    let answer = alice.final_response().await;
    alice.ack(&call, &answer, "").await;
    controller.event("CHANNEL_BRIDGE", &id).await;
    for sequence in 7..10 {
        bob.speak(invite.rtp(), sequence, 0x72).await;
        assert_eq!(packet(&ears.b).await.sequence, sequence);
    }
    ears.assert_deaf();
    for sequence in 1..10 {
        heard(&alice, [0x70, 0x71, 0x72][(sequence - 1) / 3]).await;
    }
}
