//! Pages: all whose phones answer hear the caller, until it hangs up or nobody is left.

use callreel_proto::CallId;
use serde_json::{Value, json};

use crate::support::{
    Call, Controller, Ears, Message, Phone, REALM, Scene, dialled, endpoint, hears, payload, soon,
};

/// A loud and a low sample of µ-law.
const LOUD: u8 = 0x10;
const LOW: u8 = 0x30;

/// The phones of a user, which answer by themselves.
fn answering(user: &str) -> Value {
    let mut endpoint = endpoint(user);
    endpoint["Custom-SIP-Headers"] = json!({"Alert-Info": "ring tone"});
    endpoint
}

/// Alice pages Bob and Carol, whose phones have been rung.
struct Page {
    controller: Controller,
    alice: Phone,
    call: Call,
    bob: (Phone, Message),
    carol: (Phone, Message),
    scene: Scene,
}

impl Page {
    async fn begins(options: Value) -> Self {
        let scene = Scene::new().await;
        let mut controller = scene.controller().await;
        scene.device("carol", json!({})).await;
        let bob = scene.registered("bob").await;
        let carol = scene.registered("carol").await;
        let (alice, call) = dialled(&scene, &mut controller).await;
        let mut fields =
            json!({"Endpoints": [answering("bob"), answering("carol")], "Timeout": 20});
        let options = options.as_object().unwrap().clone();
        fields.as_object_mut().unwrap().extend(options);
        controller.command(&call.call_id, "page", fields).await;
        let (to_bob, to_carol) = (bob.request("INVITE").await, carol.request("INVITE").await);
        Self {
            controller,
            alice,
            call,
            bob: (bob, to_bob),
            carol: (carol, to_carol),
            scene,
        }
    }

    /// One with everybody in it; gives where Alice's audio goes.
    async fn runs(options: Value) -> (Self, std::net::SocketAddr) {
        let mut page = Self::begins(options).await;
        page.bob.0.pick_up(&page.bob.1).await;
        let answer = page.alice.final_response().await;
        assert_eq!(answer.status(), 200);
        page.call = page.alice.ack(&page.call, &answer, "").await;
        page.carol.0.pick_up(&page.carol.1).await;
        (page, answer.rtp())
    }

    async fn over(&mut self) -> Value {
        self.controller.completion(&self.call.call_id, "page").await
    }
}

/// Says 160 ms of this sample.
async fn says(phone: &Phone, to: std::net::SocketAddr, from: u16, sample: u8) {
    for n in from..from + 8 {
        phone.speak(to, n, sample).await;
    }
}

async fn hangs_up(phone: &Phone, invite: &Message) {
    phone.within(&mut phone.called(invite), "BYE", "", "").await;
    assert_eq!(phone.final_response().await.status(), 200);
}

#[tokio::test]
async fn phones_are_asked_to_answer_by_themselves() {
    let page = Page::begins(json!({"Caller-ID-Name": "Hall"})).await;
    for (_, invite) in [&page.bob, &page.carol] {
        assert!(invite.start.contains(";intercom=true"), "{}", invite.start);
        assert_eq!(invite.all("Alert-Info"), ["intercom"]);
        let info = invite.header("Call-Info");
        assert_eq!(info, format!("<sip:{REALM}>;answer-after=0"));
        assert!(invite.header("From").contains("Hall"));
    }
}

#[tokio::test]
async fn those_who_are_paged_hear_the_caller_alone_until_it_hangs_up() {
    let (mut page, to) = Page::runs(json!({})).await;
    says(&page.bob.0, page.bob.1.rtp(), 0, LOW).await;
    says(&page.alice, to, 0, LOUD).await;
    hears(&page.bob.0, LOUD).await;
    hears(&page.carol.0, LOUD).await;
    for _ in 0..10 {
        assert_eq!(page.alice.hear().await.1, [0xff; 160], "silence");
    }
    page.alice.within(&mut page.call, "BYE", "", "").await;
    for (phone, invite) in [&page.bob, &page.carol] {
        let bye = phone.request("BYE").await;
        phone.reply(&bye, "200 OK", "", "").await;
        let leg = CallId::new(invite.header("Call-ID"));
        let end = page.controller.event("CHANNEL_DESTROY", &leg).await;
        assert_eq!(end["Hangup-Cause"], "NORMAL_CLEARING");
        assert_eq!(end["Custom-Channel-Vars"]["Auto-Answer"], "true");
    }
    let end = page
        .controller
        .event("CHANNEL_DESTROY", &page.call.call_id)
        .await;
    assert_eq!(end["Disposition"], "SUCCESS");
    drop(page.scene);
}

