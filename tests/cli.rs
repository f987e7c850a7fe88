//! The command line: errors a person can act on, and answers that are true.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{
    estate::{ACCOUNT, CALLER, Estate, NUMBER},
    eventually,
    node::Node,
    root,
    sipp::{Caller, Sipp},
};

fn callreel(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_callreel"))
        .args(args)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn harmless() -> Estate {
    Estate::with_flow(&json!({"module": "hangup", "data": {}, "children": {}}))
}

#[test]
fn a_broken_document_is_refused_by_file_path_and_reason_and_nothing_is_written() {
    let estate = harmless();
    estate.write(
        "devices/broken.json",
        &json!({"id": "d0000000000000000000000000000009", "sip": {"username": 7}}),
    );
    estate.write("callflows/broken.json", &json!({"id": "f0000000000000000000000000000009", "numbers": "2001", "flow": {"module": "hangup", "data": {}}}));
    let data = tempfile::tempdir().unwrap();
    let place = data.path().to_str().unwrap();
    let import = callreel(&["import", estate.path().to_str().unwrap(), "--data", place]);
    assert!(!import.status.success());
    let said = stderr(&import);
    for words in [
        "devices/broken.json",
        "/sip/username",
        "callflows/broken.json",
        "/numbers",
    ] {
        assert!(said.contains(words), "{words} is not in:\n{said}");
    }
    let list = callreel(&["recordings", "list", ACCOUNT, "--data", place]);
    assert!(stdout(&list).lines().count() <= 1, "{}", stdout(&list));
    let good = callreel(&[
        "import",
        harmless().path().to_str().unwrap(),
        "--data",
        place,
    ]);
    assert!(good.status.success(), "{}", stderr(&good));
}

#[test]
fn an_occupied_port_is_named_with_the_key_that_changes_it() {
    let node = Node::start(&harmless());
    let data = tempfile::tempdir().unwrap();
    let taken = node.sip().port().to_string();
    let second = Command::new(env!("CARGO_BIN_EXE_callreel"))
        .args([
            "serve",
            "--role",
            "switch",
            "--data",
            data.path().to_str().unwrap(),
        ])
        .env("CALLREEL_SWITCH_BIND", node.sip().to_string())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = stderr(&second);
    assert!(
        said.contains(&taken) && said.contains("switch.bind"),
        "{said}"
    );
}

#[test]
fn a_spool_in_use_names_its_holder() {
    let node = Node::start(&harmless());
    let second = node.cli(&["serve", "--role", "delivery"]);
    assert!(!second.status.success());
    let said = stderr(&second);
    assert!(said.contains("in use"), "{said}");
}

/// Answers, records for half a minute at most.
fn recorded() -> Value {
    let sleep = json!({"module": "sleep", "data": {"duration": 30}, "children": {}});
    let data = json!({"action": "start", "url": "http://127.0.0.1:9/r"});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    json!({"module": "answer", "data": {}, "children": {"_": record}})
}

#[test]
fn a_live_call_is_listed_and_its_recording_masked() {
    let node = Node::start(&Estate::with_flow(&recorded()));
    let calls = |args: &[&str]| node.cli(&[&["calls"], args].concat());
    let none = calls(&["list", ACCOUNT]);
    assert!(none.status.success(), "{}", stderr(&none));
    assert_eq!(stdout(&none), "");
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let scenario = Caller::dials(NUMBER).answered(NUMBER).awaits_bye();
    let calling = caller.run("call", &scenario.scenario());
    eventually("the recording to begin", || node.tickets().pop());
    let (listed, call_id) = (stdout(&calls(&["list", ACCOUNT])), calling.call_id());
    let line = format!("{call_id}  inbound ");
    assert!(
        listed.starts_with(&line) && listed.contains("answered"),
        "{listed}"
    );
    let masked = calls(&["record", ACCOUNT, call_id, "mask"]);
    assert!(
        stdout(&masked).contains("  masked  "),
        "{}",
        stderr(&masked)
    );
    let stopped = calls(&["record", ACCOUNT, call_id, "stop"]);
    assert!(
        stdout(&stopped).contains("  stopped  "),
        "{}",
        stderr(&stopped)
    );
    let refused = calls(&["record", ACCOUNT, call_id, "stop"]);
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("409"), "{}", stderr(&refused));
    let unknown = calls(&["record", ACCOUNT, "never/was", "mask"]);
    assert!(!unknown.status.success());
    let said = stderr(&unknown);
    assert!(said.contains("no live channel never/was"), "{said}");
}

#[test]
fn without_an_api_live_calls_cannot_be_looked_at() {
    let data = tempfile::tempdir().unwrap();
    let listed = Command::new(env!("CARGO_BIN_EXE_callreel"))
        .args([
            "calls",
            "list",
            ACCOUNT,
            "--data",
            data.path().to_str().unwrap(),
        ])
        .env("CALLREEL_API_LISTEN", "127.0.0.1:9")
        .output()
        .unwrap();
    assert!(!listed.status.success());
    assert!(
        stderr(&listed).contains("api.listen"),
        "{}",
        stderr(&listed)
    );
}

#[test]
fn a_flow_check_points_at_the_spot() {
    let file = root().join("tests/data/mission/3-per-user.json");
    let file = file.to_str().unwrap();
    let lenient = callreel(&["flow", "check", file]);
    assert!(lenient.status.success(), "{}", stderr(&lenient));
    let said = stdout(&lenient);
    assert!(said.contains("/children/_/children/_/children"), "{said}");
    let strict = callreel(&["flow", "check", file, "--strict"]);
    assert!(!strict.status.success(), "strict refuses it");
}

#[test]
fn a_flow_is_explained_as_a_talk() {
    let file = root().join("tests/data/mission/3-per-user.json");
    let explained = callreel(&["flow", "explain", file.to_str().unwrap()]);
    assert!(explained.status.success(), "{}", stderr(&explained));
    let said = stdout(&explained);
    assert!(said.to_lowercase().contains("record"), "{said}");
    assert!(said.to_lowercase().contains("hangup"), "{said}");
}

#[test]
fn every_key_of_the_configuration_is_printed_with_its_meaning() {
    let printed = callreel(&["config", "print"]);
    let said = stdout(&printed);
    for words in [
        "[switch]",
        "[delivery]",
        "allow_networks",
        "[recording]",
        "[telemetry]",
    ] {
        assert!(said.contains(words), "{words} is not in:\n{said}");
    }
}

#[test]
fn a_check_of_an_unused_place_finds_nothing_wrong() {
    let node = Node::start(&harmless());
    let checked = node.cli(&["check"]);
    assert!(
        checked.status.success(),
        "{}\n{}",
        stdout(&checked),
        stderr(&checked)
    );
    let said = stdout(&checked);
    assert!(said.contains("lives: process"), "who works there: {said}");
    let listed = node.cli(&["recordings", "list", ACCOUNT]);
    assert!(listed.status.success(), "{}", stderr(&listed));
    let refused = node.cli(&["recordings", "show", ACCOUNT, "nonsense"]);
    assert!(stderr(&refused).contains("YYYYMM-"), "{}", stderr(&refused));
}
