//! The house rules that no compiler knows: layers, budgets, minds without I/O, twins, and documents that are true.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::support::{root, run};

/// Longest file, tests included.
const MAX_LINES: usize = 500;
/// Largest file in git.
const MAX_BYTES: u64 = 200_000;

/// Every file git knows, or would take.
fn files() -> Vec<PathBuf> {
    let dir = root();
    let listed = run(
        "git",
        &[
            "-C",
            dir.to_str().unwrap(),
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    );
    let listed = String::from_utf8(listed).unwrap();
    let files: Vec<PathBuf> = listed
        .lines()
        .map(|line| dir.join(line))
        .filter(|path| path.is_file())
        .collect();
    assert!(files.len() > 50, "git lists {} files", files.len());
    files
}

fn with_extension(extension: &str) -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

fn none(what: &str, offenders: &[String]) {
    assert!(
        offenders.is_empty(),
        "{what}:\n  {}",
        offenders.join("\n  ")
    );
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Crate → its layer's number, from the comments between the workspace's members.
fn layers() -> BTreeMap<String, usize> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest
        .split("members = [")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    let mut layer = 0;
    let mut found = BTreeMap::new();
    for line in members.lines().map(str::trim) {
        if line.starts_with('#') {
            layer += 1;
        } else if let Some(member) = line.strip_prefix("\"crates/") {
            found.insert(member.trim_end_matches("\",").to_owned(), layer);
        }
    }
    assert_eq!(found.len(), 13, "{found:?}");
    found
}

#[test]
fn a_crate_uses_only_lower_layers() {
    let layers = layers();
    let mut offenders = Vec::new();
    for (member, layer) in &layers {
        let manifest =
            std::fs::read_to_string(root().join(format!("crates/{member}/Cargo.toml"))).unwrap();
        for line in manifest.lines() {
            let Some(rest) = line.strip_prefix("callreel-") else {
                continue;
            };
            let used = rest.split(['.', ' ', '=']).next().unwrap();
            if layers[used] >= *layer {
                offenders.push(format!("{member} uses {used}"));
            }
        }
    }
    none("arrows that do not point down", &offenders);
}

#[test]
fn every_file_says_what_it_owns_and_stays_short() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs") {
        if !text.starts_with("//! ") {
            offenders.push(format!("{}: no `//!` sentence", name(&path)));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            offenders.push(format!("{}: {lines} lines", name(&path)));
        }
        for word in ["FIXME", "TODO", "XXX"] {
            if text.contains(word) && !path.ends_with("tidy.rs") {
                offenders.push(format!("{}: {word}", name(&path)));
            }
        }
    }
    none("files outside the budget", &offenders);
}

#[test]
fn minds_do_no_io_and_know_no_clock() {
    let banned = [
        "async fn",
        ".await",
        "tokio::",
        "Instant::now",
        "SystemTime::now",
        "Utc::now",
        "std::net",
        "std::thread",
        "rand::",
        "random_hex",
    ];
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs") {
        let place = name(&path);
        let is_mind = ["crates/callflow/src", "crates/media/src"]
            .iter()
            .any(|m| place.starts_with(m));
        if !is_mind || place.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                offenders.push(format!("{place}: {word}"));
            }
        }
    }
    none("minds that act", &offenders);
}

#[test]
fn every_variant_of_a_message_is_explained() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs") {
        let mut inside = false;
        let mut explained = false;
        for line in text.lines() {
            let is_enum = line.contains("enum ") && line.ends_with('{');
            if is_enum
                && ["Msg {", "Effect {", "Input {", "Output {"]
                    .iter()
                    .any(|end| line.ends_with(end))
            {
                inside = true;
                continue;
            }
            if inside && line == "}" {
                inside = false;
            }
            let starts_variant =
                inside && line.starts_with("    ") && line[4..].starts_with(char::is_uppercase);
            if starts_variant && !explained {
                offenders.push(format!("{}: {}", name(&path), line.trim()));
            }
            let is_comment = line.trim_start().starts_with("///");
            explained = is_comment || (explained && line.trim_start().starts_with("#["));
        }
    }
    none(
        "variants without a line that says who sends them or what they want",
        &offenders,
    );
}

