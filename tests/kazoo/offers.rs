//! Which calls a guest wants, what it says to that, and that it keeps silent about all others.

use serde_json::{Value, json};

use super::{Guest, action, beside, vhost};
use crate::support::{
    ecallmgr::{Call, Dial, Ecallmgr, Tree},
    estate::{ACCOUNT, CALLEE_USER, Estate, NUMBER},
    eventually,
};

/// An account of the same Kazoo that nobody gave to us.
const STRANGERS: &str = "a0000000000000000000000000000002";
/// A number anybody could reconcile with a carrier's.
const PSTN: &str = "+46812345678";

/// Who is told of missed calls.
const DESK: &str = "desk@acme.example";
const BOB: &str = "bob@acme.example";

/// A flow that ends the call at once.
fn goodbye() -> Value {
    action("hangup", json!({}), None)
}

fn of(number: &str, kind: &Value) -> Dial {
    Dial {
        vars: json!({"Authorizing-Type": kind}),
        ..Dial::to(number)
    }
}

/// Runs to its end, so that what was asked before has long been considered.
fn served(kazoo: &Ecallmgr, dial: &Dial) {
    let call = kazoo.dials(dial);
    call.is_won();
    call.runs("hangup");
    call.is_hung_up();
}

#[test]
fn only_calls_of_its_accounts_with_a_callflow_are_wanted() {
    let estate = Estate::with_flow(&goodbye());
    for number in ["no_match", PSTN] {
        estate.flow(number, &goodbye());
    }
    let (kazoo, _guest) = beside(Tree::V43, &estate);
    let another = Dial {
        account: Some(STRANGERS.to_owned()),
        ..Dial::to(NUMBER)
    };
    let nobodys = Dial {
        account: None,
        ..Dial::to(NUMBER)
    };
    // Only who is known to the account may be handed to whoever no number fits; a carrier's calls never.
    let unwanted = [
        another,
        nobodys,
        of(NUMBER, &json!("soothsayer")),
        of("7999", &json!("resource")),
        of("7999", &json!("sys_info")),
        of("7999", &Value::Null),
        of(PSTN, &json!("sys_info")),
    ];
    let unwanted: Vec<Call<'_>> = unwanted.iter().map(|dial| kazoo.dials(dial)).collect();
    unwanted.iter().for_each(Call::hush);
    for kind in [
        "device",
        "user",
        "account",
        "mobile",
        "callforward",
        "clicktocall",
        "conference",
        "resource",
    ] {
        served(&kazoo, &of(NUMBER, &json!(kind)));
    }
    served(&kazoo, &of(NUMBER, &Value::Null));
    served(&kazoo, &of(NUMBER, &json!("sys_info")));
    served(&kazoo, &of("7999", &json!("device")));
    for call in &unwanted {
        assert_eq!(call.offers(), 0, "{}", call.id);
    }
}

#[test]
fn a_call_from_a_carrier_is_wanted_once_its_account_is_known_rings_and_is_told_of_when_missed() {
    for tree in [Tree::V43, Tree::V50] {
        let recipients =
            json!([{"type": "user", "id": CALLEE_USER}, {"type": "email", "id": DESK}]);
        let alert = action(
            "missed_call_alert",
            json!({"recipients": recipients}),
            Some(goodbye()),
        );
        let estate = Estate::with_flow(&alert);
        estate.user("bob", CALLEE_USER, &json!({"email": BOB}));
        let (kazoo, _guest) = beside(tree, &estate);
        let call = kazoo.dials(&Dial {
            account: None,
            vars: json!({"Authorizing-Type": null, "Owner-ID": null}),
            ..Dial::to(NUMBER)
        });
        let found = json!({
            "Inception": "+46812345678@carrier.example", "Authorizing-Type": "resource", "Global-Resource": "true",
            "Ignore-Display-Updates": "true", "Resource-Type": "offnet-origination",
        });
        call.asks_again("stepswitch", ACCOUNT, &found);
        let offer = call.offer();
        assert_eq!(offer["Pre-Park"], "ring_ready");
        call.is_won();
        call.runs("hangup");
        call.is_hung_up();
        // Nobody took it.
        let told = eventually("people to be told", || kazoo.notices("missed_call").pop());
        assert_eq!(told["Call-ID"], call.id);
        assert_eq!(told["To"], json!([DESK, BOB]));
        assert_eq!(told["Call-Bridged"], false);
    }
}

#[test]
fn a_call_that_is_offered_twice_is_run_once() {
    for tree in [Tree::V43, Tree::V50] {
        let flow = action("play", json!({"id": "silence_stream://1"}), None);
        let (kazoo, _guest) = beside(tree, &Estate::with_flow(&flow));
        let call = kazoo.dials(&Dial::to(NUMBER));
        call.asks_again("ecallmgr", ACCOUNT, &json!({}));
        call.is_won();
        call.is_hung_up();
        call.hush();
        let plays = call
            .commands()
            .iter()
            .filter(|command| command["Application-Name"] == "play")
            .count();
        assert_eq!(plays, 1);
        let again = kazoo.call(NUMBER);
        again.is_hung_up();
    }
}

#[test]
fn a_win_that_comes_too_late_is_no_win() {
    for tree in [Tree::V43, Tree::V50] {
        let (kazoo, guest) = beside(tree, &Estate::with_flow(&goodbye()));
        kazoo.behaves(|quirks| quirks.undecided = true);
        let call = kazoo.dials(&Dial::to(NUMBER));
        call.offer();
        eventually("it has given up", || {
            guest.log().contains("call not won").then_some(())
        });
        call.hush();
        call.win();
        kazoo.behaves(|quirks| quirks.undecided = false);
        served(&kazoo, &Dial::to(NUMBER));
        assert_eq!(call.commands().len(), 0);
        assert!(call.is_alive(), "whoever controls it may still want it");
    }
}

#[test]
fn a_call_that_comes_back_by_transfer_is_a_new_one() {
    for tree in [Tree::V43, Tree::V50] {
        let busy = action("response", json!({"code": 480}), None);
        let ring = action("user", json!({"id": CALLEE_USER}), Some(busy));
        let estate = Estate::with_flow(&ring);
        let music = action(
            "play",
            json!({"id": "silence_stream://1", "answer": false}),
            None,
        );
        estate.flow("2001", &music);
        let (kazoo, _guest) = beside(tree, &estate);
        kazoo.behaves(|quirks| quirks.lasting = vec!["play"]);
        let call = kazoo.call(NUMBER);
        call.runs("bridge");
        // Its A leg is sent to another number: the same Call-ID, another fetch.
        call.comes_back("2001");
        call.is_won();
        call.runs("play");
        // The old session would go on here.
        call.bridge_is_over("NO_ANSWER");
        call.played();
        call.runs("noop");
        call.runs("hangup");
        call.is_hung_up();
        assert_eq!(call.commands().len(), 3);
    }
}

#[test]
fn a_kazoo_that_comes_after_us_finds_the_exchanges_it_expects() {
    let broker = vhost();
    let _guest = Guest::start(&broker, &Estate::with_flow(&goodbye()));
    let kazoo = Ecallmgr::join(&broker, Tree::V50);
    served(&kazoo, &Dial::to(NUMBER));
    kazoo.declares_again();
}
