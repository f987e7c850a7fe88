//! Blind transfers: who goes, who stays, what everybody is told, and what of it is recorded.

use serde_json::json;

use crate::support::{Call, Ears, Message, Phone, REALM, Scene, Talk, bridge_to, payload, talking};

/// Sends REFER; its answer.
async fn refer(phone: &Phone, call: &mut Call, headers: &str) -> Message {
    phone.within(call, "REFER", headers, "").await;
    phone.final_response().await
}

const TO_2001: &str = "Refer-To: <sip:2001@acme.test>\n";

/// Takes a NOTIFY about a REFER: the status it tells, and whether it is the last.
async fn told(phone: &Phone) -> (String, bool) {
    let notify = phone.request("NOTIFY").await;
    assert!(notify.header("Event").starts_with("refer"));
    assert!(notify.header("Content-Type").starts_with("message/sipfrag"));
    phone.reply(&notify, "200 OK", "", "").await;
    let is_last = notify
        .header("Subscription-State")
        .starts_with("terminated");
    (notify.body.trim().to_owned(), is_last)
}

#[tokio::test]
async fn the_callee_sends_the_caller_on_and_the_callers_recording_goes_on() {
    let scene = Scene::new().await;
    scene.device("carol", json!({})).await;
    let mut controller = scene.controller().await;
    let Talk {
        alice,
        call,
        answer,
        bob,
        invite,
        leg,
    } = talking(&scene, &mut controller).await;
    let id = &call.call_id;
    let ears = Ears::at(&mut controller, id).await;
    let mut dialog = bob.called(&invite);
    let headers = format!("{TO_2001}Referred-By: <sip:bob@acme.test>\n");
    assert_eq!(refer(&bob, &mut dialog, &headers).await.status(), 202);
    assert_eq!(told(&bob).await, ("SIP/2.0 100 Trying".to_owned(), false));

    let request = controller.asked().await;
    assert_eq!(request.body.call_id, *id);
    assert_eq!(request.body.request, "2001@acme.test");
    assert_eq!(request.body.from, "alice@acme.test");
    assert_eq!(request.body.caller_id_number, "alice");
    let var = |name: &str| request.body.channel_var(name).unwrap().to_owned();
    assert_eq!(var("Referred-By"), "<sip:bob@acme.test>");
    assert_eq!(var("Authorizing-ID"), "device-alice");
    // Until somebody takes the caller, they talk.
    alice.speak(answer.rtp(), 1, 0x11).await;
    assert_eq!(bob.hear().await.1, [0x11; 160]);
    assert_eq!(payload(&ears.a).await, [0x11; 160]);
    controller.respond(&request, |_| {}).await;
    controller.wins(id).await;

    let transferee = controller.event("CHANNEL_TRANSFEREE", id).await;
    assert_eq!(transferee["Other-Leg-Call-ID"], leg.as_str());
    assert_eq!(transferee["Transfer-Type"], "blind");
    assert_eq!(transferee["Transfer-To"], "2001@acme.test");
    let old = transferee["Custom-Channel-Vars"]["Fetch-ID"]
        .as_str()
        .unwrap();
    assert_ne!(old, var("Fetch-ID"));
    let transferor = controller.event("CHANNEL_TRANSFEROR", &leg).await;
    assert_eq!(transferor["Other-Leg-Call-ID"], id.as_str());
    assert_eq!(transferor["Control-Queue"], transferee["Control-Queue"]);
    controller.event("CHANNEL_UNBRIDGE", id).await;
    controller.event("CHANNEL_UNBRIDGE", &leg).await;
    assert_eq!(told(&bob).await, ("SIP/2.0 200 OK".to_owned(), true));
    let bye = bob.request("BYE").await;
    bob.reply(&bye, "200 OK", "", "").await;
    let end = controller.event("CHANNEL_DESTROY", &leg).await;
    assert_eq!(end["Hangup-Cause"], "NORMAL_CLEARING");

    let carol = scene.registered("carol").await;
    controller.command(id, "bridge", bridge_to("carol")).await;
    let invite = carol.request("INVITE").await;
    assert!(invite.header("From").contains("sip:alice@"));
    carol.pick_up(&invite).await;
    let bridged = controller.event("CHANNEL_BRIDGE", id).await;
    assert_eq!(bridged["Custom-Channel-Vars"]["Fetch-ID"], var("Fetch-ID"));
    alice.speak(answer.rtp(), 2, 0x12).await;
    carol.speak(invite.rtp(), 2, 0x32).await;
    assert_eq!(carol.hear().await.1, [0x12; 160]);
    assert_eq!(payload(&ears.a).await, [0x12; 160]);
    assert_eq!(payload(&ears.b).await, [0x32; 160]);
    assert!(
        controller
            .names()
            .iter()
            .all(|n| !n.contains("RECORD_STOP")),
        "the recording goes on"
    );
}

