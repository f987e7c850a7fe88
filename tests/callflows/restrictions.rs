//! Callers who may not call everybody: what they hear, and how their calls end.

use serde_json::json;

use super::action;
use crate::support::{
    estate::{CALLEE_USER, CALLER, CALLER_USER, Estate},
    node::Node,
    phone::{Phone, Talk},
    voice::Speech,
};

const ABROAD: &str = "004930123456";
const ALICE: u16 = 1100;
const BOB: u16 = 850;

/// Alice may not call abroad. Everything else rings Bob.
fn node() -> Node {
    let ring = action("user", json!({"id": CALLEE_USER, "timeout": 10}), None);
    let estate = Estate::with_flow(&ring);
    estate.flow("no_match", &ring);
    let deny = json!({"call_restriction": {"international": {"action": "deny"}}});
    estate.user("alice", CALLER_USER, &deny);
    Node::start(&estate)
}

#[test]
fn who_may_not_call_a_number_hears_so_and_the_call_ends() {
    let node = node();
    let alice = Phone::dials(CALLER, &node, ABROAD);
    alice.hears_words();
    alice.ends();
    // The same phone calls whom it may.
    let speech = |hz: u16| Speech::tone(f32::from(hz), 5.0);
    let talk = Talk::begins(&node, 0, 1500, [speech(ALICE), speech(BOB)]);
    let [alice, bob] = talk.ends();
    for (phone, hz) in [(alice, BOB), (bob, ALICE)] {
        let heard = phone.voice.heard().tone(0, f32::from(hz));
        assert!(!heard.is_empty(), "{hz} Hz");
    }
}
