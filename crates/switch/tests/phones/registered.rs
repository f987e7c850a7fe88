//! Registrations at trunks: they are made, proved, refreshed and taken back, and whoever calls by them is a trunk.

use serde_json::{Value, json};

use crate::support::{ACCOUNT, Call, Message, Phone, Scene};

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"carrier.test\", nonce=\"n0nce\", algorithm=MD5\n";

/// A switch that looks at its trunks each second.
async fn scene() -> Scene {
    Scene::with(|config| config.trunks_reread_s = 1).await
}

/// A trunk that wants the switch registered, at this phone.
async fn trunk(scene: &Scene, more: Value) -> Phone {
    let carrier = scene.phone("north").await;
    let mut gateway = json!({"server": "127.0.0.1", "port": carrier.address().port(), "register": true,
        "username": "acme", "password": "north-pw"});
    gateway
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let resource =
        json!({"_id": "trunk-1", "pvt_type": "resource", "name": "North", "gateways": [gateway]});
    scene.store.save("offnet", resource).await.unwrap();
    carrier
}

/// The carrier asks who registers, and lets them for so many seconds.
async fn lets_in(carrier: &Phone, seconds: u32) -> Message {
    let asked = carrier.request("REGISTER").await;
    carrier
        .reply(&asked, "401 Unauthorized", CHALLENGE, "")
        .await;
    let proved = carrier.request("REGISTER").await;
    let proof = proved.header("Authorization");
    assert!(
        proof.contains("username=\"acme\"") && proof.contains("realm=\"carrier.test\""),
        "{proof}"
    );
    assert!(!proof.contains("north-pw"), "{proof}");
    let expires = format!("Expires: {seconds}\n");
    carrier.reply(&proved, "200 OK", &expires, "").await;
    proved
}

/// The address that the carrier is to call us by.
fn contact(registered: &Message) -> String {
    let contact = registered.header("Contact");
    let uri = contact.split(['<', '>']).nth(1).unwrap_or(contact);
    uri.to_owned()
}

async fn state_is(scene: &Scene, wanted: &str) {
    let reached = async {
        loop {
            let trunks = scene.switch.picture().await.trunks;
            if trunks.iter().any(|trunk| trunk.state == wanted) {
                return trunks;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let trunks = crate::support::soon(wanted, reached).await;
    assert_eq!(
        (trunks[0].resource.as_str(), trunks[0].username.as_str()),
        ("trunk-1", "acme")
    );
    let shown = serde_json::to_string(&trunks).unwrap();
    assert!(!shown.contains("north-pw"), "{shown}");
}

#[tokio::test]
async fn the_switch_registers_proves_who_it_is_and_takes_it_back() {
    let scene = scene().await;
    let carrier = trunk(&scene, json!({"expiry": 120})).await;
    let registered = lets_in(&carrier, 120).await;
    assert!(
        registered.start.starts_with("REGISTER sip:127.0.0.1"),
        "{}",
        registered.start
    );
    assert_eq!(registered.header("Expires"), "120");
    assert!(
        registered.header("To").contains("sip:acme@127.0.0.1"),
        "{registered:?}"
    );
    state_is(&scene, "registered").await;
    // Nobody wants it any more.
    let gone = json!({"_id": "trunk-1", "pvt_type": "resource", "gateways": []});
    scene.store.save("offnet", gone).await.unwrap();
    let left = carrier.request("REGISTER").await;
    assert_eq!(left.header("Expires"), "0");
    assert_eq!(contact(&left), contact(&registered));
}

#[tokio::test]
async fn a_switch_that_stops_is_registered_no_more() {
    let scene = scene().await;
    let carrier = trunk(&scene, json!({"realm": "north.example"})).await;
    let registered = lets_in(&carrier, 60).await;
    assert!(
        registered.start.starts_with("REGISTER sip:north.example "),
        "{}",
        registered.start
    );
    state_is(&scene, "registered").await;
    let stopped = tokio::spawn(scene.switch.stop());
    assert_eq!(carrier.request("REGISTER").await.header("Expires"), "0");
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_carrier_that_refuses_is_told_of_and_asked_again() {
    let scene = scene().await;
    let carrier = trunk(&scene, json!({})).await;
    let asked = carrier.request("REGISTER").await;
    carrier
        .reply(&asked, "423 Interval Too Brief", "Min-Expires: 7200\n", "")
        .await;
    state_is(&scene, "it answers 423 Interval Too Brief").await;
    let again = lets_in(&carrier, 7200).await;
    assert_eq!(again.header("Expires"), "7200");
    state_is(&scene, "registered").await;
}

#[tokio::test]
async fn who_calls_where_we_are_registered_is_the_trunk_wherever_it_calls_from() {
    let scene = scene().await;
    let mut controller = scene.controller().await;
    let carrier = trunk(&scene, json!({})).await;
    let number = json!({"_id": "+14155550100", "pvt_type": "number", "pvt_assigned_to": ACCOUNT});
    scene.store.save("numbers/+1415", number).await.unwrap();
    let registered = lets_in(&carrier, 600).await;
    let ours = contact(&registered);
    // Another machine of the carrier's, which no document names.
    let elsewhere = scene.phone("edge").await;
    let calling = |target: &str, number: &str| Call {
        call_id: callreel_proto::CallId::new(format!("{number}-{}", target.len())),
        from: "<sip:+4687012345@carrier.test>;tag=1".to_owned(),
        to: format!("<sip:{number}@carrier.test>"),
        cseq: 1,
        branch: callreel_proto::random_hex(10),
        target: target.to_owned(),
    };
    let call = calling(&ours, "4155550100");
    elsewhere.invite(&call, "", &elsewhere.sdp()).await;
    let route = controller.claims().await;
    assert_eq!(route.request, "+14155550100@acme.test");
    assert_eq!(route.channel_var("Resource-ID"), Some("trunk-1"));
    assert_eq!(route.channel_var("Global-Resource"), Some("true"));
    controller
        .command(&route.call_id, "answer", json!({}))
        .await;
    let answer = elsewhere.final_response().await;
    assert_eq!(answer.status(), 200);
    elsewhere.ack(&call, &answer, "").await;
    // A number that is nobody's, and somebody who has guessed.
    for (target, number, status) in [
        (ours.clone(), "4155550199", 404),
        (ours.replacen("gw-", "gw-0", 1), "4155550100", 407),
    ] {
        let call = calling(&target, number);
        elsewhere.invite(&call, "", &elsewhere.sdp()).await;
        let answer = elsewhere.final_response().await;
        assert_eq!(answer.status(), status, "{target}");
        elsewhere.ack(&call, &answer, "").await;
    }
}
