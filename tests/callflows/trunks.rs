//! Calls to and from the public network: a carrier that fails makes room for the next, and a number knows its account.

use serde_json::{Value, json};

use super::action;
use crate::support::{
    audio::listen,
    callee::Callee,
    estate::{ACCOUNT, CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
    free_port,
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::{Caller, Sipp, callee_refuses},
    voice::Speech,
};

/// Somebody's number on the public network, and the account's own.
const OUTSIDE: &str = "+14155550123";
const OWN: &str = "+14155550100";
/// The voices of the phone, and of who is outside.
const ALICE: u16 = 1100;
const OUTSIDER: u16 = 850;

/// An account whose [`NUMBER`] calls outside, and whose own number rings Bob: both recorded. Carriers at these ports take
/// calls, the first before the second.
fn estate(receiver: &Receiver, carriers: &[u16]) -> Estate {
    let recorded = |then: Value| {
        let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
        action("record_call", start, Some(then))
    };
    let outside = action("offnet", json!({"to_did": OUTSIDE}), None);
    let estate = Estate::with_flow(&recorded(outside));
    let ring = action("user", json!({"id": CALLEE_USER, "timeout": 10}), None);
    estate.flow(OWN, &recorded(ring));
    let number = json!({"id": OWN, "pvt_assigned_to": ACCOUNT, "pvt_state": "in_service"});
    estate.write_for_all(&format!("numbers/{OWN}.json"), &number);
    for (n, port) in carriers.iter().enumerate() {
        let gateway = json!({"server": "127.0.0.1", "port": port, "prefix": "00"});
        estate.write_for_all(
            &format!("offnet/resources/carrier-{n}.json"),
            &json!({"name": format!("carrier {n}"), "weight_cost": 10 * (n + 1),
                "rules": ["^\\+1(\\d{10})$"], "gateways": [gateway]}),
        );
    }
    estate
}

/// Both voices are in the recording: who called is on the left.
fn recorded(receiver: &Receiver, left: u16, right: u16) {
    let file = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, left), (1, right)] {
        let (from, to) = file.only_tone(channel, f32::from(hz));
        assert!(to - from > 0.8, "{hz} Hz from {from} to {to}");
    }
}

#[test]
fn a_call_out_goes_over_the_next_trunk_when_the_first_cannot_take_it() {
    let receiver = Receiver::start();
    let ports = [free_port(), free_port()];
    let node = Node::start(&estate(&receiver, &ports));
    let refuses = callee_refuses(503, "Service Unavailable");
    let first = Sipp::new("carrier", node.sip()).at(ports[0]);
    let refusing = first.run("trunk", &refuses);
    let takes = Callee::rings(0).answers().waits(1500).hangs_up();
    let second = Phone::carrier(&node, ports[1], &takes.scenario());
    let alice = Phone::dials(CALLER, &node, NUMBER);
    second.says(Speech::tone(f32::from(OUTSIDER), 5.0));
    alice.says(Speech::tone(f32::from(ALICE), 5.0));
    alice.hears(OUTSIDER);
    second.hears(ALICE);
    second.received("INVITE sip:004155550123@");
    refusing.completed();
    second.ends();
    alice.ends();
    recorded(&receiver, ALICE, OUTSIDER);
}

#[test]
fn a_carriers_call_rings_whose_number_it_is_for_and_nobody_elses() {
    let receiver = Receiver::start();
    let port = free_port();
    let node = Node::start(&estate(&receiver, &[port]));
    let bob = Phone::answers_for(CALLEE, &node, 1500);
    let number = OWN.trim_start_matches('+');
    let hands_on = Caller::hands_on(number).answered(number).awaits_bye();
    let outsider = Phone::carrier(&node, port, &hands_on.scenario());
    outsider.says(Speech::tone(f32::from(OUTSIDER), 5.0));
    bob.says(Speech::tone(f32::from(ALICE), 5.0));
    outsider.hears(ALICE);
    bob.ends();
    outsider.ends();
    recorded(&receiver, OUTSIDER, ALICE);
    // Numbers of nobody, and strangers.
    let nobody = Caller::hands_on("14155550199").refused("14155550199", 404);
    Phone::carrier(&node, port, &nobody.scenario()).ends();
    let stranger = Caller::hands_on(number).refused(number, 407);
    Phone::carrier(&node, free_port(), &stranger.scenario()).ends();
}
