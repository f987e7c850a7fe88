//! Problems shown in the text of their document.

use callreel_callflow::{Source, lint};
use insta::assert_snapshot;

const TEXT: &str = r#"{
  "flow": {
    "module": "user",
    "data": {"id": "bob", "timeout": "2O"},
    "children": {
      "busy": {},
      "_": {
        "module": "warp",
        "data": {}
      }
    }
  }
}
"#;

#[test]
fn the_place_of_each_problem_is_underlined() {
    let source = Source::read(TEXT).unwrap();
    let problems = lint::check(&source.document, false);
    assert_snapshot!(source.report("flow.json", &problems), @r#"
    error: wanted a whole number, found a string
     --> flow.json:4:27
      |
    4 |     "data": {"id": "bob", "timeout": "2O"},
      |                           ^^^^^^^^^^^^^^^
      |
      = note: at /flow/data/timeout
    warning: user never goes on at "busy"
     --> flow.json:6:7
      |
    6 |       "busy": {},
      |       ^^^^^^^^^^
      |
      = note: at /flow/children/busy
    warning: there is no module "warp"; it is skipped
     --> flow.json:8:9
      |
    8 |         "module": "warp",
      |         ^^^^^^^^^^^^^^^^
      |
      = note: at /flow/children/_/module
    "#);
    assert_eq!(source.line_and_column("/flow/data/timeout"), (4, 27));
    assert_eq!(source.line_and_column("/flow/data/none"), (4, 5));
    assert_eq!(source.line_and_column(""), (1, 1));
}

#[test]
fn what_is_no_json_is_shown_where_it_ends_to_be() {
    for text in [
        "{\"flow\": {\"module\": }}",
        "",
        "{\"å\": tru",
        "{\n  \"a\": 1,\n}",
        "\u{feff}{]",
    ] {
        let error = Source::read(text).unwrap_err();
        let report = error.report("flow.json", text);
        assert!(
            report.contains(&format!("flow.json:{}:{}", error.line, error.column)),
            "{report}"
        );
    }
    let error = Source::read("{\"flow\": {\"module\": }}").unwrap_err();
    assert_snapshot!(error, @"line 1, column 21: it is no JSON: expected value");
}
