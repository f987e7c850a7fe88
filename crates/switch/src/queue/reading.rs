//! Reads what a controller sends to a control queue: bare commands, each for this call and one that can be executed, or why not.

use callreel_proto::{Application, CallId, Command, InsertAt};
use serde_json::{Map, Value};

use super::{MAX_WAITING, Order, Refusal, Slip, TOO_MANY};

/// Longest header an element of a `queue` takes from it, bytes: a Call-ID has two thousand at most.
const LONGEST_HEADER: usize = 4_096;

pub(super) fn insert_at(message: &Value) -> InsertAt {
    message
        .get("Insert-At")
        .and_then(|value| serde_json::from_value(value.clone()).ok())
        .unwrap_or_default()
}

pub(super) fn unpack(message: &Value, legs: &[&CallId]) -> (Vec<Order>, Vec<Refusal>) {
    let mut orders = Vec::new();
    let mut refusals = Vec::new();
    let commands = flatten(message).unwrap_or_else(|(kind, reason)| {
        let command = message.as_object().cloned().unwrap_or_default();
        refusals.push(refusal(command, kind, reason));
        Vec::new()
    });
    for command in commands {
        match read(&command, legs) {
            Ok(application) => orders.push(Order {
                application,
                slip: Slip::of(command),
            }),
            Err((kind, reason)) => refusals.push(refusal(command, kind, reason)),
        }
    }
    (orders, refusals)
}

fn refusal(command: Map<String, Value>, kind: &'static str, reason: String) -> Refusal {
    Refusal {
        slip: Slip::of(command),
        reason,
        kind,
    }
}

/// The kind of what is wrong with a command, and why in words.
type Wrong = (&'static str, String);

/// The bare commands of a message: itself, or the elements of a `queue`, which need not repeat its headers.
fn flatten(message: &Value) -> Result<Vec<Map<String, Value>>, Wrong> {
    const HEADERS: [&str; 9] = [
        "App-Name",
        "App-Version",
        "Event-Category",
        "Event-Name",
        "Msg-ID",
        "Node",
        "Server-ID",
        "System-Log-ID",
        "Call-ID",
    ];
    let whole = message.as_object().cloned().unwrap_or_default();
    if text(&whole, "Application-Name") != "queue" {
        return Ok(vec![whole]);
    }
    let commands = whole.get("Commands").and_then(Value::as_array);
    let Some(commands) = commands else {
        let reason = "Could not execute dialplan action: queue: Commands is no list";
        return Err(("malformed command", reason.to_owned()));
    };
    if commands.len() > MAX_WAITING {
        let reason = format!("more than {MAX_WAITING} commands wait on this channel");
        return Err((TOO_MANY, reason));
    }
    let headers = HEADERS.into_iter().filter_map(|name| {
        let value = whole.get(name).filter(|v| is_short(v))?;
        Some((name.to_owned(), value.clone()))
    });
    let headers: Map<String, Value> = headers.collect();
    let completed = commands.iter().map(|element| {
        let mut command = headers.clone();
        command.extend(element.as_object().cloned().unwrap_or_default());
        command
    });
    Ok(completed.collect())
}

/// A header is copied into every element: a long one would be a way to make much of little.
fn is_short(header: &Value) -> bool {
    header
        .as_str()
        .is_some_and(|text| text.len() <= LONGEST_HEADER)
}

/// What a command wants, or which kind of wrong it is, and why in words.
fn read(command: &Map<String, Value>, legs: &[&CallId]) -> Result<Application, Wrong> {
    let name = text(command, "Application-Name");
    let read = serde_json::from_value::<Command>(Value::Object(command.clone()));
    let read = read.map_err(|error| match error.to_string() {
        text if text.starts_with("unknown variant") => {
            ("unknown application", "application unknown".to_owned())
        }
        text => (
            "malformed command",
            format!("Could not execute dialplan action: {name}: {text}"),
        ),
    })?;
    if !legs.contains(&&read.call_id) {
        let reason = "call command provided with a command for a different call id";
        return Err(("command for another call", reason.to_owned()));
    }
    if matches!(read.application, Application::Queue { .. }) {
        let reason = "a queue within a queue is not executed";
        return Err(("queue within a queue", reason.to_owned()));
    }
    Ok(read.application)
}

pub(super) fn text<'a>(command: &'a Map<String, Value>, key: &str) -> &'a str {
    command.get(key).and_then(Value::as_str).unwrap_or_default()
}