#[tokio::test]
async fn the_caller_sends_the_callee_on_who_has_a_call_of_its_own_from_then_on() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let Talk {
        alice,
        mut call,
        bob,
        invite,
        leg,
        ..
    } = talking(&scene, &mut controller).await;
    let ears = Ears::at(&mut controller, &leg).await;
    // Without any word about how it went (RFC 4488).
    let headers = format!("{TO_2001}Refer-Sub: false\n");
    let accepted = refer(&alice, &mut call, &headers).await;
    assert_eq!(
        (accepted.status(), accepted.header("Refer-Sub")),
        (202, "false")
    );
    let request = controller.claims().await;
    assert_eq!(request.call_id, leg);
    assert_eq!(request.request, "2001@acme.test");
    assert_eq!(
        (&*request.from, &*request.caller_id_number),
        ("bob@acme.test", "bob")
    );
    assert_eq!(request.channel_var("Authorizing-ID"), Some("device-bob"));
    assert_eq!(
        request.channel_var("Referred-By"),
        Some("<sip:alice@acme.test>")
    );
    let transferor = controller.event("CHANNEL_TRANSFEROR", &call.call_id).await;
    assert_eq!(transferor["Other-Leg-Call-ID"], leg.as_str());
    assert!(transferor["Control-Queue"].is_string());
    let bye = alice.request("BYE").await;
    alice.reply(&bye, "200 OK", "", "").await;
    controller.event("CHANNEL_DESTROY", &call.call_id).await;

    // The callee obeys its new controller, and is still recorded.
    controller
        .command(
            &leg,
            "play",
            json!({"Media-Name": "tone_stream://%(200,0,440)"}),
        )
        .await;
    bob.hear().await;
    assert_eq!(payload(&ears.b).await.len(), 160);
    controller.completion(&leg, "play").await;
    bob.speak(invite.rtp(), 3, 0x23).await;
    assert_eq!(payload(&ears.a).await, [0x23; 160]);
    let picture = scene.switch.picture().await;
    assert_eq!(picture.channels.len(), 1);
    assert_eq!(picture.channels[0].other_leg, None);
    controller.command(&leg, "hangup", json!({})).await;
    let bye = bob.request("BYE").await;
    bob.reply(&bye, "200 OK", "", "").await;
    controller.event("CHANNEL_DESTROY", &leg).await;
}

#[tokio::test]
async fn a_transfer_to_nowhere_leaves_the_call_as_it_was() {
    let scene = Scene::with(|config| config.route_timeout_ms = 300).await;
    let mut controller = scene.controller().await;
    let Talk {
        alice,
        call,
        answer,
        bob,
        invite,
        leg,
    } = talking(&scene, &mut controller).await;
    let mut dialog = bob.called(&invite);
    for _ in 0..2 {
        assert_eq!(refer(&bob, &mut dialog, TO_2001).await.status(), 202);
        assert!(!told(&bob).await.1);
        let asked = controller.asked().await;
        assert_eq!(asked.body.call_id, call.call_id);
        let (status, is_last) = told(&bob).await;
        assert!(status.starts_with("SIP/2.0 404") && is_last, "{status}");
    }
    alice.speak(answer.rtp(), 1, 0x11).await;
    assert_eq!(bob.hear().await.1, [0x11; 160]);
    let names = controller.names();
    assert!(names.iter().all(|n| !n.contains("TRANSFER")), "{names:?}");
    assert_eq!(scene.switch.picture().await.channels.len(), 2);
    drop(leg);
}

