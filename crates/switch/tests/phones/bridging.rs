//! Bridges: ringing, joining, relaying, and every way they end.

use serde_json::{Value, json};

use crate::support::{Call, Controller, Message, Phone, Scene, bridge_to, bridging, endpoint};

/// Both talk.
async fn talking(
    scene: &Scene,
    controller: &mut Controller,
) -> (Phone, Call, Message, Phone, Message) {
    let bob = scene.registered("bob").await;
    let (alice, call) = bridging(scene, controller, bridge_to("bob")).await;
    let invite = bob.request("INVITE").await;
    bob.reply(&invite, "180 Ringing", "", "").await;
    assert_eq!(alice.response().await.status(), 180);
    bob.pick_up(&invite).await;
    let answer = alice.final_response().await;
    assert_eq!(answer.status(), 200);
    let call = alice.ack(&call, &answer, "").await;
    let bridged = controller.event("CHANNEL_BRIDGE", &call.call_id).await;
    assert_eq!(bridged["Other-Leg-Call-ID"], invite.header("Call-ID"));
    (alice, call, answer, bob, invite)
}

#[tokio::test]
async fn a_phone_is_rung_at_the_port_it_registered_not_at_the_one_it_registered_from() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let registering = scene.phone("bob").await;
    let taking = scene.phone("bob").await;
    let contact = format!("Contact: <sip:bob@{}>\nExpires: 300\n", taking.address());
    let registered = registering.register_with(&contact).await;
    assert_eq!(registered.status(), 200);
    let (alice, call) = bridging(&scene, &mut controller, bridge_to("bob")).await;
    let invite = taking.request("INVITE").await;
    assert!(invite.start.contains(&taking.address().to_string()));
    taking.pick_up(&invite).await;
    let answer = alice.final_response().await;
    assert_eq!(answer.status(), 200);
    let mut call = alice.ack(&call, &answer, "").await;
    alice.within(&mut call, "BYE", "", "").await;
    taking.request("BYE").await;
}

#[tokio::test]
async fn two_phones_are_joined_and_hear_each_other_until_the_callee_hangs_up() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (alice, call, answer, bob, invite) = talking(&scene, &mut controller).await;
    assert!(
        invite
            .header("From")
            .contains("\"alice A.\" <sip:alice@acme.test>"),
        "{}",
        invite.header("From")
    );
    assert_eq!(invite.header("Max-Forwards"), "69");
    let leg = callreel_proto::CallId::new(invite.header("Call-ID"));
    for event in ["CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_BRIDGE"] {
        let event = controller.event(event, &leg).await;
        assert_eq!(event["Call-Direction"], "outbound");
        assert_eq!(event["Other-Leg-Call-ID"], call.call_id.as_str());
    }
    for n in 0..5 {
        alice.speak(answer.rtp(), n, 0x11).await;
        bob.speak(invite.rtp(), n, 0x22).await;
    }
    assert_eq!(bob.hear().await, (0, vec![0x11; 160]));
    assert_eq!(alice.hear().await, (0, vec![0x22; 160]));

    bob.within(&mut bob.called(&invite), "BYE", "", "").await;
    assert_eq!(bob.final_response().await.status(), 200);
    controller.event("CHANNEL_DESTROY", &leg).await;
    controller.event("CHANNEL_UNBRIDGE", &call.call_id).await;
    let done = controller.completion(&call.call_id, "bridge").await;
    assert_eq!(done["Application-Response"], "SUCCESS");
    assert_eq!(done["Hangup-Code"], "sip:200");
    assert_eq!(
        scene.switch.picture().await.channels.len(),
        1,
        "the caller stays parked"
    );

    controller.command(&call.call_id, "hangup", json!({})).await;
    let bye = alice.request("BYE").await;
    alice.reply(&bye, "200 OK", "", "").await;
    controller.event("CHANNEL_DESTROY", &call.call_id).await;
}

