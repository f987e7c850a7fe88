//! `callreel bench`: measures for people who choose settings or change code. What each of them measures lies in a folder of its own.

mod cost;
mod delivery;
mod fidelity;
mod floors;
mod judge;
mod load;
mod recorder;
mod row;
mod talk;
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
    /// Do barely what recording cannot do without, and measure what that costs on this machine
    Floors(floors::Args),
    /// Send the RTP of many calls, as another bench says on standard input
    #[command(hide = true)]
    Load(load::Args),
    /// Record many calls at once, by real RTP, and measure what that costs and whether all is in the files
    Recorder(recorder::Args),
    /// Tell a collector of many calls, and measure what that costs beside rendering them
    Telemetry(telemetry::Args),
}

/// Measures, prints, and fails if a goal is missed.
pub(crate) async fn run(bench: Bench) -> anyhow::Result<ExitCode> {
    match bench {
        Bench::Delivery(args) => delivery::run(&args).await,
        // Hours of arithmetic do not belong on the runtime's threads.
        Bench::Fidelity(args) => tokio::task::spawn_blocking(move || fidelity::run(&args)).await?,
        Bench::Floors(args) => floors::run(&args).await,
        // It waits with threads, and has the process to itself.
        Bench::Load(_) => tokio::task::spawn_blocking(load::run).await?,
        Bench::Recorder(args) => recorder::run(&args).await,
        Bench::Telemetry(args) => telemetry::run(&args).await,
    }
}
