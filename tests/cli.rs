//! The command line: errors a person can act on, and answers that are true.

use std::process::{Command, Output};

use serde_json::json;

use crate::support::{
    estate::{ACCOUNT, Estate},
    node::Node,
    root,
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
