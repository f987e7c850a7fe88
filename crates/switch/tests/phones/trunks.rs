//! Trunks: calls out over them, from one to the next, and calls in for the numbers of accounts.

use callreel_proto::CallId;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, Call, Controller, Phone, Scene};

/// A carrier: a phone that knows no password.
async fn carrier(scene: &Scene, name: &str) -> Phone {
    scene.phone(name).await
}

fn over(trunk: &Phone, fields: Value) -> Value {
    let mut endpoint = json!({
        "Invite-Format": "route", "Route": format!("sip:+4687012345@{}", trunk.address()),
        "Custom-Channel-Vars": {"Resource-ID": trunk.user, "Global-Resource": "true"}
    });
    let fields = fields.as_object().unwrap().clone();
    endpoint.as_object_mut().unwrap().extend(fields);
    endpoint
}

/// Alice has dialled, and the controller has sent a bridge over these trunks.
async fn dialled_out(
    scene: &Scene,
    controller: &mut Controller,
    trunks: Vec<Value>,
) -> (Phone, Call) {
    let alice = scene.phone("alice").await;
    let call = alice.dial("087012345").await;
    controller.claims().await;
    let bridge = json!({
        "Endpoints": trunks, "Dial-Endpoint-Method": "single", "Fail-On-Single-Reject": true,
        "Caller-ID-Number": "+4687000204", "Caller-ID-Name": "North"
    });
    controller.command(&call.call_id, "bridge", bridge).await;
    (alice, call)
}

#[tokio::test]
async fn a_trunk_that_asks_who_calls_is_told_and_the_caller_is_named() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let trunk = carrier(&scene, "north").await;
    let credentials = json!({
        "Auth-User": "north", "Auth-Password": "north-pw", "Codecs": ["PCMA"],
        "Custom-SIP-Headers": {"X-Account-ID": "a"}
    });
    let endpoint = over(&trunk, credentials);
    let (alice, call) = dialled_out(&scene, &mut controller, vec![endpoint]).await;
    let invite = trunk.request("INVITE").await;
    assert!(invite.start.starts_with("INVITE sip:+4687012345@"));
    assert!(
        invite
            .header("From")
            .contains("\"North\" <sip:+4687000204@acme.test>")
    );
    assert_eq!(
        invite.header("P-Asserted-Identity"),
        "<sip:+4687000204@acme.test>"
    );
    assert_eq!(invite.header("X-Account-ID"), "a");
    assert!(invite.body.contains("RTP/AVP 8 "), "{}", invite.body);
    let challenge = "Digest realm=\"carrier.test\", nonce=\"n0nce\", algorithm=MD5";
    let asked = format!("Proxy-Authenticate: {challenge}\n");
    trunk
        .reply(&invite, "407 Proxy Authentication Required", &asked, "")
        .await;
    trunk.request("ACK").await;
    let again = trunk.request("INVITE").await;
    let proof = again.header("Proxy-Authorization");
    assert!(
        proof.contains("username=\"north\"") && proof.contains("realm=\"carrier.test\""),
        "{proof}"
    );
    assert!(!proof.contains("north-pw"), "{proof}");
    assert_eq!(again.header("Call-ID"), invite.header("Call-ID"));
    trunk.pick_up(&again).await;
    let answer = alice.final_response().await;
    assert_eq!(answer.status(), 200);
    alice.ack(&call, &answer, "").await;
    let bridged = controller.event("CHANNEL_BRIDGE", &call.call_id).await;
    assert_eq!(bridged["Other-Leg-Call-ID"], invite.header("Call-ID"));
}

#[tokio::test]
async fn whoever_hides_their_number_is_nobody_to_the_callee() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let trunk = carrier(&scene, "north").await;
    let alice = scene.phone("alice").await;
    let call = alice.dial("087012345").await;
    controller.claims().await;
    let bridge = json!({
        "Endpoints": [over(&trunk, json!({}))], "Caller-ID-Number": "anonymous", "Caller-ID-Name": "Anonymous",
        "Custom-Channel-Vars": {"Privacy-Hide-Name": "true", "Privacy-Hide-Number": "true"}
    });
    controller.command(&call.call_id, "bridge", bridge).await;
    let invite = trunk.request("INVITE").await;
    assert_eq!(invite.header("Privacy"), "id");
    let from = invite.header("From");
    assert!(from.contains("\"Anonymous\" <sip:anonymous@"), "{from}");
    assert!(invite.all("P-Asserted-Identity").is_empty(), "{invite:?}");
    assert!(!format!("{invite:?}").contains("alice"), "{invite:?}");
}

#[tokio::test]
async fn a_trunk_that_cannot_or_says_nothing_makes_room_for_the_next() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (ill, mute, well) = (
        carrier(&scene, "ill").await,
        carrier(&scene, "mute").await,
        carrier(&scene, "well").await,
    );
    let trunks = vec![
        over(&ill, json!({})),
        over(&mute, json!({"Endpoint-Progress-Timeout": "1"})),
        over(&well, json!({"Endpoint-Progress-Timeout": "1"})),
    ];
    let (alice, call) = dialled_out(&scene, &mut controller, trunks).await;
    let invite = ill.request("INVITE").await;
    ill.reply(&invite, "503 Service Unavailable", "", "").await;
    mute.request("INVITE").await;
    let invite = well.request("INVITE").await;
    well.reply(&invite, "180 Ringing", "", "").await;
    assert_eq!(alice.response().await.status(), 180);
    well.pick_up(&invite).await;
    let answer = alice.final_response().await;
    assert_eq!(answer.status(), 200);
    alice.ack(&call, &answer, "").await;
    controller.event("CHANNEL_BRIDGE", &call.call_id).await;
}

