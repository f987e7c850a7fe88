//! The manifest: it tells the life of every recording, and whoever changes a line of it is found out.

use serde_json::{Value, json};

use crate::support::{estate::Estate, eventually, node::Node, receiver::Receiver, sipp::Sipp};

const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n";

/// Answers, records for a second and hangs up.
fn recorded(url: &str) -> Estate {
    let sleep = json!({"module": "sleep", "data": {"duration": 1}, "children": {}});
    let data = json!({"action": "start", "format": "wav", "url": url});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    Estate::with_flow(&json!({"module": "answer", "data": {}, "children": {"_": record}}))
}

/// What `callreel check` says, and whether it found nothing wrong.
fn check(node: &Node) -> (bool, String) {
    let check = node.cli(&["check"]);
    let said = [check.stdout, check.stderr].concat();
    (
        check.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn a_changed_a_missing_and_an_added_line_of_the_manifest_are_found() {
    let receiver = Receiver::answering(&[500]);
    let mut node = Node::with_settings(&recorded(&receiver.url("/r")), SETTINGS);
    for _ in 0..2 {
        Sipp::calls(node.sip(), 1000.0);
    }
    receiver.accepted_all(2);
    eventually("every ticket to be settled", || {
        node.tickets().is_empty().then_some(())
    });
    node.terminate();
    assert!(node.ended());
    let lines = node.manifest();
    let whats: Vec<&Value> = lines.iter().map(|line| &line["what"]).collect();
    for what in ["recorded", "rendered", "delivered"] {
        let told = whats.iter().filter(|told| **told == what).count();
        assert_eq!(told, 2, "{what}: {whats:?}");
    }
    let (good, said) = check(&node);
    assert!(good, "{said}");

    let folder = std::fs::read_dir(node.data().join("data/spool/manifest")).unwrap();
    let mut files = folder.flatten().map(|file| file.path());
    let path = files.find(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let path = path.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let is_found = |what: &str, changed: String| {
        assert_ne!(changed, text, "{what}");
        std::fs::write(&path, changed).unwrap();
        let (good, said) = check(&node);
        assert!(!good && said.contains("manifest"), "{what}: {said}");
        std::fs::write(&path, &text).unwrap();
    };
    let without = |nth: usize| {
        let lines = text.split_inclusive('\n').enumerate();
        lines
            .filter(|(n, _)| *n != nth)
            .map(|(_, line)| line)
            .collect::<String>()
    };
    is_found(
        "a number",
        text.replacen("\"duration_ms\":1", "\"duration_ms\":9", 1),
    );
    // What comes before the first line may have been archived, so the first of all may be missing.
    is_found("a line in between", without(lines.len() / 2));
    is_found("the last line", without(lines.len() - 1));
    let first = text.split_inclusive('\n').next().unwrap();
    is_found("a line twice", format!("{text}{first}"));
    let (good, said) = check(&node);
    assert!(good, "as it was: {said}");
}
