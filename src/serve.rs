//! `callreel serve`: runs a node until SIGTERM (which drains it) or Ctrl-C (which does not).

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::{Serve, VERSION},
    health::Health,
    metrics::Metrics,
    node::Node,
    telemetry::Telemetry,
};

/// Runs the node and prints where it can be reached; the line `ready` follows when it takes calls.
pub(crate) async fn run(args: Serve) -> anyhow::Result<ExitCode> {
    let mut config = args.place.load()?;
    if !args.role.is_empty() {
        config.node.roles = args.role;
    }
    let telemetry = Telemetry::start(&config)?;
    tracing::info!(version = VERSION, roles = ?config.node.roles, "starting");
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let metrics = Metrics::start(&telemetry)?;
    let health = Health::start(config.node.health_listen, metrics.router()).await?;
    let mut node = Node::start(&config, metrics.router()).await?;
    health.serves(node.bus().clone(), node.store().clone());
    for (transport, address) in node.sip_addresses() {
        say(&format!("sip {transport} {address}\n"));
    }
    if let Some(address) = node.api_address() {
        say(&format!("api {}://{address}\n", config.api.scheme()));
    }
    if let Some(address) = health.address() {
        say(&format!("health http://{address}\n"));
    }
    say("ready\n");
    let told = loop {
        tokio::select! {
            _ = terminate.recv() => break End::Drain,
            pressed = tokio::signal::ctrl_c() => break pressed.map(|()| End::Now).context("Ctrl-C")?,
            role = node.broken() => break End::Broken(role),
            () = metrics.wanted() => metrics.show(node.vitals().await),
        }
    };
    health.stops();
    let code = match told {
        End::Now => ExitCode::SUCCESS,
        End::Drain => {
            let limit = Duration::from_secs(config.node.drain_limit_s);
            tokio::select! {
                () = drain(&node, limit, &mut terminate) => {}
                () = show(&node, &metrics) => {}
            }
            ExitCode::SUCCESS
        }
        End::Broken(role) => {
            tracing::error!(
                role,
                "a role died; the process ends, and the next start finishes what it was recording"
            );
            ExitCode::FAILURE
        }
    };
    tracing::debug!(roles = %node.describe().await, "stopping");
    node.stop().await;
    tokio::join!(metrics.stop(), telemetry.stop());
    Ok(code)
}

/// Why the node ends.
enum End {
    /// SIGTERM: let running calls end.
    Drain,
    /// Ctrl-C: at once.
    Now,
    /// This role died.
    Broken(&'static str),
}

/// Lets running calls end, until the limit, another SIGTERM or Ctrl-C.
async fn drain(node: &Node, limit: Duration, terminate: &mut Signal) {
    tracing::info!(limit_s = limit.as_secs(), "draining: no new calls");
    tokio::select! {
        () = node.drain() => tracing::info!("the last call has ended"),
        () = tokio::time::sleep(limit) => tracing::warn!("calls still run; they are hung up, and their recordings end here"),
        _ = terminate.recv() => tracing::warn!("told again: calls that still run are hung up"),
        _ = tokio::signal::ctrl_c() => tracing::warn!("told again: calls that still run are hung up"),
    }
}

/// Shows metrics what they want to see, for as long as it is asked to.
async fn show(node: &Node, metrics: &Metrics) {
    loop {
        metrics.wanted().await;
        metrics.show(node.vitals().await);
    }
}

/// Prints to standard output at once. A reader that went away is its own business.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
