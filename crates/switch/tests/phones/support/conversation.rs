//! How most calls of the tests begin: somebody dials, and the controller rings somebody for it.

use callreel_proto::CallId;
use serde_json::{Value, json};

use super::{Call, Controller, Message, Phone, REALM, Scene, soon};

/// The phones of a user, for `Endpoints`.
pub(crate) fn endpoint(user: &str) -> Value {
    json!({"Invite-Format": "username", "To-Username": user, "To-Realm": REALM})
}

/// A bridge to the phones of a user.
pub(crate) fn bridge_to(user: &str) -> Value {
    json!({"Endpoints": [endpoint(user)]})
}

/// Alice has dialled, and the controller has her call.
pub(crate) async fn dialled(scene: &Scene, controller: &mut Controller) -> (Phone, Call) {
    let alice = scene.phone("alice").await;
    let call = alice.dial("2000").await;
    controller.claims().await;
    (alice, call)
}

/// Alice has dialled, and the controller has sent this bridge.
pub(crate) async fn bridging(
    scene: &Scene,
    controller: &mut Controller,
    fields: Value,
) -> (Phone, Call) {
    let (alice, call) = dialled(scene, controller).await;
    controller.command(&call.call_id, "bridge", fields).await;
    (alice, call)
}

/// One call, seen from both its ends.
pub(crate) struct Link {
    /// The caller's dialog, and the switch's answer in it.
    pub(crate) caller: Call,
    pub(crate) answer: Message,
    /// The callee's dialog, and the switch's INVITE that began it.
    pub(crate) callee: Call,
    pub(crate) invite: Message,
}

impl Link {
    pub(crate) fn a(&self) -> &CallId {
        &self.caller.call_id
    }

    pub(crate) fn b(&self) -> &CallId {
        &self.callee.call_id
    }
}

/// Two phones talk.
pub(crate) async fn connect(controller: &mut Controller, caller: &Phone, callee: &Phone) -> Link {
    let call = caller.dial("2000").await;
    controller.claims().await;
    let fields = bridge_to(&callee.user);
    controller.command(&call.call_id, "bridge", fields).await;
    let invite = callee.request("INVITE").await;
    callee.pick_up(&invite).await;
    let answer = caller.final_response().await;
    let link = Link {
        caller: caller.ack(&call, &answer, "").await,
        answer,
        callee: callee.called(&invite),
        invite,
    };
    controller.event("CHANNEL_BRIDGE", link.a()).await;
    controller.event("CHANNEL_BRIDGE", link.b()).await;
    link
}

/// Alice and Bob talk.
pub(crate) struct Talk {
    pub(crate) alice: Phone,
    pub(crate) call: Call,
    /// Where Alice speaks to.
    pub(crate) answer: Message,
    pub(crate) bob: Phone,
    /// Where Bob speaks to.
    pub(crate) invite: Message,
    /// Bob's.
    pub(crate) leg: CallId,
}

pub(crate) async fn talking(scene: &Scene, controller: &mut Controller) -> Talk {
    let (bob, alice) = (scene.registered("bob").await, scene.phone("alice").await);
    let link = connect(controller, &alice, &bob).await;
    Talk {
        alice,
        call: link.caller,
        answer: link.answer,
        bob,
        invite: link.invite,
        leg: link.callee.call_id,
    }
}

/// Waits until a phone hears this, whatever it was sent before.
pub(crate) async fn hears(phone: &Phone, sample: u8) {
    let heard = async { while phone.hear().await.1 != [sample; 160] {} };
    soon("the other party", heard).await;
}

/// They hear each other.
pub(crate) async fn converse(one: (&Phone, &Message), other: (&Phone, &Message), sample: u8) {
    one.0.speak(one.1.rtp(), sample.into(), sample).await;
    hears(other.0, sample).await;
    other
        .0
        .speak(other.1.rtp(), sample.into(), sample + 1)
        .await;
    hears(one.0, sample + 1).await;
}

/// A phone is hung up.
pub(crate) async fn is_ended(phone: &Phone) {
    let bye = phone.request("BYE").await;
    phone.reply(&bye, "200 OK", "", "").await;
}
