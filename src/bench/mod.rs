//! `callreel bench`: measures for people who choose settings or change code. What each of them measures lies in a folder of its own.

mod fidelity;

use std::process::ExitCode;

use clap::Subcommand;

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Send known speech through bad networks into recordings, and measure what is in the files
    Fidelity(fidelity::Args),
}

/// Measures, prints, and fails if a goal is missed.
pub(crate) async fn run(bench: Bench) -> anyhow::Result<ExitCode> {
    // Hours of arithmetic do not belong on the runtime's threads.
    match bench {
        Bench::Fidelity(args) => tokio::task::spawn_blocking(move || fidelity::run(&args)).await?,
    }
}
