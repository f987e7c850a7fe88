//! Mid-call feature codes: which keys make a code, who is heard, and what a code wants.

use std::time::{Duration, Instant};

use callreel_callflow::metaflow::{Dialled, MetaflowRules, Metaflows, Party};
use callreel_callflow::{Asker, Meant, Want, wish};
use callreel_proto::{AccountId, CallId, Channels, OrderedBy, RecordingSource};
use serde_json::{Value, json};

use Party::{Callee, Caller};

use crate::support::media;

fn code(action: &str) -> Value {
    json!({"module": "record_call", "data": {"action": action}})
}

fn usual() -> Value {
    json!({"numbers": {"2": code("toggle"), "31": code("mask"), "32": code("unmask")}})
}

/// A call whose keys the test presses, with what they meant.
struct Keys {
    metaflows: Metaflows,
    begin: Instant,
}

impl Keys {
    fn of(party: Party, document: Value) -> Self {
        let mut metaflows = Metaflows::default();
        assert_eq!(metaflows.joined(party, &account(document)), []);
        Self {
            metaflows,
            begin: Instant::now(),
        }
    }

    fn press(&mut self, at_ms: u64, party: Party, keys: &str) -> Option<String> {
        let now = self.begin + Duration::from_millis(at_ms);
        let mut dialled = None;
        for key in keys.chars() {
            assert_eq!(dialled, None, "a code before {key} of {keys}");
            dialled = self.metaflows.pressed(party, key, now);
        }
        dialled.map(|dialled| said(&dialled))
    }

    fn tick(&mut self, at_ms: u64) -> Option<String> {
        let now = self.begin + Duration::from_millis(at_ms);
        self.metaflows.tick(now).map(|dialled| said(&dialled))
    }

    fn deadline_ms(&self) -> Option<u128> {
        let due = self.metaflows.deadline()?;
        Some(due.duration_since(self.begin).as_millis())
    }
}

fn said(dialled: &Dialled) -> String {
    let action = dialled.steps[0].data["action"].as_str().unwrap();
    format!("{:?} {} {action}", dialled.party, dialled.keys)
}

fn account(document: Value) -> MetaflowRules {
    MetaflowRules {
        account: document,
        ..MetaflowRules::default()
    }
}

#[test]
fn a_code_that_nothing_can_make_longer_counts_at_once() {
    let mut keys = Keys::of(Caller, usual());
    assert_eq!(keys.press(0, Caller, "2"), None, "there was no binding key");
    assert_eq!(
        keys.press(100, Caller, "*2").as_deref(),
        Some("Caller *2 toggle")
    );
    assert_eq!(keys.deadline_ms(), None);
    assert_eq!(
        keys.press(200, Caller, "*31").as_deref(),
        Some("Caller *31 mask")
    );
    assert_eq!(keys.press(300, Caller, "2"), None, "the code is over");
}

#[test]
fn a_code_that_might_become_longer_waits_for_the_time_between_keys() {
    let mut keys = Keys::of(
        Caller,
        json!({"numbers": {"2": code("start"), "23": code("stop")}}),
    );
    assert_eq!(keys.press(0, Caller, "*2"), None);
    assert_eq!(keys.deadline_ms(), Some(800));
    assert_eq!(keys.tick(799), None);
    assert_eq!(keys.tick(800).as_deref(), Some("Caller *2 start"));
    assert_eq!(keys.tick(800), None);
    assert_eq!(keys.press(900, Caller, "*2"), None);
    assert_eq!(
        keys.press(1600, Caller, "3").as_deref(),
        Some("Caller *23 stop")
    );
    assert_eq!(keys.press(2000, Caller, "*2"), None);
    assert_eq!(
        keys.press(2800, Caller, "3"),
        None,
        "that was too late for it"
    );
    assert_eq!(keys.tick(2800).as_deref(), Some("Caller *2 start"));
}

#[test]
fn keys_that_are_no_code_are_forgotten() {
    let mut keys = Keys::of(Caller, usual());
    assert_eq!(keys.press(0, Caller, "*9"), None);
    assert_eq!(keys.tick(800), None);
    assert_eq!(keys.deadline_ms(), None);
    assert_eq!(
        keys.press(1000, Caller, "*9*2").as_deref(),
        Some("Caller *2 toggle")
    );
    assert_eq!(keys.press(2000, Caller, "*"), None);
    for _ in 0..10_000 {
        assert_eq!(keys.press(2000, Caller, "9"), None);
    }
    assert_eq!(keys.deadline_ms(), None, "nobody dials that much");
}

