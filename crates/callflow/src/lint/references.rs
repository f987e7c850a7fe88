//! Which documents of its account a flow names. Looks none of them up.

use std::sync::Arc;

use serde_json::Value;

use super::{placeholders, schema};
use crate::flow::{Child, Node, escaped, read};
use crate::problem::{Problem, Severity};

/// A document that a flow names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where the flow names it, as a JSON pointer.
    pub pointer: String,
    /// Its id.
    pub id: String,
    /// Its `pvt_type`.
    pub pvt_type: String,
}

/// The documents of the account that a flow names; what is told by a placeholder, a URL, a path or a mail
/// address is none.
///
/// Which data keys name documents their schemas say (`x-callreel-document`).
pub fn references(document: &Value) -> Vec<Reference> {
    let (root, _) = read("", document, false);
    let mut found = Vec::new();
    if let Some(root) = root {
        refer(&root, &mut found);
    }
    found
}

/// A problem for each reference to a document that is not there. `there` says of what type the document of an id is.
pub fn missing(document: &Value, there: impl Fn(&str) -> Option<String>) -> Vec<Problem> {
    let problem = |reference: Reference| {
        let Reference {
            pointer,
            id,
            pvt_type,
        } = reference;
        let message = match there(&id) {
            None => format!("there is no {pvt_type} {id:?} in the account"),
            Some(other) if other != pvt_type => format!("{id:?} is a {other}, not a {pvt_type}"),
            Some(_) => return None,
        };
        Some(Problem::new(Severity::Warning, pointer, message))
    };
    references(document)
        .into_iter()
        .filter_map(problem)
        .collect()
}

fn refer(node: &Arc<Node>, found: &mut Vec<Reference>) {
    if let Some(schema) = schema(&node.module) {
        let data = Value::Object(node.data.clone());
        named(&schema, &data, &format!("{}/data", node.pointer), found);
    }
    for (_, child) in &node.children {
        if let Child::Action(child) = child {
            refer(child, found);
        }
    }
}

/// What a value names, by its schema.
fn named(schema: &Value, value: &Value, pointer: &str, found: &mut Vec<Reference>) {
    match value {
        Value::Object(map) => {
            // An endpoint of a group says itself what it is.
            let own = schema["x-callreel-document-by"].as_str();
            let own = own.and_then(|key| map.get(key)?.as_str());
            for (key, value) in map {
                let schema = &schema["properties"][key];
                let place = format!("{pointer}/{}", escaped(key));
                match own.filter(|_| key == "id") {
                    Some(pvt_type) => name(pvt_type, value, place, found),
                    None => named(schema, value, &place, found),
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                named(&schema["items"], item, &format!("{pointer}/{at}"), found);
            }
        }
        value => {
            if let Some(pvt_type) = schema["x-callreel-document"].as_str() {
                name(pvt_type, value, pointer.to_owned(), found);
            }
        }
    }
}

fn name(pvt_type: &str, value: &Value, pointer: String, found: &mut Vec<Reference>) {
    let id = value.as_str().unwrap_or_default();
    if id.is_empty() || id.contains(['/', '@']) || !placeholders(id).is_empty() {
        return;
    }
    found.push(Reference {
        pointer,
        id: id.to_owned(),
        pvt_type: pvt_type.to_owned(),
    });
}
