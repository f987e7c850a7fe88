//! The commands that part legs and send them elsewhere: `transfer`, blind, and `unbridge`; and the keys that end what names none.

use serde_json::{Value, json};

use crate::support::{
    Controller, Ears, Scene, Talk, bridge_to, bridging, converse, is_ended, payload, talking,
};

fn blind(leg: Option<&str>) -> Value {
    let mut fields = json!({"Insert-At": "now", "Transfer-Type": "blind", "Transfer-To": "2001"});
    if let Some(leg) = leg {
        fields["Transfer-Leg"] = leg.into();
    }
    fields
}

fn assert_nobody_left(controller: &Controller) {
    let names = controller.names();
    assert!(names.iter().all(|n| !n.contains("TRANSFER")), "{names:?}");
}

#[tokio::test]
async fn a_command_sends_the_callee_on_as_the_callers_refer_does() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let talk = talking(&scene, &mut controller).await;
    let (id, leg) = (&talk.call.call_id, &talk.leg);
    let ears = Ears::at(&mut controller, leg).await;
    let mut fields = blind(Some("bleg"));
    fields["Transfer-To"] = "sip:2001@acme.test".into();
    fields["Caller-ID-Name"] = "Sales".into();
    fields["Custom-Channel-Vars"] = json!({"Ticket": "S-1"});
    controller.command(id, "transfer", fields).await;
    let request = controller.claims().await;
    assert_eq!(
        (&request.call_id, &*request.request),
        (leg, "2001@acme.test")
    );
    assert_eq!(
        (
            &*request.from,
            &*request.caller_id_number,
            &*request.caller_id_name
        ),
        ("bob@acme.test", "bob", "Sales")
    );
    assert_eq!(request.channel_var("Ticket"), Some("S-1"));
    let by = Some("<sip:alice@acme.test>");
    assert_eq!(request.channel_var("Referred-By"), by);
    let transferee = controller.event("CHANNEL_TRANSFEREE", leg).await;
    assert_eq!(transferee["Transfer-To"], "2001@acme.test");
    let transferor = controller.event("CHANNEL_TRANSFEROR", id).await;
    assert_eq!(transferor["Other-Leg-Call-ID"], leg.as_str());
    is_ended(&talk.alice).await;
    let end = controller.event("CHANNEL_DESTROY", id).await;
    assert_eq!(end["Hangup-Cause"], "NORMAL_CLEARING");
    // Its fork goes on.
    talk.bob.speak(talk.invite.rtp(), 3, 0x23).await;
    assert_eq!(payload(&ears.a).await, [0x23; 160]);
    let names = controller.names();
    assert!(
        names.iter().all(|n| !n.contains("RECORD_STOP")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_command_sends_its_own_leg_on_and_the_other_one_is_left() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let talk = talking(&scene, &mut controller).await;
    let (id, leg) = (&talk.call.call_id, &talk.leg);
    controller.command(id, "transfer", blind(None)).await;
    let request = controller.claims().await;
    assert_eq!((&request.call_id, &*request.from), (id, "alice@acme.test"));
    controller.event("CHANNEL_TRANSFEREE", id).await;
    let transferor = controller.event("CHANNEL_TRANSFEROR", leg).await;
    assert_eq!(transferor["Transfer-Type"], "blind");
    assert_eq!(transferor["Transfer-To"], "2001@acme.test");
    is_ended(&talk.bob).await;
    controller.event("CHANNEL_DESTROY", leg).await;
    // Its new controller has it.
    let tone = json!({"Media-Name": "tone_stream://%(200,0,440)"});
    controller.command(id, "play", tone).await;
    controller.completion(id, "play").await;
}

#[tokio::test]
async fn both_legs_are_sent_on_and_each_has_a_call_of_its_own() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let talk = talking(&scene, &mut controller).await;
    controller
        .command(&talk.call.call_id, "transfer", blind(Some("both")))
        .await;
    let mut gone = [controller.claims().await, controller.claims().await];
    gone.sort_by_key(|request| request.from.clone());
    assert_eq!(
        (&gone[0].call_id, &gone[1].call_id),
        (&talk.call.call_id, &talk.leg)
    );
    for leg in [&talk.call.call_id, &talk.leg] {
        controller.event("CHANNEL_TRANSFEREE", leg).await;
        controller.command(leg, "noop", json!({})).await;
        controller.completion(leg, "noop").await;
    }
    assert_eq!(scene.switch.picture().await.channels.len(), 2);
}