#[test]
fn the_binding_key_and_the_time_between_keys_are_the_documents() {
    let document = json!({"binding_digit": "#", "digit_timeout": 3000, "numbers": {"1": code("mask"), "11": code("stop")}});
    let mut keys = Keys::of(Caller, document);
    assert_eq!(keys.press(0, Caller, "*1"), None);
    assert_eq!(keys.deadline_ms(), None);
    assert_eq!(keys.press(0, Caller, "#1"), None);
    assert_eq!(keys.tick(2999), None);
    assert_eq!(keys.tick(3000).as_deref(), Some("Caller #1 mask"));
}

#[test]
fn a_party_is_heard_as_listen_on_says() {
    let heard = |owner: Party, listen_on: Value| {
        let mut document = usual();
        document["listen_on"] = listen_on;
        let mut keys = Keys::of(owner, document);
        let of = |keys: &mut Keys, party| keys.press(0, party, "*2").is_some();
        (of(&mut keys, Caller), of(&mut keys, Callee))
    };
    assert_eq!(heard(Caller, Value::Null), (true, false));
    assert_eq!(heard(Caller, json!("self")), (true, false));
    assert_eq!(heard(Caller, json!("peer")), (false, true));
    assert_eq!(heard(Callee, json!("self")), (false, true));
    assert_eq!(heard(Callee, json!("peer")), (true, false));
    assert_eq!(heard(Callee, json!("both")), (true, true));
}

#[test]
fn a_code_that_both_parties_have_is_dialled_once() {
    let both = |document: Value| {
        let mut document = document;
        document["listen_on"] = json!("both");
        let mut keys = Keys::of(Caller, document.clone());
        assert_eq!(keys.metaflows.joined(Callee, &account(document)), []);
        keys
    };
    let mut keys = both(usual());
    assert_eq!(
        keys.press(0, Callee, "*2").as_deref(),
        Some("Callee *2 toggle")
    );
    assert_eq!((keys.deadline_ms(), keys.tick(9000)), (None, None));
    let mut keys = both(json!({"patterns": {"^2$": code("toggle")}}));
    assert_eq!(keys.press(0, Callee, "*2"), None);
    assert_eq!(keys.tick(800).as_deref(), Some("Callee *2 toggle"));
    assert_eq!((keys.deadline_ms(), keys.tick(9000)), (None, None));
}

#[test]
fn a_code_that_one_party_still_waits_for_is_dialled_once_all_the_same() {
    let mut keys = Keys::of(Caller, usual());
    let waits =
        json!({"listen_on": "peer", "digit_timeout": 5000, "patterns": {"^2$": code("stop")}});
    assert_eq!(keys.metaflows.joined(Callee, &account(waits)), []);
    assert_eq!(
        keys.press(0, Caller, "*2").as_deref(),
        Some("Caller *2 toggle")
    );
    assert_eq!((keys.deadline_ms(), keys.tick(9000)), (None, None));
}

#[test]
fn who_has_left_has_no_codes_any_more() {
    let mut keys = Keys::of(Callee, usual());
    assert_eq!(keys.press(0, Callee, "*"), None);
    keys.metaflows.left(Callee);
    assert_eq!(keys.press(1, Callee, "2"), None);
    assert_eq!(keys.press(1, Callee, "*2"), None);
    assert_eq!(keys.deadline_ms(), None);
}

#[test]
fn patterns_match_what_no_number_does() {
    let mut keys = Keys::of(
        Caller,
        json!({"numbers": {"22": code("stop")}, "patterns": {"^2": code("start")}}),
    );
    assert_eq!(keys.press(0, Caller, "*22"), None);
    assert_eq!(keys.tick(800).as_deref(), Some("Caller *22 stop"));
    assert_eq!(keys.press(1000, Caller, "*29"), None);
    assert_eq!(keys.tick(1800).as_deref(), Some("Caller *29 start"));
    assert_eq!(keys.press(2000, Caller, "*3"), None);
    assert_eq!(keys.tick(2800), None);
}

#[test]
fn a_user_goes_before_its_device_and_that_before_the_callflow_and_the_account_code_by_code() {
    let mut metaflows = Metaflows::default();
    let problems = metaflows.joined(
        Caller,
        &MetaflowRules {
            account: json!({"binding_digit": "#", "listen_on": "peer", "numbers": {"1": code("start"), "2": code("stop"), "4": code("stop"), "3": code("stop")}}),
            callflow: json!({"numbers": {"4": code("toggle"), "3": code("toggle"), "5": code("start")}}),
            device: json!({"listen_on": "self", "numbers": {"2": code("mask"), "3": code("mask")}}),
            user: json!({"binding_digit": "*", "numbers": {"3": code("unmask")}}),
        },
    );
    assert_eq!(problems, []);
    let mut keys = Keys {
        metaflows,
        begin: Instant::now(),
    };
    for (pressed, meant) in [
        ("*1", "start"),
        ("*2", "mask"),
        ("*3", "unmask"),
        ("*4", "toggle"),
        ("*5", "start"),
    ] {
        let expected = format!("Caller {pressed} {meant}");
        assert_eq!(keys.press(0, Caller, pressed), Some(expected));
    }
}

