//! Calls whose controller has gone.

use serde_json::json;

use crate::support::{Call, Controller, Message, Phone, Scene, bridge_to, dialled};

async fn scene() -> Scene {
    Scene::with(|config| config.controller_timeout_s = 1).await
}

/// Alice is parked, answered, by this controller.
async fn parked(scene: &Scene, controller: &mut Controller) -> (Phone, Call) {
    let (alice, call) = dialled(scene, controller).await;
    controller.command(&call.call_id, "answer", json!({})).await;
    controller.completion(&call.call_id, "answer").await;
    let answer = alice.final_response().await;
    let call = alice.ack(&call, &answer, "").await;
    (alice, call)
}

#[tokio::test]
async fn a_parked_call_whose_controller_has_gone_ends_and_those_of_others_stay() {
    let scene = scene().await;
    let mut stays = scene.controller().await;
    let (_alice, kept) = parked(&scene, &mut stays).await;
    let mut goes = scene.controller().await;
    let other = scene.phone("alice").await;
    let unanswered = other.dial("2000").await;
    // Both hear of the call; only this one answers.
    goes.claims().await;
    drop(goes);
    let refused = other.final_response().await;
    assert_eq!(refused.status(), 503);
    other.ack(&unanswered, &refused, "").await;
    let destroyed = stays.event("CHANNEL_DESTROY", &unanswered.call_id).await;
    assert_eq!(destroyed["Hangup-Cause"], "NORMAL_TEMPORARY_FAILURE");
    stays.command(&kept.call_id, "noop", json!({})).await;
    stays.completion(&kept.call_id, "noop").await;
}

#[tokio::test]
async fn a_bridge_outlives_its_controller_and_the_call_ends_with_it() {
    let scene = scene().await;
    let witness = &mut scene.controller().await;
    let bob = scene.registered("bob").await;
    let mut goes = scene.controller().await;
    let (alice, call) = parked(&scene, &mut goes).await;
    let bridge = bridge_to("bob");
    goes.command(&call.call_id, "bridge", bridge).await;
    let invite: Message = bob.request("INVITE").await;
    drop(goes);
    // It was not joined yet: what runs goes on.
    bob.pick_up(&invite).await;
    witness.event("CHANNEL_BRIDGE", &call.call_id).await;
    let two_limits = tokio::time::sleep(std::time::Duration::from_secs(2));
    two_limits.await;
    bob.within(&mut bob.called(&invite), "BYE", "", "").await;
    alice.request("BYE").await;
    let destroyed = witness.event("CHANNEL_DESTROY", &call.call_id).await;
    assert_eq!(destroyed["Hangup-Cause"], "NORMAL_TEMPORARY_FAILURE");
}

#[tokio::test]
async fn music_on_hold_ends_for_want_of_a_controller() {
    let scene = scene().await;
    let witness = &mut scene.controller().await;
    let mut goes = scene.controller().await;
    let (alice, call) = parked(&scene, &mut goes).await;
    goes.command(&call.call_id, "hold", json!({})).await;
    alice.hear().await;
    drop(goes);
    alice.request("BYE").await;
    let destroyed = witness.event("CHANNEL_DESTROY", &call.call_id).await;
    assert_eq!(destroyed["Hangup-Cause"], "NORMAL_TEMPORARY_FAILURE");
}
