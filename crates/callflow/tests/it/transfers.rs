//! `transfer`: where the call goes, and what becomes of one that does not.

use callreel_callflow::{Captures, Effect};
use callreel_proto::{Application, EventName, Transfer, TransferKind, TransferLeg};
use serde_json::{Value, json};

use crate::support::{Talk, refused};

fn flow(data: Value) -> Value {
    let say = json!({"module": "tts", "data": {"text": "still here"}});
    json!({"module": "transfer", "data": data, "children": {"_": say}})
}

fn ordered(talk: &Talk) -> Transfer {
    let effects = &talk.last.as_ref().unwrap().effects;
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Command {
            application: Application::Transfer(order),
            ..
        } => Some((**order).clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no transfer:\n{}", talk.text()))
}

fn order(data: Value) -> Transfer {
    ordered(&Talk::through(&flow(data)))
}

#[test]
fn a_call_goes_where_the_data_says() {
    let told = order(json!({"target": "2000"}));
    assert_eq!(
        (told.to.as_str(), told.kind, told.leg),
        ("2000", TransferKind::Blind, None)
    );
    let told = order(json!({"captures": ["2001"], "transfer_type": "attended"}));
    let bleg = Some(TransferLeg::Bleg);
    assert_eq!(
        (told.to.as_str(), told.kind, told.leg),
        ("2001", TransferKind::Attended, bleg)
    );
    let told = order(json!({"target": 2002, "captures": ["no_match"], "leg": "bleg"}));
    assert_eq!((told.to.as_str(), told.leg), ("2002", bleg));
    assert_eq!(order(json!({})).to, "no_match");
    let dialled = Talk::with(&flow(json!({})), |call, _| {
        call.captures = Captures {
            group: Some("3000".to_owned()),
            ..Captures::default()
        };
    });
    assert_eq!(ordered(&dialled).to, "3000");
}

#[test]
fn a_call_that_was_not_transferred_goes_on() {
    let mut talk = Talk::with(&flow(json!({"target": "2000"})), |call, _| {
        call.answered = true
    });
    talk.event(0.1, EventName::DialplanError, |event| {
        event.error_message = Some("it has no other leg".to_owned());
        event.request = refused(json!({"Application-Name": "transfer"}));
    });
    assert!(
        talk.text().contains("tts \"still here\""),
        "{}",
        talk.text()
    );
    let mut talk = Talk::with(&flow(json!({"target": "2000"})), |call, _| {
        call.answered = true
    });
    talk.tick(19.0);
    assert!(!talk.text().contains("still here"), "{}", talk.text());
    talk.tick(20.0);
    assert!(
        talk.text().contains("did not transfer the call"),
        "{}",
        talk.text()
    );
    assert!(
        talk.text().contains("tts \"still here\""),
        "{}",
        talk.text()
    );
}

#[test]
fn words_that_mean_nothing_are_told() {
    let talk = Talk::through(&flow(
        json!({"target": "1", "leg": "left", "transfer_type": "warm"}),
    ));
    for word in ["\"left\" is no leg", "\"warm\" is no transfer"] {
        assert!(talk.text().contains(word), "{}", talk.text());
    }
    assert_eq!(ordered(&talk).kind, TransferKind::Blind);
}
