//! A metric as it is explained, and docs/metrics.md, which is made of all of them. Counts nothing.

use std::fmt::Write;

use crate::{instruments, observed};

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up from the start of the process.
    Counter,
    /// What is so now.
    Gauge,
    /// How values are spread.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name in OpenTelemetry, such as `callreel.calls.started`.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its unit by UCUM; in braces what is counted.
    pub unit: &'static str,
    /// Its attributes, separated by spaces.
    pub attributes: &'static str,
    /// What it says.
    pub about: &'static str,
}

impl Metric {
    /// Its name in Prometheus: dots are underscores, the unit and `_total` are behind it (the rules of the exporter).
    pub fn in_prometheus(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            "1" if self.kind == Kind::Gauge => "_ratio",
            _ => "",
        };
        let total = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }
}

/// Every metric there is, in the order of their names.
pub fn table() -> Vec<Metric> {
    let mut all: Vec<Metric> = instruments::TABLE.to_vec();
    all.extend(observed::TABLE.iter().map(|observed| observed.metric));
    all.sort_by_key(|metric| metric.name);
    all
}

/// The table of docs/metrics.md.
pub fn page() -> String {
    let mut page = String::from(
        "| Metric | In Prometheus | Kind | Unit | Attributes | What it says |\n|---|---|---|---|---|---|\n",
    );
    for metric in table() {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let attributes: Vec<String> = metric
            .attributes
            .split_whitespace()
            .map(|name| format!("`{name}`"))
            .collect();
        writeln!(
            page,
            "| `{}` | `{}` | {kind} | {} | {} | {} |",
            metric.name,
            metric.in_prometheus(),
            metric.unit,
            attributes.join(", "),
            metric.about
        )
        .expect("text is always written");
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_told_once_and_end_with_what_is_counted() {
        let table = table();
        let names: BTreeSet<&str> = table.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), table.len(), "a name is told twice");
        for metric in table {
            assert!(!metric.about.is_empty(), "{}", metric.name);
            let ours = metric.name.starts_with("callreel.");
            let semantic = metric.name.starts_with("http.");
            assert!(ours || semantic, "{}", metric.name);
            let seconds = metric.kind == Kind::Histogram;
            assert!(!seconds || metric.unit == "s", "{}", metric.name);
        }
    }
}
