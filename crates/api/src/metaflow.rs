//! Reads what a request wants done with a live call: the shapes Crossbar and its clients use for a metaflow. The data of a
//! `record_call` is held to the schema that callflows are held to; that of others is read as feature codes' is.

use callreel_callflow::metaflow::{Party, Step, chain};
use callreel_callflow::{Severity, lint};
use callreel_proto::{AccountId, MetaflowAction, RecordingId};
use serde_json::{Map, Value, json};

use crate::refusal::{Refusal, Why};

type Object = Map<String, Value>;

/// What a `record_call` may do with a live call.
const ACTIONS: [&str; 6] = ["start", "stop", "mask", "unmask", "toggle", "toggle_mask"];
/// How a request looks, for those who sent another.
const SHAPE: &str = r#"{"data": {"module": "record_call", "data": {"action": "mask"}}}"#;

/// The one step that a body asks for: `{"data": METAFLOW}`, or with `"action": "metaflow"` beside or around the metaflow.
pub(crate) fn read(body: &[u8], account: &AccountId) -> Result<Step, Refusal> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|e| wrong("", format!("the body is no JSON: {e}; send {SHAPE}")))?;
    named_metaflow(&body, "")?;
    let data = object(body.get("data"), "/data")?;
    named_metaflow(&body["data"], "/data")?;
    let wrapped = data.contains_key("action") && !data.contains_key("module");
    let (flow, place) = if wrapped {
        (object(data.get("data"), "/data/data")?, "/data/data")
    } else {
        (data, "/data")
    };
    let place_of = |key: &str| format!("{place}/{key}");
    let children = flow.get("children").and_then(Value::as_object);
    if children.is_some_and(|children| !children.is_empty()) {
        let message = "a metaflow's children are not run here; leave them out";
        return Err(wrong(&place_of("children"), message));
    }
    let (steps, problems) = chain(&Value::Object(flow.clone()), "");
    let Some(step) = steps.into_iter().next() else {
        let why = problems.first().map(|problem| problem.message.as_str());
        let why = why.unwrap_or_default();
        let message = format!("{why}; send {SHAPE}");
        return Err(wrong(&place_of("module"), message));
    };
    let place = place_of("data");
    let data = object(flow.get("data"), &place)?;
    if step.module == MetaflowAction::RECORD_CALL {
        check(data, &place)?;
    } else if let (Err(reason), _) = step.act(Party::Caller, account) {
        return Err(wrong(&place, reason));
    }
    Ok(step)
}

/// `action`, where it is Crossbar's and not the module's, can only be this.
fn named_metaflow(value: &Value, place: &str) -> Result<(), Refusal> {
    match value.get("action") {
        None => Ok(()),
        Some(action) if action == "metaflow" => Ok(()),
        Some(_) => {
            let message = format!("the action must be \"metaflow\" or be left out; send {SHAPE}");
            Err(wrong(&format!("{place}/action"), message))
        }
    }
}

fn object<'a>(value: Option<&'a Value>, place: &str) -> Result<&'a Object, Refusal> {
    let object = value.and_then(Value::as_object);
    object.ok_or_else(|| wrong(place, format!("an object is wanted here; send {SHAPE}")))
}

fn check(data: &Object, place: &str) -> Result<(), Refusal> {
    let action = data.get("action").and_then(Value::as_str);
    let action = action
        .filter(|action| ACTIONS.contains(action))
        .ok_or_else(|| {
            let message = format!("say what to do: one of {}", ACTIONS.join(", "));
            wrong(&format!("{place}/action"), message)
        })?;
    let mut rest = data.clone();
    if let Some(id) = rest.remove("recording_id") {
        which(&id, action).map_err(|message| wrong(&format!("{place}/recording_id"), message))?;
    }
    // The schema knows no toggles: each is held to what it may do.
    let known = match action {
        "toggle" => "start",
        "toggle_mask" => "mask",
        other => other,
    };
    rest.insert("action".to_owned(), known.into());
    let step = json!({"module": MetaflowAction::RECORD_CALL, "data": rest, "children": {}});
    let problems = lint::check(&step, true);
    let problem = problems.into_iter().find(|p| p.severity == Severity::Error);
    problem.map_or(Ok(()), |problem| {
        let within = problem.pointer.strip_prefix("/data").unwrap_or_default();
        Err(wrong(&format!("{place}{within}"), problem.message))
    })
}

/// The one recording meant.
fn which(id: &Value, action: &str) -> Result<(), String> {
    if matches!(action, "start" | "toggle") {
        return Err(format!(
            "a {action} means no recording there is; leave it out"
        ));
    }
    let text = id.as_str().unwrap_or_default();
    let read = RecordingId::parse(text).map_err(|e| e.to_string());
    read.map(drop)
}

