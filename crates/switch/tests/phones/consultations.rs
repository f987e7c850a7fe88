//! Attended transfers by command: the transferor talks to the target, gives the other party on by hanging up, or comes back to it.

use callreel_proto::CallId;
use serde_json::{Value, json};

use crate::support::{
    Call, Controller, Ears, Message, Phone, REALM, Scene, Talk, bridge_to, converse, dialled,
    hears, is_ended, payload, talking,
};

/// What the held party hears, a tone that no phone of a test says.
const MUSIC: &str = "tone_stream://%(100,0,440);loops=-1";

fn attended(more: Value) -> Value {
    let mut fields = json!({"Insert-At": "now", "Transfer-Type": "attended", "Transfer-To": "2001",
        "Hold-Media": MUSIC});
    let more = more.as_object().unwrap().clone();
    fields.as_object_mut().unwrap().extend(more);
    fields
}

/// Carol, whom the transferor consults.
struct Target {
    carol: Phone,
    /// Where Carol speaks to.
    invite: Message,
    /// Carol's dialog.
    dialog: Call,
    /// Of the call to the number.
    number: CallId,
    /// The transferor's way there.
    way: CallId,
}

/// The transferor has the target called.
async fn consults(scene: &Scene, controller: &mut Controller, transferor: &CallId) -> Target {
    scene.device("carol", json!({})).await;
    let carol = scene.registered("carol").await;
    controller
        .command(transferor, "transfer", attended(json!({})))
        .await;
    let request = controller.claims().await;
    assert_eq!(request.request, format!("2001@{REALM}"));
    let number = request.call_id;
    controller
        .command(&number, "bridge", bridge_to("carol"))
        .await;
    let invite = carol.request("INVITE").await;
    carol.reply(&invite, "180 Ringing", "", "").await;
    Target {
        dialog: carol.called(&invite),
        carol,
        invite,
        way: CallId::new(""),
        number,
    }
}

/// And the target answers.
async fn answers(controller: &mut Controller, target: &mut Target, transferor: &CallId) {
    target.carol.pick_up(&target.invite).await;
    controller.event("CHANNEL_BRIDGE", &target.number).await;
    let bridged = controller.event("CHANNEL_BRIDGE", transferor).await;
    let way = bridged["Other-Leg-Call-ID"].as_str().unwrap();
    target.way = CallId::new(way);
    controller.event("CHANNEL_BRIDGE", &target.way).await;
}

/// A key, and what it does is awaited by events.
async fn press(phone: &Phone, call: &mut Call, key: char) {
    let info = "Content-Type: application/dtmf-relay\n";
    let body = format!("Signal={key}\r\n");
    phone.within(call, "INFO", info, &body).await;
    assert_eq!(phone.final_response().await.status(), 200);
}

/// What is played to a phone that hears nobody.
async fn hears_music(phone: &Phone) {
    let (_, sound) = phone.hear().await;
    assert!(sound.iter().any(|sample| *sample != sound[0]));
}

#[tokio::test]
async fn a_callee_consults_and_gives_the_caller_on_who_is_recorded_throughout() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let talk = talking(&scene, &mut controller).await;
    let (id, leg) = (talk.call.call_id.clone(), talk.leg.clone());
    let ears = Ears::at(&mut controller, &id).await;
    let mut target = consults(&scene, &mut controller, &leg).await;
    hears_music(&talk.alice).await;
    answers(&mut controller, &mut target, &leg).await;
    let (bob, carol) = (&talk.bob, &target.carol);
    converse((bob, &talk.invite), (carol, &target.invite), 0x41).await;
    let mut dialog = bob.called(&talk.invite);
    bob.within(&mut dialog, "BYE", "", "").await;
    let transferor = controller.event("CHANNEL_TRANSFEROR", &leg).await;
    assert_eq!(transferor["Transfer-Type"], "attended");
    assert_eq!(transferor["Other-Leg-Call-ID"], id.as_str());
    assert_eq!(transferor["Transfer-To"], target.way.as_str());
    controller.event("CHANNEL_DESTROY", &leg).await;
    let bridged = controller.event("CHANNEL_BRIDGE", &id).await;
    assert_eq!(bridged["Other-Leg-Call-ID"], target.way.as_str());
    controller.event("CHANNEL_BRIDGE", &target.way).await;
    let alice = (&talk.alice, &talk.answer);
    converse(alice, (carol, &target.invite), 0x51).await;
    while payload(&ears.b).await != [0x52; 160] {}
    // The caller's controller goes on with the bridge it ordered.
    carol.within(&mut target.dialog, "BYE", "", "").await;
    controller.completion(&target.number, "bridge").await;
    controller
        .command(&target.number, "hangup", json!({}))
        .await;
    controller.completion(&id, "bridge").await;
    let names = controller.names();
    assert!(
        names.iter().all(|n| !n.contains("RECORD_STOP")),
        "{names:?}"
    );
    assert!(names.iter().all(|n| !n.contains("TRANSFEREE")), "{names:?}");
}

