//! REGISTER: who may, for how long, and how a phone is found afterwards.

use serde_json::json;
use tokio::net::UdpSocket;

use crate::support::{Phone, REALM, Scene};

#[tokio::test]
async fn a_phone_is_challenged_and_its_password_accepted() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    phone
        .register_once("Contact: <sip:alice@1.2.3.4>\n", "")
        .await;
    let challenge = phone.response().await;
    assert_eq!(challenge.status(), 401);
    let header = challenge.header("WWW-Authenticate");
    assert!(header.contains(&format!("realm=\"{REALM}\"")), "{header}");
    assert!(
        header.contains("algorithm=MD5") && header.contains("qop=\"auth\""),
        "{header}"
    );

    let answer = phone.register(600).await;
    assert_eq!(answer.status(), 200);
    let contact = answer.header("Contact");
    assert!(contact.contains(&phone.address().to_string()), "{contact}");
    assert!(
        contact.ends_with("expires=600") || contact.ends_with("expires=599"),
        "{contact}"
    );
    assert_eq!(scene.switch.picture().await.registrations, 1);
}

#[tokio::test]
async fn wrong_passwords_strangers_and_disabled_devices_are_refused() {
    let scene = Scene::new().await;
    scene.device("carol", json!({"enabled": false})).await;
    let wrong = scene.phone("alice").await.with_password("guess");
    assert_eq!(wrong.register(300).await.status(), 403);
    for user in ["mallory", "carol"] {
        assert_eq!(
            scene.phone(user).await.register(300).await.status(),
            403,
            "{user}"
        );
    }
    assert_eq!(scene.switch.picture().await.registrations, 0);
    assert_eq!(scene.switch.picture().await.counts.forbidden, 3);
}

#[tokio::test]
async fn a_replayed_or_foreign_nonce_is_challenged_again() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    phone.register_once("", "").await;
    let challenge = phone.response().await;
    let uri = format!("sip:{REALM}");
    let auth = |count| {
        let value = phone.answer_to(
            challenge.header("WWW-Authenticate"),
            "REGISTER",
            &uri,
            count,
        );
        format!("Authorization: {value}\n")
    };
    for (count, status) in [(1, 200), (1, 401), (2, 200), (0x1a, 200)] {
        phone.register_once("", &auth(count)).await;
        let answer = phone.response().await;
        assert_eq!(answer.status(), status, "nc {count}");
        if status == 401 {
            assert!(answer.header("WWW-Authenticate").contains("stale=true"));
        }
    }
    let foreign = auth(3).replace("nonce=\"0", "nonce=\"f");
    phone.register_once("", &foreign).await;
    let answer = phone.response().await;
    assert_eq!(answer.status(), 401);
    assert!(!answer.header("WWW-Authenticate").contains("stale"));
}

#[tokio::test]
async fn hasty_registrations_are_refused_and_long_ones_cut() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    let hasty = phone.register(10).await;
    assert_eq!(hasty.status(), 423);
    assert_eq!(hasty.header("Min-Expires"), "60");
    let long = phone.register(1_000_000).await;
    assert!(
        long.header("Contact").contains("expires=3"),
        "{}",
        long.header("Contact")
    );
}

#[tokio::test]
async fn a_phone_can_unregister_one_contact_or_all() {
    let scene = Scene::new().await;
    let phone = scene.registered("alice").await;
    let more = phone
        .register_with("Contact: <sip:alice@127.0.0.1:9>;expires=100, <sip:alice@127.0.0.1:10>\n")
        .await;
    assert_eq!(more.all("Contact").len(), 3);
    let fewer = phone
        .register_with("Contact: <sip:alice@127.0.0.1:9>;expires=0\n")
        .await;
    assert_eq!(fewer.all("Contact").len(), 2);
    assert_eq!(phone.register_with("Contact: *\n").await.status(), 400);
    let none = phone.register_with("Contact: *\nExpires: 0\n").await;
    assert_eq!((none.status(), none.all("Contact").len()), (200, 0));
}

#[tokio::test]
async fn a_phone_that_knows_only_our_address_still_finds_its_account() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    let head = format!(
        "REGISTER sip:{switch} SIP/2.0\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKx\nFrom: <sip:alice@{switch}>;tag=1\n\
         To: <sip:alice@{switch}>\nCall-ID: a\nCSeq: 1 REGISTER\n",
        switch = phone.switch,
        me = phone.address()
    );
    phone.send(&head, "").await;
    let challenge = phone.response().await;
    assert!(challenge.header("WWW-Authenticate").contains(REALM));
}

/// A phone at this address of the machine.
async fn at(scene: &Scene, user: &str, address: &str) -> Phone {
    let mut phone = scene.phone(user).await;
    phone.socket = UdpSocket::bind(format!("{address}:0")).await.unwrap();
    phone
}

#[tokio::test]
async fn who_guesses_passwords_is_not_heard_any_more_and_others_are() {
    let scene = Scene::with(|config| {
        config.trusted_networks.clear();
        config.ban_after = 3;
    });
    let scene = scene.await;
    let guesser = at(&scene, "alice", "127.0.0.2").await;
    let guesser = guesser.with_password("guess");
    for _ in 0..4 {
        assert_eq!(guesser.register(300).await.status(), 403);
    }
    // Even the right password is not looked at.
    guesser
        .with_password("alice-pw")
        .register_once("", "")
        .await;
    let phone = at(&scene, "alice", "127.0.0.3").await;
    assert_eq!(phone.register(300).await.status(), 200);
    let counts = scene.switch.picture().await.counts;
    assert_eq!((counts.forbidden, counts.unheard), (4, 1));
}

#[tokio::test]
async fn nobody_fails_in_the_name_of_another_address() {
    let scene = Scene::with(|config| {
        config.trusted_networks.clear();
        config.ban_after = 1;
    });
    let scene = scene.await;
    let liar = at(&scene, "alice", "127.0.0.2").await;
    liar.register_once("", "").await;
    let challenge = liar.response().await;
    let header = challenge.header("WWW-Authenticate");
    let victim = at(&scene, "alice", "127.0.0.3")
        .await
        .with_password("wrong");
    for _ in 0..3 {
        // As if the liar had sent it from there.
        let answer = victim.answer_to(header, "REGISTER", &format!("sip:{REALM}"), 1);
        victim
            .register_once("", &format!("Authorization: {answer}\n"))
            .await;
        assert_eq!(victim.response().await.status(), 401);
    }
    let victim = victim.with_password("alice-pw");
    assert_eq!(victim.register(300).await.status(), 200);
}
