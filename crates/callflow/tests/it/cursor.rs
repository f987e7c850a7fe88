//! The verbs: continue, stop, branch, off the end, and what is not ours to hear.

use callreel_callflow::{Answer, Input, MailboxAnswer};
use callreel_proto::{CallId, EventName};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, event};

fn sleep(seconds: u64, children: Value) -> Value {
    json!({"module": "sleep", "data": {"duration": seconds}, "children": children})
}

fn branch(id: &str, children: Value) -> Value {
    json!({"module": "callflow", "data": {"id": id}, "children": children})
}

#[test]
fn a_flow_that_runs_off_its_end_hangs_up() {
    for children in [
        json!({}),
        Value::Null,
        json!({"_": {}}),
        json!({"1": {"module": "answer", "data": {}}}),
    ] {
        let mut talk = Talk::through(&json!({"module": "noop", "data": {}, "children": children}));
        assert!(talk.text().contains("< hangup"), "{}", talk.text());
        talk.gone(0.1);
        assert!(talk.last.unwrap().finished);
    }
    assert_snapshot!(Talk::through(&json!({"flow": {}})).text(), @r#"
    0s > Started
       < hangup
       wait until 40s
    "#);
}

#[test]
fn unknown_modules_are_passed_by() {
    let talk = Talk::through(&json!({
        "module": "teleport", "data": {}, "children": {"_": {"data": {}, "children": {"_": {"module": "answer", "data": {}}}}}
    }));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < warn at /children/_: the action names no "module"; it is skipped
       < warn at (root): there is no module "teleport"; skipped
       < warn at /children/_: an action without a module is skipped
       < answer
       at answer /children/_/children/_
       wait until 5s
    "#);
}

#[test]
fn conferences_and_faxes_are_refused_with_a_word_and_passed_by() {
    for (module, why) in [
        ("conference", "there are no conferences here"),
        ("conference_feature", "there are no conferences here"),
        ("faxbox", "faxes are neither taken nor sent here"),
        ("receive_fax", "faxes are neither taken nor sent here"),
        ("fax_detect", "faxes are neither taken nor sent here"),
        ("eavesdrop", "is not built here"),
    ] {
        let flow = json!({"module": module, "data": {}, "children": {"ON_FAX": {}, "_": sleep(1, json!({}))}});
        let talk = Talk::through(&flow);
        assert!(talk.text().contains(why), "{}", talk.text());
        assert!(
            talk.text().contains("at sleep /children/_"),
            "{}",
            talk.text()
        );
        let problems = callreel_callflow::lint::check(&flow, false);
        assert!(
            problems
                .iter()
                .any(|p| p.pointer == "/module" && p.message.contains(why))
        );
    }
}

#[test]
fn a_branch_comes_back_to_where_it_left() {
    let flow = branch("inner", json!({"_": sleep(9, json!({}))}));
    let mut talk = Talk::through(&flow);
    talk.found(
        0.0,
        Answer::Flow(json!({"_id": "inner", "flow": sleep(1, json!({}))})),
    );
    talk.hear(1.0, Input::Tick);
    talk.hear(10.0, Input::Tick);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up callflow inner
       at callflow (root)
       wait
    0s > Found a callflow
       at sleep inner#/flow
       wait until 1s
    1s > Tick
       at sleep /children/_
       wait until 10s
    10s > Tick
       < hangup
       wait until 50s
    "#);
}

#[test]
fn a_branch_within_a_branch_comes_back_twice() {
    let mut talk = Talk::through(&branch("one", json!({"_": sleep(3, json!({}))})));
    talk.found(
        0.0,
        Answer::Flow(json!({"flow": branch("two", json!({"_": sleep(2, json!({}))}))})),
    );
    talk.found(0.0, Answer::Flow(json!({"flow": sleep(1, json!({}))})));
    for at in [1.0, 3.0, 6.0] {
        talk.hear(at, Input::Tick);
    }
    let waits: Vec<_> = talk
        .text()
        .lines()
        .filter(|l| l.contains("at sleep"))
        .collect();
    assert_eq!(
        waits,
        [
            "   at sleep two#/flow",
            "   at sleep one#/flow/children/_",
            "   at sleep /children/_"
        ]
    );
    assert!(talk.text().contains("< hangup"));
}

#[test]
fn a_branch_with_nothing_after_it_keeps_what_was_saved_before() {
    let mut talk = Talk::through(&branch("one", json!({"_": sleep(3, json!({}))})));
    talk.found(0.0, Answer::Flow(json!({"flow": branch("two", json!({}))})));
    talk.found(0.0, Answer::Flow(json!({"flow": {}})));
    assert!(
        talk.text().contains("at sleep /children/_"),
        "{}",
        talk.text()
    );
}

#[test]
fn a_hangup_within_a_branch_ends_the_call() {
    let mut talk = Talk::through(&branch("one", json!({"_": sleep(3, json!({}))})));
    talk.found(
        0.0,
        Answer::Flow(json!({"flow": {"module": "hangup", "data": {}}})),
    );
    assert!(!talk.text().contains("at sleep"), "{}", talk.text());
}

#[test]
fn a_call_that_branches_in_circles_is_hung_up() {
    let circle = branch("circle", json!({"_": sleep(1, json!({}))}));
    let mut talk = Talk::with(&circle, |_, settings| settings.callflow.max_branches = 3);
    for _ in 0..4 {
        assert!(!talk.text().contains("hangup"));
        talk.found(0.0, Answer::Flow(json!({"flow": circle})));
    }
    assert!(talk.text().contains("at most 3 times"), "{}", talk.text());
    assert!(talk.text().contains("< hangup"), "{}", talk.text());
}

#[test]
fn a_branch_that_came_back_is_not_given_back() {
    let third = branch("three", json!({"_": sleep(1, json!({}))}));
    let flow = branch("one", json!({"_": branch("two", json!({"_": third}))}));
    let mut talk = Talk::with(&flow, |_, settings| settings.callflow.max_branches = 2);
    for _ in 0..2 {
        talk.found(
            0.0,
            Answer::Flow(json!({"flow": {"module": "noop", "data": {}}})),
        );
        assert!(!talk.text().contains("hangup"), "{}", talk.text());
    }
    talk.found(
        0.0,
        Answer::Flow(json!({"flow": {"module": "noop", "data": {}}})),
    );
    assert!(talk.text().contains("at most 2 times"), "{}", talk.text());
    assert!(talk.text().contains("< hangup"), "{}", talk.text());
    assert!(!talk.text().contains("at sleep"), "{}", talk.text());
}

#[test]
fn what_is_tried_and_is_empty_or_missing_goes_on_at_any_and_an_empty_any_stops() {
    let go = |children: Value| {
        let flow = json!({"module": "check_cid", "data": {}, "children": children});
        Talk::through(&flow).position().map(|at| at.pointer)
    };
    let some = || sleep(1, json!({}));
    let at = |place: &str| Some(place.to_owned());
    assert_eq!(
        go(json!({"match": some(), "_": some()})),
        at("/children/match")
    );
    assert_eq!(go(json!({"match": {}, "_": some()})), at("/children/_"));
    assert_eq!(go(json!({"_": some()})), at("/children/_"));
    assert_eq!(go(json!({"match": {}, "_": {}})), None);
    assert_eq!(go(json!({"match": {}})), None);
}

#[test]
fn a_missing_or_broken_callflow_is_passed_by() {
    for answer in [
        Answer::Missing,
        Answer::Flow(json!({"numbers": ["1"]})),
        Answer::Mailbox(MailboxAnswer::Done),
    ] {
        let mut talk = Talk::through(&branch("inner", json!({"_": sleep(9, json!({}))})));
        talk.found(0.0, answer);
        assert!(talk.text().contains("warn at /data/id"), "{}", talk.text());
        assert!(
            talk.text().contains("at sleep /children/_"),
            "{}",
            talk.text()
        );
    }
    let malformed =
        json!({"flow": {"module": "noop", "data": {}, "children": {"module": "noop", "data": {}}}});
    let mut strict = Talk::with(&branch("inner", json!({})), |_, settings| {
        settings.strict = true
    });
    strict.found(0.0, Answer::Flow(malformed));
    assert_snapshot!(strict.text(), @r#"
    0s > Started
       < look up callflow inner
       at callflow (root)
       wait
    0s > Found a callflow
       < warn at /data/id: the callflow is malformed at inner#/flow/children: an action stands where a map of branches belongs; taken as if it were under "_"; skipped
       < hangup
       wait until 40s
    "#);
}

#[test]
fn other_legs_and_stray_words_change_nothing() {
    let mut talk = Talk::through(&sleep(9, json!({})));
    let before = talk.text().matches("wait until 9s").count();
    let other = CallId::new("b-leg");
    for name in [
        EventName::ChannelDestroy,
        EventName::ChannelAnswer,
        EventName::Unknown,
    ] {
        let event = event(&other, |_| {});
        talk.hear(1.0, Input::Event { name, event });
    }
    talk.hear(2.0, Input::Started);
    talk.found(2.0, Answer::Missing);
    talk.recorded(2.0, 9, callreel_proto::EndReason::Stopped, 1);
    talk.hear(2.0, Input::Tick);
    assert_eq!(talk.text().matches("wait until 9s").count(), before + 7);
    assert!(!talk.text().contains("<"), "{}", talk.text());
}

#[test]
fn nothing_comes_after_the_end() {
    let mut talk = Talk::through(&sleep(9, json!({"_": sleep(9, json!({}))})));
    talk.gone(1.0);
    talk.hear(9.0, Input::Tick);
    talk.hear(9.0, Input::Started);
    let heard = talk.last.unwrap();
    assert!(heard.finished && heard.effects.is_empty());
}

#[test]
fn a_channel_that_will_not_go_is_left_after_a_while() {
    let mut talk = Talk::through(&json!({"module": "hangup", "data": {}}));
    assert_eq!(talk.last.as_ref().unwrap().wake_at.unwrap().as_secs(), 40);
    talk.hear(40.0, Input::Tick);
    assert!(talk.last.unwrap().finished);
}

#[test]
fn leniency_is_confessed_with_the_place() {
    let talk = Talk::through(&crate::support::sample("3-per-user"));
    assert!(
        talk.text().contains("warn at /children/_/children/_/children: an action stands where a map of branches belongs"),
        "{}",
        talk.text()
    );
}

#[test]
fn a_lost_switch_ends_the_call() {
    let mut talk = Talk::through(&sleep(9, json!({})));
    talk.event(1.0, EventName::ChannelDisconnected, |_| {});
    assert!(talk.last.unwrap().finished);
}

#[test]
fn a_call_goes_on_under_the_id_of_the_leg_that_replaced_its_own() {
    let flow = sleep(9, json!({}));
    let mut talk = Talk::through(&flow);
    let successor = CallId::new("a-leg-2");
    talk.event(1.0, EventName::ChannelReplaced, |event| {
        event.replaced_by = Some(successor.clone());
    });
    talk.gone(2.0);
    assert!(
        !talk.last.take().unwrap().finished,
        "that leg is gone already"
    );
    let event = event(&successor, |_| {});
    talk.hear(
        3.0,
        Input::Event {
            name: EventName::ChannelDestroy,
            event,
        },
    );
    assert!(talk.last.unwrap().finished);
}
