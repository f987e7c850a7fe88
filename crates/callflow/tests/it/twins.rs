//! One module, one file, one doc page, one schema: all of the same stem, and saying the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use callreel_callflow::lint;
use serde_json::{Value, json};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_module_has_its_file_its_page_and_its_schema() {
    let modules: BTreeSet<_> = lint::modules().map(str::to_owned).collect();
    assert!(modules.len() > 15);
    assert_eq!(stems("crates/callflow/src/modules", "rs"), modules);
    assert_eq!(stems("docs/modules", "md"), modules);
    assert_eq!(stems("proto/callflow", "json"), modules);
}

#[test]
fn a_page_names_every_key_with_its_default_and_no_other() {
    for module in lint::modules() {
        let page = page(module);
        assert!(
            page.starts_with(&format!("# {module}\n")),
            "{module}: the title"
        );
        let first = |text: &str| page.find(text).unwrap_or(usize::MAX);
        assert!(
            first("```json\n") < first("\n## "),
            "{module}: JSON comes first"
        );
        let rows: BTreeMap<_, _> = page.lines().filter_map(row).collect();
        let schema = lint::schema(module).unwrap();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let keys = schema["properties"].as_object().unwrap().iter();
        let expected: BTreeMap<_, _> = keys
            .map(|(key, property)| {
                let default = match property.get("default") {
                    _ if required.contains(&json!(key)) => "required".to_owned(),
                    Some(Value::Array(_)) => "every key".to_owned(),
                    Some(default) => format!("`{default}`"),
                    None => String::new(),
                };
                (key.clone(), default)
            })
            .collect();
        assert_eq!(rows, expected, "docs/modules/{module}.md and its schema");
        for example in examples(&page) {
            let document: Value = serde_json::from_str(&example)
                .unwrap_or_else(|e| panic!("{module}: {e}\n{example}"));
            let problems = lint::check(&document, true);
            let bad: Vec<_> = problems
                .iter()
                .filter(|p| p.severity == callreel_callflow::Severity::Error)
                .collect();
            assert!(bad.is_empty(), "{module}: {bad:?}");
        }
    }
}

/// The key and the default of a table's row: ``| `key` | type | default | meaning |``.
fn row(line: &str) -> Option<(String, String)> {
    let (key, rest) = line.strip_prefix("| `")?.split_once('`')?;
    // A choice of values is written with an escaped bar.
    let rest = rest.replace("\\|", "/");
    let default = rest.split('|').nth(2)?.trim().to_owned();
    Some((key.to_owned(), default))
}

/// A module's page.
pub(crate) fn page(module: &str) -> String {
    std::fs::read_to_string(root(&format!("docs/modules/{module}.md"))).unwrap()
}

/// The JSON documents of a page.
pub(crate) fn examples(page: &str) -> Vec<String> {
    let blocks: Vec<_> = page
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    assert!(!blocks.is_empty(), "a page has an example:\n{page}");
    blocks
}

#[test]
fn schemas_are_json_schemas_and_keep_to_what_our_checker_knows() {
    const KNOWN: &[&str] = &[
        "$schema",
        "title",
        "description",
        "type",
        "properties",
        "required",
        "enum",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "items",
        "default",
        "x-callreel-ignored",
        // The children a module goes on at; "_" alone when absent.
        "x-callreel-branches",
        // The pvt_type of the document whose id it is, or the key beside it that says so.
        "x-callreel-document",
        "x-callreel-document-by",
    ];
    fn walk(schema: &Value, module: &str) {
        for (keyword, value) in schema.as_object().unwrap() {
            assert!(KNOWN.contains(&keyword.as_str()), "{module}: {keyword}");
            match keyword.as_str() {
                "properties" => value
                    .as_object()
                    .unwrap()
                    .values()
                    .for_each(|v| walk(v, module)),
                "items" => walk(value, module),
                _ => {}
            }
        }
    }
    for module in lint::modules() {
        let schema = lint::schema(module).unwrap();
        jsonschema::draft202012::meta::validate(&schema)
            .unwrap_or_else(|e| panic!("{module}: {e}"));
        assert_eq!(schema["title"], json!(module));
        assert_eq!(
            schema["properties"]["skip_module"]["type"],
            json!("boolean")
        );
        for (key, property) in schema["properties"].as_object().unwrap() {
            if let Some(default) = property.get("default") {
                assert!(
                    jsonschema::is_valid(property, default),
                    "{module}: the default of {key}"
                );
            }
        }
        walk(&schema, module);
    }
}