#[tokio::test]
async fn with_audio_both_ways_all_hear_each_other_and_the_last_to_leave_ends_the_page() {
    let options = json!({"Page-Options": {"Two-Way-Audio": true}});
    let (mut page, to) = Page::runs(options).await;
    let recorder = Ears::at(&mut page.controller, &page.call.call_id).await;
    says(&page.bob.0, page.bob.1.rtp(), 0, LOUD).await;
    hears(&page.alice, LOUD).await;
    hears(&page.carol.0, LOUD).await;
    let recorded = async { while payload(&recorder.b).await != [LOUD; 160] {} };
    soon("the sample to be recorded", recorded).await;

    hangs_up(&page.bob.0, &page.bob.1).await;
    says(&page.alice, to, 0, LOW).await;
    hears(&page.carol.0, LOW).await;
    assert_eq!(payload(&recorder.a).await, [LOW; 160]);

    hangs_up(&page.carol.0, &page.carol.1).await;
    let over = page.over().await;
    assert_eq!(over["Application-Response"], "SUCCESS");
    assert_eq!(over["Raw-Application-Name"], "conference");
    let (id, controller) = (&page.call.call_id, &page.controller);
    controller.command(id, "hangup", json!({})).await;
    page.alice.request("BYE").await;
}

#[tokio::test]
async fn a_caller_who_is_sent_elsewhere_leaves_nobody_behind() {
    let (mut page, _) = Page::runs(json!({})).await;
    let order = json!({"Transfer-Type": "blind", "Transfer-To": "3000", "Insert-At": "now"});
    let id = page.call.call_id.clone();
    page.controller.command(&id, "transfer", order).await;
    let request = page.controller.claims().await;
    assert_eq!(request.call_id, id);
    for (phone, _) in [&page.bob, &page.carol] {
        let bye = phone.request("BYE").await;
        phone.reply(&bye, "200 OK", "", "").await;
    }
}

#[tokio::test]
async fn a_page_goes_on_with_those_who_answered_when_others_do_not() {
    let mut page = Page::begins(json!({"Timeout": 1})).await;
    page.bob.0.pick_up(&page.bob.1).await;
    assert_eq!(page.alice.final_response().await.status(), 200);
    let (carol, invite) = &page.carol;
    carol.reply(invite, "180 Ringing", "", "").await;
    let cancel = page.carol.0.request("CANCEL").await;
    page.carol.0.reply(&cancel, "200 OK", "", "").await;
    says(&page.bob.0, page.bob.1.rtp(), 0, LOW).await;
    hangs_up(&page.bob.0, &page.bob.1).await;
    assert_eq!(page.over().await["Application-Response"], "SUCCESS");
}

#[tokio::test]
async fn a_page_that_nobody_answers_says_why_and_leaves_the_caller_unanswered() {
    let mut page = Page::begins(json!({})).await;
    for (phone, invite) in [&page.bob, &page.carol] {
        phone.reply(invite, "486 Busy Here", "", "").await;
    }
    let over = page.over().await;
    assert_eq!(over["Application-Response"], "USER_BUSY");
    assert_eq!(over["Hangup-Code"], "sip:486");
    let code = json!({"Response-Code": "480"});
    let (id, controller) = (&page.call.call_id, &page.controller);
    controller.command(id, "respond", code).await;
    assert_eq!(page.alice.final_response().await.status(), 480);
}

#[tokio::test]
async fn what_cannot_be_a_page_is_an_error() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (_alice, call) = dialled(&scene, &mut controller).await;
    for (endpoints, wrong) in [
        (json!([]), "no endpoints"),
        (json!("bob"), "Could not execute"),
    ] {
        let fields = json!({ "Endpoints": endpoints });
        controller.command(&call.call_id, "page", fields).await;
        let error = controller.event("dialplan", &call.call_id).await;
        let said = error["Error-Message"].as_str().unwrap();
        assert!(said.contains(wrong), "{said}");
    }
}
