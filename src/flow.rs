//! `callreel flow`: looks at a callflow document without running it.

use std::{path::Path, process::ExitCode, time::Instant};

use anyhow::Context;
use callreel_callflow::{Severity, explain, lint};
use serde_json::Value;

use crate::{cli::Flow, serve::say};

/// Checks or explains a document.
pub(crate) fn run(command: &Flow) -> anyhow::Result<ExitCode> {
    match command {
        Flow::Check { file, strict } => check(file, *strict),
        Flow::Explain { file } => {
            let talk = explain::explain(&read(file)?, Instant::now());
            say(&talk.with_context(|| file.display().to_string())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(file: &Path, strict: bool) -> anyhow::Result<ExitCode> {
    let problems = lint::check(&read(file)?, strict);
    for problem in &problems {
        say(&format!("{}: {problem}\n", file.display()));
    }
    if problems.iter().any(|p| p.severity == Severity::Error) {
        return Ok(ExitCode::FAILURE);
    }
    if problems.is_empty() {
        say(&format!("{}: nothing to remark\n", file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(file).with_context(|| file.display().to_string())?;
    // Some editors begin a file with a byte order mark; import ignores it too.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    serde_json::from_slice(text).with_context(|| format!("{} is not JSON", file.display()))
}
