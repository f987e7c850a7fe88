//! `callreel import`: account documents from a folder into the store, all or nothing.

use std::process::ExitCode;

use callreel_callflow::{Severity, lint};
use callreel_store::import;

use crate::{cli::Import, node::open_store, serve::say};

/// Imports the folder, or prints every problem that keeps it from being imported.
pub(crate) async fn run(args: &Import) -> anyhow::Result<ExitCode> {
    let config = args.place.load()?;
    let store = open_store(&config)?;
    match import::import(&store, &args.dir, refusals).await {
        Ok(report) => {
            say(&format!("imported {report}\n"));
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!(
                "callreel: nothing was imported: {} to mend",
                count(problems.len())
            );
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What is so wrong with a callflow document that it must not be stored; mere doubts are for `callreel flow check`.
pub(crate) fn refusals(document: &serde_json::Value) -> Vec<(String, String)> {
    lint::check(document, false)
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| (problem.pointer, problem.message))
        .collect()
}

fn count(problems: usize) -> String {
    match problems {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    }
}
