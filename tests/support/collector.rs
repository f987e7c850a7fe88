//! A receiver of telemetry by OTLP over HTTP: what it was sent, decoded with the protocol's own definitions.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{span::SpanKind, status::StatusCode},
};
use prost::Message;

use super::{eventually, receiver::Receiver};

/// A span as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) name: String,
    /// `service.instance.id`.
    pub(crate) node: String,
    pub(crate) kind: SpanKind,
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    /// Empty for the first of a trace.
    pub(crate) parent: Vec<u8>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) events: Vec<String>,
    pub(crate) failed: bool,
    /// Nanoseconds since 1970.
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

impl Seen {
    /// The value of an attribute; empty if it has none of that name.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A log line as it came.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) said: String,
    pub(crate) node: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A running collector.
pub(crate) struct Collector(Receiver);

impl Collector {
    pub(crate) fn start() -> Self {
        Self(Receiver::start())
    }

    /// For `telemetry.otlp_endpoint`.
    pub(crate) fn url(&self) -> String {
        self.0.url("")
    }

    /// What came to this path.
    fn exports<T: Message + Default>(&self, path: &str) -> Vec<T> {
        let arrivals = self.0.arrivals().into_iter();
        arrivals
            .filter(|arrival| arrival.path == path)
            .map(|arrival| {
                assert_eq!(arrival.headers["content-type"], "application/x-protobuf");
                T::decode(&*arrival.body).unwrap()
            })
            .collect()
    }

    /// The values of a header, of everything that came.
    pub(crate) fn headers(&self, name: &str) -> Vec<Option<String>> {
        let value = |arrival: &super::receiver::Arrival| {
            let value = arrival.headers.get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        self.0.arrivals().iter().map(value).collect()
    }

    /// Every span that came so far.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        let mut spans = Vec::new();
        for export in self.exports::<ExportTraceServiceRequest>("/v1/traces") {
            for of_node in export.resource_spans {
                let node = node(of_node.resource);
                let all = of_node.scope_spans.into_iter().flat_map(|s| s.spans);
                spans.extend(all.map(|span| Seen {
                    kind: span.kind(),
                    failed: span.status.is_some_and(|s| s.code() == StatusCode::Error),
                    name: span.name,
                    node: node.clone(),
                    trace: span.trace_id,
                    id: span.span_id,
                    parent: span.parent_span_id,
                    attributes: texts(span.attributes),
                    events: span.events.into_iter().map(|event| event.name).collect(),
                    began: span.start_time_unix_nano,
                    ended: span.end_time_unix_nano,
                }));
            }
        }
        spans
    }

    /// Waits for a span of this name of which this is true.
    pub(crate) fn span(&self, name: &str, is: impl Fn(&Seen) -> bool) -> Seen {
        eventually(&format!("a span {name}"), || {
            self.spans().into_iter().find(|s| s.name == name && is(s))
        })
    }

    /// Every log line that came so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for export in self.exports::<ExportLogsServiceRequest>("/v1/logs") {
            for of_node in export.resource_logs {
                let node = node(of_node.resource);
                let all = of_node.scope_logs.into_iter().flat_map(|s| s.log_records);
                lines.extend(all.map(|line| Line {
                    said: line.body.map(text).unwrap_or_default(),
                    node: node.clone(),
                    attributes: texts(line.attributes),
                }));
            }
        }
        lines
    }

    /// The names of all metrics that came so far.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let exports = self.exports::<ExportMetricsServiceRequest>("/v1/metrics");
        let of_nodes = exports.into_iter().flat_map(|e| e.resource_metrics);
        let scopes = of_nodes.flat_map(|of_node| of_node.scope_metrics);
        scopes
            .flat_map(|s| s.metrics)
            .map(|metric| metric.name)
            .collect()
    }
}

fn node(resource: Option<Resource>) -> String {
    let mut about = texts(resource.unwrap().attributes);
    assert_eq!(about["service.name"], "callreel");
    about.remove("service.instance.id").unwrap()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let value = |value: Option<AnyValue>| value.map(text).unwrap_or_default();
    let attributes = attributes.into_iter();
    attributes.map(|a| (a.key, value(a.value))).collect()
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    }
}
