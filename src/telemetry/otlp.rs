//! Exports spans, metrics and log lines by OTLP over HTTP to `telemetry.otlp_endpoint`. A receiver that is away costs a bounded
//! queue, and what no longer fits into it.

use std::{collections::HashMap, path::Path, time::Duration};

use anyhow::{Context, anyhow, bail};
use opentelemetry::global;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    logs::SdkLoggerProvider,
    trace::{Sampler, SdkTracerProvider},
};
use reqwest::header::{HeaderName, HeaderValue};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use url::Url;

use super::sender::Sender;
use crate::config::TelemetryConfig;

/// How long the receiver may take for one export.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node that ends waits for the last export of each kind.
const LAST: Duration = Duration::from_secs(2);
/// Who speaks while an export is on its way: what they log would make another export, and that another.
const CARRIERS: [&str; 5] = ["hyper", "reqwest", "rustls", "opentelemetry", "h2"];

/// Exports to one receiver.
pub(super) struct Otlp {
    config: TelemetryConfig,
    endpoint: Url,
    sender: Sender,
    traces: SdkTracerProvider,
    logs: SdkLoggerProvider,
}

impl Otlp {
    /// Spans and log lines go to the receiver from now on; none if no receiver is configured.
    ///
    /// # Errors
    /// As [`validate`]; no HTTP client can be made.
    pub(super) fn start(
        config: &TelemetryConfig,
        resource: Resource,
    ) -> anyhow::Result<Option<Self>> {
        validate(config)?;
        let Some(endpoint) = config.otlp_endpoint.clone() else {
            return Ok(None);
        };
        let sender = Sender::new(client(config.otlp_ca_file.as_deref())?);
        let spans = SpanExporter::builder().with_http();
        let spans = to(spans, &endpoint, "traces", config, &sender).build()?;
        let traces = SdkTracerProvider::builder()
            .with_batch_exporter(spans)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                config.trace_ratio,
            ))))
            .with_resource(resource.clone())
            .build();
        global::set_tracer_provider(traces.clone());
        callreel_telemetry::tell_phone_numbers(config.phone_numbers);
        let lines = LogExporter::builder().with_http();
        let lines = to(lines, &endpoint, "logs", config, &sender).build()?;
        let logs = SdkLoggerProvider::builder()
            .with_batch_exporter(lines)
            .with_resource(resource)
            .build();
        Ok(Some(Self {
            config: config.clone(),
            endpoint,
            sender,
            traces,
            logs,
        }))
    }

    /// Hands log lines on.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        let ours = |target: &str| !CARRIERS.iter().any(|carrier| target.starts_with(carrier));
        OpenTelemetryTracingBridge::new(&self.logs)
            .with_filter(filter_fn(move |line| ours(line.target())))
    }

    /// Hands metrics on.
    ///
    /// # Errors
    /// The exporter says what it has against being set up.
    pub(super) fn metrics(&self) -> anyhow::Result<MetricExporter> {
        let metrics = MetricExporter::builder().with_http();
        let metrics = to(
            metrics,
            &self.endpoint,
            "metrics",
            &self.config,
            &self.sender,
        );
        Ok(metrics.build()?)
    }

    /// Where spans go.
    pub(super) fn traces(&self) -> SdkTracerProvider {
        self.traces.clone()
    }

    /// Exports what is left, and nothing more. Blocks.
    pub(super) fn stop(self) {
        // What the receiver does not take now is lost, which it has been told of.
        drop(self.traces.shutdown_with_timeout(LAST));
        drop(self.logs.shutdown_with_timeout(LAST));
    }
}

/// A client that trusts the authorities of this file, too.
fn client(ca_file: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    let builder = || reqwest::Client::builder().timeout(PATIENCE);
    callreel_doors::client(builder, ca_file, "telemetry.otlp_ca_file").map_err(
        |error| match error {
            callreel_doors::Unusable::CaFile(why) => {
                anyhow!("telemetry.otlp_ca_file cannot be used: {why}")
            }
            callreel_doors::Unusable::Client(error) => error.into(),
        },
    )
}

/// Sends what `exporter` exports of this kind to the receiver.
fn to<E: WithExportConfig + WithHttpConfig>(
    exporter: E,
    endpoint: &Url,
    kind: &str,
    config: &TelemetryConfig,
    sender: &Sender,
) -> E {
    let mut url = endpoint.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", kind]);
    }
    let headers: HashMap<_, _> = config.otlp_headers.clone().into_iter().collect();
    exporter
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(PATIENCE)
        .with_headers(headers)
        .with_http_client(sender.clone())
}

/// What can be told wrong of the settings without asking anybody.
///
/// # Errors
/// The key, and what is wrong with its value.
pub(crate) fn validate(config: &TelemetryConfig) -> anyhow::Result<()> {
    if let Some(url) = &config.otlp_endpoint
        && !(matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        bail!(
            "telemetry.otlp_endpoint = {url}: not http:// or https:// with a host; without a path, such as http://collector:4318"
        );
    }
    let ratio = config.trace_ratio;
    if !(0.0..=1.0).contains(&ratio) {
        bail!("telemetry.trace_ratio = {ratio}: not between 0 (no trace is kept) and 1 (all are)");
    }
    for (name, value) in &config.otlp_headers {
        HeaderName::try_from(name).with_context(|| format!("telemetry.otlp_headers, {name:?}"))?;
        HeaderValue::try_from(value)
            .with_context(|| format!("telemetry.otlp_headers, the value of {name}"))?;
    }
    Ok(())
}
