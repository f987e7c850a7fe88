//! Who the caller is: compared, looked up, renamed, hidden.

use callreel_callflow::{Answer, CallInfo, Captures, Dialled, Effect};
use callreel_proto::Application;
use serde_json::{Value, json};

use crate::steps::{end, set, step};
use crate::support::{Talk, devices, phone};

fn at(talk: &Talk) -> String {
    talk.position().map(|at| at.pointer).unwrap_or_default()
}

fn from(number: &str) -> impl FnOnce(&mut CallInfo) + use<> {
    let number = number.to_owned();
    |call| call.caller_id_number = Some(number)
}

fn matching(module: &str, data: Value) -> Value {
    json!({"module": module, "data": data, "children": {
        "match": end(), "nomatch": end(), "+4612": end(), "+4613": {}, "_": end()
    }})
}

/// Rings Bob's phone, and gives the bridge: name and number as the callee sees them, variables, headers of the phone's INVITE.
fn bridged(
    flow: &Value,
    change: impl FnOnce(&mut CallInfo),
) -> (Option<String>, Option<String>, Value, Value) {
    let mut talk = Talk::with(flow, |call, _| change(call));
    talk.found(0.0, devices(&[phone("desk")]));
    let effects = talk.last.take().unwrap().effects;
    let bridge = effects.into_iter().find_map(|effect| match effect {
        Effect::Command {
            application:
                Application::Bridge {
                    endpoints,
                    caller_id_name,
                    caller_id_number,
                    custom_channel_vars,
                    ..
                },
            ..
        } => Some((
            caller_id_name,
            caller_id_number,
            Value::Object(custom_channel_vars),
            Value::Object(endpoints[0].custom_sip_headers.clone()),
        )),
        _ => None,
    });
    bridge.unwrap_or_else(|| panic!("{}", talk.text()))
}

/// Name and number as the callee sees them.
fn shown(flow: &Value) -> (String, String) {
    let (name, number, ..) = bridged(flow, |_| {});
    (name.unwrap_or_default(), number.unwrap_or_default())
}

fn ring() -> Value {
    json!({"module": "user", "data": {"id": "bob"}})
}

fn seen(name: &str, number: &str) -> (String, String) {
    (name.to_owned(), number.to_owned())
}

#[test]
fn a_number_matches_or_does_not() {
    let go = |data: Value, number: &str| {
        let flow = matching("check_cid", data);
        at(&Talk::with(&flow, |call, _| from(number)(call)))
    };
    let swedish = json!({"regex": "^\\+46"});
    assert_eq!(go(swedish.clone(), "+4612"), "/children/match");
    assert_eq!(go(swedish, "+4512"), "/children/nomatch");
    assert_eq!(go(json!({}), "+4512"), "/children/match");
    let absolute = json!({"regex": "^\\+46", "use_absolute_mode": "true"});
    assert_eq!(go(absolute.clone(), "+4612"), "/children/+4612");
    assert_eq!(go(absolute.clone(), "+4613"), "/children/_", "it is empty");
    assert_eq!(go(absolute.clone(), "+4614"), "/children/_");
    assert_eq!(go(absolute, "+4512"), "/children/nomatch");
    for unreadable in ["(", "(?<=a", "(a{1000}){1000}"] {
        assert_eq!(go(json!({"regex": unreadable}), "+4612"), "/children/_");
    }
}

#[test]
fn an_empty_match_is_passed_by() {
    let flow = json!({"module": "check_cid", "data": {}, "children": {"match": {}, "_": end()}});
    assert_eq!(at(&Talk::through(&flow)), "/children/_");
    let flow = json!({"module": "check_cid", "data": {"regex": "^9"}, "children": {"nomatch": {}, "_": end()}});
    assert_eq!(at(&Talk::through(&flow)), "/children/_");
}

#[test]
fn a_matching_caller_becomes_whom_the_step_names() {
    let flow = |data: Value| json!({"module": "check_cid", "data": data, "children": {"match": ring(), "_": ring()}});
    let joe = json!({"external": {"name": "Joe", "number": "+4699"}});
    assert_eq!(
        shown(&flow(json!({"caller_id": joe, "user_id": "joe"}))),
        seen("Joe", "+4699")
    );
    assert_eq!(
        shown(&flow(json!({"caller_id": joe}))),
        seen("Alice", "1000")
    );
    let other = json!({"caller_id": joe, "user_id": "joe", "regex": "^9"});
    assert_eq!(shown(&flow(other)), seen("Alice", "1000"));
}

