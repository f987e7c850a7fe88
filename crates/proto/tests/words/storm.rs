//! Messages nobody in his right mind sends: reading them never panics, and what a type reads its schema takes.

use callreel_proto::schema::Schema;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{kinds, pages};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9]{1,30}".prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        select(vec![
            "true",
            "none",
            "NORMAL_CLEARING",
            "now",
            "start",
            "192.0.2.1:5",
            "*#"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[A-Za-z-]{0,12}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A message with every field, some of them replaced by anything or taken out.
fn spoiled() -> impl Strategy<Value = (&'static str, Value)> {
    let names: Vec<&str> = Schema::all().iter().map(|schema| schema.name).collect();
    select(names).prop_flat_map(|name| {
        let schema = named(name);
        let sample = pages::sample(schema);
        let keys: Vec<String> = sample.keys().cloned().collect();
        vec((select(keys), proptest::option::of(any_json())), 0..5).prop_map(move |changes| {
            let mut message = sample.clone();
            for (key, value) in changes {
                match value {
                    Some(value) => drop(message.insert(key, value)),
                    None => drop(message.remove(&key)),
                }
            }
            (name, Value::Object(message))
        })
    })
}

fn named(name: &str) -> &'static Schema {
    let all = Schema::all().iter();
    all.into_iter().find(|schema| schema.name == name).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_a_type_reads_its_schema_takes((name, message) in spoiled()) {
        // A message that says it is something else is held against that.
        prop_assume!(Schema::of(&message).is_some_and(|found| found.name == name));
        if (kinds::of(name).reprint)(&message).is_ok() {
            prop_assert_eq!(named(name).accept(&message), Ok(()));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        (name, message) in spoiled(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = message.to_string().into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let outcome = (kinds::of(name).read)(&bytes);
        if let Err(error) = outcome {
            prop_assert!(error.to_string().len() < 4000, "an error that fills the log");
        }
    }
}

#[test]
fn nothing_deeper_than_the_reader_goes_is_read_and_nothing_panics() {
    for schema in Schema::all() {
        let mut sample = pages::sample(schema);
        sample.insert("X-Deep".to_owned(), json!("HERE"));
        let text = Value::Object(sample).to_string();
        for (depth, is_fine) in [(100, true), (100_000, false)] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let bytes = text.replace("\"HERE\"", &deep).into_bytes();
            let read = (kinds::of(schema.name).read)(&bytes);
            assert_eq!(
                read.is_ok(),
                is_fine,
                "{} at depth {depth}: {read:?}",
                schema.name
            );
        }
    }
}

#[test]
fn huge_numbers_and_keys_said_twice_never_panic() {
    let digits = "9".repeat(400);
    for schema in Schema::all() {
        let sample = pages::sample(schema);
        let text = Value::Object(sample.clone()).to_string();
        let twice = format!("{},{}", text.trim_end_matches('}'), &text[1..]);
        let mut hostile = vec![twice, digits.clone(), "\"".repeat(9), String::new()];
        for (key, value) in &sample {
            for huge in ["1e999999", "-1e308", "1.8446744073709552e19", &digits] {
                let field = format!("{}:{value}", json!(key));
                hostile.push(text.replace(&field, &format!("{}:{huge}", json!(key))));
            }
        }
        for message in hostile {
            drop((kinds::of(schema.name).read)(message.as_bytes()));
        }
    }
}
