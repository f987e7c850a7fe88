//! What a process tells of itself: log lines on standard error, at the level the configuration or `RUST_LOG` asks for, and, where a
//! receiver is configured, spans, metrics and log lines by OTLP.

mod otlp;
mod sender;

use std::io::IsTerminal;

use anyhow::Context;
use callreel_telemetry::KeyValue;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::Resource;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) use otlp::validate;

use crate::config::{Config, LogFormat, NodeConfig};
use otlp::Otlp;

/// This process's telemetry, for as long as it runs.
pub(crate) struct Telemetry {
    /// Who tells.
    pub(crate) resource: Resource,
    otlp: Option<Otlp>,
}

impl Telemetry {
    /// Starts to tell. To be called once, in the runtime, before anything is told.
    ///
    /// # Errors
    /// The filter cannot be read; the error shows it. As [`validate`].
    pub(crate) fn start(config: &Config) -> anyhow::Result<Self> {
        let text = std::env::var("RUST_LOG").unwrap_or_else(|_| config.telemetry.log.clone());
        let filter = EnvFilter::try_new(&text)
            .with_context(|| format!("telemetry.log (or RUST_LOG) = {text:?}"))?;
        let resource = resource(&config.node);
        let otlp = Otlp::start(&config.telemetry, resource.clone())?;
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        let lines = match config.telemetry.log_format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .boxed(),
        };
        let started = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .with(otlp.as_ref().map(Otlp::layer))
            .try_init();
        started.map_err(|error| anyhow::anyhow!("logging did not start: {error}"))?;
        Ok(Self { resource, otlp })
    }

    /// Where metrics go, too; none without a receiver.
    ///
    /// # Errors
    /// The exporter says what it has against being set up.
    pub(crate) fn metrics(&self) -> anyhow::Result<Option<MetricExporter>> {
        self.otlp.as_ref().map(Otlp::metrics).transpose()
    }

    /// Tells the receiver of all spans that have ended.
    pub(crate) async fn flush(&self) {
        if let Some(otlp) = &self.otlp {
            let traces = otlp.traces();
            // Exports go through this runtime, so that none of its threads may wait for them.
            drop(tokio::task::spawn_blocking(move || traces.force_flush()).await);
        }
    }

    /// Tells the receiver what it has not been told yet, if it listens.
    pub(crate) async fn stop(self) {
        if let Some(otlp) = self.otlp {
            // Exports go through this runtime, so that none of its threads may wait for them.
            drop(tokio::task::spawn_blocking(move || otlp.stop()).await);
        }
    }
}

/// Who tells.
fn resource(node: &NodeConfig) -> Resource {
    let roles: Vec<&str> = node.roles.iter().map(|role| role.name()).collect();
    Resource::builder_empty()
        .with_service_name("callreel")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", node.name.clone()),
            KeyValue::new("callreel.roles", roles.join(",")),
        ])
        .build()
}
