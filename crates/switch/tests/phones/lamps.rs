//! Lamps: SUBSCRIBE to waiting messages, and the NOTIFYs that follow.

use callreel_bus::{Binding, QueueOptions, Subscription};
use callreel_proto::{Envelope, Exchange, MwiQuery, MwiUpdate};
use serde_json::json;

use crate::support::{Message, Phone, REALM, Scene};

/// Hears what the switch asks about waiting messages.
async fn questions(scene: &Scene) -> Subscription {
    let queries = vec![Binding::new(Exchange::Presence, MwiQuery::ALL)];
    let queue = QueueOptions::private(100);
    scene.bus.subscribe(queue, queries).await.unwrap()
}

async fn asked(questions: &mut Subscription) -> String {
    let wait = std::time::Duration::from_secs(10);
    let heard = tokio::time::timeout(wait, questions.recv()).await;
    let body = heard.expect("somebody is asked").unwrap().body;
    let query = Envelope::<MwiQuery>::from_bytes(&body).unwrap().body;
    format!("{}@{}", query.username, query.realm)
}

async fn say(scene: &Scene, user: &str, new: u64, unasked: bool) {
    let update = MwiUpdate::new(user, REALM, new, 3);
    let (key, envelope) = match unasked {
        true => update.unasked(),
        false => update.asked(),
    };
    let bytes = envelope.to_bytes();
    let sent = scene.bus.publish(Exchange::Presence, &key, bytes).await;
    sent.unwrap();
}

fn subscribe(phone: &Phone, cseq: u32, to: &str, more: &str) -> String {
    let address = phone.address();
    format!(
        "SUBSCRIBE sip:alice@{REALM} SIP/2.0\nVia: SIP/2.0/UDP {address};rport;branch=z9hG4bKs{cseq}\nMax-Forwards: 70\n\
         From: <sip:alice@{REALM}>;tag=lamp\nTo: {to}\nCall-ID: lamp-1\nCSeq: {cseq} SUBSCRIBE\n\
         Contact: <sip:alice@{address}>\n{more}"
    )
}

/// Asks to be told, with credentials; the answer.
async fn subscribed(phone: &Phone, cseq: u32, to: &str, expires: u32) -> Message {
    let more = format!("Event: message-summary\nExpires: {expires}\n");
    phone.send(&subscribe(phone, cseq, to, &more), "").await;
    let challenge = phone.response().await;
    assert_eq!(challenge.status(), 407, "{challenge:#?}");
    let header = challenge.header("Proxy-Authenticate");
    let uri = format!("sip:alice@{REALM}");
    let auth = phone.answer_to(header, "SUBSCRIBE", &uri, 1);
    let more = format!("{more}Proxy-Authorization: {auth}\n");
    phone.send(&subscribe(phone, cseq + 1, to, &more), "").await;
    phone.response().await
}

#[tokio::test]
async fn a_phone_that_asks_is_told_now_and_at_every_change() {
    let scene = Scene::new().await;
    let mut questions = questions(&scene).await;
    let phone = scene.phone("alice").await;
    let whose = format!("<sip:alice@{REALM}>");
    let answer = subscribed(&phone, 1, &whose, 600).await;
    assert_eq!(answer.status(), 200, "{answer:#?}");
    assert_eq!(answer.header("Expires"), "600");
    assert_eq!(asked(&mut questions).await, format!("alice@{REALM}"));
    say(&scene, "alice", 2, false).await;
    let told = phone.request("NOTIFY").await;
    assert_eq!(told.header("Event"), "message-summary");
    assert!(
        told.header("Subscription-State")
            .starts_with("active;expires=")
    );
    assert_eq!(told.header("To"), format!("<sip:alice@{REALM}>;tag=lamp"));
    assert_eq!(told.header("From"), answer.header("To"));
    assert!(told.body.contains("Messages-Waiting: yes"), "{told:#?}");
    assert!(told.body.contains("Voice-Message: 2/3 (0/0)"), "{told:#?}");
    phone.reply(&told, "200 OK", "", "").await;
    say(&scene, "alice", 0, true).await;
    let told = phone.request("NOTIFY").await;
    assert!(told.body.contains("Messages-Waiting: no"), "{told:#?}");
    phone.reply(&told, "200 OK", "", "").await;
    // The end, in the same dialog.
    let over = subscribed(&phone, 5, answer.header("To"), 0).await;
    assert_eq!(over.status(), 200, "{over:#?}");
    let told = phone.request("NOTIFY").await;
    assert!(told.header("Subscription-State").starts_with("terminated"));
    phone.reply(&told, "200 OK", "", "").await;
    let gone = subscribed(&phone, 9, answer.header("To"), 600).await;
    assert_eq!(gone.status(), 481, "{gone:#?}");
}

#[tokio::test]
async fn a_phone_is_told_of_nothing_when_nobody_knows() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    let whose = format!("<sip:*97@{REALM}>");
    assert_eq!(subscribed(&phone, 1, &whose, 600).await.status(), 200);
    let told = phone.request("NOTIFY").await;
    assert!(told.body.contains("Messages-Waiting: no"), "{told:#?}");
    phone.reply(&told, "200 OK", "", "").await;
}

#[tokio::test]
async fn a_phone_that_never_asked_is_told_when_it_registers_and_when_somebody_says_so() {
    let scene = Scene::new().await;
    let mut questions = questions(&scene).await;
    let phone = scene.registered("bob").await;
    assert_eq!(asked(&mut questions).await, format!("bob@{REALM}"));
    say(&scene, "bob", 1, false).await;
    let told = phone.request("NOTIFY").await;
    assert!(told.body.contains("Voice-Message: 1/3"), "{told:#?}");
    phone.reply(&told, "200 OK", "", "").await;
    // The first was the answer to its registration; this one is for those who ask.
    say(&scene, "bob", 7, false).await;
    say(&scene, "bob", 2, true).await;
    let told = phone.request("NOTIFY").await;
    assert!(told.body.contains("Voice-Message: 2/3"), "{told:#?}");
    phone.reply(&told, "200 OK", "", "").await;
}

#[tokio::test]
async fn a_phone_whose_document_wants_no_word_unasked_registers_in_silence() {
    let scene = Scene::new().await;
    scene
        .device("bob", json!({"mwi_unsolicited_updates": false}))
        .await;
    let mut questions = questions(&scene).await;
    let _bob = scene.registered("bob").await;
    let _alice = scene.registered("alice").await;
    assert_eq!(asked(&mut questions).await, format!("alice@{REALM}"));
}

#[tokio::test]
async fn other_packages_are_refused() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    let whose = format!("<sip:alice@{REALM}>");
    let ask = subscribe(&phone, 1, &whose, "Event: dialog\nExpires: 60\n");
    phone.send(&ask, "").await;
    let refused = phone.response().await;
    assert_eq!(refused.status(), 489);
    assert_eq!(refused.header("Allow-Events"), "message-summary");
}
