//! Picking up a call that waits: the command `call_pickup`.

use callreel_proto::CallId;
use serde_json::json;

use crate::support::{Call, Controller, Message, Phone, Scene, endpoint, hears};

/// A call that is answered and hears music.
async fn waiting(controller: &mut Controller, phone: &Phone) -> (Call, Message) {
    let call = phone.dial("2000").await;
    controller.claims().await;
    let id = &call.call_id;
    controller.command(id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    let call = phone.ack(&call, &answer, "").await;
    let music = json!({"Hold-Media": "tone_stream://%(4000,0,440)"});
    controller.command(id, "hold", music).await;
    (call, answer)
}

async fn pick_up(controller: &Controller, by: &CallId, target: &CallId) {
    let fields = json!({"Target-Call-ID": target, "Unbridged-Only": true});
    controller.command(by, "call_pickup", fields).await;
}

#[tokio::test]
async fn a_call_that_waits_is_picked_up_and_loses_its_controller() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (alice, bob) = (
        scene.registered("alice").await,
        scene.registered("bob").await,
    );
    let (parked, to_alice) = waiting(&mut controller, &alice).await;
    let retrieving = bob.dial("4101").await;
    controller.claims().await;
    let (waited, took) = (parked.call_id.clone(), retrieving.call_id.clone());
    pick_up(&controller, &took, &waited).await;
    let answer = bob.final_response().await;
    let mut retrieving = bob.ack(&retrieving, &answer, "").await;
    let told = controller.event("CHANNEL_TRANSFEREE", &waited).await;
    assert_eq!(told["Transfer-To"], took.as_str());
    for (leg, other) in [(&waited, &took), (&took, &waited)] {
        let bridged = controller.event("CHANNEL_BRIDGE", leg).await;
        assert_eq!(bridged["Other-Leg-Call-ID"], other.as_str());
        assert_eq!(bridged["Bridge-B-Unique-ID"], waited.as_str());
    }
    alice.speak(to_alice.rtp(), 1000, 0x11).await;
    hears(&bob, 0x11).await;
    bob.speak(answer.rtp(), 1000, 0x22).await;
    hears(&alice, 0x22).await;

    // Nobody takes a call that talks.
    let other = scene.phone("bob").await;
    let late = other.dial("4101").await;
    controller.claims().await;
    pick_up(&controller, &late.call_id, &waited).await;
    let refused = controller.event("dialplan", &late.call_id).await;
    let why = refused["Error-Message"].as_str().unwrap();
    assert!(why.contains("talks to somebody"), "{why}");

    bob.within(&mut retrieving, "BYE", "", "").await;
    alice.request("BYE").await;
    controller.event("CHANNEL_DESTROY", &waited).await;
}

#[tokio::test]
async fn whoever_picked_up_stays_with_its_controller_when_the_other_hangs_up() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (alice, bob) = (
        scene.registered("alice").await,
        scene.registered("bob").await,
    );
    let (mut parked, _) = waiting(&mut controller, &alice).await;
    let retrieving = bob.dial("4101").await;
    controller.claims().await;
    pick_up(&controller, &retrieving.call_id, &parked.call_id).await;
    controller
        .event("CHANNEL_BRIDGE", &retrieving.call_id)
        .await;
    alice.within(&mut parked, "BYE", "", "").await;
    let over = controller
        .completion(&retrieving.call_id, "call_pickup")
        .await;
    assert_eq!(over["Application-Response"], "SUCCESS");
    controller
        .command(&retrieving.call_id, "hangup", json!({}))
        .await;
    controller
        .event("CHANNEL_DESTROY", &retrieving.call_id)
        .await;
}

#[tokio::test]
async fn a_call_that_rings_somebody_meanwhile_is_picked_up_and_that_phone_stops_ringing() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    scene.device("carol", json!({})).await;
    let (alice, bob) = (
        scene.registered("alice").await,
        scene.registered("bob").await,
    );
    let carol = scene.registered("carol").await;
    let (parked, _) = waiting(&mut controller, &alice).await;
    let ring = json!({"Endpoints": [endpoint("bob")], "Insert-At": "flush"});
    controller.command(&parked.call_id, "bridge", ring).await;
    let ringing = bob.request("INVITE").await;
    bob.reply(&ringing, "180 Ringing", "", "").await;
    let retrieving = carol.dial("4101").await;
    controller.claims().await;
    pick_up(&controller, &retrieving.call_id, &parked.call_id).await;
    controller.event("CHANNEL_BRIDGE", &parked.call_id).await;
    controller
        .event("CHANNEL_BRIDGE", &retrieving.call_id)
        .await;
    let cancel = bob.request("CANCEL").await;
    bob.reply(&cancel, "200 OK", "", "").await;
    assert_eq!(carol.final_response().await.status(), 200);
}

#[tokio::test]
async fn a_call_that_is_not_there_is_not_picked_up_and_the_flow_hears_so() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let call = bob.dial("4101").await;
    controller.claims().await;
    for target in [CallId::new("nobody"), call.call_id.clone()] {
        pick_up(&controller, &call.call_id, &target).await;
        let refused = controller.event("dialplan", &call.call_id).await;
        assert_eq!(refused["Request"]["Application-Name"], "call_pickup");
    }
    // What waited behind it runs.
    controller.command(&call.call_id, "answer", json!({})).await;
    assert_eq!(bob.final_response().await.status(), 200);
}