#[tokio::test]
async fn the_callee_is_told_when_the_caller_hangs_up() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (alice, mut call, _, bob, invite) = talking(&scene, &mut controller).await;
    alice.within(&mut call, "BYE", "", "").await;
    assert_eq!(alice.final_response().await.status(), 200);
    let bye = bob.request("BYE").await;
    bob.reply(&bye, "200 OK", "", "").await;
    controller.event("CHANNEL_UNBRIDGE", &call.call_id).await;
    controller.event("CHANNEL_DESTROY", &call.call_id).await;
    let leg = callreel_proto::CallId::new(invite.header("Call-ID"));
    let end = controller.event("CHANNEL_DESTROY", &leg).await;
    assert_eq!(end["Hangup-Cause"], "NORMAL_CLEARING");
}

#[tokio::test]
async fn a_refusal_is_the_bridges_result_and_the_caller_stays() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let fields = bridge_to("bob");
    let (alice, call) = bridging(&scene, &mut controller, fields).await;
    let invite = bob.request("INVITE").await;
    bob.reply(&invite, "486 Busy Here", "", "").await;
    bob.request("ACK").await;
    let done = controller.completion(&call.call_id, "bridge").await;
    assert_eq!(done["Application-Response"], "USER_BUSY");
    assert_eq!(done["Hangup-Code"], "sip:486");
    controller
        .command(
            &call.call_id,
            "hangup",
            json!({"Hangup-Cause": "USER_BUSY"}),
        )
        .await;
    let answer = alice.final_response().await;
    assert_eq!(answer.status(), 486);
    alice.ack(&call, &answer, "").await;
}

#[tokio::test]
async fn nobody_registered_and_no_endpoints_are_told_apart() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let fields = bridge_to("bob");
    let (_alice, call) = bridging(&scene, &mut controller, fields).await;
    let done = controller.completion(&call.call_id, "bridge").await;
    assert_eq!(done["Application-Response"], "USER_NOT_REGISTERED");
    controller
        .command(&call.call_id, "bridge", json!({"Endpoints": []}))
        .await;
    let error = controller.event("dialplan", &call.call_id).await;
    assert!(
        error["Error-Message"]
            .as_str()
            .unwrap()
            .contains("no endpoints")
    );
}

#[tokio::test]
async fn ringing_stops_after_its_time() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let fields = json!({"Endpoints": [endpoint("bob")], "Timeout": "1"});
    let (_alice, call) = bridging(&scene, &mut controller, fields).await;
    let invite = bob.request("INVITE").await;
    bob.reply(&invite, "180 Ringing", "", "").await;
    let cancel = bob.request("CANCEL").await;
    bob.reply(&cancel, "200 OK", "", "").await;
    bob.reply(&invite, "487 Request Terminated", "", "").await;
    let done = controller.completion(&call.call_id, "bridge").await;
    assert_eq!(done["Application-Response"], "NO_ANSWER");
}

#[tokio::test]
async fn of_two_phones_the_first_to_answer_wins() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (desk, mobile) = (scene.registered("bob").await, scene.registered("bob").await);
    let fields = json!({"Endpoints": [endpoint("bob")], "Dial-Endpoint-Method": "simultaneous"});
    let (alice, call) = bridging(&scene, &mut controller, fields).await;
    let (at_desk, at_mobile) = (desk.request("INVITE").await, mobile.request("INVITE").await);
    desk.reply(&at_desk, "180 Ringing", "", "").await;
    mobile.reply(&at_mobile, "180 Ringing", "", "").await;
    mobile.pick_up(&at_mobile).await;
    let cancel = desk.request("CANCEL").await;
    desk.reply(&cancel, "200 OK", "", "").await;
    desk.reply(&at_desk, "487 Request Terminated", "", "").await;
    let answer = alice.final_response().await;
    alice.ack(&call, &answer, "").await;
    let bridged = controller.event("CHANNEL_BRIDGE", &call.call_id).await;
    assert_eq!(bridged["Other-Leg-Call-ID"], at_mobile.header("Call-ID"));
    let loser = callreel_proto::CallId::new(at_desk.header("Call-ID"));
    let end = controller.event("CHANNEL_DESTROY", &loser).await;
    assert_eq!(end["Hangup-Cause"], "LOSE_RACE");
}