/// Entries of the lists `friends` and `others`.
fn entries() -> Answer {
    Answer::Documents(vec![
        json!({"list_id": "friends", "number": "+4612", "displayname": "South"}),
        json!({"list_id": "friends", "number": "461234", "displayname": "Ylva"}),
        json!({"list_id": "friends", "pattern": "9$", "name": "Niner"}),
        json!({"list_id": "friends", "pattern": "(", "name": "Broken"}),
        json!({"list_id": "friends", "prefix": "45"}),
        json!({"list_id": "others", "prefix": "44", "displayname": "Brit"}),
        json!({"number": "1"}),
        json!(7),
    ])
}

#[test]
fn a_list_has_a_number_by_its_beginning_or_by_a_pattern() {
    let go = |id: Value, number: &str| {
        let flow = matching("cidlistmatch", json!({"id": id}));
        let mut talk = Talk::with(&flow, |call, _| from(number)(call));
        talk.found(0.0, entries());
        at(&talk)
    };
    assert_eq!(go(json!("friends"), "+46129"), "/children/match");
    assert_eq!(go(json!("friends"), "4612"), "/children/match");
    assert_eq!(go(json!("friends"), "0019"), "/children/match");
    assert_eq!(go(json!("friends"), "+44"), "/children/nomatch");
    assert_eq!(go(json!("others"), "+44"), "/children/match");
    assert_eq!(go(json!("strangers"), "+46129"), "/children/nomatch");
    assert_eq!(go(json!(""), "+46129"), "/children/nomatch");
    let flow = json!({"module": "cidlistmatch", "data": {"id": "friends"}, "children": {"match": {}, "_": end()}});
    for answer in [entries(), Answer::Missing] {
        let mut talk = Talk::with(&flow, |call, _| from("4612")(call));
        talk.found(0.0, answer);
        assert_eq!(at(&talk), "/children/_");
    }
}

#[test]
fn a_caller_is_called_what_the_first_list_calls_the_longest_beginning() {
    let name = |lists: Value, number: &str| {
        let flow = step("lookupcidname", json!({"lists": lists}), end());
        let mut talk = Talk::with(&flow, |call, _| from(number)(call));
        talk.found(0.0, entries());
        let told = set(&talk);
        told.first().map_or("Alice".to_owned(), |vars| {
            vars.channel["Caller-ID-Name"].as_str().unwrap().to_owned()
        })
    };
    assert_eq!(name(json!(["friends"]), "+4612345"), "Ylva");
    assert_eq!(name(json!(["friends"]), "+4612"), "South");
    assert_eq!(name(json!(["friends"]), "+4919"), "Niner");
    assert_eq!(name(json!(["friends", "others"]), "+44"), "Brit");
    assert_eq!(name(json!(["friends"]), "+45"), "Alice", "it has no name");
    assert_eq!(name(json!(["strangers", 5]), "+4612"), "Alice");
    let talk = Talk::through(&step("lookupcidname", json!({}), end()));
    assert_eq!(at(&talk), "/children/_");
}

#[test]
fn prefixes_stand_before_each_other_and_are_taken_away() {
    let put = |name: &str, apply: &str, next: Value| {
        let data = json!({"caller_id_name_prefix": name, "caller_id_number_prefix": "9", "apply_to": apply});
        step("prepend_cid", data, next)
    };
    let reset = |next: Value| step("prepend_cid", json!({"action": "reset"}), next);
    assert_eq!(
        shown(&put("A ", "current", ring())),
        seen("A Alice", "91000")
    );
    assert_eq!(
        shown(&put("A ", "current", put("B ", "current", ring()))),
        seen("B A Alice", "991000")
    );
    assert_eq!(
        shown(&put("A ", "current", put("B ", "original", ring()))),
        seen("B Alice", "91000")
    );
    assert_eq!(
        shown(&put("A ", "nowhere", ring())),
        seen("A Alice", "91000")
    );
    assert_eq!(
        shown(&put("A ", "current", reset(ring()))),
        seen("Alice", "1000")
    );
    assert_eq!(
        shown(&step("prepend_cid", json!({"action": "dance"}), ring())),
        seen("Alice", "1000")
    );
    let long = "ü".repeat(1000);
    assert_eq!(shown(&put(&long, "current", ring())).0, "ü".repeat(256));
}

#[test]
fn another_caller_is_shown_until_the_own_one_is_again() {
    let other = |name: &str, number: &str, next: Value| {
        step(
            "set_cid",
            json!({"caller_id_name": name, "caller_id_number": number}),
            next,
        )
    };
    let before = |next: Value| step("prepend_cid", json!({"caller_id_name_prefix": "A "}), next);
    assert_eq!(shown(&other("Acme", "+46", ring())), seen("Acme", "+46"));
    assert_eq!(
        shown(&other("Acme", "+46", other("", "", ring()))),
        seen("Alice", "1000")
    );
    assert_eq!(
        shown(&other("Acme", "", before(ring()))),
        seen("Acme", "1000")
    );
    assert_eq!(
        shown(&other("", "+46", before(ring()))),
        seen("A Alice", "+46")
    );
}

