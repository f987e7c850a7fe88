//! `temporal_route`: where the rules lead at a given time, and how they are switched.

use callreel_callflow::Answer;
use insta::assert_snapshot;
use jiff::{civil::date, tz::TimeZone};
use serde_json::{Value, json};

use crate::support::Talk;

/// A flow whose children are sleeps.
fn flow(data: Value, children: &[&str]) -> Value {
    let sleep = || json!({"module": "sleep", "data": {"duration": 100}});
    let children: serde_json::Map<_, _> = children
        .iter()
        .map(|key| ((*key).to_owned(), sleep()))
        .collect();
    json!({"module": "temporal_route", "data": data, "children": children})
}

/// Noon of a Friday.
fn noon() -> Answer {
    let noon = date(2024, 3, 1).at(12, 0, 0, 0);
    Answer::LocalTime(noon.to_zoned(TimeZone::UTC).unwrap())
}

fn rule(id: &str, weekday: &str) -> Value {
    json!({"_id": id, "cycle": "weekly", "wdays": [weekday]})
}

/// Where it goes on.
fn taken(data: Value, children: &[&str], documents: &[&[Value]]) -> String {
    let mut talk = Talk::through(&flow(data, children));
    talk.found(0.0, noon());
    for documents in documents {
        talk.found(0.1, Answer::Documents(documents.to_vec()));
    }
    let at = talk.position().unwrap_or_else(|| panic!("{}", talk.text()));
    at.pointer.trim_start_matches("/children/").to_owned()
}

#[test]
fn the_first_rule_that_holds_is_the_branch() {
    let rules = json!({"rules": ["away", "open"], "timezone": "Europe/Stockholm"});
    let mut talk = Talk::through(&flow(rules, &["away", "open", "_"]));
    talk.found(0.0, noon());
    let documents = vec![rule("away", "sunday"), rule("open", "friday")];
    talk.found(0.1, Answer::Documents(documents));
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up the time in Europe/Stockholm
       at temporal_route (root)
       wait
    0s > Found 2024-03-01T12:00:00
       < look up documents away, open
       wait
    0.1s > Found documents [away, open]
       at sleep /children/open
       wait until 100.1s
    "#);
}

#[test]
fn without_a_rule_that_holds_it_goes_on_anywhere() {
    let only = |document: Value| taken(json!({"rules": ["a"]}), &["a", "_"], &[&[document]]);
    assert_eq!(only(rule("a", "friday")), "a");
    assert_eq!(only(rule("a", "monday")), "_");
    assert_eq!(only(json!({"_id": "a", "cycle": "hourly"})), "_");
    assert_eq!(taken(json!({"rules": ["a"]}), &["a", "_"], &[&[]]), "_");
    let childless = taken(json!({"rules": ["a"]}), &["_"], &[&[rule("a", "friday")]]);
    assert_eq!(childless, "_");
}

#[test]
fn whatever_the_clock_a_rule_may_be_switched_on_or_off() {
    let switched = |enabled: Value, more: Value| {
        let mut document = rule("a", "friday");
        document["enabled"] = enabled;
        let more = more.as_object().unwrap().clone();
        document.as_object_mut().unwrap().extend(more);
        taken(json!({"rules": ["a"]}), &["a", "_"], &[&[document]])
    };
    assert_eq!(switched(json!(false), json!({})), "_");
    assert_eq!(switched(json!(true), json!({"wdays": ["monday"]})), "a");
    assert_eq!(switched(json!(true), json!({"cycle": "odd"})), "a");
    let tomorrow = 1_709_337_600_i64 + 62_167_219_200;
    assert_eq!(switched(json!(true), json!({"start_date": tomorrow})), "_");
}

#[test]
fn children_are_rules_too() {
    let documents = [rule("a", "monday"), rule("b", "friday")];
    assert_eq!(taken(json!({}), &["a", "b", "_"], &[&documents]), "b");
}

#[test]
fn the_rules_of_a_set_lead_to_the_set() {
    let set = json!({"_id": "week", "temporal_rules": ["mon", "fri"]});
    let rules = [rule("mon", "monday"), rule("fri", "friday")];
    let among = taken(
        json!({"rules": ["week"]}),
        &["week", "_"],
        &[std::slice::from_ref(&set), &rules],
    );
    assert_eq!(among, "week");
    let own = taken(
        json!({"rule_set": "week"}),
        &["rule_set", "_"],
        &[std::slice::from_ref(&set), &rules],
    );
    assert_eq!(own, "rule_set");
    let shut = taken(
        json!({"rule_set": "week"}),
        &["rule_set", "_"],
        &[&[set], &rules[..1]],
    );
    assert_eq!(shut, "_");
}

