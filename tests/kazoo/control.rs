//! Who has the say over a call: other controllers, other ids, lost switches, commands that are refused.

use serde_json::json;

use super::{Guest, action, beside};
use crate::support::{
    audio::listen,
    broker::Broker,
    ecallmgr::{Call, Ecallmgr, Quirks, Tree},
    estate::{ACCOUNT, CALLEE_USER, Estate, NUMBER},
    eventually,
    receiver::{Arrival, Receiver},
};

/// Recorded to this receiver, and bridged to the callee.
fn recorded(receiver: &Receiver) -> Estate {
    let busy = action("response", json!({"code": 480}), None);
    let later = action("sleep", json!({"duration": 1}), Some(busy));
    let ring = action("user", json!({"id": CALLEE_USER}), Some(later));
    let data = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    Estate::with_flow(&action("record_call", data, Some(ring)))
}

/// A call that is being recorded while both talk.
fn talking<'a>(kazoo: &'a Ecallmgr) -> (Call<'a>, String) {
    let call = kazoo.call(NUMBER);
    let start = call.records("start");
    call.runs("bridge");
    call.callee_answers();
    kazoo.passes_ms(1_000);
    (call, start["Media-Name"].as_str().unwrap().to_owned())
}

/// The file of a call.
fn file_of(receiver: &Receiver, id: &str) -> Arrival {
    let path = format!("/r/call_recording_{}.wav", id.replace('@', "%40"));
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

/// Another call from its beginning to its end: whatever the guest had to say before, it has said.
fn serves_another(kazoo: &Ecallmgr, receiver: &Receiver) {
    let (call, _) = talking(kazoo);
    call.callee_goes("NORMAL_CLEARING");
    call.is_hung_up();
    file_of(receiver, &call.id);
}

/// A call that somebody `takes` from us hears no more of us, and the recording of ours goes on to its end.
fn left_alone(takes: impl Fn(&Call)) {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let (kazoo, _guest) = beside(tree, &recorded(&receiver));
        let (call, _) = talking(&kazoo);
        takes(&call);
        call.hush();
        // Whoever still had the say would hang up now.
        call.callee_goes("NORMAL_CLEARING");
        // A second passes on the switch meanwhile.
        serves_another(&kazoo, &receiver);
        assert!(call.is_alive(), "whoever took it has it");
        kazoo.passes_ms(1_000);
        call.caller_hangs_up();
        lasts(&file_of(&receiver, &call.id), 3.0);
    }
}

#[test]
fn a_call_that_another_controller_takes_is_left_alone_and_its_recording_is_whole() {
    left_alone(|call| call.is_usurped());
}

#[test]
fn a_call_that_was_transferred_away_is_left_alone_and_its_recording_is_whole() {
    left_alone(|call| call.is_transferred());
}

#[test]
fn a_call_that_goes_on_under_another_id_is_followed() {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let (kazoo, guest) = beside(tree, &recorded(&receiver));
        let (mut call, _) = talking(&kazoo);
        let first = call.id.clone();
        call.is_replaced();
        // What is said under the new id before anybody listens for it is lost, as it is for Kazoo.
        let followed = format!("successor={}", call.id);
        eventually("it is followed", || {
            guest.log().contains(&followed).then_some(())
        });
        kazoo.passes_ms(1_000);
        call.callee_goes("NORMAL_CLEARING");
        let hangup = call.runs("hangup");
        assert_eq!(hangup["Call-ID"], call.id);
        call.is_hung_up();
        lasts(&file_of(&receiver, &first), 2.0);
    }
}

#[test]
fn a_call_whose_switch_is_lost_is_over_and_its_file_is_fetched_when_it_is_back() {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let (kazoo, _guest) = beside(tree, &recorded(&receiver));
        let (call, name) = talking(&kazoo);
        kazoo.behaves(|quirks| quirks.lost = vec!["RECORD_STOP"]);
        call.is_disconnected();
        call.hush();
        // FreeSWITCH itself went on, and its file is there.
        call.tape_ends(&name, crate::support::ecallmgr::End::Hangup);
        lasts(&file_of(&receiver, &call.id), 1.0);
    }
}

fn refusing(kazoo: &Ecallmgr, application: &'static str) {
    kazoo.behaves(|quirks: &mut Quirks| quirks.refused = vec![application]);
}

#[test]
fn a_refused_command_does_not_hold_the_flow_up() {
    for tree in [Tree::V43, Tree::V50] {
        let receiver = Receiver::start();
        let estate = recorded(&receiver);
        let speaks = action(
            "tts",
            json!({"text": "hello"}),
            Some(action("play", json!({"id": "silence_stream://1"}), None)),
        );
        estate.flow("2001", &speaks);
        let data = json!({"format": "wav", "url": receiver.url("/m")});
        estate.flow(
            "2002",
            &action(
                "record_caller",
                data,
                Some(action("play", json!({"id": "silence_stream://1"}), None)),
            ),
        );
        let (kazoo, guest) = beside(tree, &estate);

        refusing(&kazoo, "bridge");
        let call = kazoo.call(NUMBER);
        call.records("start");
        call.runs("bridge");
        kazoo.passes_ms(1_000);
        assert_eq!(call.runs("respond")["Response-Code"], "480");
        call.is_hung_up();
        file_of(&receiver, &call.id);

        for application in ["answer", "tts", "play", "noop"] {
            refusing(&kazoo, application);
            let call = kazoo.call("2001");
            for name in ["answer", "tts", "noop"] {
                call.runs(name);
            }
            // Who was not answered is answered by the next action.
            call.runs_to("play");
            for name in ["noop", "hangup"] {
                call.runs(name);
            }
            call.is_hung_up();
        }

        refusing(&kazoo, "record");
        let call = kazoo.call("2002");
        for name in ["answer", "tones", "record", "play", "noop", "hangup"] {
            call.runs(name);
        }
        call.is_hung_up();

        refusing(&kazoo, "record_call");
        let call = kazoo.call(NUMBER);
        call.records("start");
        call.runs("bridge");
        call.callee_answers();
        call.callee_goes("NORMAL_CLEARING");
        call.is_hung_up();
        let told = eventually("its notice", || {
            kazoo
                .notices("skipped")
                .into_iter()
                .find(|notice| notice["Call-ID"] == call.id)
        });
        assert_eq!(told["Account-ID"], ACCOUNT);
        eventually("nothing is owed for what never was", || {
            guest.tickets().is_empty().then_some(())
        });
        assert_eq!(receiver.arrivals().len(), 1);
    }
}

#[test]
fn calls_outlive_their_broker_and_those_that_ended_meanwhile_are_missed() {
    let receiver = Receiver::start();
    let mut broker = Broker::start();
    let url = broker.vhost();
    let kazoo = Ecallmgr::join(&url, Tree::V43);
    let _guest = Guest::start(&url, &recorded(&receiver));
    let (goes_on, _) = talking(&kazoo);
    let (ends, _) = talking(&kazoo);
    kazoo.is_cut_off();
    broker.kill();
    kazoo.passes_ms(1_000);
    ends.caller_hangs_up();
    broker.resume();
    kazoo.rejoins();
    // What is said before anybody listens again is lost, as the end of the other call was.
    goes_on.is_asked_after();
    goes_on.callee_goes("NORMAL_CLEARING");
    goes_on.runs("hangup");
    goes_on.is_hung_up();
    lasts(&file_of(&receiver, &goes_on.id), 3.0);
    lasts(&file_of(&receiver, &ends.id), 2.0);
}
