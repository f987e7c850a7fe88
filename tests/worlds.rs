//! Bad worlds: a disk that is full or read-only, a clock that jumps, files that somebody spoilt. Each is a clear word to
//! the operator, and costs no recording.

use std::{path::Path, thread::park_timeout, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    audio::listen,
    estate::{ACCOUNT, Estate},
    eventually,
    node::Node,
    phone::Phone,
    receiver::{Arrival, Receiver},
    sipp::Sipp,
    site::tickets_in,
    voice::Speech,
};

const VOICE: f32 = 1000.0;
const SETTINGS: &str =
    "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\nbackoff_max_s = 2\n";

/// Answers, records for so long and hangs up.
fn recorded(url: &str, seconds: u32) -> Estate {
    let sleep = json!({"module": "sleep", "data": {"duration": seconds}, "children": {}});
    let data = json!({"action": "start", "format": "wav", "url": url});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    Estate::with_flow(&json!({"module": "answer", "data": {}, "children": {"_": record}}))
}
const DAY: i64 = 86_400;

fn passes(ms: u64) {
    park_timeout(Duration::from_millis(ms));
}

/// A file that holds the caller's voice from its beginning to its end, for so long.
fn is_whole(arrival: &Arrival, seconds: f64) {
    let heard = listen(&arrival.body);
    let (from, to) = heard.only_tone(0, VOICE);
    assert!(
        (heard.seconds() - seconds).abs() < 0.2 && from < 0.4 && to > heard.seconds() - 0.1,
        "{} s with a voice from {from} to {to}",
        heard.seconds()
    );
}

fn now_ms() -> i64 {
    callreel_proto::Utc::now().unix_ms()
}

/// Waits until a spool holds a ticket like this.
fn ticket(spool: &Path, what: &str, like: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || tickets_in(spool).into_iter().find(|t| like(t)))
}

fn is_settled(spool: &Path) {
    eventually("every ticket to be settled", || {
        tickets_in(spool).is_empty().then_some(())
    });
}

#[test]
fn a_disk_that_is_full_for_a_while_leaves_no_hole_in_a_recording() {
    let receiver = Receiver::start();
    let mut node = Node::asleep(&recorded(&receiver.url("/r"), 6), SETTINGS);
    let disk = node.with_small_spool("2m");
    node.launch();
    let (_phone, calling) = Phone::calls(&node, Speech::tone(VOICE, 8.0));
    ticket(&disk.path(), "the recording to begin", |t| {
        t["state"] == "growing"
    });
    passes(1000);
    disk.fill();
    passes(2500);
    disk.clear();
    calling.completed();
    is_whole(&receiver.accepted(), 6.0);
    is_settled(&disk.path());
}

#[test]
fn a_recording_that_ends_on_a_full_disk_is_delivered_when_there_is_room() {
    let receiver = Receiver::start();
    let mut node = Node::asleep(&recorded(&receiver.url("/r"), 2), SETTINGS);
    let disk = node.with_small_spool("2m");
    node.launch();
    let (_phone, calling) = Phone::calls(&node, Speech::tone(VOICE, 5.0));
    ticket(&disk.path(), "the recording to begin", |t| {
        t["state"] == "growing"
    });
    disk.fill();
    calling.completed();
    passes(1500);
    assert!(
        receiver.arrivals().is_empty(),
        "there is no room for its file"
    );
    assert!(
        node.log().contains("No space left on device"),
        "the log says why"
    );
    disk.clear();
    is_whole(&receiver.accepted(), 2.0);
    is_settled(&disk.path());
}

#[test]
fn a_full_disk_refuses_recordings_but_no_calls_and_takes_them_again_when_there_is_room() {
    let receiver = Receiver::start();
    let mut node = Node::asleep(&recorded(&receiver.url("/r"), 1), SETTINGS);
    let disk = node.with_small_spool("2m");
    node.launch();
    disk.fill();
    Sipp::calls(node.sip(), VOICE);
    assert!(node.log().contains("recording refused"), "the log says so");
    disk.clear();
    Sipp::calls(node.sip(), VOICE);
    is_whole(&receiver.accepted(), 1.0);
    is_settled(&disk.path());
    assert_eq!(receiver.arrivals().len(), 1);
}

#[test]
fn a_disk_that_runs_short_refuses_what_is_new_and_never_what_runs() {
    let receiver = Receiver::start();
    let mut node = Node::asleep(&recorded(&receiver.url("/r"), 4), SETTINGS);
    let disk = node.with_small_spool("8m");
    node.launch();
    let (_phone, calling) = Phone::calls(&node, Speech::tone(VOICE, 6.0));
    ticket(&disk.path(), "the recording to begin", |t| {
        t["state"] == "growing"
    });
    // Under 2 % of the disk (spool.refuse_recordings_percent), and enough for the rest of this call.
    disk.fill_but(120 << 10);
    // The spool looks at its disk once a second.
    passes(1200);
    let (_other, refused) = Phone::calls(&node, Speech::tone(VOICE, 6.0));
    calling.completed();
    refused.completed();
    assert!(node.log().contains("is almost full"), "the log says why");
    disk.clear();
    is_whole(&receiver.accepted(), 4.0);
    is_settled(&disk.path());
    assert_eq!(receiver.arrivals().len(), 1, "the other was refused");
    passes(1200);
    Sipp::calls(node.sip(), VOICE);
    receiver.accepted_all(2);
    assert!(node.log().contains("has room again"), "the log says so");
}

