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
use callreel_telemetry::{SCOPE, Seen, observe};
use opentelemetry::{global, metrics::MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use crate::telemetry::Telemetry;

/// How long who asks for metrics waits for the roles to show themselves; then what they showed last has to do. Less than the
/// ten seconds Prometheus waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// How old what the roles showed may be in metrics that are sent: half of the usual time between two.
const LOOK: Duration = Duration::from_secs(30);
/// How long a node that ends waits for the last of them.
const LAST: Duration = Duration::from_secs(2);

/// What is collected of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// What the roles showed last.
    seen: watch::Sender<Seen>,
    /// Somebody wants them to show themselves anew.
    wanted: Notify,
    /// How often they are to do so unasked: metrics that are sent ask nobody.
    looks: Option<Duration>,
    provider: SdkMeterProvider,
}

impl Metrics {
    /// Collects from now on. To be called once, before any role counts.
    ///
    /// # Errors
    /// None that is known; the collector says what it has against being set up.
    pub(crate) fn start(telemetry: &Telemetry) -> anyhow::Result<Arc<Self>> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .context("metrics")?;
        let mut provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_resource(telemetry.resource.clone());
        let pushed = telemetry.metrics()?;
        let looks = pushed.is_some();
        if let Some(receiver) = pushed {
            provider = provider.with_periodic_exporter(receiver);
        }
        let provider = provider.build();
        let (seen, shown) = watch::channel(Seen::default());
        observe(&provider.meter(SCOPE), move || Arc::clone(&shown.borrow()));
        global::set_meter_provider(provider.clone());
        Ok(Arc::new(Self {
            registry,
            seen,
            wanted: Notify::new(),
            looks: looks.then_some(LOOK),
            provider,
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
        let look = async {
            match self.looks {
                Some(every) => sleep(every).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.wanted.notified() => {}
            () = look => {}
        }
    }

    /// Sends what is to be sent for the last time.
    pub(crate) async fn stop(&self) {
        let provider = self.provider.clone();
        // Exports go through this runtime, so that none of its threads may wait for them.
        drop(tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST)).await);
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
