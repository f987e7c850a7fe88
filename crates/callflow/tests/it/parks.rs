//! `park` and `after_bridge`: who waits where, who is retrieved, and what becomes of a call that nobody takes.

use callreel_callflow::{Answer, Captures, ParkingAnswer, ParkingSlot};
use callreel_proto::{CallId, EventName};
use serde_json::{Value, json};

use crate::support::{Talk, documents_of, phone, refused};

fn flow(data: Value) -> Value {
    let say = |text: &str| json!({"module": "tts", "data": {"text": text}});
    let children = json!({"_": say("and on"), "9": say("nobody took it back"), "MAX_SLOT_EXCEEDED": say("all taken")});
    json!({"module": "park", "data": data, "children": children})
}

/// A caller who dials slot 7.
fn dialled(data: Value) -> Talk {
    Talk::with(&flow(data), |call, _| {
        let group = Some("7".to_owned());
        call.captures = Captures {
            group,
            ..Captures::default()
        };
    })
}

/// A call that Bob's phone has transferred to slot 9.
fn sent(data: Value, refer_to: &str) -> Talk {
    let mut data = data;
    data["slot"] = json!("9");
    Talk::with(&flow(data), |call, _| {
        call.answered = true;
        let vars = &mut call.channel_vars;
        vars.insert("Referred-To".to_owned(), json!(refer_to));
        vars.insert("Referred-By".to_owned(), json!("<sip:bobs@acme.example>"));
    })
}

fn slot(number: &str, call: &str, attended: bool) -> ParkingSlot {
    ParkingSlot {
        slot: number.to_owned(),
        call_id: CallId::new(call),
        attended,
        ringback_id: None,
        hold_media: None,
    }
}

fn parked(slot: ParkingSlot) -> Answer {
    Answer::Parking(ParkingAnswer::Parked(slot))
}

/// Parked by Bob's phone, with music.
fn by_bob() -> ParkingSlot {
    ParkingSlot {
        ringback_id: Some("bobs-phone".to_owned()),
        hold_media: Some("waltz".to_owned()),
        ..slot("9", "a-leg", false)
    }
}

const BLIND: &str = "<sip:*9@acme.example>";

fn bobs_phone() -> Answer {
    Answer::Endpoints(documents_of(
        &[json!({"_id": "bob"})],
        &[phone("bobs-phone")],
    ))
}

#[test]
fn a_call_that_is_sent_waits_and_its_parker_is_rung_back() {
    let mut talk = sent(
        json!({"slots": {"9": {"ringback_timeout": 10_000, "callback_timeout": 2500}}}),
        BLIND,
    );
    talk.found(0.1, parked(by_bob()));
    talk.tick(10.1);
    talk.found(10.2, bobs_phone());
    talk.bridged(13.0, "NO_ANSWER", None);
    insta::assert_snapshot!("parked_and_not_taken_back", talk.text());
    assert!(talk.text().contains("nobody took it back"));
}

#[test]
fn without_a_child_of_its_number_a_call_that_nobody_takes_waits_on() {
    let mut flow = flow(json!({"slot": "9"}));
    flow["children"] = json!({});
    let mut talk = Talk::with(&flow, |call, _| {
        call.answered = true;
        call.channel_vars
            .insert("Referred-To".to_owned(), json!(BLIND));
    });
    talk.found(0.1, parked(by_bob()));
    talk.tick(120.1);
    talk.found(120.2, Answer::Missing);
    assert_eq!(talk.text().matches("hold /").count(), 2, "{}", talk.text());
    talk.tick(240.2);
    assert_eq!(
        talk.text().matches("device bobs-phone").count(),
        2,
        "{}",
        talk.text()
    );
}

#[test]
fn a_parker_who_takes_the_call_back_has_the_slot_freed_at_once() {
    let mut talk = sent(json!({}), BLIND);
    talk.found(0.1, parked(by_bob()));
    talk.tick(120.1);
    talk.found(120.2, bobs_phone());
    talk.event(125.0, EventName::ChannelBridge, |_| {});
    assert!(
        talk.text().contains("free parking slot 9"),
        "{}",
        talk.text()
    );
    talk.bridged(140.0, "SUCCESS", None);
    assert!(talk.text().contains("and on"), "{}", talk.text());
    talk.gone(150.0);
    assert_eq!(talk.text().matches("free parking").count(), 1);
}

