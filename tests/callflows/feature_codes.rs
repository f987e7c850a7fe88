//! Numbers that change what a user's phone does: what they switch is obeyed by the next call.

use serde_json::json;

use super::{action, caller};
use crate::support::{
    estate::{CALLEE, CALLEE_USER, Estate, NUMBER},
    node::Node,
    phone::Phone,
    sipp::Caller,
};

/// The feature codes under test, dialled by whoever they switch.
const ON: &str = "*78";
const OFF: &str = "*79";

#[test]
fn who_must_not_be_disturbed_is_not_rung_until_that_is_switched_off() {
    let ring = json!({"id": CALLEE_USER, "timeout": 10});
    let refuse = action("response", json!({"code": 480}), None);
    let estate = Estate::with_flow(&action("user", ring, Some(refuse)));
    for (code, does) in [(ON, "activate"), (OFF, "deactivate")] {
        estate.flow(
            code,
            &action("do_not_disturb", json!({"action": does}), None),
        );
    }
    let node = Node::start(&estate);
    Phone::dials(CALLEE, &node, ON).ends();
    // Bob's phone would answer.
    let callee = Phone::answers(CALLEE, &node);
    let scenario = Caller::dials(NUMBER).refused(NUMBER, 480).scenario();
    caller(&node).run("call", &scenario).completed();
    Phone::dials(CALLEE, &node, OFF).ends();
    let talks = Caller::dials(NUMBER).answered(NUMBER).hangs_up(NUMBER);
    caller(&node).run("call", &talks.scenario()).completed();
    callee.ends();
}
