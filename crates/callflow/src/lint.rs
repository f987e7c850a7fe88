//! Checks a callflow document without a call: shape, modules, data, and flows that cannot do what they seem to.

mod references;

use std::sync::Arc;

use callreel_proto::{Terminators, lenient_bool};
use serde_json::Value;

use crate::data::Data;
use crate::flow::{Child, Node, escaped, kind, read};
use crate::pattern::Pattern;
use crate::problem::{Problem, Severity};
use crate::recording::http_url;
use crate::{destination, headers, modules, schema, unbuilt};

pub use references::{Reference, missing, references};

/// Everything worth knowing about a callflow document, or a bare action.
///
/// Errors are what a call cannot do anything sensible with. With `strict`, what leniency puts right is an error too: the
/// document is then one that Kazoo's own validation would take as well.
pub fn check(document: &Value, strict: bool) -> Vec<Problem> {
    let (root, problems) = read("", document, strict);
    let mut linter = Linter { strict, problems };
    linter.found_by(document);
    if let Some(root) = root {
        linter.action(&root);
    }
    linter.problems
}

/// The names of all modules, in alphabetical order.
pub fn modules() -> impl Iterator<Item = &'static str> {
    modules::names()
}

/// The JSON Schema (draft 2020-12) of a module's `data`; none if there is no such module.
pub fn schema(module: &str) -> Option<Value> {
    let text = modules::schema(module)?;
    Some(serde_json::from_str(text).expect("a test reads every built-in schema"))
}

struct Linter {
    strict: bool,
    problems: Vec<Problem>,
}

impl Linter {
    fn action(&mut self, node: &Arc<Node>) {
        self.module(node);
        self.placeholders(node);
        match node.module.as_str() {
            "pivot" => {
                self.web_url(node, "voice_url", "nobody is asked");
                self.web_url(node, "cdr_url", "nobody is told of the end");
            }
            "webhook" => self.web_url(node, "uri", "nobody is told"),
            "check_cid" => self.pattern(node, "regex"),
            "branch_bnumber" => {
                self.pattern(node, "hunt_allow");
                self.pattern(node, "hunt_deny");
            }
            _ => {}
        }
        if node.module.starts_with("record_") {
            self.web_url(node, "url", "nothing is recorded");
            self.headers(node);
            self.failure(node);
        }
        self.recording_of_nothing(node);
        self.unreachable(node);
        for (_, child) in &node.children {
            if let Child::Action(child) = child {
                self.action(child);
            }
        }
    }

    fn module(&mut self, node: &Node) {
        if let Some(schema) = schema(&node.module) {
            let place = format!("{}/data", node.pointer);
            let data = Value::Object(node.data.clone());
            schema::check(&schema, &data, &place, self.strict, &mut self.problems);
            return;
        }
        let name = &node.module;
        if name.is_empty() {
            // The reader has said so.
            return;
        }
        let message = format!("{}; it is skipped", unbuilt::why(name));
        let place = format!("{}/module", node.pointer);
        self.remark(Severity::Warning.when(self.strict), place, message);
    }

    fn placeholders(&mut self, node: &Node) {
        for (key, value) in &node.data {
            let names = placeholders(value.as_str().unwrap_or_default());
            if !names.is_empty() {
                let expandable = names.iter().all(|name| destination::is_template(name));
                let names = names.join(", ");
                let message = if key == "url" && expandable {
                    format!(
                        "{names} is filled in where recording.expand_url is on, else used as it stands"
                    )
                } else {
                    format!("{names} is used as it stands; fill it in")
                };
                self.remark(Severity::Info, node.pointer_to(key), message);
            }
        }
    }

    fn web_url(&mut self, node: &Node, key: &str, otherwise: &str) {
        let url = node.data.get(key).and_then(Value::as_str);
        if let Some(Err(reason)) = url.filter(|url| !url.is_empty()).map(http_url) {
            let message = format!(
                "{}; {otherwise}",
                reason.replace("\"url\"", &format!("{key:?}"))
            );
            self.remark(Severity::Error, node.pointer_to(key), message);
        }
    }

    /// The numbers and patterns that a callflow document is found by.
    fn found_by(&mut self, document: &Value) {
        for key in ["numbers", "patterns"] {
            match document.get(key) {
                None | Some(Value::Null) => {}
                Some(Value::Array(named)) => {
                    for (at, name) in named.iter().enumerate() {
                        self.finds(name, key == "patterns", format!("/{key}/{at}"));
                    }
                }
                Some(other) => {
                    let message = format!("must be an array of strings, is {}", kind(other));
                    self.unfound(format!("/{key}"), &message);
                }
            }
        }
    }

