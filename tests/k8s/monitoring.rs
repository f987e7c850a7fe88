//! Dashboard, alerts and autoscaler read metrics that there are, and every alert says what to do.

use serde_json::Value;

use super::{MONITORING, list, objects, root};

#[test]
fn what_the_autoscaler_reads_is_a_metric_of_ours() {
    let page = include_str!("../../docs/metrics.md");
    let scaler = objects("k8s/overlays/autoscaled", "HorizontalPodAutoscaler").next();
    let scaled = &scaler.unwrap()["spec"]["scaleTargetRef"]["name"];
    let set = objects("k8s/overlays/autoscaled", "StatefulSet")
        .find(|set| set["metadata"]["name"] == *scaled)
        .expect("what is scaled");
    assert_eq!(
        set["spec"].get("replicas"),
        None,
        "an `apply` would set it back"
    );
    let metric = scaler.unwrap()["spec"]["metrics"][0]["pods"]["metric"]["name"].clone();
    let metric = metric.as_str().unwrap();
    assert!(page.contains(&format!("`{metric}`")), "{metric}");
    let rule =
        std::fs::read_to_string(root().join("k8s/overlays/autoscaled/prometheus-adapter.yaml"));
    assert!(
        rule.unwrap().contains(&format!("as: {metric}")),
        "the adapter makes it"
    );
}

/// What Prometheus has of our metrics: names of families, and of the samples of histograms.
fn is_told(name: &str) -> bool {
    let page = include_str!("../../docs/metrics.md");
    let histogram = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    let told = |name: &str| page.contains(&format!("`{name}`"));
    told(name) || histogram.is_some_and(told)
}

/// The words of a text that look like a metric of ours; labels have no more than three parts.
fn metrics_in(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let labels = [
        "hangup_cause",
        "outcome",
        "operation",
        "sip_method",
        "event",
        "step",
    ];
    text.split(|c| !word(c))
        .filter_map(|name| name.strip_prefix("callreel_").map(|rest| (name, rest)))
        .filter(|(_, rest)| !labels.contains(rest))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn dashboard_and_alerts_read_metrics_that_there_are() {
    let maps = objects(MONITORING, "ConfigMap");
    let text: String = maps.map(|map| map["data"].to_string()).collect();
    let read = metrics_in(&text);
    assert!(read.len() > 30, "{} metrics are read", read.len());
    for name in read {
        assert!(is_told(name), "{name} is no metric of docs/metrics.md");
    }
    let dashboard = std::fs::read_to_string(root().join("k8s/monitoring/dashboard.json"));
    let dashboard: Value = serde_json::from_str(&dashboard.unwrap()).unwrap();
    assert!(
        list(&dashboard["panels"]).len() > 10,
        "a dashboard of panels"
    );
}

#[test]
fn every_alert_says_what_to_do() {
    let rules = std::fs::read_to_string(root().join("k8s/monitoring/alerts.yaml")).unwrap();
    let page = include_str!("../../docs/alerts.md");
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in &alerts {
        assert!(
            page.contains(&format!("| `{alert}` |")),
            "docs/alerts.md has no {alert}"
        );
    }
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `Callreel"))
        .count();
    assert_eq!(rows, alerts.len(), "alerts that are no more");
}