#[tokio::test]
async fn a_caller_who_gives_up_stops_the_ringing() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let fields = bridge_to("bob");
    let (alice, call) = bridging(&scene, &mut controller, fields).await;
    let invite = bob.request("INVITE").await;
    bob.reply(&invite, "180 Ringing", "", "").await;
    assert_eq!(alice.response().await.status(), 180);
    alice.cancel(&call).await;
    let cancel = bob.request("CANCEL").await;
    bob.reply(&cancel, "200 OK", "", "").await;
    bob.reply(&invite, "487 Request Terminated", "", "").await;
    let end = controller.event("CHANNEL_DESTROY", &call.call_id).await;
    assert_eq!(end["Hangup-Cause"], "ORIGINATOR_CANCEL");
}

#[tokio::test]
async fn the_callees_early_media_is_heard_and_legs_of_different_codecs_are_joined() {
    let scene = Scene::new().await;
    scene
        .device("bob", json!({"media": {"audio": {"codecs": ["G722"]}}}))
        .await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let fields = bridge_to("bob");
    let (alice, call) = bridging(&scene, &mut controller, fields).await;
    let invite = bob.request("INVITE").await;
    assert!(invite.body.contains("RTP/AVP 9 101"), "{}", invite.body);
    let wideband = crate::support::sdp_with(bob.rtp.local_addr().unwrap(), "9", "sendrecv");
    bob.reply(&invite, "183 Session Progress", "", &wideband)
        .await;
    let early = alice.response().await;
    assert_eq!(early.status(), 183);
    let mut packet = vec![0x80, 9, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    packet.extend([0xfa; 160]);
    for n in 0..5u8 {
        packet[3] = n;
        packet[6..8].copy_from_slice(&(u16::from(n) * 160).to_be_bytes());
        bob.rtp.send_to(&packet, invite.rtp()).await.unwrap();
    }
    assert_eq!(alice.hear().await.0, 0, "transcoded to what the caller has");
    bob.reply(&invite, "200 OK", "", &wideband).await;
    bob.request("ACK").await;
    let answer = alice.final_response().await;
    assert_eq!(answer.rtp(), early.rtp());
    alice.ack(&call, &answer, "").await;
    controller.event("CHANNEL_BRIDGE", &call.call_id).await;
    let codecs: Vec<_> = scene
        .switch
        .picture()
        .await
        .channels
        .iter()
        .map(|c| c.codec)
        .collect();
    assert_eq!(codecs.len(), 2);
    assert!(
        codecs.contains(&Some("G722")) && codecs.contains(&Some("PCMU")),
        "{codecs:?}"
    );
}

#[tokio::test]
async fn only_the_other_leg_can_be_hung_up() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_alice, call, _, bob, _) = talking(&scene, &mut controller).await;
    let fields = json!({"Other-Leg-Only": "true", "Insert-At": "now"});
    controller.command(&call.call_id, "hangup", fields).await;
    let bye = bob.request("BYE").await;
    bob.reply(&bye, "200 OK", "", "").await;
    controller.completion(&call.call_id, "bridge").await;
    assert_eq!(scene.switch.picture().await.channels.len(), 1);
}