    fn finds(&mut self, name: &Value, is_pattern: bool, place: String) {
        match name {
            Value::String(text) if is_pattern => {
                if let Err(reason) = Pattern::read(text) {
                    self.unfound(place, &reason);
                }
            }
            Value::String(_) => {}
            other => self.unfound(place, &format!("must be a string, is {}", kind(other))),
        }
    }

    fn unfound(&mut self, place: String, reason: &str) {
        let message = format!("{reason}; no call finds the callflow by it");
        self.remark(Severity::Warning.when(self.strict), place, message);
    }

    fn pattern(&mut self, node: &Node, key: &str) {
        let pattern = node.data.get(key).and_then(Value::as_str);
        if let Some(Err(reason)) = pattern.filter(|p| !p.is_empty()).map(Pattern::read) {
            let message = format!("{reason}; nothing matches it");
            self.remark(
                Severity::Warning.when(self.strict),
                node.pointer_to(key),
                message,
            );
        }
    }

    fn headers(&mut self, node: &Node) {
        let mut data = Data::new(&node.data, format!("{}/data", node.pointer));
        // What is no object the schema has said.
        if node.data.get("headers").is_some_and(Value::is_object) {
            headers::read(&mut data);
        }
        for (place, message) in data.warnings {
            self.remark(Severity::Warning.when(self.strict), place, message);
        }
    }

    /// A branch that cannot be taken, or leads nowhere.
    fn failure(&mut self, node: &Node) {
        if !branches_on_failure(node) {
            return;
        }
        let place = node.pointer_to("on_failure");
        if node.child("record_failed").is_none() {
            let message = "there is no child \"record_failed\"; without a recording the flow goes on at \"_\"";
            self.remark(Severity::Warning, place.clone(), message);
        }
        let waits = |key: &str| node.data.get(key).and_then(lenient_bool) == Some(true);
        if waits("record_on_answer") || waits("record_on_bridge") {
            let message = "a recording that waits for the answer or the bridge does not hold the flow up: once it \
                           waits, \"record_failed\" is never taken";
            self.remark(Severity::Warning, place, message);
        }
    }

    /// The mission's first sample, taken for a whole callflow.
    fn recording_of_nothing(&mut self, node: &Node) {
        let action = node.data.get("action").and_then(Value::as_str);
        let starts =
            node.module == "record_call" && !matches!(action, Some("stop" | "mask" | "unmask"));
        if starts && !matches!(node.child("_"), Some(Child::Action(_))) {
            let message = "nothing follows the start of the recording, so the call is hung up at once \
                           (unless another callflow branches here); put what is to be recorded under \"_\"";
            self.remark(Severity::Warning, node.pointer.clone(), message);
        }
    }

    /// Branches no result of the module leads to. A module that is not built may know more branches than we do.
    fn unreachable(&mut self, node: &Node) {
        let Some(schema) = schema(&node.module) else {
            return;
        };
        for (key, _) in &node.children {
            let reached = match key.as_str() {
                "record_failed" if node.module.starts_with("record_") => branches_on_failure(node),
                key => is_reached(&schema["x-callreel-branches"], key),
            };
            if !reached {
                let message = format!("{} never goes on at {key:?}", node.module);
                let place = format!("{}/children/{}", node.pointer, escaped(key));
                self.remark(Severity::Warning, place, message);
            }
        }
    }

    fn remark(&mut self, severity: Severity, pointer: String, message: impl Into<String>) {
        self.problems.push(Problem::new(severity, pointer, message));
    }
}

fn branches_on_failure(node: &Node) -> bool {
    node.data.get("on_failure").and_then(Value::as_str) == Some("branch")
}

/// Whether a module goes on at this child, by the words of its schema: a key itself, or a kind of keys in angle brackets.
fn is_reached(branches: &Value, key: &str) -> bool {
    let Some(branches) = branches.as_array() else {
        return key == "_";
    };
    branches
        .iter()
        .filter_map(Value::as_str)
        .any(|word| match word {
            "<any>" => true,
            "<cause>" => is_bridge_result(key),
            "<keys>" => !key.is_empty() && key.chars().all(|k| Terminators::any().contains(k)),
            word => word == key,
        })
}

/// A hangup cause, or a SIP code as `sip:486`.
fn is_bridge_result(key: &str) -> bool {
    match key.strip_prefix("sip:") {
        Some(code) => code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()),
        None => !key.is_empty() && key.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
    }
}

/// Every `{NAME}` in a text: the mission's samples have them for their author to fill in.
fn placeholders(text: &str) -> Vec<&str> {
    let shape = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.match_indices('{')
        .filter_map(|(start, _)| {
            let end = start + text[start..].find('}')?;
            let name = &text[start + 1..end];
            (!name.is_empty() && name.chars().all(shape)).then(|| &text[start..=end])
        })
        .collect()
}
