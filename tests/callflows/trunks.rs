//! Calls to and from the public network: a carrier that fails makes room for the next, and a number knows its account.

use serde_json::{Value, json};

use super::action;
use crate::support::{
    audio::listen,
    callee::Callee,
    couch::Server,
    estate::{ACCOUNT, CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, PASSWORD},
    free_port,
    node::Node,
    phone::{InCall, Phone},
    receiver::Receiver,
    sipp::{Caller, Sipp, callee_refuses, registrar},
    voice::Speech,
};

/// Somebody's number on the public network, and the account's own.
const OUTSIDE: &str = "+14155550123";
const OWN: &str = "+14155550100";
/// The voices of the phone, and of who is outside.
const ALICE: u16 = 1100;
const OUTSIDER: u16 = 850;

/// Recordings go to a receiver on this machine.
const LOOPBACK: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n";

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

/// Both voices are in the recording that comes after so many: who called is on the left.
fn recorded(receiver: &Receiver, before: usize, left: u16, right: u16) {
    let files = receiver.accepted_all(before + 1);
    let file = listen(&files[before].body);
    for (channel, hz) in [(0, left), (1, right)] {
        let (from, to) = file.only_tone(channel, f32::from(hz));
        assert!(to - from > 0.8, "{hz} Hz from {from} to {to}");
    }
}

/// Alice calls outside. The first carrier refuses, the second takes the call.
fn calls_out(node: &Node, receiver: &Receiver, [first, second]: [u16; 2]) {
    let refuses = callee_refuses(503, "Service Unavailable");
    let first = Sipp::new("carrier", node.sip()).at(first);
    let refusing = first.run("trunk", &refuses);
    let second = taking(node, second);
    goes_out(node, receiver, second);
    refusing.completed();
}

/// A carrier that takes a call.
fn taking(node: &Node, port: u16) -> InCall {
    let takes = Callee::rings(0).answers().waits(1500).hangs_up();
    Phone::carrier(node, port, &takes.scenario())
}

/// Alice's call comes to this carrier.
fn goes_out(node: &Node, receiver: &Receiver, carrier: InCall) {
    let before = receiver.arrivals().len();
    let alice = Phone::dials(CALLER, node, NUMBER);
    carrier.says(Speech::tone(f32::from(OUTSIDER), 5.0));
    alice.says(Speech::tone(f32::from(ALICE), 5.0));
    alice.hears(OUTSIDER);
    carrier.hears(ALICE);
    carrier.received("INVITE sip:004155550123@");
    carrier.ends();
    alice.ends();
    recorded(receiver, before, ALICE, OUTSIDER);
}

/// A carrier at this port hands on a call to the account's number, at this user of the node's, and Bob takes it.
fn comes_in(node: &Node, receiver: &Receiver, port: u16, user: &str) {
    let before = receiver.arrivals().len();
    let bob = Phone::answers_for(CALLEE, node, 1500);
    let number = OWN.trim_start_matches('+');
    let hands_on = Caller::hands_on(number).answered(number).awaits_bye();
    let [dialled, asked] = [number, user].map(|user| format!("INVITE sip:{user}@"));
    let scenario = hands_on.scenario().replacen(&dialled, &asked, 1);
    let outsider = Phone::carrier(node, port, &scenario);
    outsider.says(Speech::tone(f32::from(OUTSIDER), 5.0));
    bob.says(Speech::tone(f32::from(ALICE), 5.0));
    outsider.hears(ALICE);
    bob.ends();
    outsider.ends();
    recorded(receiver, before, OUTSIDER, ALICE);
}

#[test]
fn a_call_out_goes_over_the_next_trunk_when_the_first_cannot_take_it() {
    let receiver = Receiver::start();
    let ports = [free_port(), free_port()];
    let node = Node::start(&estate(&receiver, &ports));
    calls_out(&node, &receiver, ports);
}

#[test]
fn a_carriers_call_rings_whose_number_it_is_for_and_nobody_elses() {
    let receiver = Receiver::start();
    let port = free_port();
    let node = Node::start(&estate(&receiver, &[port]));
    let number = OWN.trim_start_matches('+');
    comes_in(&node, &receiver, port, number);
    // Numbers of nobody, and strangers.
    let nobody = Caller::hands_on("14155550199").refused("14155550199", 404);
    Phone::carrier(&node, port, &nobody.scenario()).ends();
    let stranger = Caller::hands_on(number).refused(number, 407);
    Phone::carrier(&node, free_port(), &stranger.scenario()).ends();
}

#[test]
fn trunks_and_numbers_are_read_from_a_couchdb() {
    let couch = Server::start();
    let receiver = Receiver::start();
    let ports = [free_port(), free_port()];
    let settings = format!("{LOOPBACK}[store]\nurl = \"{}\"\n", couch.url());
    let node = Node::with_settings(&estate(&receiver, &ports), &settings);
    calls_out(&node, &receiver, ports);
    comes_in(&node, &receiver, ports[1], OWN.trim_start_matches('+'));
}

#[test]
fn a_carrier_that_we_register_at_calls_where_it_knows_us_and_takes_calls() {
    let receiver = Receiver::start();
    let port = free_port();
    let estate = estate(&receiver, &[port]);
    let gateway = json!({"server": "127.0.0.1", "port": port, "prefix": "00", "register": true,
        "username": "acme", "password": PASSWORD, "expiry": 3600});
    let resource = json!({"name": "carrier", "weight_cost": 10, "rules": ["^\\+1(\\d{10})$"], "gateways": [gateway]});
    estate.write_for_all("offnet/resources/carrier-0.json", &resource);
    let mut node = Node::asleep(&estate, LOOPBACK);
    let carrier = Sipp::new("carrier", node.sip()).at(port);
    let registering = carrier.run("registrar", &registrar("acme", PASSWORD));
    node.launch();
    let contact = registering.received_header("Contact");
    registering.completed();
    let user = contact
        .strip_prefix("<sip:")
        .and_then(|uri| uri.split_once('@'));
    let (user, _) = user.expect("a Contact with a user");
    goes_out(&node, &receiver, taking(&node, port));
    // Whoever knows the Contact has it from the carrier, wherever the call comes from.
    comes_in(&node, &receiver, free_port(), user);
}
