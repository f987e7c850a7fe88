//! What the switch keeps to itself, and what it does for nobody: a leg learns nothing of the other's network, and no request finds
//! a way out but through a callflow.

use callreel_switch::SwitchConfig;
use tokio::net::UdpSocket;

use crate::support::{Call, Phone, REALM, Scene, bridge_to, bridging, connect};

/// A phone with an address, a name and a device of its own, by which it would be known at the other end.
async fn marked(scene: &Scene, user: &str, address: &str) -> Phone {
    let mut phone = scene.phone(user).await;
    phone.socket = UdpSocket::bind(format!("{address}:0")).await.unwrap();
    phone.rtp = UdpSocket::bind(format!("{address}:0")).await.unwrap();
    phone
}

/// A dialled call answered by this, in whole.
fn marks(phone: &Phone, call: &Call) -> [String; 4] {
    [
        phone.address().ip().to_string(),
        call.call_id.to_string(),
        call.branch.clone(),
        call.from.rsplit("tag=").next().unwrap().to_owned(),
    ]
}

#[tokio::test]
async fn neither_leg_learns_where_the_other_is() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let bob = marked(&scene, "bob", "127.0.0.8").await;
    assert_eq!(bob.register(300).await.status(), 200);
    let alice = marked(&scene, "alice", "127.0.0.7").await;
    let link = connect(&mut controller, &alice, &bob).await;
    let (to_bob, to_alice) = (format!("{:?}", link.invite), format!("{:?}", link.answer));
    for mark in marks(&alice, &link.caller) {
        assert!(!to_bob.contains(&mark), "{mark} in {to_bob}");
    }
    let of_bob = [
        bob.address().ip().to_string(),
        link.callee.call_id.to_string(),
    ];
    for mark in of_bob {
        assert!(!to_alice.contains(&mark), "{mark} in {to_alice}");
    }
    for said in [to_bob, to_alice] {
        assert!(said.contains("callreel"), "the switch names itself: {said}");
        assert!(
            !said.contains(env!("CARGO_PKG_VERSION")),
            "but not its version: {said}"
        );
    }
}

#[tokio::test]
async fn the_switch_says_what_it_is_told_to_say_of_itself() {
    let scene = Scene::with(|config: &mut SwitchConfig| config.user_agent = "PBX".to_owned()).await;
    let phone = scene.phone("alice").await;
    let answer = phone.register(300).await;
    let said = format!("{answer:?}");
    assert!(
        said.contains("PBX") && !said.contains("callreel/"),
        "{said}"
    );
}

#[tokio::test]
async fn who_registers_in_the_name_of_another_registers_themselves() {
    let scene = Scene::new().await;
    let mut thief = scene.phone("alice").await;
    // The credentials are Alice's, the address of record is Bob's.
    thief.user = "bob".to_owned();
    thief
        .register_once("Contact: <sip:bob@127.0.0.1:9>\n", "")
        .await;
    let challenge = thief.response().await;
    thief.user = "alice".to_owned();
    let uri = format!("sip:{REALM}");
    let answer = thief.answer_to(challenge.header("WWW-Authenticate"), "REGISTER", &uri, 1);
    thief.user = "bob".to_owned();
    let auth = format!("Authorization: {answer}\n");
    thief
        .register_once("Contact: <sip:bob@127.0.0.1:9>\n", &auth)
        .await;
    assert_eq!(thief.response().await.status(), 200);
    // Whose credentials they are is called there, and Bob is nowhere.
    let mut controller = scene.controller().await;
    let (_caller, call) = bridging(&scene, &mut controller, bridge_to("bob")).await;
    let done = controller
        .event("CHANNEL_EXECUTE_COMPLETE", &call.call_id)
        .await;
    assert_eq!(done["Application-Name"], "bridge");
    assert_eq!(done["Hangup-Cause"], "USER_NOT_REGISTERED", "{done}");
}

#[tokio::test]
async fn a_request_is_sent_on_to_nobody_it_names() {
    let scene = Scene::new().await;
    let elsewhere = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    let to = elsewhere.local_addr().unwrap();
    let phone = scene.phone("alice").await;
    // By a Route, and by a number at another's domain: an INVITE goes to a callflow or nowhere.
    let routed = format!("Route: <sip:{to};lr>\n");
    let call = phone.dial_with("2000", &routed, &phone.sdp()).await;
    let refused = phone.final_response().await;
    assert_eq!(refused.status(), 404, "{refused:?}");
    phone.ack(&call, &refused, "").await;
    for method in ["OPTIONS", "MESSAGE", "PUBLISH", "NOTIFY"] {
        let head = format!(
            "{method} sip:x@{to} SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{method}\nMax-Forwards: 70\nRoute: <sip:{to};lr>\n\
             From: <sip:alice@{REALM}>;tag=1\nTo: <sip:x@{to}>\nCall-ID: {method}\nCSeq: 1 {method}\n",
            own = phone.address(),
        );
        phone.send(&head, "").await;
        let answer = phone.final_response().await;
        assert!([200, 405].contains(&answer.status()), "{answer:?}");
    }
    let nothing = elsewhere.try_recv(&mut [0; 16]);
    assert_eq!(nothing.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
