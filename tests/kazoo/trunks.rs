//! Calls to the public network on a Kazoo: its stepswitch is asked, and the flow goes on by what it and the switch say.

use serde_json::json;

use super::{action, beside};
use crate::support::{
    ecallmgr::{Call, Tree},
    estate::{ACCOUNT, Estate, NUMBER},
};

/// A number of the public network, as it is dialled.
const PSTN: &str = "0812345678";

/// The flow has stepswitch call that number; who is not reached hears something.
fn estate() -> Estate {
    let busy = action("play", json!({"id": "/system_media/busy"}), None);
    let data = json!({"to_did": PSTN, "outbound_flags": ["intl"], "timeout": 25});
    let flow = json!({"module": "resources", "data": data, "children": {
        "USER_BUSY": busy, "sip:404": action("response", json!({"code": 604}), None),
    }});
    Estate::with_flow(&flow)
}

fn a_call_ends_as_stepswitch_says(tree: Tree) {
    let (kazoo, _guest) = beside(tree, &estate());
    // Answered, and over.
    let call = kazoo.call(NUMBER);
    let asked = call.asks_stepswitch();
    assert_eq!(
        (&asked["To-DID"], &asked["Timeout"]),
        (&json!(PSTN), &json!(25))
    );
    assert_eq!(asked["Hunt-Account-ID"], ACCOUNT);
    assert_eq!(asked["Flags"], json!(["intl"]));
    call.stepswitch_bridges();
    call.runs("bridge");
    call.callee_answers();
    kazoo.passes_ms(1_000);
    call.callee_goes("NORMAL_CLEARING");
    call.stepswitch_says("SUCCESS", "sip:200");
    call.runs("hangup");
    call.is_hung_up();
    // Nobody is reached: by the switch's word, and stepswitch's comes after.
    let call = kazoo.call(NUMBER);
    call.stepswitch_bridges();
    call.runs("bridge");
    call.callee_goes("USER_BUSY");
    call.runs_to("play");
    call.stepswitch_says("USER_BUSY", "sip:486");
    call.is_hung_up();
    // No trunk takes it: only stepswitch says so.
    let call = kazoo.call(NUMBER);
    call.asks_stepswitch();
    call.stepswitch_says("NO_ROUTE_DESTINATION", "sip:404");
    call.runs("respond");
    call.is_hung_up();
    let bridges = |call: &Call<'_>| {
        let names = call.commands();
        names
            .iter()
            .filter(|c| c["Application-Name"] == "bridge")
            .count()
    };
    assert_eq!(bridges(&call), 0, "a guest dials no trunk itself");
}

#[test]
fn stepswitch_of_kazoo_4_3_makes_calls_to_the_public_network() {
    a_call_ends_as_stepswitch_says(Tree::V43);
}

#[test]
fn stepswitch_of_kazoo_5_0_makes_calls_to_the_public_network() {
    a_call_ends_as_stepswitch_says(Tree::V50);
}

#[test]
fn who_hangs_up_while_stepswitch_works_is_gone() {
    let (kazoo, guest) = beside(Tree::V43, &estate());
    let call = kazoo.call(NUMBER);
    call.asks_stepswitch();
    call.caller_hangs_up();
    call.stepswitch_says("ORIGINATOR_CANCEL", "sip:487");
    // The next call is served as if nothing had been.
    let next = kazoo.call(NUMBER);
    next.asks_stepswitch();
    next.stepswitch_says("USER_BUSY", "sip:486");
    next.runs_to("play");
    next.is_hung_up();
    assert!(call.commands().is_empty(), "{:?}", call.commands());
    drop(guest);
}