#[tokio::test]
async fn a_caller_consults_and_gives_the_callee_on_to_the_target_in_its_place() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let mut talk = talking(&scene, &mut controller).await;
    let (id, leg) = (talk.call.call_id.clone(), talk.leg.clone());
    let mut target = consults(&scene, &mut controller, &id).await;
    hears_music(&talk.bob).await;
    answers(&mut controller, &mut target, &id).await;
    let carol = (&target.carol, &target.invite);
    converse((&talk.alice, &talk.answer), carol, 0x41).await;
    talk.alice.within(&mut talk.call, "BYE", "", "").await;
    let replaced = controller.event("CHANNEL_REPLACED", &id).await;
    assert_eq!(replaced["Replaced-By"], target.way.as_str());
    let transferor = controller.event("CHANNEL_TRANSFEROR", &id).await;
    assert_eq!(transferor["Other-Leg-Call-ID"], leg.as_str());
    controller.event("CHANNEL_DESTROY", &id).await;
    controller.event("CHANNEL_BRIDGE", &leg).await;
    converse((&talk.bob, &talk.invite), carol, 0x51).await;
    // Its controller has what it ordered, at the leg that took its place.
    let mut dialog = talk.bob.called(&talk.invite);
    talk.bob.within(&mut dialog, "BYE", "", "").await;
    controller.completion(&target.way, "bridge").await;
}

#[tokio::test]
async fn a_transferor_comes_back_by_key_and_by_the_keys_it_names() {
    for (named, pressed) in [(json!({}), "#"), (json!({"Takeback-Keys": "*1"}), "#*1")] {
        let scene = Scene::new().await;
        let mut controller = scene.controller().await;
        let talk = talking(&scene, &mut controller).await;
        let leg = talk.leg.clone();
        let mut dialog = talk.bob.called(&talk.invite);
        controller
            .command(&leg, "transfer", attended(named.clone()))
            .await;
        let request = controller.claims().await;
        for key in pressed.chars() {
            press(&talk.bob, &mut dialog, key).await;
            controller.event("DTMF", &leg).await;
        }
        let end = controller.event("CHANNEL_DESTROY", &request.call_id).await;
        assert_eq!(end["Hangup-Cause"], "ORIGINATOR_CANCEL");
        let alice = (&talk.alice, &talk.answer);
        converse(alice, (&talk.bob, &talk.invite), 0x31).await;
        let names = controller.names();
        assert!(names.iter().all(|n| !n.contains("TRANSFER")), "{names:?}");
    }
}

#[tokio::test]
async fn a_transferor_comes_back_when_the_target_is_not_reached_or_hangs_up() {
    for answered in [false, true] {
        let scene = Scene::new().await;
        let mut controller = scene.controller().await;
        let talk = talking(&scene, &mut controller).await;
        let id = talk.call.call_id.clone();
        let mut target = consults(&scene, &mut controller, &id).await;
        hears_music(&talk.bob).await;
        if answered {
            answers(&mut controller, &mut target, &id).await;
            let carol = (&target.carol, &target.invite);
            converse((&talk.alice, &talk.answer), carol, 0x41).await;
            target.carol.within(&mut target.dialog, "BYE", "", "").await;
            controller.completion(&target.number, "bridge").await;
        } else {
            let busy = "486 Busy Here";
            target.carol.reply(&target.invite, busy, "", "").await;
            controller.completion(&target.number, "bridge").await;
        }
        controller
            .command(&target.number, "hangup", json!({}))
            .await;
        controller.event("CHANNEL_DESTROY", &target.number).await;
        if answered {
            let back = controller.event("CHANNEL_BRIDGE", &id).await;
            assert_eq!(back["Other-Leg-Call-ID"], talk.leg.as_str());
        }
        let bob = (&talk.bob, &talk.invite);
        converse((&talk.alice, &talk.answer), bob, 0x31).await;
        // The bridge its controller ordered has not ended.
        let names = controller.names();
        assert!(names.iter().all(|n| !n.contains("TRANSFER")), "{names:?}");
        assert!(names.iter().all(|n| !n.contains("COMPLETE")), "{names:?}");
    }
}

