//! The program: reads the command line and hands over to the file that answers it.

mod bench;
mod check;
mod cli;
mod config;
mod correlation;
mod defaults;
mod demo;
mod dial;
mod flow;
mod health;
mod heart;
mod import;
mod keys;
mod live;
mod metrics;
mod node;
mod owed;
#[cfg(test)]
mod pages;
mod phone;
mod receive;
mod remote;
mod serve;
mod steps;
mod stored;
mod telemetry;
mod token;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command, ConfigCommand};
use config::Config;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Two TLS users (deliveries and SIP) must agree on one provider before either starts.
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("installed once, here");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a machine that runs programs gives them threads");
    match runtime.block_on(Box::pin(answer(cli.command))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("callreel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn answer(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Import(args) => import::run(&args).await,
        Command::Flow(command) => flow::run(command).await,
        Command::Recordings(command) => stored::recordings(command).await,
        Command::Calls(command) => live::calls(command).await,
        Command::Deliveries(command) => owed::deliveries(command).await,
        Command::Token(command) => token::run(command).await,
        Command::Check {
            head: true, place, ..
        } => check::head(&place),
        Command::Check { repair, place, .. } => check::run(&place, repair).await,
        Command::Keys(command) => keys::run(&command),
        Command::Dial(args) => dial::run(args).await,
        Command::Receive(args) => receive::run(args).await,
        Command::Bench(bench) => bench::run(bench).await,
        Command::Config(ConfigCommand::Print(place)) => {
            serve::say(&place.load()?.print());
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(ConfigCommand::Check { file }) => {
            Config::check(&file)?;
            serve::say("every key is known, every value can be worked with\n");
            Ok(ExitCode::SUCCESS)
        }
    }
}
