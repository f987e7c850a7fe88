//! What becomes of a caller whose callee has hung up, by what was set before (Kazoo's `Hangup-After-Pickup` and its kin).

use serde_json::{Value, json};

use crate::support::{Call, Controller, Phone, REALM, Scene, bridge_to, soon};

/// Alice talks to Bob, who hangs up.
async fn left_by_bob(scene: &Scene, controller: &mut Controller, vars: Value) -> (Phone, Call) {
    let (alice, bob) = (
        scene.registered("alice").await,
        scene.registered("bob").await,
    );
    let call = alice.dial("2000").await;
    controller.claims().await;
    let id = &call.call_id;
    let set = json!({"Custom-Channel-Vars": vars, "Custom-Call-Vars": {}});
    controller.command(id, "set", set).await;
    controller.command(id, "bridge", bridge_to("bob")).await;
    let invite = bob.request("INVITE").await;
    bob.pick_up(&invite).await;
    let answer = alice.final_response().await;
    let call = alice.ack(&call, &answer, "").await;
    controller.event("CHANNEL_BRIDGE", id).await;
    let mut called = bob.called(&invite);
    bob.within(&mut called, "BYE", "", "").await;
    controller.event("CHANNEL_UNBRIDGE", id).await;
    (alice, call)
}

#[tokio::test]
async fn a_caller_is_hung_up_or_not_as_was_said() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let vars = json!({"Hangup-After-Pickup": "true"});
    let (alice, call) = left_by_bob(&scene, &mut controller, vars).await;
    alice.request("BYE").await;
    controller.event("CHANNEL_DESTROY", &call.call_id).await;

    let vars = json!({"Hangup-After-Pickup": "false"});
    let (_alice, call) = left_by_bob(&scene, &mut controller, vars).await;
    controller.completion(&call.call_id, "bridge").await;
}

#[tokio::test]
async fn a_caller_goes_to_another_number_and_is_hung_up_where_nobody_wants_it() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let vars = json!({"Transfer-After-Pickup": "3000", "Hangup-After-Pickup": "true"});
    let (_alice, call) = left_by_bob(&scene, &mut controller, vars.clone()).await;
    controller.event("CHANNEL_TRANSFEREE", &call.call_id).await;
    let asked = controller.claims().await;
    assert_eq!(
        (asked.call_id, asked.request),
        (call.call_id, format!("3000@{REALM}"))
    );

    let (alice, _) = left_by_bob(&scene, &mut controller, vars).await;
    alice.request("BYE").await;
}

#[tokio::test]
async fn a_caller_who_is_parked_hears_music() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let vars = json!({"Park-After-Pickup": "true"});
    let (alice, call) = left_by_bob(&scene, &mut controller, vars).await;
    let music = async { while alice.hear().await.1 == [0xff; 160] {} };
    soon("music", music).await;
    controller
        .command(&call.call_id, "hangup", json!({"Insert-At": "now"}))
        .await;
    controller.event("CHANNEL_DESTROY", &call.call_id).await;
}