#[tokio::test]
async fn a_transferor_that_does_not_wait_for_the_answer_sends_the_other_party_there() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let talk = talking(&scene, &mut controller).await;
    let (id, leg) = (talk.call.call_id.clone(), talk.leg.clone());
    let target = consults(&scene, &mut controller, &leg).await;
    let mut dialog = talk.bob.called(&talk.invite);
    talk.bob.within(&mut dialog, "BYE", "", "").await;
    controller.event("CHANNEL_DESTROY", &leg).await;
    target.carol.request("CANCEL").await;
    controller.event("CHANNEL_TRANSFEREE", &id).await;
    let request = controller.claims().await;
    assert_eq!(
        (&request.call_id, &*request.request),
        (&id, "2001@acme.test")
    );
}

#[tokio::test]
async fn transferor_and_target_are_on_their_own_when_the_held_party_hangs_up() {
    for callee_consults in [true, false] {
        let scene = Scene::new().await;
        let mut controller = scene.controller().await;
        let Talk {
            alice,
            mut call,
            answer,
            bob,
            invite,
            leg,
        } = talking(&scene, &mut controller).await;
        let id = call.call_id.clone();
        let transferor = if callee_consults { &leg } else { &id };
        let mut target = consults(&scene, &mut controller, transferor).await;
        answers(&mut controller, &mut target, transferor).await;
        let mut dialog = bob.called(&invite);
        let carol = (&target.carol, &target.invite);
        if callee_consults {
            alice.within(&mut call, "BYE", "", "").await;
            controller.event("CHANNEL_DESTROY", &id).await;
            converse((&bob, &invite), carol, 0x41).await;
        } else {
            bob.within(&mut dialog, "BYE", "", "").await;
            controller.event("CHANNEL_DESTROY", &leg).await;
            converse((&alice, &answer), carol, 0x41).await;
        }
        target.carol.within(&mut target.dialog, "BYE", "", "").await;
        controller.completion(&target.number, "bridge").await;
        controller
            .command(&target.number, "hangup", json!({}))
            .await;
        if callee_consults {
            // Nobody controls its leg.
            is_ended(&bob).await;
        } else {
            // The bridge its controller ordered is over, and the flow goes on.
            controller.completion(&id, "bridge").await;
            controller.command(&id, "noop", json!({})).await;
            controller.completion(&id, "noop").await;
        }
    }
}

#[tokio::test]
async fn nobody_is_consulted_without_a_conversation_or_twice_at_once() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (alice, call) = dialled(&scene, &mut controller).await;
    let transfer = attended(json!({}));
    let id = &call.call_id;
    controller.command(id, "transfer", transfer.clone()).await;
    let error = controller.event("dialplan", id).await;
    let said = error["Error-Message"].as_str().unwrap();
    assert!(said.contains("not bridged"), "{said}");
    alice.cancel(&call).await;
    controller.event("CHANNEL_DESTROY", id).await;

    let mut talk = talking(&scene, &mut controller).await;
    let id = talk.call.call_id.clone();
    controller.command(&id, "transfer", transfer.clone()).await;
    controller.claims().await;
    controller.command(&id, "transfer", transfer).await;
    let error = controller.event("dialplan", &id).await;
    let said = error["Error-Message"].as_str().unwrap();
    assert!(said.contains("already"), "{said}");
    let refer = "Refer-To: <sip:2001@acme.test>\n";
    talk.alice.within(&mut talk.call, "REFER", refer, "").await;
    assert_eq!(talk.alice.final_response().await.status(), 491);
    press(&talk.alice, &mut talk.call, '#').await;
    hears_again(&talk).await;
}

async fn hears_again(talk: &Talk) {
    talk.bob.speak(talk.invite.rtp(), 9, 0x77).await;
    hears(&talk.alice, 0x77).await;
}
