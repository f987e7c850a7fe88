//! What a node tells of itself at `/metrics`: the numbers are those of what happened, in a format Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{
    audio,
    estate::{ACCOUNT, CALLER, Estate, NUMBER, REALM},
    eventually, free_port, get,
    node::Node,
    receiver::Receiver,
    sipp::{Caller, Sipp},
};

/// What was scraped: the kind of each family, and the value of each sample by its name and labels as they stand.
struct Scraped {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Scraped {
    /// Reads the text format (version 0.0.4) strictly: a family is told once, before its samples, and no sample twice.
    fn read(text: &str) -> Self {
        let mut scraped = Self {
            kinds: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        assert!(text.ends_with('\n'), "the last line ends");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                assert!(help.contains(' '), "{line}");
            } else if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').expect("a name and a kind");
                let before = scraped.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} is told twice");
            } else {
                let (name, value) = line.rsplit_once(' ').expect("a name and a value");
                let family = name.split('{').next().unwrap();
                let known = ["", "_bucket", "_sum", "_count"].iter().any(|end| {
                    let base = family.strip_suffix(end);
                    base.is_some_and(|base| scraped.kinds.contains_key(base))
                });
                assert!(known, "{line}: of no family");
                let value = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
                let before = scraped.samples.insert(name.to_owned(), value);
                assert_eq!(before, None, "{name} is told twice");
            }
        }
        scraped
    }

    fn of(node: &Node) -> Self {
        let (status, body) = node.fetch("/metrics", "text/plain");
        assert_eq!(status, 200);
        Self::read(&String::from_utf8(body).unwrap())
    }

    /// The sum of the samples of a name whose labels have all of these.
    fn value(&self, name: &str, labels: &[&str]) -> f64 {
        let meant = |sample: &&String| {
            sample.split('{').next() == Some(name)
                && labels.iter().all(|label| sample.contains(label))
        };
        let found: Vec<_> = self.samples.keys().filter(meant).collect();
        assert!(!found.is_empty(), "no {name} with {labels:?}");
        found.iter().map(|sample| self.samples[*sample]).sum()
    }
}

/// Records for two seconds.
fn recorded(url: &str) -> Value {
    let sleep = json!({"module": "sleep", "data": {"duration": 2}, "children": {}});
    let data = json!({"action": "start", "format": "mp3", "url": url});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    json!({"module": "answer", "data": {}, "children": {"_": record}})
}

/// Delivery to this machine, tried again after a second.
const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n";

#[test]
fn a_recorded_call_is_counted_from_the_invite_to_the_receivers_word() {
    let receiver = Receiver::answering(&[503]);
    let node = Node::with_settings(&Estate::with_flow(&recorded(&receiver.url("/r"))), SETTINGS);
    let before = Scraped::of(&node);
    assert_eq!(before.value("callreel_bus_connected", &[]), 1.0);
    assert_eq!(before.value("callreel_deliveries_owed", &[]), 0.0);
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(1000.0, 10.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .awaits_bye()
        .scenario();
    let calling = caller.run("call", &scenario);
    eventually("the call to be recorded", || node.tickets().pop());
    let during = Scraped::of(&node);
    for gauge in ["calls", "recordings", "channels", "registrations"] {
        let name = format!("callreel_{gauge}_live");
        assert_eq!(during.value(&name, &[]), 1.0, "{name}");
    }
    calling.completed();
    receiver.accepted();
    let after = eventually("the ticket to go", || {
        let scraped = Scraped::of(&node);
        let over = scraped.value("callreel_deliveries_owed", &[]) == 0.0
            && scraped.value("callreel_calls_live", &[]) == 0.0;
        over.then_some(scraped)
    });
    for (name, labels, value) in [
        ("callreel_calls_started_total", &[][..], 1.0),
        ("callreel_calls_ended_total", &["NORMAL_CLEARING"], 1.0),
        ("callreel_route_duration_seconds_count", &[], 1.0),
        ("callreel_callflow_modules_total", &["record_call"], 1.0),
        ("callreel_callflow_modules_total", &["sleep"], 1.0),
        ("callreel_recordings_live", &[], 0.0),
        ("callreel_recordings_started_total", &[], 1.0),
        ("callreel_recordings_ended_total", &["hangup"], 1.0),
        ("callreel_capture_dropped_total", &[], 0.0),
        ("callreel_delivery_attempts_total", &["file", "failed"], 1.0),
        (
            "callreel_delivery_attempts_total",
            &["file", "delivered"],
            1.0,
        ),
        ("callreel_delivery_lateness_seconds_count", &[], 1.0),
        ("callreel_deliveries_steps_total", &["delivered"], 1.0),
        ("callreel_render_duration_seconds_count", &["mp3"], 1.0),
        // The first is challenged.
        ("callreel_sip_requests_total", &["INVITE"], 2.0),
    ] {
        assert_eq!(after.value(name, labels), value, "{name} {labels:?}");
    }
    let packets = after.value("callreel_capture_packets_total", &[]);
    assert!(
        (80.0..=130.0).contains(&packets),
        "{packets} packets in two seconds"
    );
    let audio = after.value("callreel_render_audio_seconds_total", &[]);
    assert!((audio - 2.0).abs() < 0.15, "{audio} s were rendered");
    let late = after.value("callreel_delivery_lateness_seconds_sum", &[]);
    assert!((0.05..30.0).contains(&late), "{late} s after the end");
}

#[test]
fn metrics_name_nobody_and_are_all_explained() {
    let receiver = Receiver::start();
    let node = Node::with_settings(&Estate::with_flow(&recorded(&receiver.url("/r"))), SETTINGS);
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(1000.0, 10.0));
    let dials = Caller::dials(NUMBER).answered(NUMBER);
    let scenario = dials.streams(&voice).awaits_bye().scenario();
    caller.run("call", &scenario).completed();
    receiver.accepted();
    let scraped = Scraped::of(&node);
    let page = include_str!("../docs/metrics.md");
    let unknown: BTreeSet<&String> = scraped
        .kinds
        .keys()
        .filter(|name| *name != "target_info" && !page.contains(&format!("`{name}`")))
        .collect();
    assert!(unknown.is_empty(), "not in docs/metrics.md: {unknown:?}");
    let text: String = scraped.samples.keys().map(String::as_str).collect();
    for somebody in [NUMBER, "127.0.0.1", CALLER, REALM, ACCOUNT] {
        assert!(!text.contains(somebody), "{somebody} is named");
    }
}

#[test]
fn a_node_without_an_api_tells_at_its_health_listener() {
    let mut node = Node::asleep(
        &Estate::with_flow(&recorded("http://127.0.0.1:9/r")),
        SETTINGS,
    );
    let listen = format!("127.0.0.1:{}", free_port());
    node.set_env("CALLREEL_NODE_HEALTH_LISTEN", &listen);
    node.set_env("CALLREEL_NODE_ROLES", "[\"delivery\"]");
    node.launch();
    let (status, body) = get(&listen, "/metrics");
    assert_eq!(status, 200);
    let scraped = Scraped::read(&body);
    assert_eq!(scraped.value("callreel_deliveries_owed", &[]), 0.0);
    assert!(
        !scraped.kinds.contains_key("callreel_channels_live"),
        "a switch is told of that does not run"
    );
}
