//! Our modules beside those of Kazoo: every key of Kazoo's is known here, every key of our own is named, and Kazoo would save
//! every example.
//!
//! `kazoo.json` holds, in JSON Schema, what Kazoo's published schemas take as the data of each module: keys, types, limits and choices.

use std::collections::BTreeSet;

use callreel_callflow::lint;
use serde_json::{Value, json};

use crate::twins::{examples, page};

/// Choices of our own for keys that Kazoo has; an example may use them.
const CHOICES: &[(&str, &str, &[&str])] = &[
    // Kazoo masks by metaflows only.
    ("record_call", "action", &["mask", "unmask"]),
];

fn kazoo() -> Value {
    serde_json::from_str(include_str!("kazoo.json")).unwrap()
}

fn keys(schema: &Value) -> BTreeSet<String> {
    let properties = schema["properties"].as_object();
    let keys = properties.into_iter().flatten().map(|(key, _)| key.clone());
    keys.filter(|key| key != "skip_module").collect()
}

#[test]
fn keys_of_kazoo_are_known_and_keys_of_our_own_are_named() {
    let kazoo = kazoo();
    let mut wrong = Vec::new();
    for module in lint::modules() {
        let ours = lint::schema(module).unwrap();
        let missing: Vec<_> = keys(&kazoo[module])
            .difference(&keys(&ours))
            .cloned()
            .collect();
        if !missing.is_empty() {
            wrong.push(format!(
                "proto/callflow/{module}.json lacks Kazoo's {missing:?}"
            ));
        }
        let page = page(module);
        let (_, other) = page
            .split_once("## Other than in Kazoo")
            .unwrap_or_default();
        if kazoo.get(module).is_none() && !other.contains("no such module in Kazoo") {
            wrong.push(format!(
                "docs/modules/{module}.md, last section: say that Kazoo has no such module"
            ));
        }
        for key in keys(&ours).difference(&keys(&kazoo[module])) {
            let named = other.contains(&format!("`{key}`"));
            if kazoo.get(module).is_some() && !named {
                wrong.push(format!(
                    "docs/modules/{module}.md, last section: name our own key `{key}`"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn kazoo_would_save_every_example() {
    let kazoo = kazoo();
    let mut wrong = Vec::new();
    for module in lint::modules() {
        for example in examples(&page(module)) {
            let document: Value = serde_json::from_str(&example).unwrap();
            let action = document.get("flow").unwrap_or(&document);
            refused(&kazoo, action, &mut |reason| {
                wrong.push(format!("docs/modules/{module}.md: {reason}"))
            });
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Kazoo's rules for an action (`callflows.action`): a module of 1 to 64 characters, data by the module's schema, and children
/// that are actions.
fn refused(kazoo: &Value, action: &Value, tell: &mut impl FnMut(String)) {
    let module = action["module"].as_str().unwrap_or_default();
    if module.is_empty() || module.len() > 64 || !action["data"].is_object() {
        return tell(format!("not an action with module and data: {action}"));
    }
    if let Some(schema) = kazoo.get(module) {
        let mut data = action["data"].clone();
        for (_, key, own) in CHOICES.iter().filter(|(of, ..)| *of == module) {
            if data[*key]
                .as_str()
                .is_some_and(|value| own.contains(&value))
            {
                data[*key] = schema["properties"][*key]["enum"][0].clone();
            }
        }
        let validator = jsonschema::draft202012::new(schema).unwrap();
        for error in validator.iter_errors(&data) {
            tell(format!("{module} {}: {error}", error.instance_path()));
        }
    }
    for (_, child) in action["children"].as_object().into_iter().flatten() {
        if *child != json!({}) {
            refused(kazoo, child, tell);
        }
    }
}
