//! The files that a foreign switch has recorded: how they come to us, and what ends there are when they do not.

use serde_json::{Value, json};

use super::{Guest, action, beside, vhost};
use crate::support::{
    audio::listen,
    ecallmgr::{Call, Ecallmgr, End, Transfer, Tree, upload},
    estate::{CALLEE_USER, Estate, NUMBER},
    eventually,
    receiver::{Arrival, Receiver},
};

fn start(url: &str, format: &str, then: Value) -> Value {
    action(
        "record_call",
        json!({"action": "start", "format": format, "url": url}),
        Some(then),
    )
}

fn ring() -> Value {
    action("user", json!({"id": CALLEE_USER}), None)
}

/// A call that is recorded for so long, and its `record_call`.
fn recorded(kazoo: &Ecallmgr, ms: u64) -> (Call<'_>, String) {
    let call = kazoo.call(NUMBER);
    let start = call.records("start");
    call.runs("bridge");
    call.callee_answers();
    kazoo.passes_ms(ms);
    call.callee_goes("NORMAL_CLEARING");
    call.is_hung_up();
    (call, start["Media-Name"].as_str().unwrap().to_owned())
}

fn file_of(receiver: &Receiver, call: &Call<'_>) -> Arrival {
    let path = format!("/r/call_recording_{}.wav", call.id.replace('@', "%40"));
    eventually(&path, || {
        receiver
            .arrivals()
            .into_iter()
            .find(|arrival| arrival.path == path)
    })
}

#[track_caller]
fn lasts(arrival: &Arrival, seconds: f64) {
    let heard = listen(&arrival.body).seconds();
    assert!((heard - seconds).abs() < 0.1, "{heard} s, not {seconds}");
}

#[test]
fn a_file_that_does_not_come_at_first_is_asked_for_again() {
    let scripts: [(Tree, &[Transfer]); 2] = [
        (
            Tree::V43,
            &[Transfer::Refused, Transfer::Cut, Transfer::Silent],
        ),
        (
            Tree::V50,
            &[Transfer::Swollen, Transfer::Cut, Transfer::Refused],
        ),
    ];
    for (tree, script) in scripts {
        let receiver = Receiver::start();
        let flow = start(&receiver.url("/r"), "wav", ring());
        let (kazoo, guest) = beside(tree, &Estate::with_flow(&flow));
        kazoo.transfers(script);
        let (call, _) = recorded(&kazoo, 1_500);
        lasts(&file_of(&receiver, &call), 1.5);
        let uploads = kazoo.uploads(script.len() + 1);
        for (upload, transfer) in uploads.iter().zip(script) {
            assert_eq!(upload.transfer, *transfer);
            let taken = upload.statuses.iter().flatten().any(|status| *status < 300);
            assert!(!taken, "{upload:?}");
        }
        let urls: std::collections::BTreeSet<_> =
            uploads.iter().map(|upload| &upload.url).collect();
        assert_eq!(urls.len(), uploads.len(), "each try has a token of its own");
        eventually("nothing is owed", || {
            guest.tickets().is_empty().then_some(())
        });
    }
}

#[test]
fn a_file_is_taken_once() {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let flow = start(&receiver.url("/r"), "wav", ring());
        let (kazoo, guest) = beside(tree, &Estate::with_flow(&flow));
        kazoo.transfers(&[Transfer::Replayed]);
        let (call, _) = recorded(&kazoo, 1_000);
        lasts(&file_of(&receiver, &call), 1.0);
        let replayed = &kazoo.uploads(1)[0];
        assert_eq!(replayed.statuses[0], Some(200), "{replayed:?}");
        assert!(
            matches!(replayed.statuses[1], Some(404 | 409 | 410)),
            "{replayed:?}"
        );

        kazoo.transfers(&[Transfer::Unconfirmed]);
        let (call, _) = recorded(&kazoo, 1_000);
        lasts(&file_of(&receiver, &call), 1.0);
        eventually("nothing is owed", || {
            guest.tickets().is_empty().then_some(())
        });
        assert_eq!(
            kazoo.uploads(2).len(),
            2,
            "a file that is there is not asked for again"
        );
        assert_eq!(receiver.arrivals().len(), 2);
    }
}

#[test]
fn strangers_cannot_bring_files() {
    let (_kazoo, guest) = beside(Tree::V50, &Estate::with_flow(&ring()));
    let file = vec![7; 4_000];
    for path in [
        "/intake/0123456789abcdef0123456789abcdef/a.wav",
        "/intake//a.wav",
        "/intake/../../a",
        "/",
    ] {
        let url = format!("{}{path}", guest.intake).parse().unwrap();
        for method in ["PUT", "POST"] {
            let status = upload(method, &url, &file, file.len());
            assert!(
                matches!(status, Some(400..=499)),
                "{method} {path}: {status:?}"
            );
        }
    }
    assert_eq!(guest.tickets().len(), 0);
}

#[test]
fn a_token_is_good_for_a_while_only() {
    let receiver = Receiver::start();
    let flow = start(&receiver.url("/r"), "wav", ring());
    let (kazoo, guest) = beside(Tree::V43, &Estate::with_flow(&flow));
    kazoo.transfers(&[Transfer::Silent]);
    let (call, _) = recorded(&kazoo, 1_000);
    let url = kazoo.uploads(1)[0].url.parse().unwrap();
    lasts(&file_of(&receiver, &call), 1.0);
    let late = upload("PUT", &url, &[7; 4_000], 4_000);
    assert!(matches!(late, Some(404 | 410)), "{late:?}");
    eventually("nothing is owed", || {
        guest.tickets().is_empty().then_some(())
    });
}

