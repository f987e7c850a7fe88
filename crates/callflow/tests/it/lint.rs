//! The linter: what it says, where, and how bad it is; and the reader's shape rules, which it shares with calls.

use callreel_callflow::{Flow, Severity, lint};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::sample;

fn said(document: &Value, strict: bool) -> String {
    let problems = lint::check(document, strict);
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn the_samples_are_what_they_are() {
    assert_snapshot!(said(&sample("1-start"), false), @r#"
    warning at (root): nothing follows the start of the recording, so the call is hung up at once (unless another callflow branches here); put what is to be recorded under "_"
    "#);
    assert_snapshot!(said(&sample("2-stop"), false), @"");
    assert_snapshot!(said(&sample("3-per-user"), false), @r#"
    warning at /children/_/children/_/children: an action stands where a map of branches belongs; taken as if it were under "_"
    info at /data/url: {ACCOUNT_ID}, {USER_ID} is filled in where recording.expand_url is on, else used as it stands
    info at /children/_/data/id: {USER_ID} is used as it stands; fill it in
    info at /children/_/children/_/children/data/id: {VMBOX_ID} is used as it stands; fill it in
    "#);
    assert_snapshot!(said(&sample("4-caller"), false), @r#"
    info at /children/_/data/url: {ACCOUNT_ID}, {BOX_ID} is used as it stands; fill it in
    "#);
}

#[test]
fn the_third_sample_is_refused_by_the_strict() {
    assert_snapshot!(said(&sample("3-per-user"), true), @r#"
    error at /children/_/children/_/children: an action stands where a map of branches belongs; taken as if it were under "_"
    info at /data/url: {ACCOUNT_ID}, {USER_ID} is filled in where recording.expand_url is on, else used as it stands
    info at /children/_/data/id: {USER_ID} is used as it stands; fill it in
    info at /children/_/children/_/children/data/id: {VMBOX_ID} is used as it stands; fill it in
    "#);
    let refused = Flow::parse(&sample("3-per-user"), true).unwrap_err();
    assert_snapshot!(refused, @r#"
    the callflow is malformed at /children/_/children/_/children: an action stands where a map of branches belongs; taken as if it were under "_"
    "#);
    assert!(Flow::parse(&sample("3-per-user"), false).is_ok());
}

#[test]
fn a_mistyped_document_is_told_where() {
    let document = json!({"flow": {
        "module": "record_call",
        "data": {"acton": "stop", "time_limit": "36O", "format": "MP3", "url": "ftp://u:pw@h/", "record_on_answer": "yes"},
        "children": {"_": {
            "module": "user", "data": {"timeout": "20", "strategy": "random", "delay": -1},
            "children": {"USER_BUSY": {"module": "menu", "data": {"id": "x"}}, "sip:486": {}, "busy": {},
                         "_": {"module": "noop", "data": {}, "children": {"1/2": {"module": "warp", "data": {}}}}}
        }}
    }});
    assert_snapshot!(said(&document, false), @r#"
    warning at /flow/data/acton: unknown key, ignored; known are action, name, format, url, method, headers, time_limit, channels, label, origin, media_name, record_min_sec, record_sample_rate, should_follow_transfer, record_on_answer, record_on_bridge, beep, announce, on_failure, skip_module
    error at /flow/data/time_limit: wanted a whole number, found a string
    warning at /flow/data/format: "MP3" is not one of "mp3", "wav"
    error at /flow/data/record_on_answer: wanted true or false, found a string
    error at /flow/data/url: the "url" must be http or https, not ftp; nothing is recorded
    error at /flow/children/_/data: "id" is missing
    warning at /flow/children/_/data/timeout: "20" is taken as 20; write 20
    warning at /flow/children/_/data/strategy: "random" is not one of "simultaneous", "single"
    warning at /flow/children/_/data/delay: -1 is less than 0
    warning at /flow/children/_/children/busy: user never goes on at "busy"
    warning at /flow/children/_/children/_/children/1~12: noop never goes on at "1/2"
    warning at /flow/children/_/children/_/children/1~12/module: there is no module "warp"; it is skipped
    "#);
}

#[test]
fn documents_that_are_not_there_are_named() {
    let flow = json!({"module": "user", "data": {"id": "bob"}, "children": {
        "_": {"module": "voicemail", "data": {"id": "box"}, "children": {
            "_": {"module": "play", "data": {"id": "https://h/a.mp3"}, "children": {
                "_": {"module": "callflow", "data": {"id": "{LATER}"}}}}}}
    }});
    let problems = lint::missing(&flow, |id| (id == "bob").then(|| "device".to_owned()));
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    warning at /data/id: "bob" is a device, not a user
    warning at /children/_/data/id: there is no vmbox "box" in the account
    "#);
    assert!(lint::missing(&sample("3-per-user"), |_| None).is_empty());
}

#[test]
fn time_limits_out_of_range_and_texts_too_long_are_seen() {
    let limit = |value: Value| {
        said(
            &json!({"module": "record_caller", "data": {"url": "http://h", "time_limit": value}}),
            false,
        )
    };
    assert_snapshot!(limit(json!(4)), @r#"
    warning at /data/time_limit: 4 is less than 5
    "#);
    assert_snapshot!(limit(json!("99999")), @r#"
    warning at /data/time_limit: "99999" is taken as 99999; write 99999
    warning at /data/time_limit: 99999 is more than 10800
    "#);
    assert_eq!(limit(json!(5)), "");
    assert_eq!(limit(json!(10_800)), "");
    let speak = |text: String| {
        said(
            &json!({"module": "tts", "data": {"text": text, "terminators": ["1", "x"]}}),
            false,
        )
    };
    assert!(!speak("x".repeat(1000)).contains("characters"));
    assert_snapshot!(speak("x".repeat(1001)), @r##"
    warning at /data/text: 1001 characters, 1000 are allowed
    warning at /data/terminators/1: "x" is not one of "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "*", "#"
    "##);
    assert_snapshot!(speak(String::new()), @r##"
    error at /data: "text" is missing
    warning at /data/text: empty; counts as absent
    warning at /data/terminators/1: "x" is not one of "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "*", "#"
    "##);
}

#[test]
fn what_no_call_can_find_a_callflow_by_is_seen() {
    let flow = json!({"module": "check_cid", "data": {"regex": "(?!0"}, "children": {
        "_": {"module": "branch_bnumber", "data": {"hunt_allow": "^2", "hunt_deny": "["}}}});
    let document = json!({"numbers": ["2000", 2001], "patterns": [r"^\*72(\d*)$", "(", r"^(?!911$)\d+$"], "flow": flow});
    assert_snapshot!(said(&document, false), @r#"
    warning at /numbers/1: must be a string, is a number; no call finds the callflow by it
    warning at /patterns/1: the pattern "(" cannot be read (Parsing error at position 1: Opening parenthesis without closing parenthesis); no call finds the callflow by it
    warning at /flow/data/regex: the pattern "(?!0" cannot be read (Parsing error at position 4: Opening parenthesis without closing parenthesis); nothing matches it
    warning at /flow/children/_/data/hunt_deny: the pattern "[" cannot be read (Parsing error at position 1: Invalid character class); nothing matches it
    "#);
    let document =
        json!({"numbers": "2000", "patterns": null, "flow": {"module": "noop", "data": {}}});
    assert_snapshot!(said(&document, false), @r#"
    warning at /numbers: must be an array of strings, is a string; no call finds the callflow by it
    "#);
}

#[test]
fn the_names_that_an_editor_gives_to_groups_are_no_mistakes() {
    let member = json!({"endpoint_type": "user", "id": "bob", "name": "Bob"});
    let data = json!({"name": "Sales", "endpoints": [member]});
    assert_snapshot!(said(&json!({"module": "ring_group", "data": data}), true), @r#"
    info at /data/name: ignored: it is for people
    info at /data/endpoints/0/name: ignored: it is for people
    "#);
    let other = json!({"module": "set_cid", "data": {"name": "Bob"}});
    assert!(said(&other, false).contains("warning at /data/name"));
}

#[test]
fn what_strictness_refuses_leniency_warns_of() {
    let document = json!({"module": "sleep", "data": {"duration": "5", "zzz": 1}, "children": {"module": "nowhere", "data": {}}});
    let worst = |strict| {
        lint::check(&document, strict)
            .into_iter()
            .map(|p| p.severity)
            .max()
    };
    assert_eq!(worst(false), Some(Severity::Warning));
    assert_eq!(worst(true), Some(Severity::Error));
}

#[test]
fn odd_shapes_are_read_as_far_as_they_go() {
    let odd = json!({"module": 7, "data": [], "children": {"_": {"data": 5, "children": 6}, "1": null, "2": []}, "note": "x"});
    assert_snapshot!(said(&odd, false), @r#"
    warning at /module: a module's name is a string, not a number
    info at /note: an action has "module", "data" and "children"; this is ignored
    warning at /children/_: the action names no "module"; it is skipped
    warning at /children/_/data: "data" is an object, not a number; taken as {}
    warning at /children/_/children: "children" is an object, not a number; ignored
    warning at /children/1: an action is an object, not null; taken as {}
    "#);
    assert!(Flow::parse(&odd, false).is_ok());
    for hopeless in [
        json!(null),
        json!([]),
        json!("x"),
        json!({}),
        json!({"flow": 5}),
        json!({"flow": []}),
        json!({"numbers": []}),
    ] {
        let worst = lint::check(&hopeless, false)
            .into_iter()
            .map(|p| p.severity)
            .max();
        assert_eq!(worst, Some(Severity::Error), "{hopeless}");
        assert!(Flow::parse(&hopeless, false).is_err(), "{hopeless}");
    }
}

#[test]
fn a_flow_too_deep_or_too_large_is_refused_once() {
    let deep = (0..200).fold(
        json!({}),
        |inner, _| json!({"module": "noop", "data": {}, "children": {"_": inner}}),
    );
    let wide: serde_json::Map<_, _> = (0..5000)
        .map(|n| (n.to_string(), json!({"module": "noop", "data": {}})))
        .collect();
    let wide = json!({"module": "noop", "data": {}, "children": wide});
    for document in [deep, wide] {
        let errors = lint::check(&document, false)
            .into_iter()
            .filter(|p| p.severity == Severity::Error)
            .count();
        assert_eq!(errors, 1);
        assert!(
            Flow::parse(&document, false)
                .unwrap_err()
                .to_string()
                .contains("at most")
        );
    }
}

#[test]
fn a_text_may_be_as_deep_as_a_flow_may_be() {
    let nested = |depth: usize| {
        let action = r#"{"module":"noop","data":{},"children":{"_":"#.repeat(depth - 1);
        let ends = "}}".repeat(depth - 1);
        format!(r#"{{"flow":{action}{{"module":"noop","data":{{}}}}{ends}}}"#)
    };
    let deepest = serde_json::from_str(&nested(63)).unwrap();
    assert!(Flow::parse(&deepest, false).is_ok());
    assert!(serde_json::from_str::<Value>(&nested(64)).is_err());
}

#[test]
fn a_pointer_escapes_its_words() {
    let document =
        json!({"module": "noop", "data": {}, "children": {"a/b~c": {"module": "x", "data": {}}}});
    assert!(
        said(&document, false).contains("/children/a~1b~0c/module"),
        "{}",
        said(&document, false)
    );
}

#[test]
fn a_branch_without_a_recording_is_checked() {
    let remarks = |data: Value, child: &str| {
        let document = json!({"module": "record_call", "data": data, "children": {
            "_": {"module": "noop", "data": {}}, child: {"module": "hangup", "data": {}}
        }});
        let found = lint::check(&document, false);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let url = "http://h/r";
    let none: [String; 0] = [];
    assert_eq!(
        remarks(json!({"url": url, "on_failure": "branch"}), "record_failed"),
        none
    );
    let unused = remarks(json!({"url": url}), "record_failed");
    assert!(
        unused[0].contains("never goes on at \"record_failed\""),
        "{unused:?}"
    );
    let missing = remarks(json!({"url": url, "on_failure": "branch"}), "_");
    assert!(
        missing[0].contains("no child \"record_failed\""),
        "{missing:?}"
    );
    let late = json!({"url": url, "on_failure": "branch", "record_on_bridge": true});
    let late = remarks(late, "record_failed");
    assert!(late[0].contains("never taken"), "{late:?}");
    let header = json!({"url": url, "headers": {"Host": "secret"}});
    let header = remarks(header, "_");
    assert_eq!(
        header,
        ["warning at /data/headers: Host is left out: the delivery itself sets it"]
    );
}