/// The stems of a folder's files with this extension.
fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let entries =
        std::fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_module_has_its_page_and_its_schema() {
    let pages = stems("docs/modules", "md");
    let schemas = stems("proto/callflow", "json");
    let code = stems("crates/callflow/src/modules", "rs");
    for required in [
        "record_call",
        "record_caller",
        "user",
        "voicemail",
        "say",
        "tts",
        "play",
    ] {
        assert!(code.contains(required), "no module {required}");
    }
    assert_eq!(pages, schemas, "pages and schemas");
    let orphans: Vec<_> = pages.difference(&code).collect();
    assert!(orphans.is_empty(), "pages without a module: {orphans:?}");
    let unwritten: Vec<_> = code
        .difference(&pages)
        .filter(|stem| *stem != "tests")
        .collect();
    assert!(
        unwritten.is_empty(),
        "modules without a page: {unwritten:?}"
    );
}

/// Rows of a page's table that name no test, or one that there is not.
fn unheld(page: &str, is_row: impl Fn(&str) -> bool) -> (usize, Vec<String>) {
    let page = std::fs::read_to_string(root().join(page)).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| is_row(line)).collect();
    let code: String = with_extension("rs").into_iter().map(|(_, t)| t).collect();
    let mut offenders = Vec::new();
    for row in &rows {
        let quoted = row.split('`').skip(1).step_by(2);
        let tests: Vec<&str> = quoted
            .filter_map(|quoted| quoted.rsplit_once("::"))
            .map(|(_, test)| test)
            .collect();
        if tests.is_empty() {
            offenders.push(format!("no test: {row}"));
        }
        let missing = tests
            .iter()
            .filter(|test| !code.contains(&format!("fn {test}(")));
        offenders.extend(missing.map(|test| format!("{test} does not exist: {row}")));
    }
    (rows.len(), offenders)
}

#[test]
fn every_test_the_checklist_names_exists() {
    let numbered = |line: &str| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit();
    let (rows, offenders) = unheld("docs/recording.md", numbered);
    assert_eq!(rows, 23, "the checklist has 23 rows");
    none("a rule that nothing holds", &offenders);
}

#[test]
fn every_claim_of_security_has_its_test() {
    let claim = |line: &str| line.starts_with("| ") && line.contains("::");
    let (rows, offenders) = unheld("docs/security.md", claim);
    assert!(rows > 10, "{rows} claims");
    none("a claim that nothing holds", &offenders);
}

#[test]
fn every_path_a_document_names_exists() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("md") {
        for quoted in text.split('`').skip(1).step_by(2) {
            let looks_like_ours = [
                "crates/",
                "docs/",
                "tests/",
                "proto/",
                "src/",
                "examples/",
                ".ci/",
                "k8s/",
            ]
            .iter()
            .any(|top| quoted.starts_with(top));
            let is_pattern = quoted.contains(['*', '<', ' ', '{', '…']);
            if looks_like_ours && !is_pattern && !root().join(quoted).exists() {
                offenders.push(format!("{}: {quoted}", name(&path)));
            }
        }
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().unwrap();
            let is_ours = !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:");
            if is_ours && !path.parent().unwrap().join(file).exists() {
                offenders.push(format!("{}: link {link}", name(&path)));
            }
        }
    }
    none("documents that name what is not there", &offenders);
}

#[test]
fn every_page_is_in_the_book() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let docs = root().join("docs");
    let missing: Vec<_> = with_extension("md")
        .into_iter()
        .filter_map(|(path, _)| path.strip_prefix(&docs).ok().map(PathBuf::from))
        .filter(|page| page.as_path() != Path::new("SUMMARY.md"))
        .map(|page| page.display().to_string())
        .filter(|page| !summary.contains(&format!("]({page})")))
        .collect();
    none("pages that docs/SUMMARY.md does not name", &missing);
}

#[test]
fn nothing_large_and_nothing_made_is_in_git() {
    let mut offenders = Vec::new();
    for path in files() {
        let bytes = std::fs::metadata(&path).unwrap().len();
        let is_lock = path.ends_with("Cargo.lock");
        if bytes > MAX_BYTES && !is_lock {
            offenders.push(format!("{}: {bytes} bytes", name(&path)));
        }
        // A spool of another version has files where audio would be, with 20 ms of silence.
        let is_audio = path.extension().is_some_and(|e| e == "mp3" || e == "wav");
        if is_audio && !(path.starts_with(root().join("tests/data/formats")) && bytes < 1000) {
            offenders.push(format!("{}: audio", name(&path)));
        }
    }
    none("files that do not belong in git", &offenders);
}