#[test]
fn a_read_only_spool_is_named_at_the_start_and_keeps_what_it_has() {
    let receiver = Receiver::answering(&[500; 100]);
    let address = receiver.address();
    let mut node = Node::asleep(&recorded(&receiver.url("/r"), 1), SETTINGS);
    let disk = node.with_small_spool("2m");
    node.launch();
    Sipp::calls(node.sip(), VOICE);
    ticket(&disk.path(), "a failed try", |t| {
        t["delivery"]["attempts"].as_u64() > Some(0)
    });
    node.kill();
    disk.remount("ro");
    let said = node.refuses();
    for words in ["Read-only file system", "data/spool"] {
        assert!(said.contains(words), "{words} is not in:\n{said}");
    }
    disk.remount("rw");
    drop(receiver);
    let receiver = Receiver::at(address, &[]);
    node.launch();
    is_whole(&receiver.accepted(), 1.0);
    is_settled(&disk.path());
}

#[test]
fn a_clock_that_is_set_back_makes_nobody_wait() {
    let receiver = Receiver::answering(&[500]);
    let mut node = Node::asleep(&recorded(&receiver.url("/r"), 2), SETTINGS);
    let clock = node.with_clock();
    clock.is_off_by(40 * DAY);
    node.launch();
    let (_phone, calling) = Phone::calls(&node, Speech::tone(VOICE, 5.0));
    let spool = node.data().join("data/spool");
    let growing = ticket(&spool, "the recording to begin", |t| {
        t["state"] == "growing"
    });
    passes(500);
    clock.is_off_by(-10 * DAY);
    calling.completed();
    is_whole(&receiver.accepted(), 2.0);
    is_settled(&spool);
    let (began, id) = (
        growing["started_at"].as_i64().unwrap(),
        growing["recording_id"].to_string(),
    );
    assert!(
        began > now_ms() + 39 * DAY * 1000,
        "by the clock of its start"
    );
    let shown = node.cli(&["recordings", "list", ACCOUNT]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(id.trim_matches('"')), "{id}: {shown}");
}

#[test]
fn a_clock_that_is_set_forward_gives_up_nothing() {
    let receiver = Receiver::answering(&[500, 500, 500]);
    let mut node = Node::asleep(&recorded(&receiver.url("/r"), 2), SETTINGS);
    let clock = node.with_clock();
    node.launch();
    let (_phone, calling) = Phone::calls(&node, Speech::tone(VOICE, 5.0));
    let spool = node.data().join("data/spool");
    ticket(&spool, "the recording to begin", |t| {
        t["state"] == "growing"
    });
    passes(500);
    // During the call.
    clock.is_off_by(20 * DAY);
    calling.completed();
    ticket(&spool, "a failed try", |t| {
        t["delivery"]["attempts"].as_u64() > Some(0)
    });
    // Far beyond delivery.give_up_after_h, and over a restart too.
    clock.is_off_by(30 * DAY);
    node.kill();
    clock.is_off_by(70 * DAY);
    node.launch();
    is_whole(&receiver.accepted(), 2.0);
    is_settled(&spool);
    let given_up = |line: &Value| line["what"] == "undeliverable";
    assert!(
        !node.manifest().iter().any(given_up),
        "nothing was given up"
    );
}

#[test]
fn spoilt_tickets_and_journals_cost_their_neighbours_nothing() {
    let receiver = Receiver::start();
    let address = receiver.address();
    let mut node = Node::with_settings(&recorded(&receiver.url("/r"), 60), SETTINGS);
    let spool = node.data().join("data/spool");
    let calls = [700.0, 1000.0, 1300.0].map(|hz| Phone::calls(&node, Speech::tone(hz, 20.0)));
    eventually("three recordings", || {
        (tickets_in(&spool).len() == 3).then_some(())
    });
    passes(2000);
    node.kill();
    drop(receiver);
    let of_call = |nth: usize| {
        let call_id = calls[nth].1.call_id();
        ticket(&spool, "its ticket", |t| t["call_id"] == call_id)
    };
    // The first one's ticket, the second one's journal; the third one is well.
    let (first, second) = (of_call(0), of_call(1));
    let place = |t: &Value| {
        spool
            .join("recordings")
            .join(t["recording_id"].as_str().unwrap())
    };
    let path = place(&first).join("ticket.json");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    let journal = spool
        .join("captures")
        .join(second["capture_id"].as_str().unwrap());
    let journal = std::fs::File::options()
        .write(true)
        .open(journal.join("journal"))
        .unwrap();
    let length = journal.metadata().unwrap().len();
    journal.set_len(length / 2 + 1).unwrap();

    let receiver = Receiver::at(address, &[]);
    node.launch();
    let arrived = receiver.accepted_all(2);
    let heard = |hz: f32| {
        let sounds = |a: &Arrival| listen(&a.body).tone(0, hz).first().copied();
        arrived.iter().find_map(sounds).map(|(from, to)| to - from)
    };
    assert!(heard(1300.0) > Some(1.5), "{:?}", heard(1300.0));
    assert!(heard(1000.0) > Some(0.5), "{:?}", heard(1000.0));
    let check = node.cli(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    let id = first["recording_id"].as_str().unwrap();
    assert!(!check.status.success() && said.contains(id), "{said}");

    node.kill();
    let aside = spool.join("quarantine").join(id);
    std::fs::write(aside.join("ticket.json"), good).unwrap();
    std::fs::rename(aside, place(&first)).unwrap();
    node.launch();
    let mended = receiver.accepted_all(3).pop().unwrap();
    let (from, to) = listen(&mended.body).only_tone(0, 700.0);
    assert!(to - from > 1.5, "{from} to {to}");
    is_settled(&spool);
}
