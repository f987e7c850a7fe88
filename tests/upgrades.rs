//! What an operator does around an upgrade: he asks for versions, tries configurations, and has a spool checked and repaired.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::json;

use crate::support::{
    audio::{self, listen},
    estate::{CALLER, Estate, NUMBER},
    eventually,
    node::Node,
    receiver::Receiver,
    root, run,
    sipp::{Caller, Sipp},
    this_build,
};

/// Bytes of a journal that holds a second of one leg.
const A_SECOND: u64 = 9_000;

fn callreel(args: &[&str]) -> Output {
    Command::new(this_build()).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// Answers, and records until the caller hangs up.
fn recorded(url: &str) -> Estate {
    let sleep = json!({"module": "sleep", "data": {"duration": 60}, "children": {}});
    let data = json!({"action": "start", "format": "wav", "url": url});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    Estate::with_flow(&json!({"module": "answer", "data": {}, "children": {"_": record}}))
}

#[test]
fn the_version_is_told_with_its_commit() {
    let version = said(&callreel(&["--version"]));
    let rest = version.strip_prefix(concat!("callreel ", env!("CARGO_PKG_VERSION")));
    let commit = rest.unwrap_or_else(|| panic!("{version}")).trim();
    // Where there is no repository, there is no commit.
    let commit = commit.strip_prefix('(').map(|c| c.trim_end_matches(')'));
    let is_hex = |c: &str| c.len() == 9 && c.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(commit.is_none_or(is_hex), "{version}");
}

#[test]
fn a_configuration_is_tried_without_starting_anything() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let check = |text: &str| {
        std::fs::write(path, text).unwrap();
        callreel(&["config", "check", path])
    };
    let right = check("[node]\nroles = [\"calls\"]\n");
    assert!(right.status.success(), "{}", said(&right));
    for (text, word) in [
        ("[switch]\nrtp_prots = \"1-2\"\n", "rtp_prots"),
        ("[delivery]\nbackoff_first_s = 0\n", "backoff_first_s"),
    ] {
        let wrong = check(text);
        assert!(
            !wrong.status.success() && said(&wrong).contains(word),
            "{}",
            said(&wrong)
        );
    }
}

#[test]
fn a_killed_nodes_spool_is_repaired_as_the_check_said_and_its_recording_delivered() {
    let receiver = Receiver::start();
    let mut node = Node::start(&recorded(&receiver.url("/r")));
    let refused = node.cli(&["check", "--repair"]);
    assert!(
        !refused.status.success(),
        "a running delivery repairs itself"
    );
    assert!(
        said(&refused).contains("in use by process"),
        "{}",
        said(&refused)
    );
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(1000.0, 10.0));
    let dials = Caller::dials(NUMBER).answered(NUMBER).streams(&voice);
    let calling = caller.run("call", &dials.awaits_bye().scenario());
    let ticket = eventually("the recording to begin", || node.tickets().pop());
    let captures = node.data().join("data/spool/captures");
    let journal = captures
        .join(ticket["capture_id"].as_str().unwrap())
        .join("journal");
    eventually("a second of it to be written", || {
        (journal.metadata().ok()?.len() > A_SECOND).then_some(())
    });
    node.kill();
    drop(calling);

    let id = ticket["recording_id"].as_str().unwrap();
    let check = node.cli(&["check"]);
    let text = said(&check);
    let would = "(`callreel check --repair` would end it where its journal ends)";
    assert!(!check.status.success(), "{text}");
    assert!(
        text.lines()
            .any(|line| line.contains(id) && line.ends_with(would)),
        "{text}"
    );
    assert_eq!(
        node.tickets().pop().as_ref(),
        Some(&ticket),
        "to look changes nothing"
    );
    let repair = node.cli(&["check", "--repair"]);
    let text = said(&repair);
    assert!(repair.status.success(), "{text}");
    assert!(
        text.contains("repaired: ") && text.contains("nothing wrong"),
        "{text}"
    );
    let now = node.tickets().pop().unwrap();
    assert_eq!(
        (&now["state"], &now["end_reason"]),
        (&json!("ended"), &json!("interrupted"))
    );
    node.launch();
    let seconds = listen(&receiver.accepted().body).seconds();
    assert!(seconds > 0.5, "{seconds} s");
}

#[test]
fn the_spool_of_0_1_is_repaired_and_a_changed_audio_file_made_again() {
    let data = tempfile::tempdir().unwrap();
    let of_0_1 = root().join("tests/data/formats/0.1");
    let (from, spool) = (of_0_1.join("spool"), data.path().join("spool"));
    run("cp", &["-r", path(&from), path(&spool)]);
    let key = data.path().join("key");
    run(
        "install",
        &["-m600", path(&of_0_1.join("spool.key")), path(&key)],
    );
    let tried = "recordings/202403-00000000000000000000000000000003";
    let audio = spool.join(tried).join("call_recording_3e7f%4010.0.0.1.wav");
    let mut bytes = std::fs::read(&audio).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&audio, bytes).unwrap();
    let check = |args: &[&str]| {
        let mut check = Command::new(this_build());
        check
            .args(["check", "--data", path(data.path())])
            .args(args);
        check.env("CALLREEL_SPOOL_KEY_FILE", &key).output().unwrap()
    };
    let before = check(&[]);
    let text = said(&before);
    assert!(!before.status.success(), "{text}");
    assert_eq!(text.matches("--repair` would").count(), 3, "{text}");
    assert!(text.contains("would have it rendered again"), "{text}");
    let repair = check(&["--repair"]);
    let text = said(&repair);
    assert!(repair.status.success(), "{text}");
    assert_eq!(text.matches("repaired: ").count(), 3, "{text}");
    let ticket = std::fs::read(spool.join(tried).join("ticket.json")).unwrap();
    let ticket: serde_json::Value = serde_json::from_slice(&ticket).unwrap();
    assert_eq!(ticket["state"], "ended");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
