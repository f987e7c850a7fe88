//! `callreel bench`: measures for people who choose settings or change code. What each of them measures lies in a folder of its own.

mod delivery;
mod fidelity;
mod telemetry;

use std::process::ExitCode;

use clap::Subcommand;

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Start delivery on large backlogs, and measure how long it takes until it delivers, and its memory
    Delivery(delivery::Args),
    /// Send known speech through bad networks into recordings, and measure what is in the files
    Fidelity(fidelity::Args),
    /// Tell a collector of many calls, and measure what that costs beside rendering them
    Telemetry(telemetry::Args),
}

/// Measures, prints, and fails if a goal is missed.
pub(crate) async fn run(bench: Bench) -> anyhow::Result<ExitCode> {
    match bench {
        Bench::Delivery(args) => delivery::run(&args).await,
        // Hours of arithmetic do not belong on the runtime's threads.
        Bench::Fidelity(args) => tokio::task::spawn_blocking(move || fidelity::run(&args)).await?,
        Bench::Telemetry(args) => telemetry::run(&args).await,
    }
}
