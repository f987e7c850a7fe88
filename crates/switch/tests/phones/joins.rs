//! Attended transfers: a phone joins the other ends of its two calls, whichever of them had called whom.

use callreel_proto::CallId;
use serde_json::json;

use crate::support::{
    Call, Controller, Ears, Link, Message, Phone, REALM, Scene, connect, payload,
};

/// Three phones that can be called.
async fn phones(scene: &Scene) -> [Phone; 3] {
    scene.device("carol", json!({})).await;
    [
        scene.registered("alice").await,
        scene.registered("bob").await,
        scene.registered("carol").await,
    ]
}

/// The header that wants this dialog of the sender's replaced.
fn replacing(call: &Call) -> String {
    let tag = |party: &str| party.split(";tag=").nth(1).unwrap().to_owned();
    format!(
        "Refer-To: <sip:x@{REALM}?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>\n",
        call.call_id.as_str().replace('@', "%40"),
        tag(&call.to),
        tag(&call.from)
    )
}

/// A phone joins the other ends of its two calls, and is rid of both.
async fn join(phone: &Phone, first: &mut Call, second: &Call) {
    phone.within(first, "REFER", &replacing(second), "").await;
    let (mut notified, mut byes) = (Vec::new(), 0);
    while byes < 2 || notified.len() < 2 {
        let message = phone.receive().await;
        match message.method() {
            "NOTIFY" => {
                notified.push(message.body.trim().to_owned());
                phone.reply(&message, "200 OK", "", "").await;
            }
            "BYE" => {
                byes += 1;
                phone.reply(&message, "200 OK", "", "").await;
            }
            _ => assert_eq!(message.status(), 202, "{message:#?}"),
        }
    }
    assert_eq!(notified, ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
}

/// The two legs are told to be joined, the other two that they are over.
async fn joined(
    controller: &mut Controller,
    ends: [&CallId; 2],
    gone: [(&CallId, &CallId, &CallId); 2],
) {
    for (leg, other, to) in gone {
        let transferor = controller.event("CHANNEL_TRANSFEROR", leg).await;
        assert_eq!(transferor["Transfer-Type"], "attended");
        assert_eq!(transferor["Other-Leg-Call-ID"], other.as_str());
        assert_eq!(transferor["Transfer-To"], to.as_str());
        let end = controller.event("CHANNEL_DESTROY", leg).await;
        assert_eq!(end["Hangup-Cause"], "NORMAL_CLEARING");
    }
    for (leg, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
        controller.event("CHANNEL_UNBRIDGE", leg).await;
        let bridged = controller.event("CHANNEL_BRIDGE", leg).await;
        assert_eq!(bridged["Other-Leg-Call-ID"], other.as_str());
        assert_eq!(bridged["Bridge-B-Unique-ID"], ends[1].as_str());
    }
}

/// They hear each other, through the switch's ports they had before.
async fn hear_each_other(one: &Phone, to_one: &Message, other: &Phone, to_other: &Message) {
    one.speak(to_one.rtp(), 1000, 0x11).await;
    assert_eq!(other.hear().await.1, [0x11; 160]);
    other.speak(to_other.rtp(), 1000, 0x22).await;
    assert_eq!(one.hear().await.1, [0x22; 160]);
}

fn names(controller: &Controller) -> String {
    controller.names().join("\n")
}

#[tokio::test]
async fn a_callee_who_asks_back_gives_the_caller_on_and_the_recording_has_both_others() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let [alice, bob, carol] = phones(&scene).await;
    let mut first = connect(&mut controller, &alice, &bob).await;
    let ears = Ears::at(&mut controller, first.a()).await;
    let second = connect(&mut controller, &bob, &carol).await;
    let mut dialog = first.callee.clone();
    join(&bob, &mut dialog, &second.caller).await;
    joined(
        &mut controller,
        [first.a(), second.b()],
        [
            (first.b(), first.a(), second.b()),
            (second.a(), second.b(), first.a()),
        ],
    )
    .await;
    hear_each_other(&alice, &first.answer, &carol, &second.invite).await;
    assert_eq!(payload(&ears.a).await, [0x11; 160]);
    assert_eq!(payload(&ears.b).await, [0x22; 160]);
    let heard = names(&controller);
    for odd in ["RECORD_STOP", "TRANSFEREE", "REPLACED", "EXECUTE_COMPLETE"] {
        assert!(!heard.contains(odd), "{heard}");
    }
    // The caller's controller goes on: its bridge is over when the new callee leaves.
    let mut dialog = second.callee.clone();
    carol.within(&mut dialog, "BYE", "", "").await;
    assert_eq!(carol.final_response().await.status(), 200);
    let done = controller.completion(first.a(), "bridge").await;
    assert_eq!(done["Application-Response"], "SUCCESS");
    alice.within(&mut first.caller, "BYE", "", "").await;
    controller.event("CHANNEL_DESTROY", first.a()).await;
}

