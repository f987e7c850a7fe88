//! Whatever the flow and whatever comes in: the cursor never panics, never spins, and always ends.

use std::time::{Duration, Instant};

use callreel_callflow::explain::{self, World};
use callreel_callflow::metaflow::{MetaflowRules, Metaflows, Party};
use callreel_callflow::{
    Answer, CallInfo, Captures, Cursor, Dialled, Effect, EndpointRules, Flow, Input, Network,
    Output, Query, Settings, Slot, Standing, lint,
};
use callreel_proto::{CallId, EndReason, EventName, Vmbox};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{call, devices, event, phone};

/// No input may lead to more effects: one action has at most a handful, and a flow here has at most some hundred actions.
const MOST_EFFECTS: usize = 5000;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(
            &[
                "start",
                "stop",
                "mask",
                "check",
                "branch",
                "separate",
                "a word",
                "mp3",
                "http://h/r",
                "ftp://h",
                "true",
                "5",
                "",
                "single",
                "h",
                "ü"
            ][..]
        )
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A module's data: keys it knows, with values that fit and values that do not.
fn data(module: String) -> impl Strategy<Value = Value> {
    let keys: Vec<String> = lint::schema(&module)
        .map(|schema| {
            schema["properties"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        })
        .unwrap_or_else(|| vec!["id".to_owned()]);
    prop::collection::vec((prop::sample::select(keys), value()), 0..6)
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

fn action(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    let names: Vec<String> = lint::modules()
        .map(str::to_owned)
        .chain(["warp".to_owned()])
        .collect();
    let module = prop::sample::select(names);
    let keys = prop::sample::select(
        &[
            "_",
            "_",
            "_",
            "NO_ANSWER",
            "sip:486",
            "record_failed",
            "module",
            "1",
        ][..],
    );
    let children = prop::collection::vec((keys.prop_map(str::to_owned), inner.clone()), 0..4)
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()));
    let children = prop_oneof![4 => children, 1 => inner, 1 => value()];
    (module.prop_flat_map(|name| (Just(name.clone()), data(name))), children)
        .prop_map(|((module, data), children)| json!({"module": module, "data": data, "children": children}))
}

fn flow() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!({})), action(Just(json!({})))];
    leaf.prop_recursive(5, 40, 3, action)
        .prop_map(|root| json!({"flow": root}))
}

fn input() -> impl Strategy<Value = Input> {
    let name = prop::sample::select(
        &[
            EventName::ChannelAnswer,
            EventName::ChannelBridge,
            EventName::ChannelUnbridge,
            EventName::ChannelExecuteComplete,
            EventName::ChannelExecuteComplete,
            EventName::ChannelExecuteComplete,
            EventName::Dtmf,
            EventName::DialplanError,
            EventName::RecordStop,
            EventName::Unknown,
        ][..],
    );
    let application = prop::sample::select(&["answer", "noop", "bridge", "play"][..]);
    let response = prop::sample::select(
        &[
            "m-1",
            "m-2",
            "m-3",
            "SUCCESS",
            "NO_ANSWER",
            "USER_BUSY",
            "NONE",
        ][..],
    );
    let key = prop::sample::select(&["1", "2", "3", "5", "5", "#"][..]);
    let happened =
        (name, application, response, key).prop_map(|(name, application, response, key)| {
            Input::Event {
                name,
                event: event(&call().call_id, |event| {
                    event.application_name = Some(application.to_owned());
                    event.application_response = Some(response.to_owned());
                    event.dtmf_digit = Some(key.to_owned());
                    event.other_leg_call_id = Some(CallId::new("m-b1"));
                    event.request = crate::support::refused(
                        json!({"Application-Name": application, "Msg-ID": response}),
                    );
                }),
            }
        });
    let reason = prop::sample::select(
        &[
            EndReason::Stopped,
            EndReason::Hangup,
            EndReason::TooShort,
            EndReason::Silence,
        ][..],
    );
    let data = prop_oneof![
        flow().prop_map(|flow| flow.to_string()),
        value().prop_map(|value| value.to_string()),
        ".{0,8}",
    ];
    let brought = data.prop_map(|data| Input::Event {
        name: EventName::ChannelPivot,
        event: event(&call().call_id, |event| event.application_data = Some(data)),
    });
    prop_oneof![
        5 => happened,
        1 => brought,
        3 => answer().prop_map(Input::Found),
        2 => (0..5_u32, reason, 0..2000_u64).prop_map(|(slot, reason, length_ms)| Input::RecordingEnded {
            slot: Slot(slot), reason, length_ms
        }),
        1 => (0..5_u32).prop_map(|slot| Input::RecordingRefused { slot: Slot(slot), reason: "no".to_owned() }),
        2 => (0..5_u32).prop_map(|slot| Input::RecordingStarted { slot: Slot(slot) }),
        1 => Just(Input::Started),
        2 => Just(Input::Tick),
    ]
}