#[tokio::test]
async fn a_transferor_who_does_not_wait_takes_nobody_along() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let Talk {
        alice,
        mut call,
        bob,
        leg,
        ..
    } = talking(&scene, &mut controller).await;
    assert_eq!(refer(&alice, &mut call, TO_2001).await.status(), 202);
    let request = controller.asked().await;
    told(&alice).await;
    alice.within(&mut call, "BYE", "", "").await;
    controller.event("CHANNEL_DESTROY", &call.call_id).await;
    controller.event("CHANNEL_TRANSFEREE", &leg).await;
    controller.respond(&request, |_| {}).await;
    controller.wins(&leg).await;
    controller.command(&leg, "hangup", json!({})).await;
    bob.request("BYE").await;
}

#[tokio::test]
async fn odd_refers_are_refused_and_a_storm_of_them_is_one_transfer() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let Talk {
        mut call,
        alice,
        bob,
        invite,
        ..
    } = talking(&scene, &mut controller).await;
    for (headers, status) in [
        ("", 400),
        ("Refer-To: <sip:acme.test>\n", 400),
        ("Refer-To: <sip:1@b>, <sip:2@b>\nRefer-To: <sip:3@b>\n", 400),
        ("Refer-To: <sip:1@b;method=BYE>\n", 501),
    ] {
        assert_eq!(
            refer(&alice, &mut call, headers).await.status(),
            status,
            "{headers}"
        );
    }
    let mut stranger = call.clone();
    stranger.to = format!("<sip:x@{REALM}>;tag=nobodys");
    assert_eq!(refer(&alice, &mut stranger, TO_2001).await.status(), 481);
    stranger.to = format!("<sip:x@{REALM}>");
    assert_eq!(refer(&alice, &mut stranger, TO_2001).await.status(), 481);

    assert_eq!(refer(&alice, &mut call, TO_2001).await.status(), 202);
    told(&alice).await;
    for _ in 0..20 {
        let again = refer(&alice, &mut call, TO_2001).await;
        assert_eq!(again.status(), 491);
    }
    // The other party has the same wish at the same time.
    let mut dialog = bob.called(&invite);
    assert_eq!(refer(&bob, &mut dialog, TO_2001).await.status(), 491);
    controller.claims().await;
    assert_eq!(told(&alice).await, ("SIP/2.0 200 OK".to_owned(), true));
    let names = controller.names();
    assert!(names.iter().all(|n| !n.contains("route_req")), "{names:?}");
}

#[tokio::test]
async fn a_party_that_leaves_before_it_is_sent_on_is_not_waited_for() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let Talk {
        alice,
        mut call,
        bob,
        invite,
        leg,
        ..
    } = talking(&scene, &mut controller).await;
    assert_eq!(refer(&alice, &mut call, TO_2001).await.status(), 202);
    told(&alice).await;
    let request = controller.asked().await;
    let mut dialog = bob.called(&invite);
    bob.within(&mut dialog, "BYE", "", "").await;
    controller.event("CHANNEL_DESTROY", &leg).await;
    let (status, is_last) = told(&alice).await;
    assert!(status.starts_with("SIP/2.0 480") && is_last, "{status}");
    // Whoever takes it now is too late; the caller's own controller goes on.
    controller.respond(&request, |_| {}).await;
    controller.completion(&call.call_id, "bridge").await;
    controller.command(&call.call_id, "noop", json!({})).await;
    controller.completion(&call.call_id, "noop").await;
    assert_eq!(refer(&alice, &mut call, TO_2001).await.status(), 403);
    let names = controller.names();
    assert!(names.iter().all(|n| !n.contains("TRANSFER")), "{names:?}");
}
