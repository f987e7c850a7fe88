//! What survives: a process killed in the middle of a call, a receiver that is down, a flood of garbage.

use std::net::UdpSocket;

use serde_json::{Value, json};

use crate::support::{
    audio::{self, listen},
    estate::{CALLER, Estate, NUMBER},
    eventually,
    node::Node,
    receiver::Receiver,
    sipp::{Caller, Sipp},
};

const VOICE: f32 = 1000.0;
const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n";

fn recorded_sleep(url: &str, seconds: u32) -> Value {
    json!({"module": "answer", "data": {}, "children": {"_": {
        "module": "record_call", "data": {"action": "start", "format": "wav", "url": url}, "children": {"_": {
            "module": "sleep", "data": {"duration": seconds}, "children": {}}}}}})
}

#[test]
fn a_process_killed_in_the_middle_of_a_call_loses_next_to_nothing() {
    let receiver = Receiver::start();
    let mut node = Node::with_settings(
        &Estate::with_flow(&recorded_sleep(&receiver.url("/r"), 60)),
        SETTINGS,
    );
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(VOICE, 30.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .waits(20_000)
        .scenario();
    let calling = caller.run("call", &scenario);
    let ticket = eventually("the recording to begin", || node.tickets().pop());
    assert_eq!(ticket["state"], "growing");
    std::thread::park_timeout(std::time::Duration::from_secs(3));
    let recorded_ms = unix_ms() - ticket["started_at"].as_i64().expect("a time");
    node.kill();
    drop(calling);
    assert!(receiver.arrivals().is_empty());
    node.launch();
    let heard = listen(&receiver.accepted().body);
    let lost_ms = recorded_ms as f64 - heard.seconds() * 1000.0;
    assert!(lost_ms < 250.0, "{lost_ms} ms lost of {recorded_ms}");
    assert!(
        lost_ms > -60.0,
        "the file is longer than the call was: {lost_ms}"
    );
    let span = heard.only_tone(0, VOICE);
    assert!(
        span.1 > heard.seconds() - 0.2,
        "it has its voice up to the end: {span:?}"
    );
    let doc = node.recordings(1).remove(0);
    assert_eq!(doc["completion_cause"], "interrupted", "{doc}");
}

/// Milliseconds from the start of a recording to the kill.
const KILLED_AFTER: [u64; 5] = [400, 1100, 650, 900, 500];

#[test]
fn killed_again_and_again_it_delivers_every_recording_and_leaves_nothing_behind() {
    let receiver = Receiver::start();
    let mut node = Node::with_settings(
        &Estate::with_flow(&recorded_sleep(&receiver.url("/r"), 60)),
        SETTINGS,
    );
    let caller = Sipp::new(CALLER, node.sip());
    let voice = caller.audio(&audio::mulaw_tone(VOICE, 10.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .waits(20_000)
        .scenario();
    let mut recorded_ms = std::collections::HashMap::new();
    for (round, after_ms) in KILLED_AFTER.into_iter().enumerate() {
        let calling = caller.run("call", &scenario);
        let ticket = eventually("the recording to begin", || {
            let growing = |t: &Value| t["state"] == "growing" && t["call_id"] == calling.call_id();
            node.tickets().into_iter().find(growing)
        });
        std::thread::park_timeout(std::time::Duration::from_millis(after_ms));
        let ms = unix_ms() - ticket["started_at"].as_i64().expect("a time");
        node.kill();
        let url = ticket["destination"]["url"].as_str().expect("a URL");
        let name = url.rsplit('/').next().expect("a path").to_owned();
        recorded_ms.insert(name, ms as f64);
        node.launch();
        if round % 2 == 0 {
            // Rendering, an upload or its document may be under way.
            std::thread::park_timeout(std::time::Duration::from_millis(after_ms / 20));
            node.kill();
            node.launch();
        }
    }
    eventually("every ticket to be settled", || {
        node.tickets().is_empty().then_some(())
    });
    for (name, ms) in &recorded_ms {
        let arrivals = receiver.arrivals();
        let mut copies = arrivals.iter().filter(|a| a.path.ends_with(name));
        let first = copies.next().unwrap_or_else(|| panic!("{name} was lost"));
        assert!(copies.all(|copy| copy.body == first.body), "{name}");
        let lost_ms = ms - listen(&first.body).seconds() * 1000.0;
        assert!((-60.0..250.0).contains(&lost_ms), "{lost_ms} of {ms} ms");
    }
    let docs = node.recordings(KILLED_AFTER.len());
    assert_eq!(docs.len(), KILLED_AFTER.len(), "one document each");
    let check = node.cli(&["check"]);
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
}

#[test]
fn a_recording_made_while_the_receiver_is_down_arrives_after_a_restart() {
    let receiver = Receiver::start();
    let address = receiver.address();
    let url = receiver.url("/r");
    drop(receiver);
    let mut node = Node::with_settings(&Estate::with_flow(&recorded_sleep(&url, 2)), SETTINGS);
    a_short_call(&node);
    let tried = eventually("a failed attempt", || {
        node.tickets()
            .into_iter()
            .find(|t| t["delivery"]["attempts"].as_u64() > Some(0))
    });
    assert_eq!(tried["state"], "delivering");
    node.kill();
    let before = node.tickets()[0]["delivery"]["attempts"].as_u64();
    node.launch();
    let after = node.tickets()[0]["delivery"]["attempts"].as_u64();
    assert!(
        after >= before,
        "the schedule went on: {before:?} then {after:?}"
    );
    let receiver = Receiver::at(address, &[]);
    let heard = listen(&receiver.accepted().body);
    assert!(
        (heard.seconds() - 2.0).abs() < 0.15,
        "{} s",
        heard.seconds()
    );
    eventually("the ticket to be settled", || {
        node.tickets().is_empty().then_some(())
    });
    assert_eq!(receiver.arrivals().len(), 1, "delivered once");
}

#[test]
fn garbage_on_the_sip_port_does_not_stop_a_call() {
    let receiver = Receiver::start();
    let node = Node::with_settings(
        &Estate::with_flow(&recorded_sleep(&receiver.url("/r"), 2)),
        SETTINGS,
    );
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..20_000u32 {
        let mut junk = n.to_le_bytes().repeat(1 + (n as usize % 200));
        match n % 4 {
            0 => junk
                .splice(0..0, *b"INVITE sip:x SIP/2.0\r\nVia: ")
                .for_each(drop),
            1 => junk.splice(0..0, *b"SIP/2.0 999 \r\n\r\n").for_each(drop),
            2 => {
                junk =
                    b"REGISTER sip:acme.test SIP/2.0\r\nContent-Length: 99999999\r\n\r\n".to_vec()
            }
            _ => {}
        }
        socket.send_to(&junk, node.sip()).unwrap();
    }
    a_short_call(&node);
    let heard = listen(&receiver.accepted().body);
    // The flood may have kept the node busy until now.
    assert!((heard.seconds() - 2.0).abs() < 0.3, "{} s", heard.seconds());
}

fn a_short_call(node: &Node) {
    Sipp::calls(node.sip(), VOICE);
}

fn unix_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