#[test]
fn what_cannot_be_used_is_told_and_does_nothing() {
    let mut metaflows = Metaflows::default();
    let problems = metaflows.joined(
        Caller,
        &MetaflowRules {
            account: json!({
                "binding_digit": "x", "digit_timeout": 1, "listen_on": "all",
                "numbers": {"1": {"module": "park"}, "2": {}, "3": {"module": "record_call", "data": 7}},
                "patterns": {"(": code("mask")}
            }),
            callflow: Value::Null,
            device: json!("none"),
            user: json!({"numbers": []}),
        },
    );
    let places: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(
        places,
        [
            "account#/metaflows/binding_digit",
            "account#/metaflows/digit_timeout",
            "account#/metaflows/listen_on",
            "account#/metaflows/numbers/1",
            "account#/metaflows/numbers/2",
            "account#/metaflows/numbers/3/data",
            "account#/metaflows/patterns/(",
            "device#/metaflows",
            "user#/metaflows/numbers",
        ]
    );
    let now = Instant::now();
    for keys in ["*1", "*2"] {
        let dialled = keys.chars().map(|key| metaflows.pressed(Caller, key, now));
        assert!(dialled.flatten().next().is_none(), "{keys}");
    }
}

fn want(data: Value, by: &OrderedBy, stores: bool) -> (Want, usize) {
    let wish = wish::read(
        data.as_object().unwrap(),
        &Asker {
            media: &media(&json!({"store_recordings": stores})),
            account_id: &AccountId::parse("0123456789abcdef0123456789abcdef").unwrap(),
            by,
            number: "2000",
        },
    );
    (wish.want, wish.warnings.len())
}

#[test]
fn a_program_and_a_code_are_read_as_a_step_is() {
    let api = OrderedBy::new(RecordingSource::Api);
    let want = |data: Value| want(data, &api, true);
    let named = || Meant::Named("a".to_owned());
    for (action, usual, meant) in [
        ("stop", Want::Stop(Meant::Usual), Want::Stop(named())),
        ("mask", Want::Mask(Meant::Usual), Want::Mask(named())),
        ("unmask", Want::Unmask(Meant::Usual), Want::Unmask(named())),
        (
            "toggle_mask",
            Want::ToggleMask(Meant::Usual),
            Want::ToggleMask(named()),
        ),
    ] {
        assert_eq!(want(json!({"action": action})), (usual, 0));
        assert_eq!(want(json!({"action": action, "name": "a"})), (meant, 0));
    }
    let id = json!({"action": "stop", "recording_id": "202403-0", "name": "a"});
    assert_eq!(want(id), (Want::Stop(Meant::Id("202403-0".to_owned())), 0));
    let (Want::Start(order), 0) = want(json!({"channels": "mono", "time_limit": "60"})) else {
        panic!("a start without an action");
    };
    assert_eq!(order.channels, Channels::Mono);
    assert_eq!(order.time_limit.as_secs(), 60);
    assert_eq!(order.by, api);
    assert_eq!(order.origin, "api : 2000");
    assert!(matches!(
        want(json!({"action": "pause"})),
        (Want::Start(_), 1)
    ));
    let late = json!({"record_on_answer": true});
    assert!(matches!(want(late), (Want::Start(_), 1)));
}

#[test]
fn a_toggle_ends_what_runs_else_begins_it() {
    let by = Dialled {
        party: Callee,
        keys: "*2".to_owned(),
        steps: Vec::new(),
    }
    .ordered_by(&CallId::new("b-leg"));
    assert_eq!(by.source, RecordingSource::FeatureCode);
    assert_eq!(by.step.as_deref(), Some("*2"));
    assert_eq!(by.who.as_deref(), Some("b-leg"));
    let toggle = |stores| want(json!({"action": "toggle"}), &by, stores).0;
    assert_eq!(toggle(true).settled(true, false), Want::Stop(Meant::Usual));
    let Want::Start(order) = toggle(true).settled(false, false) else {
        panic!("nothing runs");
    };
    assert_eq!(order.origin, "metaflow : 2000");
    assert!(matches!(
        toggle(false).settled(false, false),
        Want::Nowhere(_)
    ));
    let masks = || Want::ToggleMask(Meant::Usual);
    assert_eq!(masks().settled(true, false), Want::Mask(Meant::Usual));
    assert_eq!(masks().settled(true, true), Want::Unmask(Meant::Usual));
    assert_eq!(
        Want::Stop(Meant::Usual).settled(false, false),
        Want::Stop(Meant::Usual)
    );
}