#[test]
fn the_switch_is_told_of_what_has_changed_and_of_nothing_else() {
    let talk = Talk::through(&step(
        "set_cid",
        json!({"caller_id_name": "Acme", "caller_id_number": "1000"}),
        end(),
    ));
    let told: Vec<_> = set(&talk)
        .into_iter()
        .map(|vars| Value::Object(vars.channel))
        .collect();
    assert_eq!(told, [json!({"Caller-ID-Name": "Acme"})]);
    let talk = Talk::through(&step("set_cid", json!({}), end()));
    assert_eq!(set(&talk), []);
}

#[test]
fn what_is_hidden_the_callee_does_not_see_and_the_switch_is_told() {
    let hidden = |mode: Value| step("privacy", json!({"mode": mode}), ring());
    let (name, number, vars, _) = bridged(&hidden(json!("full")), |_| {});
    assert_eq!(
        (name.as_deref(), number.as_deref()),
        (Some("Anonymous"), Some("anonymous"))
    );
    assert_eq!(
        vars,
        json!({"Privacy-Hide-Name": "true", "Privacy-Hide-Number": "true"})
    );
    let (name, number, vars, _) = bridged(&hidden(json!("name")), |_| {});
    assert_eq!(
        (name.as_deref(), number.as_deref()),
        (Some("Anonymous"), Some("1000"))
    );
    assert_eq!(vars, json!({"Privacy-Hide-Name": "true"}));
    let (name, number, vars, _) = bridged(&hidden(json!("number")), |_| {});
    assert_eq!(
        (name.as_deref(), number.as_deref()),
        (Some("Alice"), Some("anonymous"))
    );
    assert_eq!(vars, json!({"Privacy-Hide-Number": "true"}));
    for full in [json!("yes"), json!("invisible"), Value::Null] {
        let (_, number, ..) = bridged(&hidden(full), |_| {});
        assert_eq!(number.as_deref(), Some("anonymous"));
    }
    assert_eq!(bridged(&ring(), |_| {}).2, json!({}));
}

fn found(fallback: bool) -> Answer {
    Answer::Dialled(Box::new(Dialled {
        document: json!({"_id": "inner", "flow": ring()}),
        captures: Captures::default(),
        fallback,
    }))
}

/// A call to `*67` and a number.
fn hidden_to(number: &str, own: bool) -> Talk {
    let flow = step("privacy", json!({}), end());
    Talk::with(&flow, |call, _| {
        call.captures.group = Some(number.to_owned());
        "*672001@acme.example".clone_into(&mut call.request);
        call.calling_device = own.then(|| "desk".to_owned());
    })
}

#[test]
fn what_was_dialled_behind_the_code_is_called_hidden() {
    let mut talk = hidden_to("2001", true);
    talk.found(0.0, found(false));
    assert_eq!(at(&talk), "inner#/flow");
    talk.found(0.0, devices(&[phone("desk-2")]));
    assert!(talk.text().contains("Anonymous"), "{}", talk.text());
    talk.bridged(9.0, "NO_ANSWER", None);
    assert_eq!(at(&talk), "/children/_", "and comes back");
}

#[test]
fn nobodys_number_stops_the_flow_and_strangers_do_not_get_out_by_the_code() {
    for (own, answer) in [(true, Answer::Missing), (false, found(true))] {
        let mut talk = hidden_to("2001", own);
        talk.found(0.0, answer);
        assert!(talk.text().contains("< hangup"), "{}", talk.text());
        assert!(!talk.text().contains("< set"), "{}", talk.text());
    }
    let mut own = hidden_to("2001", true);
    own.found(0.0, found(true));
    assert_eq!(at(&own), "inner#/flow");
    let mut broken = hidden_to("2001", true);
    let document = json!({"flow": 7});
    let captures = Captures::default();
    broken.found(
        0.0,
        Answer::Dialled(Box::new(Dialled {
            document,
            captures,
            fallback: false,
        })),
    );
    assert!(broken.text().contains("< hangup"), "{}", broken.text());
}

#[test]
fn phones_ring_as_the_flow_says() {
    let flow = step("set_alert_info", json!({"alert_info": "info=door"}), ring());
    assert_eq!(bridged(&flow, |_| {}).3, json!({"Alert-Info": "info=door"}));
}
