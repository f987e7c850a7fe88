//! Each field of each message, one at a time: spelled otherwise, odd, or not there. Type and schema take the same.

use callreel_proto::schema::Schema;
use serde_json::{Map, Value, json};

use crate::{kinds, pages};

/// Calls `check` with every message's sample, once for every property it has.
fn for_each_property(check: impl Fn(&Schema, &Map<String, Value>, &str, &Map<String, Value>)) {
    for schema in Schema::all() {
        let sample = pages::sample(schema);
        for (key, said) in pages::sent(schema) {
            check(schema, &sample, &key, &said);
        }
    }
}

fn with(sample: &Map<String, Value>, key: &str, value: Value) -> Value {
    let mut message = sample.clone();
    message.insert(key.to_owned(), value);
    Value::Object(message)
}

/// Whether the type reads it.
fn is_read(schema: &Schema, message: &Value) -> bool {
    (kinds::of(schema.name).reprint)(message).is_ok()
}

#[test]
fn a_message_with_every_field_is_printed_as_it_was_read() {
    for schema in Schema::all() {
        let sample = Value::Object(pages::sample(schema));
        let printed = (kinds::of(schema.name).reprint)(&sample)
            .unwrap_or_else(|error| panic!("{}: {error}", schema.name));
        assert_eq!(printed, sample, "{}", schema.name);
    }
}

#[test]
fn numbers_booleans_and_texts_are_read_in_the_spelling_of_others() {
    for_each_property(|schema, sample, key, said| {
        if said.contains_key("const") {
            return;
        }
        let (spelled, meant) = match (said.get("$ref"), &sample[key]) {
            (_, Value::Number(number)) => (json!(number.to_string()), sample[key].clone()),
            (_, Value::Bool(truth)) => (json!(truth.to_string()), sample[key].clone()),
            (Some(Value::String(word)), _) if word.ends_with("/text") => (json!(204), json!("204")),
            _ => return,
        };
        let message = with(sample, key, spelled);
        let printed = (kinds::of(schema.name).reprint)(&message)
            .unwrap_or_else(|error| panic!("{} {key}: {error}", schema.name));
        assert_eq!(printed, with(sample, key, meant), "{} {key}", schema.name);
    });
}

#[test]
fn an_odd_field_costs_the_message_only_where_the_schema_says_so() {
    let odd = [
        json!(null),
        json!({}),
        json!([]),
        json!([[]]),
        json!(-1.5),
        json!(1e300),
        json!("\u{0}?"),
        json!("zT4k".repeat(600)),
        json!(false),
        json!([{"Call-ID": 5}]),
    ];
    for_each_property(|schema, sample, key, _| {
        for value in &odd {
            let message = with(sample, key, value.clone());
            // Its kind shall stay what it is.
            if Schema::of(&message).is_none_or(|found| found.name != schema.name) {
                continue;
            }
            let taken = schema.accept(&message);
            assert_eq!(
                is_read(schema, &message),
                taken.is_ok(),
                "{} {key}: {value}: {taken:?}",
                schema.name
            );
        }
    });
}

#[test]
fn a_message_lacks_a_field_only_where_the_schema_says_so() {
    for_each_property(|schema, sample, key, _| {
        let mut message = sample.clone();
        message.remove(key);
        let message = Value::Object(message);
        let taken = schema.accept(&message);
        assert_eq!(
            is_read(schema, &message),
            taken.is_ok(),
            "{} without {key}: {taken:?}",
            schema.name
        );
        if taken.is_err() {
            assert!(schema.send(&message).is_err(), "{} {key}", schema.name);
        }
    });
}

#[test]
fn an_unknown_field_is_accepted_and_not_sent() {
    for schema in Schema::all() {
        let message = with(&pages::sample(schema), "X-Unheard-Of", json!({"deep": [1]}));
        assert!(is_read(schema, &message), "{}", schema.name);
        assert_eq!(schema.accept(&message), Ok(()));
        assert!(schema.send(&message).is_err(), "{}", schema.name);
    }
}
