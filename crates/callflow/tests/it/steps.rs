//! Steps that set something for what comes later, or wait: variables, languages, keys, silence.

use callreel_callflow::{Answer, Effect, Input};
use callreel_proto::{Application, InsertAt, SetVars};
use insta::assert_snapshot;
use serde_json::{Map, Value, json};

use crate::support::Talk;

pub(crate) fn step(module: &str, data: Value, next: Value) -> Value {
    json!({"module": module, "data": data, "children": {"_": next}})
}

/// Where a walk ends: a wait whose place says how it came there.
pub(crate) fn end() -> Value {
    json!({"module": "wait_for_hangup", "data": {}})
}

/// What the switch was told to set, one after the other.
pub(crate) fn set(talk: &Talk) -> Vec<SetVars> {
    let heard = talk.last.as_ref().unwrap();
    let vars = heard.effects.iter().filter_map(|effect| match effect {
        Effect::Command {
            insert_at,
            application: Application::Set { vars },
            ..
        } => {
            assert_eq!(*insert_at, InsertAt::Now);
            Some((**vars).clone())
        }
        _ => None,
    });
    vars.collect()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The children `one`, `two`, `true`, `7` and `_`, each a wait.
fn branches(module: &str, data: Value) -> Value {
    json!({"module": module, "data": data, "children": {
        "one": end(), "two": end(), "true": end(), "7": end(), "none": {}, "_": end()
    }})
}

fn at(talk: &Talk) -> String {
    talk.position().map(|at| at.pointer).unwrap_or_default()
}

#[test]
fn a_variable_of_the_channel_is_set_on_one_leg_or_on_all_to_come() {
    let flow = |channel: &str| {
        let data = json!({"variable": "call_priority", "value": 5, "channel": channel});
        step("set_variable", data, end())
    };
    let priority = object(json!({"Call-Priority": "5"}));
    let one = set(&Talk::through(&flow("a")));
    assert_eq!((&one[0].channel, one[0].call.len()), (&priority, 0));
    let both = set(&Talk::through(&flow("both")));
    assert_eq!((&both[0].call, both[0].channel.len()), (&priority, 0));
    assert_eq!(set(&Talk::through(&flow("z"))), one);
}

#[test]
fn a_flow_sets_no_variable_that_says_whose_call_it_is() {
    for data in [
        json!({"variable": "Account-ID", "value": "b"}),
        json!({"value": "b"}),
        json!({"variable": "call_priority"}),
        json!({}),
    ] {
        let talk = Talk::through(&step("set_variable", data, end()));
        assert_eq!(set(&talk), [], "{}", talk.text());
        assert!(talk.text().contains("< warn at /data/"), "{}", talk.text());
        assert_eq!(at(&talk), "/children/_");
    }
}

#[test]
fn variables_of_applications_become_text_and_are_found_by_later_steps() {
    let vars = json!({"order": 4471, "vip": true, "note": "a b", "deep": {"a": 1}, "none": null});
    let data = json!({"custom_application_vars": vars, "export": true});
    let next = branches("branch_variable", json!({"variable": "VIP"}));
    let talk = Talk::through(&step("set_variables", data, next));
    let expected = object(json!({"order": "4471", "vip": "true", "note": "a b"}));
    assert_eq!(set(&talk)[0].application, expected);
    assert!(
        talk.text().contains("\"deep\" is neither"),
        "{}",
        talk.text()
    );
    assert_eq!(at(&talk), "/children/_/children/true");
}

#[test]
fn there_is_an_end_to_a_calls_variables() {
    let many = (0..300).map(|n| (format!("v{n}"), json!("x"))).collect();
    let long = json!({"long": "x".repeat(5000)});
    let data = |vars: Value| json!({"custom_application_vars": vars});
    let again = step(
        "set_variables",
        data(json!({"v0": "again", "new": "x"})),
        end(),
    );
    let again = step("set_variables", data(long), again);
    let talk = Talk::through(&step("set_variables", data(Value::Object(many)), again));
    let told = set(&talk);
    assert_eq!(told[0].application.len(), 256);
    assert_eq!(told.len(), 2, "nothing of the one that is too long");
    assert_eq!(told[1].application, object(json!({"v0": "again"})));
}

#[test]
fn a_flow_goes_on_at_the_child_that_a_variable_names() {
    let go = |variable: &str, value: Value| {
        let flow = branches("branch_variable", json!({"variable": variable}));
        at(&Talk::with(&flow, |call, _| {
            call.channel_vars.insert("Some-Word".to_owned(), value);
        }))
    };
    assert_eq!(go("some_word", json!("one")), "/children/one");
    assert_eq!(go("Some-Word", json!(7)), "/children/7");
    assert_eq!(go("some_word", json!(true)), "/children/true");
    assert_eq!(go("some_word", json!("three")), "/children/_");
    assert_eq!(go("some_word", json!(["one"])), "/children/_");
    assert_eq!(go("another", json!("one")), "/children/_");
    assert_eq!(go("", json!("one")), "/children/_");
    assert_eq!(go("some_word", json!("none")), "", "an empty child ends it");
}

/// A call of the device `desk`, which is Bob's, at a `branch_variable` of this scope.
fn scoped(scope: &str) -> Talk {
    let flow = branches(
        "branch_variable",
        json!({"variable": "team", "scope": scope}),
    );
    Talk::with(&flow, |call, _| {
        call.calling_device = Some("desk".to_owned());
        call.owner_id = Some("bob".to_owned());
        call.channel_vars.insert("Team".to_owned(), json!("7"));
    })
}

#[test]
fn a_flow_goes_on_at_the_child_that_a_document_names() {
    for (scope, asked) in [
        ("account", "0123456789abcdef0123456789abcdef"),
        ("user", "bob"),
        ("device", "desk"),
        ("merged", "desk, bob, 0123456789abcdef0123456789abcdef"),
    ] {
        let mut talk = scoped(scope);
        let asked = format!("< look up documents {asked}\n");
        assert!(talk.text().contains(&asked), "{}", talk.text());
        talk.found(
            0.1,
            Answer::Documents(vec![
                json!({}),
                json!({"team": "two"}),
                json!({"team": "one"}),
            ]),
        );
        assert_eq!(at(&talk), "/children/two", "{scope}");
        let mut talk = scoped(scope);
        talk.found(0.1, Answer::Documents(vec![json!({"team": "nobody's"})]));
        let expected = match scope {
            "merged" => "/children/7",
            _ => "/children/_",
        };
        assert_eq!(at(&talk), expected, "{scope}");
        let mut talk = scoped(scope);
        talk.found(0.1, Answer::Missing);
        assert_eq!(at(&talk), expected, "{scope}");
    }
    assert_eq!(at(&scoped("galaxy")), "/children/_");
    let flow = branches(
        "branch_variable",
        json!({"variable": "team", "scope": "user"}),
    );
    assert_eq!(at(&Talk::through(&flow)), "/children/_", "nobody's phone");
}

#[test]
fn a_language_is_told_to_the_switch_and_to_what_speaks() {
    let talk = Talk::through(&step("language", json!({"language": "sv-se"}), end()));
    assert_eq!(
        set(&talk)[0].channel,
        object(json!({"default_language": "sv-se"}))
    );
    let talk = Talk::through(&step("language", json!({}), end()));
    assert_eq!(set(&talk), []);
    assert_eq!(at(&talk), "/children/_");
}

#[test]
fn prompts_are_in_the_language_that_was_set() {
    let voicemail = json!({"module": "voicemail", "data": {"id": "box"}});
    let mut talk = Talk::through(&step("language", json!({"language": "sv-se"}), voicemail));
    talk.found(0.0, Answer::Missing);
    talk.done(0.1, "answer");
    assert!(talk.text().contains("sv-se"), "{}", talk.text());
}

#[test]
fn nothing_but_the_callers_end_ends_dead_air() {
    let mut talk = Talk::through(&step("dead_air", json!({}), end()));
    talk.done(0.1, "answer");
    talk.key(5.0, "1");
    talk.hear(90_000.0, Input::Tick);
    talk.gone(90_001.0);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < answer
       at dead_air (root)
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       wait
    5s > DTMF 1
       wait
    90000s > Tick
       wait
    90001s > CHANNEL_DESTROY
       finished
    "#);
}

#[test]
fn nothing_but_the_callers_end_ends_the_wait_for_it() {
    let mut talk = Talk::with(&step("wait_for_hangup", json!({}), end()), |call, _| {
        call.answered = true
    });
    talk.key(5.0, "1");
    talk.hear(90_000.0, Input::Tick);
    talk.gone(90_001.0);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       at wait_for_hangup (root)
       wait
    5s > DTMF 1
       wait
    90000s > Tick
       wait
    90001s > CHANNEL_DESTROY
       finished
    "#);
}

#[test]
fn dead_air_does_not_answer_twice() {
    let talk = Talk::with(&step("dead_air", json!({}), end()), |call, _| {
        call.answered = true
    });
    assert!(!talk.text().contains("< answer"), "{}", talk.text());
}

#[test]
fn an_alert_goes_along_and_no_line_can_be_broken_by_it() {
    let flow = |text: Value| step("set_alert_info", json!({"alert_info": text}), end());
    let talk = Talk::through(&flow(json!("<http://a/r>;info=door")));
    let expected = object(json!({"Alert-Info": "<http://a/r>;info=door"}));
    assert_eq!(set(&talk)[0].call, expected);
    for bad in [json!("a\r\nVia: b"), json!(""), json!({})] {
        let talk = Talk::through(&flow(bad));
        assert_eq!(set(&talk), [], "{}", talk.text());
        assert_eq!(at(&talk), "/children/_");
    }
}