#[tokio::test]
async fn a_caller_alone_is_sent_on_and_what_rings_for_it_no_longer_does() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let (alice, call) = bridging(&scene, &mut controller, bridge_to("bob")).await;
    let id = &call.call_id;
    let invite = bob.request("INVITE").await;
    bob.reply(&invite, "180 Ringing", "", "").await;
    controller.command(id, "transfer", blind(None)).await;
    controller.claims().await;
    controller.event("CHANNEL_TRANSFEREE", id).await;
    bob.request("CANCEL").await;
    controller.command(id, "answer", json!({})).await;
    assert_eq!(alice.final_response().await.status(), 200);
    let names = controller.names();
    assert!(names.iter().all(|n| !n.contains("UNBRIDGE")), "{names:?}");
}

#[tokio::test]
async fn a_command_to_nowhere_is_refused_and_the_conversation_goes_on() {
    let scene = Scene::with(|config| config.route_timeout_ms = 300).await;
    let mut controller = scene.controller().await;
    let talk = talking(&scene, &mut controller).await;
    let (id, alice, bob) = (&talk.call.call_id, &talk.alice, &talk.bob);
    for leg in [None, Some("bleg")] {
        controller.command(id, "transfer", blind(leg)).await;
        controller.asked().await;
        let error = controller.event("dialplan", id).await;
        assert_eq!(error["Request"]["Application-Name"], "transfer");
        let said = error["Error-Message"].as_str().unwrap();
        assert!(said.contains("nobody takes the call"), "{said}");
    }
    let mut odd = blind(None);
    odd["Transfer-To"] = "a b".into();
    controller.command(id, "transfer", odd).await;
    let error = controller.event("dialplan", id).await;
    let said = error["Error-Message"].as_str().unwrap();
    assert!(said.contains("Transfer-To"), "{said}");
    converse((alice, &talk.answer), (bob, &talk.invite), 0x31).await;
    assert_nobody_left(&controller);
}

#[tokio::test]
async fn parted_legs_are_parked_or_end_as_the_command_says() {
    for (named, parked, ended) in [(None, 1, 1), (Some("B"), 1, 1), (Some("Both"), 2, 0)] {
        let scene = Scene::new().await;
        let mut controller = scene.controller().await;
        let Talk {
            alice,
            call,
            bob,
            leg,
            ..
        } = talking(&scene, &mut controller).await;
        let mut fields = json!({"Insert-At": "now"});
        if let Some(named) = named {
            fields["Leg"] = named.into();
        }
        controller.command(&call.call_id, "unbridge", fields).await;
        for leg in [&call.call_id, &leg] {
            controller.event("CHANNEL_UNBRIDGE", leg).await;
        }
        match named {
            None => is_ended(&bob).await,
            Some("B") => is_ended(&alice).await,
            Some(_) => {}
        }
        let stays = [(&call.call_id, named != Some("B")), (&leg, named.is_some())];
        for (leg, _) in stays.iter().filter(|(_, stays)| *stays) {
            if **leg == call.call_id {
                let over = controller.completion(leg, "bridge").await;
                assert_eq!(over["Application-Response"], "SUCCESS");
            }
            let tone = json!({"Media-Name": "tone_stream://%(100,0,440)"});
            controller.command(leg, "play", tone).await;
            controller.completion(leg, "play").await;
        }
        let channels = scene.switch.picture().await.channels.len();
        assert_eq!((channels, 2 - channels), (parked, ended), "{named:?}");
    }
}

#[tokio::test]
async fn keys_set_before_end_a_playback_that_names_none() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let mut talk = talking(&scene, &mut controller).await;
    let id = talk.call.call_id.clone();
    let info = "Content-Type: application/dtmf-relay\n";
    let keys = json!({"Terminators": ["7"]});
    controller.command(&id, "set_terminators", keys).await;
    let unnamed = json!({"Insert-At": "now", "Media-Name": "tone_stream://%(100,0,440);loops=-1"});
    controller
        .command(&id, "unbridge", json!({"Insert-At": "now"}))
        .await;
    controller.completion(&id, "bridge").await;
    controller.command(&id, "play", unnamed).await;
    talk.alice.hear().await;
    for (key, ends) in [('1', false), ('7', true)] {
        let body = format!("Signal={key}\r\n");
        talk.alice.within(&mut talk.call, "INFO", info, &body).await;
        controller.event("DTMF", &id).await;
        if ends {
            let over = controller.completion(&id, "play").await;
            assert_eq!(over["DTMF-Digit"], "7");
        }
    }
}
