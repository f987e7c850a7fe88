//! Forwarded legs: endpoints that are numbers of the account, keys that whoever answers must press, and what the caller hears
//! meanwhile.

use callreel_proto::CallId;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, Phone, REALM, Scene, bridging, endpoint};

fn forward(number: &str, vars: Value) -> Value {
    let mut all = json!({
        "Account-ID": ACCOUNT, "Authorizing-ID": "device-bob", "Authorizing-Type": "device",
        "Owner-ID": "user-bob", "Call-Forward": "true"
    });
    let vars = vars.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(vars);
    json!({"Invite-Format": "loopback", "Route": number, "Custom-Channel-Vars": all})
}

#[tokio::test]
async fn an_endpoint_that_is_a_number_becomes_a_call_of_its_account() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bridge = json!({"Endpoints": [forward("260", json!({"Confirm-File": "x"}))]});
    let (alice, call) = bridging(&scene, &mut controller, bridge).await;
    let looped = controller.claims().await;
    assert_eq!(looped.request, format!("260@{REALM}"));
    assert_eq!(looped.caller_id_number, "alice");
    assert_eq!(looped.caller_id_name, "alice A.");
    assert_ne!(looped.call_id, call.call_id);
    for (name, value) in [
        ("Account-ID", ACCOUNT),
        ("Authorizing-ID", "device-bob"),
        ("Authorizing-Type", "device"),
        ("Call-Forward", "true"),
        ("Account-Realm", REALM),
    ] {
        assert_eq!(looped.channel_var(name), Some(value), "{name}");
    }
    assert_eq!(looped.channel_var("Confirm-File"), None);
    assert!(
        looped.custom_sip_headers.is_empty(),
        "{:?}",
        looped.custom_sip_headers
    );
    controller
        .command(&looped.call_id, "answer", json!({}))
        .await;
    let answer = alice.final_response().await;
    assert_eq!(answer.status(), 200);
    let mut call = alice.ack(&call, &answer, "").await;
    controller.event("CHANNEL_BRIDGE", &call.call_id).await;
    let tones =
        json!({"Tones": [{"Frequencies": ["440"], "Duration-ON": "2000", "Duration-OFF": "0"}]});
    controller.command(&looped.call_id, "tones", tones).await;
    alice.hear().await;
    alice.within(&mut call, "BYE", "", "").await;
    controller.event("CHANNEL_DESTROY", &looped.call_id).await;
}

#[tokio::test]
async fn those_who_forward_to_each_other_come_to_an_end() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bridge = json!({"Endpoints": [forward("260", json!({}))]});
    let (_alice, call) = bridging(&scene, &mut controller, bridge.clone()).await;
    let mut legs = vec![call.call_id];
    // The tenth forwarding is the last.
    for _ in 0..10 {
        let looped = controller.claims().await;
        let bridge = bridge.clone();
        controller.command(&looped.call_id, "bridge", bridge).await;
        legs.push(looped.call_id);
    }
    let last = legs.last().unwrap();
    let failed = controller.completion(last, "bridge").await;
    assert_eq!(failed["Hangup-Code"], "sip:483");
}

async fn press(phone: &Phone, invite: &crate::support::Message, key: char) {
    let mut call = phone.called(invite);
    let body = format!("Signal={key}\r\nDuration=160\r\n");
    let content = "Content-Type: application/dtmf-relay\n";
    phone.within(&mut call, "INFO", content, &body).await;
}

#[tokio::test]
async fn whoever_answers_is_put_through_once_the_key_is_pressed() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let mut endpoint = endpoint("bob");
    endpoint["Custom-Channel-Vars"] =
        json!({"Confirm-Key": "1", "Confirm-File": "tone_stream://%(5000,0,440)"});
    let bridge = json!({"Endpoints": [endpoint]});
    let (alice, call) = bridging(&scene, &mut controller, bridge).await;
    let invite = bob.request("INVITE").await;
    bob.pick_up(&invite).await;
    bob.hear().await;
    let leg = CallId::new(invite.header("Call-ID"));
    press(&bob, &invite, '2').await;
    controller.event("DTMF", &leg).await;
    press(&bob, &invite, '1').await;
    let answer = alice.final_response().await;
    assert_eq!(answer.status(), 200);
    alice.ack(&call, &answer, "").await;
    controller.event("CHANNEL_BRIDGE", &call.call_id).await;
}

#[tokio::test]
async fn whoever_answers_and_leaves_without_the_key_has_not_answered() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let mut endpoint = endpoint("bob");
    endpoint["Custom-Channel-Vars"] = json!({"Confirm-Key": "1"});
    let (_alice, call) = bridging(&scene, &mut controller, json!({"Endpoints": [endpoint]})).await;
    let invite = bob.request("INVITE").await;
    bob.pick_up(&invite).await;
    bob.hear().await;
    bob.within(&mut bob.called(&invite), "BYE", "", "").await;
    let done = controller.completion(&call.call_id, "bridge").await;
    assert_eq!(done["Application-Response"], "NO_ANSWER");
}

#[tokio::test]
async fn a_caller_hears_the_ringback_it_is_given_and_no_early_media_that_is_ignored() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = scene.registered("bob").await;
    let bridge = json!({
        "Endpoints": [endpoint("bob")], "Ignore-Early-Media": "true", "Ringback": "tone_stream://%(5000,0,440)"
    });
    let (alice, call) = bridging(&scene, &mut controller, bridge).await;
    let invite = bob.request("INVITE").await;
    bob.reply(&invite, "183 Session Progress", "", &bob.sdp())
        .await;
    loop {
        let progress = alice.response().await;
        if progress.status() == 183 {
            break;
        }
        assert_eq!(progress.status(), 180);
    }
    for n in 0..5 {
        bob.speak(invite.rtp(), n, 0x22).await;
    }
    let (_, heard) = alice.hear().await;
    assert_ne!(heard, vec![0x22; 160]);
    bob.pick_up(&invite).await;
    let answer = alice.final_response().await;
    assert_eq!(answer.status(), 200);
    alice.ack(&call, &answer, "").await;
}
