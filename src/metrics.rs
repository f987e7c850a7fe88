//! The node's metrics: collects what its roles count and show of themselves, and answers `GET /metrics` in the text format of
//! Prometheus. Counts nothing itself.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use callreel_telemetry::{KeyValue, SCOPE, Seen, observe};
use opentelemetry::{global, metrics::MeterProvider};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::config::NodeConfig;

/// How long who asks for metrics waits for the roles to show themselves; then what they showed last has to do. Less than the
/// ten seconds Prometheus waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is collected of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// What the roles showed last.
    seen: watch::Sender<Seen>,
    /// Somebody wants them to show themselves anew.
    wanted: Notify,
    _provider: SdkMeterProvider,
}

impl Metrics {
    /// Collects from now on. To be called once, before any role counts.
    ///
    /// # Errors
    /// None that is known; the collector says what it has against being set up.
    pub(crate) fn start(node: &NodeConfig) -> anyhow::Result<Arc<Self>> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .context("metrics")?;
        let provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_resource(resource(node))
            .build();
        let (seen, shown) = watch::channel(Seen::default());
        observe(&provider.meter(SCOPE), move || Arc::clone(&shown.borrow()));
        global::set_meter_provider(provider.clone());
        Ok(Arc::new(Self {
            registry,
            seen,
            wanted: Notify::new(),
            _provider: provider,
        }))
    }

    /// `GET /metrics`.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .with_state(Arc::clone(self))
    }

    /// Returns when somebody wants the roles to show themselves, who is then to be told by [`Metrics::show`].
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// What the roles show of themselves now.
    pub(crate) fn show(&self, seen: Value) {
        self.seen.send_replace(Arc::new(seen));
    }

    async fn text(&self) -> prometheus::Result<String> {
        let mut shown = self.seen.subscribe();
        shown.mark_unchanged();
        self.wanted.notify_one();
        // A node that starts, or has no time, shows what it showed last.
        drop(timeout(PATIENCE, shown.changed()).await);
        TextEncoder::new().encode_to_string(&self.registry.gather())
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

async fn metrics(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text().await {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "metrics cannot be told");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    /// What is above the table of docs/metrics.md.
    const HEAD: &str = "# Metrics

Made of the code by `make pages`; change what a metric says there.

Every node tells its metrics at `/metrics` in the text format of Prometheus: on `node.health_listen`, whatever its roles, and on the listener
of the [API](api.md), where it is open to whoever reaches the port. No metric has an account, a number, a Call-ID or a URL in it.

A metric of a role that does not run in a process is not there. Counters begin at 0 with the process. `target_info` tells which node it is, its
version and its roles.
";

    #[test]
    fn the_page_of_the_metrics_is_what_the_code_says() {
        crate::pages::hold(
            "docs/metrics.md",
            &format!("{HEAD}\n{}", callreel_telemetry::page()),
        );
    }
}
