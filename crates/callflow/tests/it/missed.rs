//! Who is told of a call that nobody took.

use callreel_callflow::{Answer, CallInfo, Effect};
use callreel_proto::{EndReason, EventName, HangupCause, Notification, NotificationName};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, devices, phone};

fn alert(recipients: Value, next: Value) -> Value {
    json!({"module": "missed_call_alert", "data": {"recipients": recipients}, "children": {"_": next}})
}

fn desk() -> Value {
    json!([{"type": "email", "id": "desk@acme.example"}])
}

fn ring() -> Value {
    json!({"module": "user", "data": {"id": "bob"}})
}

fn from_a_carrier(call: &mut CallInfo) {
    "+46850163000@carrier.example".clone_into(&mut call.from);
    "2000@acme.example".clone_into(&mut call.to);
    let vars = &mut call.channel_vars;
    vars.insert("Authorizing-Type".to_owned(), json!("resource"));
}

fn called(flow: &Value) -> Talk {
    Talk::with(flow, |call, _| from_a_carrier(call))
}

/// What is published when the caller goes.
fn told(talk: &mut Talk) -> Vec<Notification> {
    talk.event(90.0, EventName::ChannelDestroy, |event| {
        event.hangup_cause = Some(HangupCause::OriginatorCancel);
    });
    let last = talk.last.take().unwrap();
    assert!(last.finished);
    let told = last.effects.into_iter().filter_map(|effect| match effect {
        Effect::Notification { name, fields } => {
            assert_eq!(name, NotificationName::MissedCall);
            Some(*fields)
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn addresses_of_users_are_found_and_the_call_goes_on() {
    let recipients = json!([
        {"type": "email", "id": ["desk@acme.example", ""]}, {"type": "user", "id": "bob"},
        {"type": "user", "id": ["eve", "nobody"]}, {"type": "pager", "id": "1"}, 7
    ]);
    let mut talk = called(&alert(recipients, ring()));
    let user = |id: &str, email: &str| json!({"_id": id, "email": email});
    talk.found(
        0.0,
        Answer::Documents(vec![user("bob", "bob@acme.example"), user("eve", "")]),
    );
    talk.gone(4.0);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /data/recipients: a recipient is neither of the type "user" nor "email"; left out
       < warn at /data/recipients: a recipient is neither of the type "user" nor "email"; left out
       < look up documents bob, eve, nobody
       at missed_call_alert (root)
       wait
    0s > Found documents [bob, eve]
       < look up devices of user bob
       at user /children/_
       wait
    4s > CHANNEL_DESTROY
       < notify missed_call desk@acme.example bob@acme.example
       finished
    "#);
}

#[test]
fn a_notification_says_what_kazoo_wants_to_know() {
    let mut talk = called(&alert(desk(), ring()));
    let told = told(&mut talk);
    let fields = serde_json::to_value(&told[0]).unwrap();
    assert_eq!(
        fields["Notify"]["Hangup-Cause"],
        json!("ORIGINATOR_CANCEL"),
        "{fields}"
    );
    let mut fields = fields;
    fields.as_object_mut().unwrap().remove("Notify");
    assert_eq!(
        fields,
        json!({
            "Account-ID": "0123456789abcdef0123456789abcdef", "Call-ID": "a-leg",
            "From-User": "+46850163000", "From-Realm": "carrier.example",
            "To-User": "2000", "To-Realm": "acme.example",
            "Caller-ID-Name": "Alice", "Caller-ID-Number": "1000",
            "To": ["desk@acme.example"], "Call-Bridged": false, "Message-Left": false
        })
    );
}

#[test]
fn without_recipients_the_account_decides_and_the_same_alert_twice_is_one() {
    let flow = alert(json!([]), alert(desk(), alert(desk(), ring())));
    let told = told(&mut called(&flow));
    let to: Vec<_> = told.into_iter().map(|fields| fields.to).collect();
    assert_eq!(to, [None, Some(vec!["desk@acme.example".to_owned()])]);
}

#[test]
fn nobody_is_told_of_a_call_that_was_taken() {
    let mut taken = called(&alert(desk(), ring()));
    taken.found(0.0, devices(&[phone("desk")]));
    taken.event(5.0, EventName::ChannelBridge, |_| {});
    assert_eq!(told(&mut taken), []);
}

#[test]
fn the_alert_waits_until_what_the_caller_said_is_kept() {
    let recording = json!({"module": "record_caller", "data": {"url": "http://h/r"}});
    for (at, end) in [(20.1, true), (80.0, false)] {
        let mut talk = called(&alert(desk(), recording.clone()));
        talk.done(0.1, "answer");
        assert!(talk.text().contains("record the caller"), "{}", talk.text());
        talk.gone(20.0);
        talk.event(20.1, EventName::ChannelDisconnected, |_| {});
        assert!(!talk.last.as_ref().unwrap().finished, "{}", talk.text());
        match end {
            true => talk.recorded(at, 1, EndReason::Hangup, 9000),
            false => talk.tick(at),
        }
        assert!(talk.last.as_ref().unwrap().finished);
        let told = talk.text().matches("notify missed_call").count();
        assert_eq!(told, 1, "{}", talk.text());
        assert!(!talk.text().contains("< hangup"), "{}", talk.text());
    }
}

#[test]
fn calls_within_the_account_are_nobodys_news() {
    let mut talk = Talk::with(&alert(desk(), ring()), |call, _| {
        from_a_carrier(call);
        call.channel_vars
            .insert("Authorizing-Type".to_owned(), json!("device"));
    });
    assert_eq!(told(&mut talk), []);
}

#[test]
fn there_is_an_end_to_those_who_are_told() {
    let many: Vec<_> = (0..200).map(|n| format!("{n}@acme.example")).collect();
    let flow = alert(json!([{"type": "email", "id": many}]), ring());
    let told = told(&mut called(&flow));
    assert_eq!(told[0].to.as_ref().unwrap().len(), 64);
}