#[test]
fn a_call_without_a_parker_waits_until_it_is_taken_or_gone() {
    let mut talk = dialled(json!({"action": "direct_park"}));
    talk.found(0.1, parked(slot("7", "a-leg", false)));
    talk.done(0.2, "answer");
    talk.tick(100_000.0);
    talk.gone(100_001.0);
    insta::assert_snapshot!("parked_for_ever", talk.text());

    let mut talk = dialled(json!({"action": "direct_park"}));
    talk.found(0.1, parked(slot("7", "a-leg", false)));
    talk.done(0.2, "answer");
    talk.event(3.0, EventName::ChannelBridge, |_| {});
    assert!(
        talk.text().contains("free parking slot 7"),
        "{}",
        talk.text()
    );
}

#[test]
fn music_that_cannot_be_played_gives_way_to_the_switchs_own() {
    let mut talk = sent(json!({}), BLIND);
    talk.found(0.1, parked(by_bob()));
    talk.event(0.2, EventName::DialplanError, |event| {
        event.error_message = Some("there is no such media".to_owned());
        event.request = refused(json!({"Application-Name": "hold"}));
    });
    talk.tick(1.2);
    assert!(talk.text().contains("< hold\n"), "{}", talk.text());

    let foreign = ParkingSlot {
        hold_media: Some("file:///etc/passwd".to_owned()),
        ..by_bob()
    };
    let mut talk = sent(json!({}), BLIND);
    talk.found(0.1, parked(foreign));
    assert!(
        talk.text().contains("other music is played"),
        "{}",
        talk.text()
    );
}

#[test]
fn a_call_that_is_sent_to_a_slot_with_another_goes_back_or_is_hung_up() {
    let mut talk = sent(json!({}), BLIND);
    talk.found(0.1, Answer::Parking(ParkingAnswer::Occupied(by_bob())));
    talk.found(0.2, bobs_phone());
    assert!(
        talk.text().contains("Parking slot 9 - Alice"),
        "{}",
        talk.text()
    );
    talk.bridged(10.0, "NO_ANSWER", None);
    assert!(talk.text().contains("hangup"), "{}", talk.text());
    let mut talk = sent(json!({}), BLIND);
    talk.found(0.1, Answer::Parking(ParkingAnswer::Occupied(by_bob())));
    talk.found(0.2, bobs_phone());
    talk.event(5.0, EventName::ChannelBridge, |_| {});
    talk.bridged(10.0, "SUCCESS", None);
    assert!(!talk.text().contains("and on"), "{}", talk.text());
}

#[test]
fn whoever_asks_for_a_slot_hears_its_number_and_keeps_it_for_a_while() {
    let mut talk = dialled(json!({}));
    talk.found(0.1, parked(slot("7", "a-leg", true)));
    talk.done(0.2, "answer");
    talk.marked(4.0, 1);
    talk.tick(34.0);
    insta::assert_snapshot!("slot_kept", talk.text());
}

#[test]
fn an_attended_transfer_takes_the_slot_that_was_kept_or_another() {
    let replaces = "<sip:*9@acme.example?Replaces=b-leg%3Bto-tag%3D1%3Bfrom-tag%3D2>";
    let mut talk = sent(json!({}), replaces);
    assert!(
        talk.text().contains("take the parking slot of b-leg"),
        "{}",
        talk.text()
    );
    talk.found(0.1, parked(by_bob()));
    assert!(talk.text().contains("hold /"), "{}", talk.text());
    let mut talk = sent(json!({}), replaces);
    talk.found(0.1, Answer::Missing);
    assert!(
        talk.text().contains("take parking slot 9"),
        "{}",
        talk.text()
    );
}