#[tokio::test]
async fn a_controller_names_its_b_legs_and_hears_their_keys_under_these_names() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (desk, mobile) = (scene.registered("bob").await, scene.registered("bob").await);
    let mut named = endpoint("bob");
    named["Outbound-Call-ID"] = json!("leg-of-bob");
    let (alice, call) = bridging(&scene, &mut controller, json!({"Endpoints": [named]})).await;
    let (at_desk, at_mobile) = (desk.request("INVITE").await, mobile.request("INVITE").await);
    let mut ids = [at_desk.header("Call-ID"), at_mobile.header("Call-ID")];
    ids.sort_unstable();
    assert_eq!(ids, ["leg-of-bob", "leg-of-bob-2"]);
    mobile.reply(&at_mobile, "180 Ringing", "", "").await;
    assert_eq!(alice.response().await.status(), 180);
    desk.pick_up(&at_desk).await;
    let cancel = mobile.request("CANCEL").await;
    mobile.reply(&cancel, "200 OK", "", "").await;
    mobile
        .reply(&at_mobile, "487 Request Terminated", "", "")
        .await;
    let answer = alice.final_response().await;
    alice.ack(&call, &answer, "").await;
    let bridged = controller.event("CHANNEL_BRIDGE", &call.call_id).await;
    assert_eq!(bridged["Other-Leg-Call-ID"], at_desk.header("Call-ID"));

    let info = "Content-Type: application/dtmf-relay\n";
    let mut dialog = desk.called(&at_desk);
    desk.within(&mut dialog, "INFO", info, "Signal=7\r\n").await;
    assert_eq!(desk.final_response().await.status(), 200);
    let leg = callreel_proto::CallId::new(at_desk.header("Call-ID"));
    let pressed = controller.event("DTMF", &leg).await;
    assert_eq!(pressed["DTMF-Digit"], "7");
    assert_eq!(pressed["Other-Leg-Call-ID"], call.call_id.as_str());
}

#[tokio::test]
async fn a_name_that_is_taken_or_none_is_refused_for_a_b_leg() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let alice = scene.phone("alice").await;
    let call = alice.dial("2000").await;
    controller.claims().await;
    let of = |names: &[&str]| {
        let ends = names.iter().map(|name| {
            let mut named = endpoint("bob");
            named["Outbound-Call-ID"] = json!(name);
            named
        });
        json!({"Endpoints": ends.collect::<Vec<_>>()})
    };
    let long = "x".repeat(226);
    for (names, reason) in [
        (vec![call.call_id.as_str()], "is in use"),
        (vec!["twice", "twice"], "is in use"),
        (vec!["a\r\nVia: b"], "cannot be"),
        (vec!["a@b@c"], "cannot be"),
        (vec![&long], "cannot be"),
    ] {
        controller
            .command(&call.call_id, "bridge", of(&names))
            .await;
        let error = controller.event("dialplan", &call.call_id).await;
        let said = error["Error-Message"].as_str().unwrap();
        assert!(said.contains(reason), "{names:?}: {said}");
    }
    controller
        .command(&call.call_id, "bridge", of(&["free"]))
        .await;
    let invite = bob.request("INVITE").await;
    assert_eq!(invite.header("Call-ID"), "free");
}

#[tokio::test]
async fn a_leg_is_offered_what_the_caller_has_and_nothing_is_transcoded_that_need_not_be() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let alice = scene.phone("alice").await;
    let opus = |phone: &Phone, formats: &str| {
        let rtp = phone.rtp.local_addr().unwrap();
        let body = crate::support::sdp_with(rtp, formats, "sendrecv");
        body + "a=rtpmap:107 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\n"
    };
    let call = alice
        .dial_with("2000", "", &opus(&alice, "107 8 97 101"))
        .await;
    controller.claims().await;
    let fields = bridge_to("bob");
    controller.command(&call.call_id, "bridge", fields).await;
    let invite = bob.request("INVITE").await;
    let offered = &invite.body;
    assert!(
        offered.contains("RTP/AVP 111 8 9 0 101 110\r\n"),
        "{offered}"
    );
    bob.reply(&invite, "200 OK", "", &opus(&bob, "107 97"))
        .await;
    bob.request("ACK").await;
    let answer = alice.final_response().await;
    assert!(
        answer.body.contains("RTP/AVP 107 97\r\n"),
        "{}",
        answer.body
    );
    alice.ack(&call, &answer, "").await;
    controller.event("CHANNEL_BRIDGE", &call.call_id).await;
    let mut packet = vec![0x80, 107, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    packet.extend([0xfc, 1, 2, 3]);
    alice.rtp.send_to(&packet, answer.rtp()).await.unwrap();
    assert_eq!(bob.hear().await, (107, vec![0xfc, 1, 2, 3]));
}

