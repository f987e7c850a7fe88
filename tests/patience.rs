//! How long a receiver is asked, and what its silence costs others: nothing.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::{
    guard::recorded,
    support::{eventually, node::Node, receiver::Receiver, sipp::Sipp},
};

const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\nbackoff_max_s = 1\n\
                        stall_timeout_s = 2\nupload_workers = 6\nuploads_per_host = 4\n";

/// The ids of recordings in this state, once there are so many.
fn in_state(node: &Node, state: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} recordings to be {state}"), || {
        let tickets = node.tickets().into_iter();
        let ids: Vec<_> = tickets
            .filter(|t| t["state"] == state)
            .map(|t| t["recording_id"].as_str().unwrap().to_owned())
            .collect();
        (ids.len() == count).then_some(ids)
    })
}

fn orders(node: &Node, args: &[&str]) -> String {
    let done = node.cli(&[&["deliveries"], args].concat());
    assert!(done.status.success(), "{args:?}: {done:?}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn what_is_refused_five_times_is_kept_until_somebody_decides_and_that_is_written_down() {
    let receiver = Receiver::answering(&[403; 10]);
    let to = ["/a", "/b"].map(|path| json!({"url": receiver.url(path), "format": "wav"}));
    let node = Node::with_settings(&recorded(&to), SETTINGS);
    Sipp::calls(node.sip(), 1000.0);
    let kept = in_state(&node, "undeliverable", 2);
    assert_eq!(receiver.arrivals().len(), 10, "five tries each");
    let listed = orders(&node, &["list"]);
    assert!(
        kept.iter().all(|id| listed.contains(id)) && listed.contains("403"),
        "{listed}"
    );
    orders(&node, &["retry", &kept[0]]);
    let sent = receiver.accepted();
    assert_eq!(sent.headers["idempotency-key"], *kept[0]);
    orders(&node, &["drop", &kept[1]]);
    eventually("nothing to be owed", || {
        node.tickets().is_empty().then_some(())
    });
    let manifest = node.manifest();
    let told = |id: &str| -> Vec<&Value> {
        let lines = manifest.iter().filter(|line| line["recording_id"] == id);
        lines.map(|line| &line["what"]).collect()
    };
    let until_then = ["recorded", "rendered", "undeliverable", "ordered"];
    assert_eq!(told(&kept[0]), [&until_then[..], &["delivered"]].concat());
    assert_eq!(told(&kept[1]), [&until_then[..], &["discarded"]].concat());
}

#[test]
fn a_receiver_that_is_silent_slows_no_other_and_gets_its_own_when_it_speaks_again() {
    // Connections are made, and nobody ever takes them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let receiver = Receiver::start();
    let nobody = (0..8).map(|n| json!({"url": format!("http://{address}/{n}")}));
    let all: Vec<Value> = nobody
        .chain([json!({"url": receiver.url("/alive")})])
        .collect();
    let node = Node::with_settings(&recorded(&all), SETTINGS);
    Sipp::calls(node.sip(), 1000.0);
    receiver.accepted();
    let tries = |t: &Value| t["delivery"]["attempts"].as_u64().unwrap_or_default();
    let before: u64 = node.tickets().iter().map(tries).sum();
    assert!(before <= 4, "the living one waited for {before} tries");
    let receivers = node.data().join("data/spool/receivers.json");
    eventually("the silent one to be left alone", || {
        let told = std::fs::read_to_string(&receivers).ok()?;
        told.contains(&address.to_string()).then_some(())
    });
    Sipp::calls(node.sip(), 1000.0);
    receiver.accepted_all(2);
    drop(silent);
    let back = Receiver::at(address, &[]);
    back.accepted_all(16);
    eventually("nothing to be owed", || {
        node.tickets().is_empty().then_some(())
    });
    let mut paths: Vec<_> = back.arrivals().into_iter().map(|a| a.path).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), back.arrivals().len(), "each once");
}