/// Settings of an account and a caller, right or wrong.
fn standing() -> impl Strategy<Value = Standing> {
    let whole = data("record_call".to_owned()).prop_map(|mut settings| {
        settings["enabled"] = json!(true);
        json!({"any": {"any": settings}})
    });
    let tree = prop_oneof![whole, value()];
    (tree.clone(), tree.clone(), tree, any::<bool>()).prop_map(|(ours, everyones, own, outside)| {
        Standing {
            from: if outside {
                Network::Offnet
            } else {
                Network::Onnet
            },
            account: json!({"account": ours, "endpoint": everyones}),
            caller: Some(EndpointRules {
                id: "d".to_owned(),
                user: own,
                device: Value::Null,
            }),
            ..Standing::default()
        }
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        flow().prop_map(Answer::Flow),
        value().prop_map(Answer::Flow),
        Just(Answer::Failed("it answered 503".to_owned())),
        Just(devices(&[phone("desk")])),
        value().prop_map(|doc| devices(&[doc])),
        value().prop_map(|doc| Answer::Vmbox(Vmbox::read(&doc))),
        any::<u64>().prop_map(Answer::Count),
        document().prop_map(Answer::Document),
        prop::collection::vec(document(), 0..3).prop_map(Answer::Documents),
        (flow(), any::<bool>()).prop_map(|(flow, fallback)| dialled(flow, fallback)),
        Just(noon()),
        Just(Answer::Missing),
    ]
}

/// A document of the account: fields that modules read, with values that fit and values that do not.
fn document() -> impl Strategy<Value = Value> {
    let fields = prop::sample::select(
        &[
            "retries",
            "timeout",
            "max_extension_length",
            "hunt",
            "hunt_allow",
            "media",
            "enabled",
            "cycle",
            "interval",
            "wdays",
            "days",
            "start_date",
            "temporal_rules",
            "min_dtmf",
            "confirm_match",
            "users",
            "directories",
            "first_name",
            "call_forward",
            "flow",
        ][..],
    );
    let cycle = prop::sample::select(&["date", "daily", "weekly", "monthly", "yearly"][..]);
    let id = prop::sample::select(&["h", "a word", "start"][..]);
    let fields = prop::collection::vec((fields.prop_map(str::to_owned), value()), 0..6);
    (id, cycle, fields).prop_map(|(id, cycle, fields)| {
        let mut document = json!({
            "_id": id, "pvt_type": "user", "cycle": cycle, "hunt": true, "first_name": "Jjj", "directories": {id: id}
        });
        let document_fields = document.as_object_mut().unwrap();
        document_fields.extend(fields);
        document
    })
}

fn dialled(document: Value, fallback: bool) -> Answer {
    let captures = Captures::default();
    Answer::Dialled(Box::new(Dialled {
        document,
        captures,
        fallback,
    }))
}

fn noon() -> Answer {
    let noon = jiff::civil::date(2024, 3, 1).at(12, 0, 0, 0);
    Answer::LocalTime(noon.to_zoned(jiff::tz::TimeZone::UTC).unwrap())
}

/// Everything the cursor has to say now.
fn drain(cursor: &mut Cursor) -> (Vec<Effect>, Output) {
    let mut effects = Vec::new();
    loop {
        match cursor.poll_output() {
            Output::Effect(effect) => effects.push(effect),
            other => return (effects, other),
        }
        assert!(effects.len() < MOST_EFFECTS, "it never stops talking");
    }
}

fn start(document: &Value, max_branches: u32, standing: Standing) -> Option<(Cursor, Instant)> {
    let flow = Flow::parse(document, false).ok()?;
    let settings = Settings {
        max_branches,
        ..Settings::default()
    };
    let origin = Instant::now();
    let call = CallInfo { standing, ..call() };
    let mut cursor = Cursor::new(flow, call, settings);
    cursor.handle_input(origin, Input::Started);
    Some((cursor, origin))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_that_comes_in_makes_it_panic_or_spin(document in flow(), standing in standing(), inputs in prop::collection::vec((input(), 0..30_000_u64), 0..40)) {
        let Some((mut cursor, mut now)) = start(&document, 50, standing) else { return Ok(()) };
        for (input, later_ms) in inputs {
            let (_, output) = drain(&mut cursor);
            now += Duration::from_millis(later_ms);
            cursor.handle_input(now, input);
            if output == Output::Finished {
                prop_assert_eq!(drain(&mut cursor), (vec![], Output::Finished));
            }
            if let (_, Output::Wait(Some(due))) = drain(&mut cursor) {
                prop_assert!(due > now, "a deadline that has passed would make the call spin");
            }
        }
        let gone = Input::Event { name: EventName::ChannelDestroy, event: event(&call().call_id, |_| {}) };
        cursor.handle_input(now, gone);
        prop_assert_eq!(drain(&mut cursor).1, Output::Finished);
        prop_assert_eq!(cursor.position(), None);
    }

    #[test]
    fn it_asks_one_thing_at_a_time_and_a_helpful_world_brings_every_flow_to_its_end(document in flow(), branch in flow()) {
        let Some((mut cursor, mut now)) = start(&document, 3, Standing::default()) else { return Ok(()) };
        // Each action needs at most five inputs here, and a call at most four flows of at most some fifty actions.
        for _ in 0..2000 {
            let (effects, output) = drain(&mut cursor);
            let lookups = effects.iter().filter(|effect| matches!(effect, Effect::Lookup(_))).count();
            prop_assert!(lookups <= 1);
            let due = match output {
                Output::Finished => return Ok(()),
                Output::Wait(due) => due,
                Output::Effect(_) => unreachable!("drained"),
            };
            let reply = effects.into_iter().rev().find_map(|effect| reply(effect, &branch));
            let next = reply.unwrap_or_else(|| match due {
                Some(due) => { now = due; Input::Tick }
                None => Input::Event { name: EventName::ChannelDestroy, event: event(&call().call_id, |_| {}) },
            });
            cursor.handle_input(now, next);
        }
        prop_assert!(false, "the flow did not end");
    }

    #[test]
    fn whatever_keys_are_pressed_a_code_is_dialled_once_and_every_deadline_is_met(
        document in value(), keys in prop::collection::vec((any::<bool>(), "[0-9*#x]", 0..2000_u64), 0..60)
    ) {
        let code = json!({"module": "record_call", "data": {"action": "toggle"}});
        let usual = json!({"listen_on": "both", "numbers": {"1": code, "12": code}, "patterns": {"^3": code}});
        let mut metaflows = Metaflows::default();
        let both = MetaflowRules { account: usual, device: document, user: Value::Null };
        metaflows.joined(Party::Caller, &both);
        metaflows.joined(Party::Callee, &both);
        let (mut now, mut pressed, mut dialled) = (Instant::now(), 0, 0);
        for (caller, key, later_ms) in keys {
            now += Duration::from_millis(later_ms);
            while metaflows.tick(now).is_some() {
                dialled += 1;
            }
            prop_assert!(metaflows.deadline().is_none_or(|due| due > now));
            let party = if caller { Party::Caller } else { Party::Callee };
            let key = key.chars().next().unwrap();
            pressed += usize::from(key == '*');
            dialled += usize::from(metaflows.pressed(party, key, now).is_some());
        }
        while metaflows.tick(now + Duration::from_secs(60)).is_some() {
            dialled += 1;
        }
        prop_assert_eq!(metaflows.deadline(), None);
        prop_assert!(dialled <= pressed, "{} codes of {} binding keys", dialled, pressed);
    }

    #[test]
    fn every_flow_that_can_be_read_can_be_explained_and_linted(document in flow(), strict: bool) {
        lint::check(&document, strict);
        if let Ok(flow) = Flow::parse(&document, strict) {
            for world in [World::Answered, World::NotAnswered, World::Busy] {
                let text = explain::walk(&flow, &Settings::default(), world, Instant::now());
                prop_assert!(text.ends_with("finished\n"), "{}", text);
            }
        }
    }

    #[test]
    fn our_checker_and_a_full_validator_agree(module in prop::sample::select(lint::modules().collect::<Vec<_>>()), strict: bool, seed in any::<prop::sample::Index>(), values in prop::collection::vec(value(), 4)) {
        let schema = lint::schema(module).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let mut data = serde_json::Map::new();
        for (nth, value) in values.into_iter().enumerate() {
            let at = (seed.index(properties.len()) + nth * 3) % properties.len();
            let (key, _) = properties.iter().nth(at).unwrap();
            if !value.is_null() {
                data.insert(key.clone(), value);
            }
        }
        let data = Value::Object(data);
        let document = json!({"module": module, "data": data, "children": {"_": {"module": "noop", "data": {}}}});
        let ours = lint::check(&document, true)
            .into_iter()
            .filter(|p| p.pointer.starts_with("/data") && !p.message.starts_with("the \"") && !p.message.contains("left out"))
            .any(|p| p.severity == callreel_callflow::Severity::Error);
        let theirs = !jsonschema::is_valid(&schema, &data);
        prop_assert_eq!(ours, theirs, "{}: {}\n{:?}", module, data, lint::check(&document, true));
    }
}

fn reply(effect: Effect, branch: &Value) -> Option<Input> {
    let done = |application: &str, response: Option<String>| Input::Event {
        name: EventName::ChannelExecuteComplete,
        event: event(&call().call_id, |event| {
            event.application_name = Some(application.to_owned());
            event.application_response = response;
        }),
    };
    match effect {
        Effect::Command {
            application,
            msg_id,
            ..
        } => match application.name() {
            "answer" => Some(done("answer", None)),
            "noop" => Some(done("noop", msg_id)),
            "bridge" => Some(done("bridge", Some("NO_ANSWER".to_owned()))),
            _ => None,
        },
        Effect::Lookup(Query::Callflow { .. } | Query::Pivot(_)) => {
            Some(Input::Found(Answer::Flow(branch.clone())))
        }
        Effect::Lookup(Query::Endpoints { .. }) => Some(Input::Found(devices(&[phone("desk")]))),
        Effect::Lookup(Query::Vmbox { id }) => Some(Input::Found(Answer::Vmbox(Vmbox::read(
            &json!({"_id": id}),
        )))),
        Effect::Lookup(Query::MessageCount { .. }) => Some(Input::Found(Answer::Count(0))),
        Effect::Lookup(Query::Document { id } | Query::Change { id, .. }) => {
            Some(Input::Found(Answer::Document(found(&id))))
        }
        Effect::Lookup(Query::Documents { ids }) => {
            let documents = ids.iter().map(|id| found(id)).collect();
            Some(Input::Found(Answer::Documents(documents)))
        }
        Effect::Lookup(Query::DocumentsOf { .. }) => {
            Some(Input::Found(Answer::Documents(vec![found("u")])))
        }
        Effect::Lookup(Query::Dialled { .. }) => Some(Input::Found(dialled(branch.clone(), false))),
        Effect::Lookup(Query::LocalTime { .. }) => Some(Input::Found(noon())),
        Effect::StartRecording(order) => Some(Input::RecordingStarted { slot: order.slot }),
        Effect::RecordMessage(order) => Some(Input::RecordingEnded {
            slot: order.slot,
            reason: EndReason::Silence,
            length_ms: 900,
        }),
        _ => None,
    }
}

/// A document that is whatever a module takes it for.
fn found(id: &str) -> Value {
    json!({
        "_id": id, "pvt_type": "user", "hunt": true, "cycle": "daily", "first_name": "Al",
        "directories": {"h": "c", "a word": "c", "start": "c"}, "endpoints": {}
    })
}
