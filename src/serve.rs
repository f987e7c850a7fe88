//! `callreel serve`: runs a node until SIGTERM or Ctrl-C.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::{cli::Serve, node::Node, telemetry};

/// Runs the node and prints where it can be reached; the line `ready` follows when it takes calls.
pub(crate) async fn run(args: Serve) -> anyhow::Result<ExitCode> {
    let mut config = args.place.load()?;
    if !args.role.is_empty() {
        config.node.roles = args.role;
    }
    telemetry::start(&config.telemetry)?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut node = Node::start(&config).await?;
    for (transport, address) in node.sip_addresses() {
        say(&format!("sip {transport} {address}\n"));
    }
    if let Some(address) = node.api_address() {
        say(&format!("api http://{address}\n"));
    }
    say("ready\n");
    let code = tokio::select! {
        _ = terminate.recv() => ExitCode::SUCCESS,
        pressed = tokio::signal::ctrl_c() => {
            pressed.context("Ctrl-C")?;
            ExitCode::SUCCESS
        }
        role = node.broken() => {
            tracing::error!(role, "a role died; the process ends, and the next start finishes what it was recording");
            ExitCode::FAILURE
        }
    };
    tracing::debug!(roles = %node.describe().await, "stopping");
    node.stop().await;
    Ok(code)
}

/// Prints to standard output at once. A reader that went away is its own business.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
