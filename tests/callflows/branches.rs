//! Where a flow goes on by who calls and by what it knows, and whom it tells on its way.

use serde_json::{Value, json};

use super::{action, caller};
use crate::support::{
    estate::{ACCOUNT, CALLEE, CALLEE_USER, CALLER, Estate, NUMBER, REALM, THIRD_USER},
    eventually,
    node::Node,
    phone::Phone,
    receiver::Receiver,
    sipp::{Caller, Sipp},
};

/// The callflow that runs before all others.
const FIRST: &str = "3000";
/// A directory, and the callflows of who is in it: what each plays, and what is played after.
const DIRECTORY: &str = "90000000000000000000000000000003";
const BOB: u16 = 500;
const CAROL: u16 = 700;
const AFTER: u16 = 850;

fn response(code: u16) -> Value {
    action("response", json!({"code": code}), None)
}

fn step(module: &str, data: &Value, children: &Value) -> Value {
    json!({"module": module, "data": data, "children": children})
}

fn play(hz: u16) -> Value {
    action("play", json!({"id": format!("e{hz:0>31}")}), None)
}

/// This user's call is refused with this code.
fn is_refused(node: &Node, user: &'static str, code: u16) {
    let phone = Sipp::new(user, node.sip());
    let scenario = Caller::of(user, NUMBER).refused(NUMBER, code).scenario();
    phone.run("call", &scenario).completed();
}

#[test]
fn the_accounts_first_flow_sets_what_the_next_branches_by_and_callers_part_by_their_numbers() {
    let callers = json!({"match": response(486), "nomatch": response(603)});
    let by_caller = step("check_cid", &json!({"regex": "^al"}), &callers);
    let departments = json!({"sales": by_caller, "_": response(480)});
    let branch = step(
        "branch_variable",
        &json!({"variable": "department"}),
        &departments,
    );
    let estate = Estate::with_flow(&branch);
    let vars = json!({"custom_application_vars": {"department": "sales"}});
    estate.flow(FIRST, &action("set_variables", vars, None));
    is_refused(&Node::start(&estate), CALLER, 480);
    let first = format!("f{FIRST:0>31}");
    estate.write(
        "account.json",
        &json!({"id": ACCOUNT, "name": "Acme", "realm": REALM, "preflow": {"always": first}}),
    );
    let node = Node::start(&estate);
    is_refused(&node, CALLER, 486);
    is_refused(&node, CALLEE, 603);
}

#[test]
fn who_spells_a_name_is_offered_all_who_have_it_and_gets_the_one_chosen() {
    let find = action("directory", json!({"id": DIRECTORY}), Some(play(AFTER)));
    let estate = Estate::with_flow(&find);
    estate.write(
        "directories/all.json",
        &json!({"id": DIRECTORY, "name": "all", "sort_by": "first_name"}),
    );
    for (name, user, number, hz) in [
        ("bob", CALLEE_USER, "3001", BOB),
        ("carol", THIRD_USER, "3002", CAROL),
    ] {
        estate.flow(number, &play(hz));
        let directories = json!({DIRECTORY: format!("f{number:0>31}")});
        estate.user(name, user, &json!({"directories": directories}));
        estate.tone(hz);
    }
    estate.tone(AFTER);
    let node = Node::start(&estate);
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears_words();
    // "Test" on the keypad: both have that name, and the second is chosen.
    alice.presses("8378#");
    alice.hears_words();
    alice.presses("2");
    alice.hears_words();
    alice.presses("1");
    alice.hears(CAROL);
    alice.hears(AFTER);
    let heard = alice.ends().voice.heard();
    assert!(heard.tone(0, f32::from(BOB)).is_empty());
}

#[test]
fn a_web_server_is_told_of_the_call_again_if_it_fails() {
    let crm = Receiver::answering(&[503]);
    let tells = json!({"uri": crm.url("/calls"), "custom_data": {"queue": "sales"}});
    let flow = action("webhook", tells, Some(response(486)));
    let node = Node::start(&Estate::with_flow(&flow));
    let scenario = Caller::dials(NUMBER).refused(NUMBER, 486).scenario();
    caller(&node).run("call", &scenario).completed();
    let arrivals = eventually("two requests", || {
        let arrivals = crm.arrivals();
        (arrivals.len() == 2).then_some(arrivals)
    });
    assert_eq!(arrivals[0].body, arrivals[1].body);
    let told = &arrivals[1];
    assert_eq!(
        (told.method.as_str(), told.path.as_str()),
        ("POST", "/calls")
    );
    assert_eq!(told.headers["x-account-id"], ACCOUNT);
    let form = String::from_utf8_lossy(&told.body);
    for field in [
        "hook_event=callflow",
        "queue=sales",
        "from_user=alice",
        "request_user=2000",
    ] {
        assert!(form.split('&').any(|f| f == field), "{field}: {form}");
    }
}

#[test]
fn keys_are_pressed_towards_the_caller() {
    let sends = action(
        "send_dtmf",
        json!({"digits": "42#"}),
        Some(action("sleep", json!({"duration": 2}), None)),
    );
    let node = Node::start(&Estate::with_flow(&action(
        "answer",
        json!({}),
        Some(sends),
    )));
    let alice = Phone::dials(CALLER, &node, NUMBER).ends();
    assert_eq!(alice.voice.keys(), "42#");
}
