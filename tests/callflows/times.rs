//! Rules of time: whether a call comes within them, where the account is, and what feature codes make of them.

use callreel_proto::Utc;
use serde_json::{Value, json};

use super::{action, caller};
use crate::support::{
    clock::Clock,
    estate::{CALLER, Estate, NUMBER},
    node::Node,
    phone::Phone,
    sipp::Caller,
};

const RULE: &str = "90000000000000000000000000000003";
/// Feature codes that open for good, and that leave it to the rule again.
const OPEN: &str = "*71";
const RESET: &str = "*72";
/// What the caller gets while it is open, and else.
const IS_OPEN: u16 = 486;
const IS_CLOSED: u16 = 480;
/// Monday, 15 June 2026, 07:30 in Greenwich and 09:30 in Berlin: seconds of Unix.
const MONDAY_MORNING: i64 = 1_781_508_600;
/// The day before, at the same time.
const SUNDAY_MORNING: i64 = MONDAY_MORNING - 86_400;
/// An hour earlier it is 08:30 in Berlin.
const TOO_EARLY: i64 = MONDAY_MORNING - 3_600;

fn refuse(code: u16) -> Value {
    action("response", json!({"code": code}), None)
}

/// Open on workdays from nine to five in Berlin.
fn estate() -> Estate {
    let route = |data: Value, children: Value| {
        let mut data = data;
        data["rules"] = json!([RULE]);
        data["timezone"] = json!("Europe/Berlin");
        json!({"module": "temporal_route", "data": data, "children": children})
    };
    let children = json!({RULE: refuse(IS_OPEN), "_": refuse(IS_CLOSED)});
    let estate = Estate::with_flow(&route(json!({}), children));
    for (code, does) in [(OPEN, "enable"), (RESET, "reset")] {
        estate.flow(code, &route(json!({"action": does}), json!({})));
    }
    estate.write(
        "temporal_rules/office.json",
        &json!({"id": RULE, "name": "office", "cycle": "weekly", "interval": 1,
            "wdays": ["monday", "tuesday", "wednesday", "thursday", "friday"],
            "time_window_start": 9 * 3600, "time_window_stop": 17 * 3600,
            "start_date": 62_586_115_200_i64}),
    );
    estate
}

/// Sets the node's clock to this instant of Unix, and calls.
fn calls_at(node: &Node, clock: &Clock, unix: i64, expected: u16) {
    clock.is_off_by(unix - Utc::now().unix_ms() / 1000);
    let scenario = Caller::dials(NUMBER).refused(NUMBER, expected).scenario();
    caller(node).run("call", &scenario).completed();
}

#[test]
fn a_call_is_routed_by_the_clock_of_its_account_and_by_who_overrides_it() {
    let mut node = Node::asleep(&estate(), "");
    let clock = node.with_clock();
    node.launch();
    calls_at(&node, &clock, TOO_EARLY, IS_CLOSED);
    calls_at(&node, &clock, MONDAY_MORNING, IS_OPEN);
    calls_at(&node, &clock, SUNDAY_MORNING, IS_CLOSED);
    Phone::dials(CALLER, &node, OPEN).ends();
    calls_at(&node, &clock, SUNDAY_MORNING, IS_OPEN);
    Phone::dials(CALLER, &node, RESET).ends();
    calls_at(&node, &clock, SUNDAY_MORNING, IS_CLOSED);
}