#[test]
fn a_slot_that_is_taken_or_not_there_is_told() {
    let mut talk = dialled(json!({}));
    talk.found(
        0.1,
        Answer::Parking(ParkingAnswer::Occupied(slot("7", "a-leg", true))),
    );
    talk.done(0.2, "answer");
    talk.marked(3.0, 1);
    assert!(
        talk.text().contains("park-already_in_use"),
        "{}",
        talk.text()
    );
    assert!(talk.text().contains("hangup"), "{}", talk.text());
    let mut talk = dialled(json!({"max_slot_number": 5}));
    assert!(talk.text().contains("up to 5"), "{}", talk.text());
    talk.found(0.1, Answer::Parking(ParkingAnswer::Full));
    assert!(
        talk.text().contains("at tts /children/MAX_SLOT_EXCEEDED"),
        "{}",
        talk.text()
    );
    let mut talk = dialled(json!({}));
    talk.found(0.1, Answer::Missing);
    assert!(
        talk.text().contains("at tts /children/_"),
        "{}",
        talk.text()
    );
}

#[test]
fn whoever_retrieves_is_joined_to_the_call_in_the_slot() {
    let mut talk = dialled(json!({"action": "retrieve"}));
    talk.found(0.1, parked(slot("7", "waits", false)));
    talk.event(0.3, EventName::ChannelBridge, |_| {});
    talk.event(30.0, EventName::ChannelExecuteComplete, |event| {
        event.application_name = Some("call_pickup".to_owned());
        event.application_response = Some("SUCCESS".to_owned());
    });
    insta::assert_snapshot!("retrieved", talk.text());
}

#[test]
fn a_kept_slot_is_looked_at_again_until_its_call_has_come() {
    let mut talk = dialled(json!({"action": "auto"}));
    for second in 0..3 {
        talk.found(f64::from(second) + 0.1, parked(slot("7", "parker", true)));
        talk.tick(f64::from(second) + 1.1);
    }
    assert!(
        talk.text().contains("call_pickup parker"),
        "{}",
        talk.text()
    );
    assert_eq!(talk.text().matches("the call in parking slot 7").count(), 3);
}

#[test]
fn who_cannot_be_retrieved_is_told_or_makes_room() {
    let cannot = |talk: &mut Talk| {
        talk.event(0.3, EventName::DialplanError, |event| {
            event.error_message = Some("there is no such other call here".to_owned());
            event.request = refused(json!({"Application-Name": "call_pickup"}));
        });
    };
    let mut talk = dialled(json!({"action": "retrieve"}));
    talk.found(0.1, parked(slot("7", "gone", false)));
    cannot(&mut talk);
    talk.done(0.4, "answer");
    assert!(
        !talk.text().contains("free parking slot 7"),
        "it may wait still, at another switch: {}",
        talk.text()
    );
    assert!(talk.text().contains("park-no_caller"), "{}", talk.text());
    let mut talk = dialled(json!({"action": "auto"}));
    talk.found(0.1, parked(slot("7", "gone", false)));
    cannot(&mut talk);
    assert!(
        talk.text().contains("keep parking slot 7"),
        "{}",
        talk.text()
    );
    let mut talk = dialled(json!({"action": "retrieve"}));
    talk.found(0.1, parked(slot("7", "waits", false)));
    talk.tick(10.1);
    assert!(
        !talk.text().contains("free parking"),
        "it may wait still: {}",
        talk.text()
    );
    let talk = Talk::through(&flow(json!({"action": "fly"})));
    assert!(
        talk.text().contains("\"fly\" is no action"),
        "{}",
        talk.text()
    );
    assert!(
        talk.text().contains("the next free parking slot"),
        "{}",
        talk.text()
    );
}

#[test]
fn what_comes_after_a_bridge_is_told_to_the_switch() {
    let after = |data: Value| {
        let flow = json!({"module": "after_bridge", "data": data, "children": {"_": {"module": "noop", "data": {}}}});
        Talk::through(&flow).text().to_owned()
    };
    for (data, told) in [
        (
            json!({"action": "park", "data": true}),
            "Park-After-Pickup=\"true\"",
        ),
        (
            json!({"action": "hangup", "data": "yes please"}),
            "Hangup-After-Pickup=\"false\"",
        ),
        (
            json!({"action": "hangup", "data": false}),
            "Hangup-After-Pickup=\"false\"",
        ),
        (
            json!({"action": "transfer", "data": 2000}),
            "Transfer-After-Pickup=\"2000\"",
        ),
        (
            json!({"action": "transfer", "data": ""}),
            "no number to transfer to",
        ),
        (json!({"action": "sing"}), "use \"park\""),
    ] {
        let text = after(data);
        assert!(text.contains(told) && text.contains("hangup"), "{text}");
    }
}
