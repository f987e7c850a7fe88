//! Whatever the flow and whatever comes in: the cursor never panics, never spins, and always ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use callreel_callflow::explain::{self, World};
use callreel_callflow::metaflow::{MetaflowRules, Metaflows, Party};
use callreel_callflow::{
    CallInfo, Cursor, Effect, Flow, Input, Output, Position, Settings, Standing, lint,
};
use callreel_proto::{CallflowConfig, EndReason, EventName, InsertAt};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::drawn::{self, fitting, flow, input, standing, value};
use crate::support::{call, event};

/// No input may lead to more effects: one action has at most a handful, and a flow here has at most some hundred actions.
const MOST_EFFECTS: usize = 5000;

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
        callflow: CallflowConfig {
            max_branches,
            ..CallflowConfig::default()
        },
        ..Settings::default()
    };
    let origin = Instant::now();
    let call = CallInfo { standing, ..call() };
    let mut cursor = Cursor::new(flow, call, settings);
    cursor.handle_input(origin, Input::Started);
    Some((cursor, origin))
}

/// Modules that mean to wait for nothing but the caller's end.
const PATIENT: &[&str] = &["dead_air", "wait_for_hangup", "park"];

/// What a call has asked for and not been given: only that may be waited for without a deadline.
#[derive(Debug, Default)]
struct Owed {
    lookups: usize,
    /// Markers behind what is played; the switch comes to each of them, or drops it when it is flushed.
    markers: BTreeSet<String>,
    bridged: bool,
    /// Other commands, of which each completes.
    commands: usize,
}

impl Owed {
    fn asked(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Lookup(_) => self.lookups += 1,
                Effect::Command {
                    insert_at,
                    application,
                    msg_id,
                } => {
                    if *insert_at == InsertAt::Flush {
                        self.markers.clear();
                    }
                    if application.name() == "bridge" {
                        self.bridged = false;
                    }
                    self.commands += usize::from(application.name() != "noop");
                    self.markers.extend(msg_id.clone());
                }
                _ => {}
            }
        }
    }

    fn given(&mut self, input: &Input) {
        match input {
            Input::Found(_) => self.lookups = self.lookups.saturating_sub(1),
            Input::Event {
                name: EventName::ChannelBridge,
                ..
            } => self.bridged = true,
            Input::Event {
                name: EventName::ChannelExecuteComplete | EventName::DialplanError,
                event,
            } => {
                let noop = event.application_name.as_deref() == Some("noop");
                if let Some(id) = event.application_response.as_ref().filter(|_| noop) {
                    self.markers.remove(id);
                }
            }
            _ => {}
        }
    }

    /// Whether what is waited for without a deadline will come, or is meant not to.
    fn has(&self, at: &Position) -> bool {
        PATIENT.contains(&at.module.as_str())
            || match at.waiting_for.as_str() {
                "a document" => self.lookups > 0,
                "the bridge to end" => self.bridged,
                text if text.contains("playback") || text.contains("keys") => {
                    !self.markers.is_empty()
                }
                "the switch to do what it was told" => self.commands > 0,
                _ => false,
            }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_that_comes_in_makes_it_panic_or_spin_or_wait_in_vain(document in flow(), standing in standing(), inputs in prop::collection::vec((input(), 0..30_000_u64), 0..40)) {
        let Some((mut cursor, mut now)) = start(&document, 50, standing) else { return Ok(()) };
        let mut owed = Owed::default();
        for (input, later_ms) in inputs {
            let (effects, output) = drain(&mut cursor);
            owed.asked(&effects);
            now += Duration::from_millis(later_ms);
            owed.given(&input);
            cursor.handle_input(now, input);
            let (effects, next) = drain(&mut cursor);
            if output == Output::Finished {
                prop_assert_eq!((effects, next), (vec![], Output::Finished));
                return Ok(());
            }
            owed.asked(&effects);
            match (next, cursor.position()) {
                (Output::Wait(Some(due)), _) => {
                    prop_assert!(due > now, "a deadline that has passed would make the call spin");
                }
                (Output::Wait(None), Some(at)) => {
                    prop_assert!(owed.has(&at), "dead air at {:?} with {:?}", at, owed);
                }
                _ => {}
            }
        }
        let gone = Input::Event { name: EventName::ChannelDestroy, event: event(&call().call_id, |_| {}) };
        cursor.handle_input(now, gone);
        drain(&mut cursor);
        prop_assert_eq!(cursor.position(), None);
        // A recording is seen through.
        cursor.handle_input(now + Duration::from_secs(60), Input::Tick);
        prop_assert_eq!(drain(&mut cursor).1, Output::Finished);
    }

    #[test]
    fn it_asks_one_thing_at_a_time_and_a_helpful_world_brings_every_flow_to_its_end(document in flow(), branch in flow(), any in prop::collection::vec(drawn::document(), 1..6)) {
        let Some((mut cursor, mut now)) = start(&document, 3, Standing::default()) else { return Ok(()) };
        let mut any = any.iter().cycle();
        // Each action needs some dozen inputs here at most, and a call at most four flows of at most some fifty actions.
        for _ in 0..4000 {
            let (effects, output) = drain(&mut cursor);
            let lookups = effects.iter().filter(|effect| matches!(effect, Effect::Lookup(_))).count();
            prop_assert!(lookups <= 1);
            let due = match output {
                Output::Finished => return Ok(()),
                Output::Wait(due) => due,
                Output::Effect(_) => unreachable!("drained"),
            };
            let reply = effects.into_iter().rev().find_map(|effect| reply(effect, any.next().unwrap(), &branch));
            let next = match (reply, due) {
                (Some(reply), _) => reply,
                (None, Some(due)) => { now = due; Input::Tick }
                (None, None) => {
                    let at = cursor.position().expect("whoever leaves has a deadline");
                    prop_assert!(PATIENT.contains(&at.module.as_str()), "dead air at {:?}", at);
                    Input::Event { name: EventName::ChannelDestroy, event: event(&call().call_id, |_| {}) }
                }
            };
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
        let both = MetaflowRules { account: usual, device: document, ..MetaflowRules::default() };
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
            .filter(|p| p.pointer.starts_with("/data") && !p.message.starts_with("the \"url\"") && !p.message.contains("left out"))
            .any(|p| p.severity == callreel_callflow::Severity::Error);
        let theirs = !jsonschema::is_valid(&schema, &data);
        prop_assert_eq!(ours, theirs, "{}: {}\n{:?}", module, data, lint::check(&document, true));
    }
}

/// What a switch and an account that do what they are told say to it.
fn reply(effect: Effect, any: &Value, branch: &Value) -> Option<Input> {
    match effect {
        Effect::Command {
            application,
            msg_id,
            ..
        } => {
            let name = application.name();
            let response = match name {
                "bridge" => Some("NO_ANSWER".to_owned()),
                "answer" | "noop" | "page" | "send_dtmf" | "park" | "transfer" => msg_id,
                _ => return None,
            };
            Some(Input::Event {
                name: EventName::ChannelExecuteComplete,
                event: event(&call().call_id, |event| {
                    event.application_name = Some(name.to_owned());
                    event.application_response = response;
                }),
            })
        }
        Effect::Lookup(query) => Some(Input::Found(fitting(&query, any, branch))),
        Effect::StartRecording(order) => Some(Input::RecordingStarted { slot: order.slot }),
        Effect::RecordMessage(order) => Some(Input::RecordingEnded {
            slot: order.slot,
            reason: EndReason::Silence,
            length_ms: 900,
            media_name: None,
        }),
        _ => None,
    }
}
