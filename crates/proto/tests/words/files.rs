//! Nothing lacks its twin: schemas, examples and the rows of the table in proto/amqp/README.md.

use std::{collections::BTreeSet, fs};

use callreel_proto::schema::Schema;
use serde_json::Value;

use crate::{kinds, pages};

/// Examples of what we send.
const OURS: &str = ".";
/// Examples of what others send: other spellings, fields we do not know, fields that are not there.
const FOREIGN: &str = "foreign";

fn named_after<'a>(stem: &str, schemas: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let of = |name: &&str| stem == *name || stem.starts_with(&format!("{name}."));
    schemas.into_iter().filter(of).max_by_key(|name| name.len())
}

fn names() -> BTreeSet<&'static str> {
    Schema::all().iter().map(|schema| schema.name).collect()
}

#[test]
fn every_schema_is_known_well_formed_and_explained() {
    let known: BTreeSet<String> = names().into_iter().map(str::to_owned).collect();
    let on_disk = pages::json_files("schema");
    let stems: BTreeSet<String> = on_disk.iter().map(|(stem, _)| stem.clone()).collect();
    assert_eq!(stems, known, "the folder and crates/proto/src/schema.rs");
    for (stem, page) in on_disk
        .into_iter()
        .chain(pages::json_files("schema/common"))
    {
        jsonschema::draft202012::meta::validate(&page).unwrap_or_else(|e| panic!("{stem}: {e}"));
        for word in ["title", "description"] {
            assert!(page[word].is_string(), "{stem} has no {word}");
        }
    }
}

#[test]
fn every_property_is_explained_and_has_an_example_that_fits() {
    for schema in Schema::all() {
        let sample = Value::Object(pages::sample(schema));
        schema.send(&sample).unwrap_or_else(|e| panic!("{e}"));
        for (key, said) in pages::sent(schema) {
            let explained = said.contains_key("description") || said.contains_key("const");
            let header = ["Event-Category", "Event-Name"].contains(&key.as_str());
            assert!(
                explained || header,
                "{}: {key} is not explained",
                schema.name
            );
        }
    }
}

#[test]
fn every_schema_has_an_example_and_every_example_fits_its_schema_alone() {
    let mut lacking = names();
    for (stem, message) in pages::json_files(OURS) {
        let expected = named_after(&stem, names()).unwrap_or_else(|| panic!("{stem}: what is it?"));
        lacking.remove(expected);
        let found = Schema::of(&message).unwrap_or_else(|| panic!("{stem} is of no kind"));
        assert_eq!(found.name, expected, "{stem}");
        if let Err(e) = callreel_proto::schema::sent(&message) {
            eprintln!("{stem}: {e}");
        }
        let others = Schema::all()
            .iter()
            .filter(|schema| schema.name != expected);
        for other in others {
            assert!(
                other.send(&message).is_err(),
                "{stem} is also {}",
                other.name
            );
        }
    }
    assert!(
        lacking.is_empty(),
        "schemas without an example: {lacking:?}"
    );
}

#[test]
fn what_others_send_is_understood_to_the_last_field_we_know() {
    let foreign = pages::json_files(FOREIGN);
    assert!(foreign.len() > 10);
    for (stem, message) in foreign {
        let schema = Schema::of(&message).unwrap_or_else(|| panic!("{stem} is of no kind"));
        assert_eq!(named_after(&stem, names()), Some(schema.name), "{stem}");
        schema
            .accept(&message)
            .unwrap_or_else(|e| panic!("{stem}: {e}"));
        let understood = (kinds::of(schema.name).reprint)(&message).unwrap();
        for key in pages::sent(schema).keys() {
            let there = message.get(key).is_some_and(|value| !value.is_null());
            assert!(
                !there || understood.get(key).is_some(),
                "{stem}: {key} was passed over"
            );
        }
    }
}

#[test]
fn the_table_has_one_row_for_every_schema_and_names_an_example() {
    let text = fs::read_to_string(pages::folder("README.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| [`"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let mut found = Vec::new();
    for row in &rows {
        let [message, exchange, key, direction, example] = row[..] else {
            panic!("not five columns: {row:?}");
        };
        let name = message.split('`').nth(1).unwrap();
        assert!(
            message.ends_with(&format!("(schema/{name}.json)")),
            "{message}"
        );
        let known = callreel_proto::Exchange::ALL.map(callreel_proto::Exchange::name);
        assert!(
            known.contains(&exchange.trim_matches('`')),
            "{name}: {exchange}"
        );
        assert!(!key.is_empty(), "{name} has no routing key");
        assert!(
            ["sent", "accepted", "both"].contains(&direction),
            "{name}: {direction}"
        );
        let stem = example.split('`').nth(1).unwrap();
        assert_eq!(named_after(stem, names()), Some(name), "{name}: {example}");
        found.push(name);
    }
    assert_eq!(found.len(), names().len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names());
}
