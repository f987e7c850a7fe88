//! A node with a key, and an account with one: what was said lies open nowhere, and arrives for whoever may hear it.

use std::{fs, path::Path, process::Command};

use callreel_spool::{AtRest, Keys};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    audio::listen,
    disk,
    estate::{ACCOUNT, Estate, REALM},
    eventually,
    node::Node,
    phone::Phone,
    receiver::Receiver,
    voice::Speech,
};

/// The caller's voice.
const VOICE: f32 = 1000.0;

/// Answers, records for so many seconds, and hangs up.
fn recorded(url: &str, format: &str, seconds: u32) -> Value {
    let hangup = json!({"module": "hangup", "data": {}, "children": {}});
    json!({"module": "answer", "data": {}, "children": {"_": {
        "module": "record_call", "data": {"action": "start", "format": format, "url": url}, "children": {"_": {
            "module": "sleep", "data": {"duration": seconds}, "children": {"_": hangup}}}}}})
}

/// Adds a new key in front of those that are in the file, as its owner would; its public key.
fn new_key(file: &Path) -> String {
    let old = fs::read_to_string(file).unwrap_or_default();
    let made = Command::new(env!("CARGO_BIN_EXE_callreel"))
        .args(["keys", "new"])
        .output()
        .unwrap();
    let new = String::from_utf8(made.stdout).unwrap();
    fs::remove_file(file).ok();
    fs::write(file, new + &old).unwrap();
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let said = String::from_utf8(made.stderr).unwrap();
    said.trim().replace("Public key: ", "")
}

fn settings(key_file: &Path) -> String {
    format!(
        "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n[spool]\nkey_file = {key_file:?}\n"
    )
}

/// Waits until the recording of a call has begun, and speaks in it.
fn calls(node: &Node) -> (Phone, crate::support::sipp::Run) {
    Phone::calls(node, Speech::tone(VOICE, 20.0).marked(b's'))
}

#[test]
fn what_is_said_lies_open_nowhere_and_arrives_open() {
    let keys = tempfile::tempdir().unwrap();
    let key_file = keys.path().join("keys");
    new_key(&key_file);
    let receiver = Receiver::answering(&[500, 500]);
    let flow = recorded(&receiver.url("/r"), "wav", 2);
    let node = Node::with_settings(&Estate::with_flow(&flow), &settings(&key_file));
    let data = node.data().join("data");
    let (_phone, _call) = calls(&node);
    eventually("a journal that grows", || {
        let growing = node.tickets().pop().filter(|it| it["state"] == "growing")?;
        let id = growing["capture_id"].as_str()?;
        let journal = data.join(format!("spool/captures/{id}/journal"));
        (journal.metadata().ok()?.len() > 5000).then_some(())
    });
    assert_eq!(disk::marks(&data, b's', 200).len(), 0);

    let first = eventually("a first try", || receiver.arrivals().into_iter().next());
    let audio = &first.body[first.body.len() / 2..][..64];
    assert!(audio.iter().any(|byte| *byte != audio[0]), "it is a tone");
    let ticket = node
        .tickets()
        .pop()
        .expect("it is refused, and tried again");
    assert!(ticket["rendition"]["sealed_bytes"].is_u64(), "{ticket}");
    assert!(!disk::holds(&data, audio));
    assert_eq!(disk::marks(&data, b's', 200).len(), 0);

    let arrived = receiver.accepted();
    assert_eq!(arrived.body, first.body);
    assert!(arrived.path.ends_with(".wav"), "{}", arrived.path);
    let heard = listen(&arrived.body);
    assert!(heard.seconds() > 1.9, "{}", heard.seconds());
    heard.only_tone(0, VOICE);
    let doc = node.recordings(1).remove(0);
    assert_eq!(doc["sha256"], hex::encode(Sha256::digest(&arrived.body)));
}

#[test]
fn what_the_old_key_sealed_is_delivered_after_a_new_one_is_put_before_it() {
    let keys = tempfile::tempdir().unwrap();
    let key_file = keys.path().join("keys");
    let old = new_key(&key_file);
    let receiver = Receiver::start();
    let address = receiver.address();
    let flow = recorded(&receiver.url("/r"), "mp3", 1);
    drop(receiver);
    let mut node = Node::with_settings(&Estate::with_flow(&flow), &settings(&key_file));
    let (_phone, _call) = calls(&node);
    eventually("a try in vain", || {
        let ticket = node.tickets().pop()?;
        (ticket["state"] == "delivering").then_some(())
    });
    node.kill();
    let new = new_key(&key_file);
    let check = node.cli(&["check"]);
    let said = String::from_utf8(check.stdout).unwrap();
    for line in [
        format!("key {new} seals: 0 sealed files"),
        format!("key {old} still opens: 2 sealed files"),
    ] {
        assert!(said.contains(&line), "{said}");
    }
    let receiver = Receiver::at(address, &[]);
    node.launch();
    listen(&receiver.accepted().body).only_tone(0, VOICE);
}

#[test]
fn an_accounts_recording_is_sealed_to_the_accounts_own_key() {
    let keys = tempfile::tempdir().unwrap();
    let (node_file, account_file) = (keys.path().join("node"), keys.path().join("account"));
    new_key(&node_file);
    let recipient = new_key(&account_file);
    let receiver = Receiver::answering(&[500]);
    let flow = recorded(&receiver.url("/r"), "mp3", 1);
    let estate = Estate::with_flow(&flow);
    estate.write(
        "account.json",
        &json!({"id": ACCOUNT, "name": "Acme", "realm": REALM, "call_recording": {"public_key": recipient}}),
    );
    let node = Node::with_settings(&estate, &settings(&node_file));
    let (_phone, _call) = calls(&node);
    let arrived = receiver.accepted();
    assert!(arrived.path.ends_with(".mp3.age"), "{}", arrived.path);
    assert_eq!(arrived.headers["content-type"], "application/octet-stream");

    let file = keys.path().join("arrived.mp3.age");
    fs::write(&file, &arrived.body).unwrap();
    assert!(AtRest::sealed(&file, &Keys::load(&node_file).unwrap()).is_err());
    let mut opened = AtRest::sealed(&file, &Keys::load(&account_file).unwrap()).unwrap();
    let mut audio = Vec::new();
    std::io::Read::read_to_end(&mut opened, &mut audio).unwrap();
    listen(&audio).only_tone(0, VOICE);

    let doc = node.recordings(1).remove(0);
    assert_eq!(doc["sealed_to"], recipient);
    assert_eq!(doc["sha256"], hex::encode(Sha256::digest(&arrived.body)));
    assert_eq!(doc["content_type"], "application/octet-stream");
    let url = doc["url"].as_str().unwrap();
    assert!(url.ends_with(".mp3.age"), "{url}");
}