/// A tone of so many milliseconds for this leg.
fn beep(ms: u32, leg: &str) -> Value {
    json!({"Insert-At": "now", "Leg": leg,
        "Tones": [{"Frequencies": ["440"], "Duration-ON": ms.to_string(), "Duration-OFF": "0"}]})
}

/// Skips what a phone was sent until it hears this sample, and says whether there was a tone before it.
async fn heard_tone_before(phone: &Phone, sample: u8) -> bool {
    let mut tone = false;
    loop {
        let (_, payload) = phone.hear().await;
        if payload == vec![sample; 160] {
            return tone;
        }
        // What was said, and the silence that keeps a phone's port open, are even.
        tone |= payload.iter().any(|byte| *byte != payload[0]);
    }
}

#[tokio::test]
async fn a_beep_is_heard_by_the_leg_it_names_and_the_bridge_goes_on() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (alice, call, answer, bob, invite) = talking(&scene, &mut controller).await;
    for n in 0..3 {
        alice.speak(answer.rtp(), n, 0x11).await;
        bob.speak(invite.rtp(), n, 0x22).await;
    }
    assert_eq!(bob.hear().await.1, vec![0x11; 160]);
    assert_eq!(alice.hear().await.1, vec![0x22; 160]);
    let id = &call.call_id;
    for (round, (leg, alice_hears, bob_hears)) in
        (0..).zip([("Both", true, true), ("B", false, true), ("A", true, false)])
    {
        controller.command(id, "tones", beep(200, leg)).await;
        let done = controller.completion(id, "tones").await;
        assert_eq!(done["Application-Response"], "FILE PLAYED");
        let (to_bob, to_alice) = (0x30 + round, 0x40 + round);
        let sequence = 10 + u16::from(round);
        alice.speak(answer.rtp(), sequence, to_bob).await;
        bob.speak(invite.rtp(), sequence, to_alice).await;
        assert_eq!(heard_tone_before(&bob, to_bob).await, bob_hears, "{leg}");
        assert_eq!(
            heard_tone_before(&alice, to_alice).await,
            alice_hears,
            "{leg}"
        );
    }
    assert_eq!(scene.switch.picture().await.channels.len(), 2);
}

#[tokio::test]
async fn a_beep_for_both_ends_with_a_callee_who_leaves_and_none_is_there_without_one() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_alice, call, _, bob, invite) = talking(&scene, &mut controller).await;
    let id = &call.call_id;
    controller.command(id, "tones", beep(60_000, "B")).await;
    bob.hear().await;
    // Commands for the callee's leg play to the caller as well.
    let leg = callreel_proto::CallId::new(invite.header("Call-ID"));
    controller.command(&leg, "tones", beep(100, "B")).await;
    controller.completion(&leg, "tones").await;
    bob.within(&mut bob.called(&invite), "BYE", "", "").await;
    assert_eq!(bob.final_response().await.status(), 200);
    controller.completion(id, "tones").await;
    controller.completion(id, "bridge").await;
    controller.command(id, "tones", beep(100, "B")).await;
    let error = controller.event("dialplan", id).await;
    let said = error["Error-Message"].as_str().unwrap();
    assert!(said.contains("no other leg"), "{said}");
    controller.command(id, "tones", beep(100, "Both")).await;
    controller.completion(id, "tones").await;
}