#[tokio::test]
async fn a_caller_joins_both_whom_it_called_and_its_controller_follows_its_successor() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let [alice, bob, carol] = phones(&scene).await;
    let mut first = connect(&mut controller, &alice, &bob).await;
    let second = connect(&mut controller, &alice, &carol).await;
    let ears = Ears::at(&mut controller, first.b()).await;
    let (one, successor) = (first.a().clone(), second.b().clone());
    join(&alice, &mut first.caller, &second.caller).await;
    let replaced = controller.event("CHANNEL_REPLACED", &one).await;
    assert_eq!(replaced["Replaced-By"], successor.as_str());
    let fetch_id = &replaced["Custom-Channel-Vars"]["Fetch-ID"];
    joined(
        &mut controller,
        [&successor, first.b()],
        [
            (&one, first.b(), &successor),
            (second.a(), &successor, first.b()),
        ],
    )
    .await;
    hear_each_other(&carol, &second.invite, &bob, &first.invite).await;
    assert_eq!(payload(&ears.a).await, [0x22; 160]);
    assert_eq!(payload(&ears.b).await, [0x11; 160]);
    // The bridge of the first call is the successor's now.
    let mut dialog = first.callee.clone();
    bob.within(&mut dialog, "BYE", "", "").await;
    let done = controller.completion(&successor, "bridge").await;
    assert_eq!(&done["Custom-Channel-Vars"]["Fetch-ID"], fetch_id);
    controller.command(&successor, "hangup", json!({})).await;
    carol.request("BYE").await;
}

#[tokio::test]
async fn a_phone_joins_two_who_called_it_and_one_of_their_controllers_lets_go() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let [alice, bob, carol] = phones(&scene).await;
    let first = connect(&mut controller, &alice, &bob).await;
    let second = connect(&mut controller, &carol, &bob).await;
    let mut dialog = first.callee.clone();
    join(&bob, &mut dialog, &second.callee).await;
    let released = controller.event("CHANNEL_TRANSFEREE", second.a()).await;
    assert_eq!(released["Transfer-Type"], "attended");
    joined(
        &mut controller,
        [first.a(), second.a()],
        [
            (first.b(), first.a(), second.a()),
            (second.b(), second.a(), first.a()),
        ],
    )
    .await;
    hear_each_other(&alice, &first.answer, &carol, &second.answer).await;
    // One who hangs up ends it for the other.
    controller
        .command(first.a(), "hangup", json!({"Insert-At": "now"}))
        .await;
    alice.request("BYE").await;
    carol.request("BYE").await;
}

#[tokio::test]
async fn a_caller_gives_the_one_it_called_to_one_who_called_it() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let [alice, bob, carol] = phones(&scene).await;
    let mut first = connect(&mut controller, &alice, &bob).await;
    let second = connect(&mut controller, &carol, &alice).await;
    let one = first.a().clone();
    join(&alice, &mut first.caller, &second.callee).await;
    joined(
        &mut controller,
        [second.a(), first.b()],
        [
            (&one, first.b(), second.a()),
            (second.b(), second.a(), first.b()),
        ],
    )
    .await;
    hear_each_other(&carol, &second.answer, &bob, &first.invite).await;
    let mut dialog = first.callee.clone();
    bob.within(&mut dialog, "BYE", "", "").await;
    controller.completion(second.a(), "bridge").await;
}

