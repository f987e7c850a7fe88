//! Phones register with the password of their device document, and only with it.

use serde_json::json;

use crate::support::{
    baresip::{Baresip, Habits},
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
    node::Node,
    sipp::Sipp,
};

fn ring_callee() -> serde_json::Value {
    json!({"module": "user", "data": {"id": CALLEE_USER, "timeout": 5}, "children": {}})
}

#[test]
fn a_wrong_password_is_refused() {
    let node = Node::start(&Estate::with_flow(&ring_callee()));
    Sipp::new(CALLER, node.sip()).register_in_vain();
}

#[test]
fn a_right_password_is_accepted_over_udp_and_tcp() {
    let node = Node::start(&Estate::with_flow(&ring_callee()));
    Sipp::new(CALLER, node.sip()).register();
    Sipp::new(CALLER, node.sip()).over_tcp().register();
}

#[test]
fn a_device_nobody_knows_is_refused() {
    let node = Node::start(&Estate::with_flow(&ring_callee()));
    Sipp::new("mallory", node.sip()).register_in_vain();
}

#[test]
fn two_phones_of_others_talk_to_each_other() {
    for transport in ["udp", "tcp"] {
        let node = Node::start(&Estate::with_flow(&ring_callee()));
        let habits = |answers| Habits {
            answers,
            transport,
            ..Habits::default()
        };
        let mut callee = Baresip::start(CALLEE, node.sip(), &habits(true));
        let mut caller = Baresip::start(CALLER, node.sip(), &habits(false));
        caller.dial(NUMBER);
        caller.awaits("CALL_ESTABLISHED");
        callee.awaits("CALL_ESTABLISHED");
        std::thread::park_timeout(std::time::Duration::from_secs(1));
        caller.hang_up();
        callee.awaits("CALL_CLOSED");
        for phone in [&caller, &callee] {
            let heard = phone.heard();
            assert!(
                heard.tone(0, 440.0).iter().any(|s| s.1 - s.0 > 0.5),
                "{transport}: one phone heard nothing"
            );
        }
    }
}
