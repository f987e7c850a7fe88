//! The rule book: what Kazoo's own validators would say of a message. Shares no code with the program under test.

use serde_json::{Map, Value};

use super::pages::{COMMANDS, ENDPOINT, Kind, Page, SEND_HTTP, TONE};

/// Every message must have these.
const REQUIRED_HEADERS: &[&str] = &[
    "App-Name",
    "App-Version",
    "Event-Category",
    "Event-Name",
    "Msg-ID",
];

/// Every message may have these.
const OPTIONAL_HEADERS: &[&str] = &[
    "Node",
    "Server-ID",
    "Server-Queue-ID",
    "System-Log-ID",
    "Defer-Response",
    "Account-ID",
    "Call-ID",
];

const INSERT_AT: Kind = Kind::OneOf(&["now", "head", "tail", "flush"]);

/// What is wrong with the headers every message has.
pub(super) fn envelope(message: &Map<String, Value>, category: &str, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for header in REQUIRED_HEADERS {
        match message.get(*header) {
            Some(Value::String(text)) if !text.is_empty() => {}
            other => wrong.push(format!("{header} is {other:?}")),
        }
    }
    for (header, wanted) in [("Event-Category", category), ("Event-Name", name)] {
        if message.get(header).and_then(Value::as_str) != Some(wanted) {
            wrong.push(format!("{header} is not {wanted}"));
        }
    }
    // Tools of Kazoo's parse it.
    let node = message
        .get("Node")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !node
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
    {
        wrong.push(format!("Node {node:?} is not of the form name@host"));
    }
    wrong
}

/// What is wrong with a message's own fields.
pub(super) fn check(page: &Page, message: &Map<String, Value>) -> Vec<String> {
    let headers = [REQUIRED_HEADERS, OPTIONAL_HEADERS].concat();
    fields(page, message, &headers)
}

/// What is wrong with a command's fields, once it has all its headers.
pub(super) fn check_command(command: &Map<String, Value>) -> Vec<String> {
    let name = command
        .get("Application-Name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some(page) = COMMANDS.iter().find(|page| page.name == name) else {
        return vec![format!("application unknown: {name:?}")];
    };
    let mut headers = [REQUIRED_HEADERS, OPTIONAL_HEADERS].concat();
    headers.extend(["Application-Name", "Insert-At"]);
    let mut wrong = fields(page, command, &headers);
    wrong.extend(of_kind(
        INSERT_AT,
        "Insert-At",
        command.get("Insert-At").unwrap_or(&Value::from("tail")),
    ));
    if !command.get("Call-ID").is_some_and(Value::is_string) {
        wrong.push("no Call-ID".to_owned());
    }
    for (key, page) in [("Tones", &TONE), ("Endpoints", &ENDPOINT)] {
        let parts = command
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        wrong.extend(
            parts
                .filter_map(Value::as_object)
                .flat_map(|part| fields(page, part, &[])),
        );
    }
    if command
        .get("Endpoints")
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty)
    {
        wrong.push("bridge request had no endpoints".to_owned());
    }
    wrong
        .into_iter()
        .map(|what| format!("{name}: {what}"))
        .collect()
}

/// What is wrong with the arguments of a `send_http`.
pub(super) fn check_arguments(arguments: &Map<String, Value>) -> Vec<String> {
    fields(&SEND_HTTP, arguments, &[])
}

fn fields(page: &Page, message: &Map<String, Value>, headers: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for key in page.required {
        if !message.contains_key(*key) {
            wrong.push(format!("{}: {key} is missing", page.name));
        }
    }
    for (key, value) in message {
        let own = page
            .required
            .iter()
            .chain(page.optional)
            .any(|known| known == key);
        if !own && !headers.contains(&key.as_str()) {
            wrong.push(format!("{}: {key} is no field of it", page.name));
        }
        let kind = page.kinds.iter().find(|(known, _)| known == key);
        let kind = kind.map_or(Kind::Scalar, |(_, kind)| *kind);
        wrong.extend(of_kind(kind, key, value));
    }
    wrong
}

fn of_kind(kind: Kind, key: &str, value: &Value) -> Option<String> {
    let text = value.as_str();
    let right = match kind {
        // Kazoo's builders drop what is null or empty, so that no reader expects it; an empty Server-ID has a meaning.
        Kind::Scalar => {
            (value.is_boolean() || value.is_number() || text.is_some())
                && (text != Some("") || key == "Server-ID")
        }
        Kind::Text => text.is_some_and(|text| !text.is_empty()),
        Kind::Boolean => value.is_boolean() || matches!(text, Some("true" | "false")),
        Kind::JsonBool => value.is_boolean(),
        Kind::Integer => value.is_i64() || value.is_u64(),
        Kind::Positive => value.as_u64().is_some_and(|number| number > 0),
        Kind::Array => value.is_array(),
        Kind::Object => value.is_object(),
        Kind::Objects => value
            .as_array()
            .is_some_and(|all| all.iter().all(Value::is_object)),
        Kind::OneOf(words) => text.is_some_and(|text| words.contains(&text)),
        Kind::Terminators => {
            matches!(text, Some("" | "none"))
                || value.as_array().is_some_and(|keys| keys.iter().all(is_key))
        }
    };
    (!right).then(|| format!("{key} is {value}"))
}

fn is_key(key: &Value) -> bool {
    key.as_str()
        .is_some_and(|key| key.len() == 1 && "0123456789*#".contains(key))
}
