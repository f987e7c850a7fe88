//! Logging: to standard error, at the level the configuration or `RUST_LOG` asks for.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

/// Starts logging for this process.
///
/// # Errors
/// The filter cannot be read; the error shows it.
pub(crate) fn start(config: &TelemetryConfig) -> anyhow::Result<()> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| config.log.clone());
    let filter = EnvFilter::try_new(&text)
        .with_context(|| format!("telemetry.log (or RUST_LOG) = {text:?}"))?;
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Text => logger.try_init(),
        LogFormat::Json => logger.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging did not start: {error}"))
}