#[tokio::test]
async fn nobody_joins_a_call_that_is_not_there_or_not_its_own() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let [alice, bob, carol] = phones(&scene).await;
    let mut first = connect(&mut controller, &alice, &bob).await;
    let second = connect(&mut controller, &carol, &bob).await;
    let own = first.caller.clone();
    let other_end = first.callee.clone();
    let mut nowhere = first.caller.clone();
    nowhere.call_id = CallId::new("nobody's");
    for call in [&own, &other_end, &nowhere] {
        let headers = replacing(call);
        alice.within(&mut first.caller, "REFER", &headers, "").await;
        assert_eq!(alice.final_response().await.status(), 481);
    }
    // The call is there, but who does not know its tags has no part in it.
    let mut guessed = second.caller.clone();
    guessed.to = "<sip:x@y>;tag=guessed".to_owned();
    alice
        .within(&mut first.caller, "REFER", &replacing(&guessed), "")
        .await;
    assert_eq!(alice.final_response().await.status(), 202);
    for body in ["SIP/2.0 100", "SIP/2.0 481"] {
        let notify = alice.request("NOTIFY").await;
        assert!(notify.body.starts_with(body), "{}", notify.body);
        alice.reply(&notify, "200 OK", "", "").await;
    }
    hear_each_other(&alice, &first.answer, &bob, &first.invite).await;
    assert_eq!(scene.switch.picture().await.channels.len(), 4);
    let heard = names(&controller);
    assert!(!heard.contains("UNBRIDGE"), "{heard}");
}

/// Alice and Bob talk, and Bob has called a number where a callflow answers.
async fn consulted(scene: &Scene, controller: &mut Controller) -> (Link, [Phone; 2], Call) {
    let [alice, bob, _] = phones(scene).await;
    let first = connect(controller, &alice, &bob).await;
    let second = bob.dial("4007").await;
    controller.claims().await;
    let id = &second.call_id;
    controller.command(id, "answer", json!({})).await;
    let answer = bob.final_response().await;
    let second = bob.ack(&second, &answer, "").await;
    controller.completion(&second.call_id, "answer").await;
    (first, [alice, bob], second)
}

#[tokio::test]
async fn the_other_party_goes_where_the_phone_has_gone_if_that_talks_to_nobody() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (first, [_alice, bob], second) = consulted(&scene, &mut controller).await;
    let mut dialog = first.callee.clone();
    let joining = join(&bob, &mut dialog, &second);
    let (request, ()) = tokio::join!(controller.claims(), joining);
    assert_eq!(request.call_id, *first.a());
    assert_eq!(request.request, format!("4007@{REALM}"));
    let referred_to = request.channel_var("Referred-To").unwrap();
    let wanted = replacing(&second);
    assert!(
        wanted.contains(&format!("<{referred_to}>")),
        "{referred_to}"
    );
    for leg in [first.b(), &second.call_id] {
        let end = controller.event("CHANNEL_DESTROY", leg).await;
        assert_eq!(end["Hangup-Cause"], "NORMAL_CLEARING");
    }
    assert_eq!(scene.switch.picture().await.channels.len(), 1);
}

#[tokio::test]
async fn a_phone_that_hangs_up_after_its_refer_sends_the_other_party_all_the_same() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let (first, [_alice, bob], second) = consulted(&scene, &mut controller).await;
    let mut dialog = first.callee.clone();
    let headers = format!("{}Refer-Sub: false\n", replacing(&second));
    bob.within(&mut dialog, "REFER", &headers, "").await;
    assert_eq!(bob.final_response().await.status(), 202);
    let request = controller.asked().await;
    bob.within(&mut dialog, "BYE", "", "").await;
    controller.event("CHANNEL_TRANSFEREE", first.a()).await;
    controller.event("CHANNEL_DESTROY", &second.call_id).await;
    controller.respond(&request, |_| {}).await;
    controller.wins(first.a()).await;
}

#[tokio::test]
async fn nobody_goes_where_nobody_wants_them_and_both_calls_stay() {
    let scene = Scene::with(|config| config.route_timeout_ms = 300).await;
    let mut controller = scene.controller().await;
    let (first, [alice, bob], second) = consulted(&scene, &mut controller).await;
    let mut dialog = first.callee.clone();
    let headers = replacing(&second);
    bob.within(&mut dialog, "REFER", &headers, "").await;
    assert_eq!(bob.final_response().await.status(), 202);
    for body in ["SIP/2.0 100", "SIP/2.0 404"] {
        let notify = bob.request("NOTIFY").await;
        assert!(notify.body.starts_with(body), "{}", notify.body);
        bob.reply(&notify, "200 OK", "", "").await;
    }
    hear_each_other(&alice, &first.answer, &bob, &first.invite).await;
    let id = &second.call_id;
    controller.command(id, "noop", json!({})).await;
    controller.completion(id, "noop").await;
}