#[test]
fn without_the_time_no_rule_holds() {
    let mut talk = Talk::through(&flow(json!({"rules": ["a"]}), &["a", "_"]));
    talk.found(0.0, Answer::Missing);
    assert_eq!(talk.position().unwrap().pointer, "/children/_");
}

#[test]
fn an_accounts_own_time_counts_if_no_place_is_named() {
    for data in [json!({"timezone": "inherit"}), json!({})] {
        let talk = Talk::through(&flow(data, &["_"]));
        assert!(
            talk.text().contains("look up the time\n"),
            "{}",
            talk.text()
        );
    }
}

#[test]
fn the_caller_switches_rules_by_a_menu() {
    let data = json!({"action": "menu", "rules": ["a", "week"]});
    let mut talk = Talk::through(&flow(data, &["_"]));
    let set = json!({"_id": "week", "temporal_rules": ["b"]});
    talk.found(0.0, Answer::Documents(vec![rule("a", "monday"), set]));
    talk.found(0.0, Answer::Documents(vec![rule("b", "monday")]));
    talk.done(0.1, "answer");
    talk.key(2.0, "5");
    talk.key(3.0, "1");
    talk.found(3.1, Answer::Document(rule("a", "monday")));
    talk.found(3.2, Answer::Missing);
    talk.marked(5.0, 5);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < look up documents a, week
       at temporal_route (root)
       wait
    0s > Found documents [a, week]
       < look up documents b
       wait
    0s > Found documents [b]
       < answer
       wait until 5s
    0.1s > CHANNEL_EXECUTE_COMPLETE answer
       < play prompt://0123456789abcdef0123456789abcdef/temporal-menu/en-us, any key ends it
       < noop m-1
       wait until 30.1s
    2s > DTMF 5
       < noop m-2 (flush)
       < play prompt://0123456789abcdef0123456789abcdef/temporal-menu/en-us, any key ends it
       < noop m-3
       wait until 32s
    3s > DTMF 1
       < noop m-4 (flush)
       < look up change document a: /enabled=true
       wait
    3.1s > Found document a
       < look up change document b: /enabled=true
       wait
    3.2s > Found nothing
       < warn at (root): a rule could not be changed
       < play prompt://0123456789abcdef0123456789abcdef/temporal-marked_enabled/en-us, any key ends it
       < noop m-5
       wait until 33.2s
    5s > CHANNEL_EXECUTE_COMPLETE noop m-5
       at sleep /children/_
       wait until 105s
    "#);
}

#[test]
fn each_action_says_what_it_did() {
    let switched = |action: &str| {
        let data = json!({"action": action, "rules": ["a"]});
        let mut talk = Talk::with(&flow(data, &["_"]), |call, _| call.answered = true);
        talk.found(0.0, Answer::Documents(vec![rule("a", "monday")]));
        talk.found(0.1, Answer::Document(rule("a", "monday")));
        talk.marked(2.0, 1);
        assert_eq!(talk.position().unwrap().pointer, "/children/_");
        talk.text().to_owned()
    };
    for (action, change, prompt) in [
        ("enable", "/enabled=true", "temporal-marked_enabled"),
        ("disable", "/enabled=false", "temporal-marked_disabled"),
        ("reset", "/enabled=null", "temporal-marker_reset"),
    ] {
        let text = switched(action);
        assert!(
            text.contains(&format!("change document a: {change}")),
            "{text}"
        );
        assert!(text.contains(prompt), "{text}");
    }
}

#[test]
fn who_chooses_nothing_is_asked_three_times_and_nothing_to_switch_is_passed_by() {
    let data = || json!({"action": "menu", "rules": ["a"]});
    let mut talk = Talk::with(&flow(data(), &["_"]), |call, _| call.answered = true);
    talk.found(0.0, Answer::Documents(vec![rule("a", "monday")]));
    for question in 1..=3_u32 {
        assert_eq!(talk.position().unwrap().pointer, "");
        let at = f64::from(question) * 10.0;
        talk.marked(at, question);
        talk.tick(at + 5.0);
    }
    assert_eq!(talk.position().unwrap().pointer, "/children/_");
    let mut none = Talk::with(&flow(data(), &["_"]), |call, _| call.answered = true);
    none.found(0.0, Answer::Documents(vec![]));
    assert_eq!(none.position().unwrap().pointer, "/children/_");
    let odd = Talk::through(&flow(json!({"action": "dance"}), &["_"]));
    assert!(odd.text().contains("look up the time"));
}