#[test]
fn a_recording_whose_end_nobody_told_is_fetched_all_the_same() {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let flow = start(&receiver.url("/r"), "wav", ring());
        let (kazoo, _guest) = beside(tree, &Estate::with_flow(&flow));
        kazoo.behaves(|quirks| quirks.lost = vec!["RECORD_STOP"]);
        let (call, _) = recorded(&kazoo, 1_500);
        lasts(&file_of(&receiver, &call), 1.5);
        kazoo.behaves(|quirks| quirks.lost = vec!["RECORD_START", "RECORD_STOP"]);
        let (call, _) = recorded(&kazoo, 1_000);
        lasts(&file_of(&receiver, &call), 1.0);
    }
}

#[test]
fn a_call_whose_end_nobody_told_is_asked_after() {
    let receiver = Receiver::start();
    let flow = start(&receiver.url("/r"), "wav", ring());
    let (kazoo, guest) = beside(Tree::V50, &Estate::with_flow(&flow));
    let all = vec![
        "CHANNEL_UNBRIDGE",
        "CHANNEL_EXECUTE_COMPLETE",
        "RECORD_STOP",
        "CHANNEL_DESTROY",
    ];
    kazoo.behaves(|quirks| quirks.lost = all);
    let call = kazoo.call(NUMBER);
    call.records("start");
    call.runs("bridge");
    call.callee_answers();
    kazoo.passes_ms(1_000);
    call.caller_hangs_up();
    lasts(&file_of(&receiver, &call), 1.0);
    assert!(guest.log().contains("nobody said so"), "it was asked after");
}

#[test]
fn recordings_that_run_at_once_each_have_their_own_file() {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let both = start(
            &receiver.url("/long"),
            "wav",
            start(&receiver.url("/short"), "mp3", ring()),
        );
        let (kazoo, _guest) = beside(tree, &Estate::with_flow(&both));
        let call = kazoo.call(NUMBER);
        let (long, short) = (call.records("start"), call.records("start"));
        call.runs("bridge");
        call.callee_answers();
        kazoo.passes_ms(1_000);
        // The variables of the channel speak of the one that was begun last.
        call.tape_ends(short["Media-Name"].as_str().unwrap(), End::Limit);
        kazoo.passes_ms(1_500);
        call.caller_hangs_up();
        let arrivals = receiver.accepted_all(2);
        for (folder, command, seconds) in [("/long/", long, 2.5), ("/short/", short, 1.0)] {
            let arrival = arrivals
                .iter()
                .find(|arrival| arrival.path.starts_with(folder))
                .unwrap();
            lasts(arrival, seconds);
            listen(&arrival.body).only_tone(0, call.hz_of(&command));
        }
    }
}

#[test]
fn a_guest_that_dies_in_a_call_finds_its_file_when_it_is_back() {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let flow = start(&receiver.url("/r"), "wav", ring());
        let (kazoo, mut guest) = beside(tree, &Estate::with_flow(&flow));
        let call = kazoo.call(NUMBER);
        let start = call.records("start");
        call.runs("bridge");
        call.callee_answers();
        kazoo.passes_ms(1_000);
        settled(&guest);
        guest.process.kill();
        kazoo.passes_ms(500);
        guest.process.launch();
        let stop = call.records("stop");
        assert_eq!(stop["Media-Name"], start["Media-Name"]);
        lasts(&file_of(&receiver, &call), 1.5);
        assert!(call.is_alive(), "they talk on");
        let doc = &guest.recordings(1)[0];
        assert_eq!(doc["call_id"], call.id);
    }
}

/// The guest knows on which switch its recording is.
fn settled(guest: &Guest) {
    eventually("the ticket says where the file is", || {
        guest
            .tickets()
            .iter()
            .any(|ticket| ticket.to_string().contains("/tmp/"))
            .then_some(())
    });
}

#[test]
fn a_recording_that_the_flow_stops_is_fetched_while_the_call_goes_on() {
    let receiver = Receiver::start();
    let music = action(
        "play",
        json!({"id": "silence_stream://1", "answer": false}),
        None,
    );
    let stop = action("record_call", json!({"action": "stop"}), Some(music));
    let wait = action("sleep", json!({"duration": 1}), Some(stop));
    let flow = start(&receiver.url("/r"), "wav", wait);
    let (kazoo, _guest) = beside(Tree::V43, &Estate::with_flow(&flow));
    kazoo.behaves(|quirks| quirks.lasting = vec!["play"]);
    let call = kazoo.call(NUMBER);
    call.records("start");
    kazoo.passes_ms(2_000);
    call.records("stop");
    call.runs("play");
    lasts(&file_of(&receiver, &call), 2.0);
    assert!(call.is_alive());
    call.played();
    call.is_hung_up();
}

#[test]
fn a_file_that_is_as_it_was_asked_for_is_delivered_as_it_is() {
    let receiver = Receiver::start();
    let broker = vhost();
    let kazoo = Ecallmgr::join(&broker, Tree::V43);
    let flow = start(&receiver.url("/r"), "mp3", ring());
    let _guest = Guest::recording_in("asked", &broker, &Estate::with_flow(&flow));
    let call = kazoo.call(NUMBER);
    let record = call.records("start");
    call.runs("bridge");
    call.callee_answers();
    kazoo.passes_ms(1_000);
    call.caller_hangs_up();
    let arrival = receiver.accepted();
    assert!(arrival.path.ends_with(".mp3"), "{}", arrival.path);
    assert!(
        arrival.body == kazoo.file_of(&record),
        "not a byte is another"
    );
}
