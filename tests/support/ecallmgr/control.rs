//! The control queue of one call, by ecallmgr's rules: what runs at once, what waits, in which order. Executes nothing.

use std::collections::VecDeque;

use serde_json::{Map, Value};

/// A command with all its headers.
pub(super) type Command = Map<String, Value>;

/// Headers that the commands of a `queue` take from it where they have none of their own.
const INHERITED: &[&str] = &[
    "App-Name",
    "App-Version",
    "Event-Category",
    "Event-Name",
    "Msg-ID",
    "Node",
    "Server-ID",
    "Call-ID",
];

/// What waits and what runs.
#[derive(Default)]
pub(super) struct Control {
    waiting: VecDeque<Command>,
    /// The command whose completion lets the next one start.
    pub(super) running: Option<Command>,
}

/// What a new message asks for at once.
#[derive(Default)]
pub(super) struct AtOnce {
    /// The running media are broken off.
    pub(super) broken: bool,
    /// To be executed beside the queue, in this order.
    pub(super) commands: Vec<Command>,
}

impl Control {
    /// Takes a message in, and says what is to be done without waiting.
    pub(super) fn insert(&mut self, message: Command) -> AtOnce {
        let insert_at = text(&message, "Insert-At").unwrap_or("tail").to_owned();
        let commands = commands_of(message);
        match insert_at.as_str() {
            "now" => AtOnce {
                broken: false,
                commands,
            },
            "head" => {
                commands
                    .into_iter()
                    .rev()
                    .for_each(|command| self.waiting.push_front(command));
                AtOnce::default()
            }
            // Right to left, so that a trailing noop stands first in the array.
            "tail" => {
                self.waiting.extend(commands.into_iter().rev());
                AtOnce::default()
            }
            _ => {
                self.waiting = commands.into_iter().rev().collect();
                AtOnce {
                    broken: true,
                    commands: Vec::new(),
                }
            }
        }
    }

    /// Starts the next command, if nothing runs and one waits.
    pub(super) fn advance(&mut self) -> Option<Command> {
        if self.running.is_some() {
            return None;
        }
        self.running = self.waiting.pop_front();
        self.running.clone()
    }

    /// The application of the running command.
    pub(super) fn runs(&self) -> Option<&str> {
        self.running
            .as_ref()
            .and_then(|command| text(command, "Application-Name"))
    }

    /// Drops what the filters of a noop match, from the front of the queue.
    pub(super) fn filter(&mut self, noop: &Command) {
        let mut filters = noop
            .get("Filter-Applications")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .peekable();
        while let (Some(front), Some(filter)) = (self.waiting.front(), filters.peek()) {
            if matches(front, filter) {
                self.waiting.pop_front();
            } else {
                filters.next();
            }
        }
    }

    /// A key ended media of a group: the rest of the group need not be played.
    pub(super) fn drop_group(&mut self, application: &str, group: &Value) {
        self.waiting.retain(|command| {
            text(command, "Application-Name") != Some(application)
                || command.get("Group-ID") != Some(group)
        });
    }

    /// Gives what waits to the call's new id.
    pub(super) fn rename(&mut self, id: &str) {
        for command in self.waiting.iter_mut().chain(&mut self.running) {
            command.insert("Call-ID".to_owned(), id.into());
        }
    }
}

/// The text of a field.
pub(super) fn text<'a>(message: &'a Command, key: &str) -> Option<&'a str> {
    message.get(key).and_then(Value::as_str)
}

fn commands_of(message: Command) -> Vec<Command> {
    if text(&message, "Application-Name") != Some("queue") {
        return vec![message];
    }
    let parts = message
        .get("Commands")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let whole = |part: Value| {
        let mut command: Command = INHERITED
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), message.get(*key)?.clone())))
            .collect();
        command.extend(part.as_object().cloned().unwrap_or_default());
        command
    };
    parts.into_iter().map(whole).collect()
}

fn matches(command: &Command, filter: &Value) -> bool {
    let application = text(command, "Application-Name");
    match filter {
        Value::String(name) => application == Some(name),
        Value::Object(filter) => {
            let same = |key: &str| filter.contains_key(key) && filter.get(key) == command.get(key);
            let fields = filter.get("Fields").and_then(Value::as_object);
            (same("Application-Name") || same("Group-ID"))
                && fields.is_none_or(|fields| {
                    fields
                        .iter()
                        .all(|(key, value)| command.get(key) == Some(value))
                })
        }
        _ => false,
    }
}

/// The rules of the queue that are easy to get wrong.
mod tests {
    use serde_json::json;

    use super::*;

    fn message(insert_at: &str, names: &[&str]) -> Command {
        let commands: Vec<_> = names
            .iter()
            .map(|name| json!({"Application-Name": name}))
            .collect();
        let whole = json!({
            "Application-Name": "queue", "Call-ID": "a", "Insert-At": insert_at, "Commands": commands
        });
        whole.as_object().unwrap().clone()
    }

    fn order(control: &mut Control) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(command) = control.advance() {
            assert_eq!(text(&command, "Call-ID"), Some("a"));
            names.push(text(&command, "Application-Name").unwrap().to_owned());
            control.running = None;
        }
        names
    }

    #[test]
    fn the_scripted_queue_inserts_from_right_to_left() {
        let mut control = Control::default();
        control.insert(message("tail", &["noop", "play", "tts"]));
        control.insert(message("tail", &["hangup"]));
        control.insert(message("head", &["answer", "sleep"]));
        assert_eq!(
            order(&mut control),
            ["answer", "sleep", "tts", "play", "noop", "hangup"]
        );
    }

    #[test]
    fn the_scripted_queue_forgets_what_waited_when_it_is_flushed() {
        let mut control = Control::default();
        control.insert(message("tail", &["play", "answer"]));
        control.advance();
        let at_once = control.insert(message("flush", &["noop", "tts"]));
        assert!(at_once.broken && at_once.commands.is_empty());
        control.running = None;
        assert_eq!(order(&mut control), ["tts", "noop"]);
    }

    #[test]
    fn the_scripted_queue_filters_from_its_front() {
        let mut control = Control::default();
        control.insert(message("tail", &["play", "hangup", "tts", "play"]));
        let noop = json!({"Filter-Applications": ["play", {"Application-Name": "tts"}, "play"]});
        control.filter(noop.as_object().unwrap());
        assert_eq!(order(&mut control), ["hangup", "play"]);
    }
}