#[tokio::test]
async fn a_callee_who_is_busy_is_not_tried_over_the_next_trunk() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (one, other) = (carrier(&scene, "one").await, carrier(&scene, "other").await);
    let trunks = vec![over(&one, json!({})), over(&other, json!({}))];
    let (_alice, call) = dialled_out(&scene, &mut controller, trunks).await;
    let invite = one.request("INVITE").await;
    one.reply(&invite, "486 Busy Here", "", "").await;
    let done = controller.completion(&call.call_id, "bridge").await;
    assert_eq!(done["Application-Response"], "USER_BUSY");
    assert_eq!(done["Hangup-Code"], "sip:486");
}

#[tokio::test]
async fn the_password_of_a_trunk_is_in_no_event() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let trunk = carrier(&scene, "north").await;
    let endpoint = over(
        &trunk,
        json!({"Auth-User": "north", "Auth-Password": "north-pw", "Outbound-Call-ID": "no word"}),
    );
    let (_alice, call) = dialled_out(&scene, &mut controller, vec![endpoint]).await;
    let error = controller.event("dialplan", &call.call_id).await;
    assert!(error.to_string().contains("Auth-User"), "{error:#}");
    assert!(!error.to_string().contains("north-pw"), "{error:#}");
}

/// A number of the account, and a trunk whose calls come from this phone.
async fn numbers(scene: &Scene, trunk: &Phone) {
    let resource = json!({
        "_id": "trunk-1", "pvt_type": "resource", "name": "North",
        "gateways": [{"server": "127.0.0.1", "port": trunk.address().port()}]
    });
    scene.store.save("offnet", resource).await.unwrap();
    let number = json!({"_id": "+14155550100", "pvt_type": "number", "pvt_assigned_to": ACCOUNT, "pvt_state": "in_service"});
    scene.store.save("numbers/+1415", number).await.unwrap();
}

/// What an INVITE without credentials is answered with, or nothing if it was taken.
fn inviting(trunk: &Phone, number: &str) -> Call {
    Call {
        call_id: CallId::new(format!("{number}@trunk")),
        from: "\"Someone\" <sip:+4687012345@carrier.test>;tag=1".to_owned(),
        to: format!("<sip:{number}@callreel.test>"),
        cseq: 1,
        branch: callreel_proto::random_hex(10),
        target: format!("sip:{number}@{}", trunk.switch),
    }
}

#[tokio::test]
async fn a_trunks_call_is_that_of_the_account_whose_number_it_is() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let trunk = carrier(&scene, "north").await;
    numbers(&scene, &trunk).await;
    let call = inviting(&trunk, "4155550100");
    trunk.invite(&call, "", &trunk.sdp()).await;
    let route = controller.claims().await;
    assert_eq!(route.request, "+14155550100@acme.test");
    assert_eq!(route.caller_id_number, "+4687012345");
    for (name, value) in [
        ("Account-ID", ACCOUNT),
        ("Account-Realm", "acme.test"),
        ("Inception", "4155550100@127.0.0.1"),
        ("Authorizing-Type", "resource"),
        ("Resource-ID", "trunk-1"),
        ("Global-Resource", "true"),
        ("E164-Destination", "+14155550100"),
    ] {
        assert_eq!(route.channel_var(name), Some(value), "{name}");
    }
    assert_eq!(route.channel_var("Authorizing-ID"), None);
    controller
        .command(&route.call_id, "answer", json!({}))
        .await;
    let answer = trunk.final_response().await;
    assert_eq!(answer.status(), 200);
    trunk.ack(&call, &answer, "").await;
}

#[tokio::test]
async fn a_number_that_is_nobodys_is_refused_and_a_stranger_is_asked_who_it_is() {
    let scene = Scene::new().await;
    let trunk = carrier(&scene, "north").await;
    numbers(&scene, &trunk).await;
    for nobodys in ["4155550199", "operator"] {
        let call = inviting(&trunk, nobodys);
        trunk.invite(&call, "", &trunk.sdp()).await;
        let answer = trunk.final_response().await;
        assert_eq!(answer.status(), 404, "{nobodys}");
        trunk.ack(&call, &answer, "").await;
    }
    let stranger = carrier(&scene, "stranger").await;
    let call = inviting(&stranger, "4155550100");
    stranger.invite(&call, "", &stranger.sdp()).await;
    assert_eq!(stranger.final_response().await.status(), 407);
}

#[tokio::test]
async fn an_accounts_own_trunk_brings_calls_for_its_numbers_only() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let trunk = carrier(&scene, "own").await;
    let db = callreel_proto::AccountDb::name(&callreel_proto::AccountId::parse(ACCOUNT).unwrap());
    let port = trunk.address().port();
    let resource = json!({"_id": "own-1", "pvt_type": "resource", "gateways": [{"server": "127.0.0.1", "port": port}]});
    scene.store.save(&db, resource).await.unwrap();
    for (id, owner) in [
        ("+14155550100", ACCOUNT),
        ("+14155550101", "b0000000000000000000000000000002"),
    ] {
        let number = json!({"_id": id, "pvt_type": "number", "pvt_assigned_to": owner});
        scene.store.save("numbers/+1415", number).await.unwrap();
    }
    let call = inviting(&trunk, "+14155550101");
    trunk.invite(&call, "", &trunk.sdp()).await;
    let answer = trunk.final_response().await;
    assert_eq!(answer.status(), 407);
    trunk.ack(&call, &answer, "").await;
    let call = inviting(&trunk, "+14155550100");
    trunk.invite(&call, "", &trunk.sdp()).await;
    let route = controller.claims().await;
    assert_eq!(route.channel_var("Resource-ID"), Some("own-1"));
    assert_eq!(route.channel_var("Global-Resource"), Some("false"));
}
