//! The schemas as pages to read: which properties a message has when it is sent, and a sample made of their examples.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock};

use callreel_proto::schema::Schema;
use serde_json::{Map, Value};

/// A property's name, and all its page says of it.
pub(crate) type Properties = BTreeMap<String, Map<String, Value>>;

/// A folder under `proto/amqp`.
pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../proto/amqp")
        .join(name)
}

/// The stems and contents of a folder's JSON files, in order.
pub(crate) fn json_files(name: &str) -> Vec<(String, Value)> {
    let mut found: Vec<_> = fs::read_dir(folder(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{stem}: {e}"));
            (stem, json)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// A schema's file, by its name.
pub(crate) fn page(name: &str) -> Value {
    let path = folder("schema").join(format!("{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_str(&text).unwrap()
}

/// What this message's properties are when it is sent: its own, its family's and the envelope's.
pub(crate) fn sent(schema: &Schema) -> Properties {
    let mut found = Properties::new();
    collect(schema.name, "/$defs/sent", &mut found);
    found
}

/// The same of any schema object of a page.
pub(crate) fn properties(name: &str, pointer: &str) -> Properties {
    let mut found = Properties::new();
    collect(name, pointer, &mut found);
    found
}

fn collect(name: &str, pointer: &str, found: &mut Properties) {
    let page = page(name);
    let node = page
        .pointer(pointer)
        .unwrap_or_else(|| panic!("{name} has no {pointer}"));
    let parts = node.get("allOf").and_then(Value::as_array);
    for part in parts.into_iter().flatten().chain([node]) {
        if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
            let (file, pointer) = target(name, reference);
            collect(&file, &pointer, found);
        }
    }
    let own = node.get("properties").and_then(Value::as_object);
    for (key, property) in own.into_iter().flatten() {
        let said = found.entry(key.clone()).or_default();
        said.extend(resolved(name, property));
    }
}

/// A property with what it refers to.
fn resolved(name: &str, property: &Value) -> Map<String, Value> {
    let mut all = Map::new();
    if let Some(reference) = property.get("$ref").and_then(Value::as_str) {
        let (file, pointer) = target(name, reference);
        let page = page(&file);
        all = resolved(&file, page.pointer(&pointer).unwrap());
    }
    all.extend(property.as_object().unwrap().clone());
    all
}

/// The page and place a reference on the page `name` means.
fn target(name: &str, reference: &str) -> (String, String) {
    let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let file = match file.trim_end_matches(".json") {
        "" => name.to_owned(),
        file => match name.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{file}"),
            None => file.to_owned(),
        },
    };
    (file, pointer.to_owned())
}

/// A value that a property may have.
pub(crate) fn example(key: &str, property: &Map<String, Value>) -> Value {
    let first = |word: &str| property.get(word)?.as_array()?.first().cloned();
    property
        .get("const")
        .cloned()
        .or_else(|| first("enum"))
        .or_else(|| first("examples"))
        .unwrap_or_else(|| panic!("{key} has no example: {property:?}"))
}

/// A message with every property it may have.
pub(crate) fn sample(schema: &Schema) -> Map<String, Value> {
    static SAMPLES: LazyLock<BTreeMap<&str, Map<String, Value>>> = LazyLock::new(|| {
        let made_of = |schema: &Schema| {
            let properties = sent(schema).into_iter();
            properties
                .map(|(key, property)| (key.clone(), example(&key, &property)))
                .collect()
        };
        let all = Schema::all().iter();
        all.map(|schema| (schema.name, made_of(schema))).collect()
    });
    SAMPLES[schema.name].clone()
}