fn wrong(place: &str, message: impl Into<String>) -> Refusal {
    let message = message.into();
    if place.is_empty() {
        return Refusal::new(Why::Invalid, message);
    }
    Refusal::new(Why::Invalid, format!("at {place}: {message}")).cause(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<Object, Refusal> {
        let account = AccountId::parse("0123456789abcdef0123456789abcdef").unwrap();
        super::read(body.to_string().as_bytes(), &account).map(|step| step.data)
    }

    #[test]
    fn a_metaflow_is_read_in_every_shape_that_clients_send() {
        let flow = json!({"module": "record_call", "data": {"action": "mask"}});
        for body in [
            json!({"data": flow}),
            json!({"action": "metaflow", "data": flow}),
            json!({"data": {"action": "metaflow", "data": flow}}),
            json!({"data": {"action": "metaflow", "module": "record_call", "data": {"action": "mask"}}}),
        ] {
            let read = read(body.clone()).unwrap_or_else(|e| panic!("{body}: {}", e.message));
            assert_eq!(Value::Object(read), json!({"action": "mask"}), "{body}");
        }
    }

    #[test]
    fn a_call_is_held_transferred_and_hung_up_too() {
        for (module, data) in [
            ("hold", json!({"unhold_key": "2"})),
            ("transfer", json!({"target": "2000"})),
            ("hangup", json!({})),
        ] {
            let account = AccountId::random();
            let body = json!({"data": {"module": module, "data": data}}).to_string();
            let step = super::read(body.as_bytes(), &account).unwrap();
            assert_eq!(
                (step.module.as_str(), Value::Object(step.data)),
                (module, data)
            );
        }
    }

    fn flow(data: Value) -> Value {
        json!({"data": {"module": "record_call", "data": data}})
    }

    #[track_caller]
    fn refused(body: Value, place: &str, says: &str) {
        let refusal = read(body.clone()).expect_err(&body.to_string());
        assert_eq!(refusal.cause.as_deref(), Some(place), "{body}");
        let message = refusal.message;
        assert!(message.contains(says), "{body}: {message}");
    }

    #[test]
    fn what_is_no_metaflow_is_refused_with_its_place() {
        let children =
            json!({"module": "record_call", "data": {"action": "stop"}, "children": {"_": {}}});
        for (body, place, says) in [
            (json!(7), "/data", "object"),
            (json!({"data": {}}), "/data/module", "record_call"),
            (
                json!({"data": {"module": "park", "data": {}}}),
                "/data/module",
                "not built",
            ),
            (
                json!({"data": {"module": "transfer", "data": {}}}),
                "/data/data",
                "nobody is named",
            ),
            (
                json!({"action": "hangup", "data": {}}),
                "/action",
                "metaflow",
            ),
            (
                json!({"data": {"action": "hangup"}}),
                "/data/action",
                "metaflow",
            ),
            (
                json!({"data": {"action": "metaflow"}}),
                "/data/data",
                "object",
            ),
            (
                json!({"data": {"module": "record_call"}}),
                "/data/data",
                "object",
            ),
            (json!({"data": children}), "/data/children", "not run"),
        ] {
            refused(body, place, says);
        }
        let account = AccountId::random();
        let broken = super::read(b"{", &account);
        assert!(broken.unwrap_err().message.contains("no JSON"));
    }

    #[test]
    fn data_that_means_nothing_is_refused_with_its_place() {
        let id = "202611-b3d81f6a5c2e4790a1f4e86d0957c2ab";
        for (data, key, says) in [
            (json!({}), "action", "toggle"),
            (json!({"action": "pause"}), "action", "toggle"),
            (json!({"action": "start", "format": "ogg"}), "format", "mp3"),
            (
                json!({"action": "toggle", "time_limit": "long"}),
                "time_limit",
                "whole number",
            ),
            (
                json!({"action": "start", "url": "ftp://h/x"}),
                "url",
                "http",
            ),
            (
                json!({"action": "start", "time_limt": 60}),
                "time_limt",
                "unknown key",
            ),
            (
                json!({"action": "stop", "recording_id": "7"}),
                "recording_id",
                "YYYYMM-",
            ),
            (
                json!({"action": "start", "recording_id": id}),
                "recording_id",
                "leave it out",
            ),
        ] {
            refused(flow(data), &format!("/data/data/{key}"), says);
        }
    }

    #[test]
    fn what_a_callflow_may_say_may_be_asked_for() {
        let id = "202611-b3d81f6a5c2e4790a1f4e86d0957c2ab";
        for data in [
            json!({"action": "start", "format": "wav", "url": "https://h/in", "time_limit": 600, "label": "desk"}),
            json!({"action": "toggle", "format": "mp3"}),
            json!({"action": "toggle_mask", "name": "quality"}),
            json!({"action": "stop", "recording_id": id}),
            json!({"action": "unmask"}),
        ] {
            let body = json!({"data": {"module": "record_call", "data": data, "children": {}}});
            let read = read(body).unwrap_or_else(|e| panic!("{data}: {}", e.message));
            assert_eq!(Value::Object(read), data);
        }
    }
}
