//! Metrics that are read from what the roles show of themselves, when somebody collects. Asks no role.

use std::sync::Arc;

use opentelemetry::{KeyValue, metrics::Meter};
use serde_json::Value;

use crate::metric::{Kind, Metric};

/// What a node's roles show of themselves, each under its name. A role that does not run here is not there.
pub type Seen = Arc<Value>;

/// A metric, and where it is read.
pub(crate) struct Observed {
    pub(crate) metric: Metric,
    read: Read,
}

/// Where a metric is read.
enum Read {
    /// The number or truth at the first of these places that there is.
    At(&'static [&'static str]),
    /// Every number of the object there, by its key.
    Each(&'static str),
    /// Something computed.
    Made(fn(&Value) -> Option<f64>),
}

impl Observed {
    const fn new(
        name: &'static str,
        kind: Kind,
        (unit, attributes): (&'static str, &'static str),
        read: Read,
        about: &'static str,
    ) -> Self {
        let metric = Metric {
            name,
            kind,
            unit,
            attributes,
            about,
        };
        Self { metric, read }
    }

    /// What is seen of it, with its attributes.
    fn read(&self, seen: &Value) -> Vec<(f64, Vec<KeyValue>)> {
        match self.read {
            Read::At(places) => {
                let found = places.iter().find_map(|place| seen.pointer(place));
                found
                    .and_then(number)
                    .map(|n| (n, Vec::new()))
                    .into_iter()
                    .collect()
            }
            Read::Each(place) => {
                let fields = seen.pointer(place).and_then(Value::as_object);
                let fields = fields.into_iter().flatten();
                fields
                    .filter_map(|(key, value)| {
                        let attribute = KeyValue::new(self.metric.attributes, key.clone());
                        Some((number(value)?, vec![attribute]))
                    })
                    .collect()
            }
            Read::Made(make) => make(seen).map(|n| (n, Vec::new())).into_iter().collect(),
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    let truth = value.as_bool().map(|truth| if truth { 1.0 } else { 0.0 });
    truth.or_else(|| value.as_f64())
}

const CALLS_DISK: &str = "/calls/spool/disk";
const DELIVERY_DISK: &str = "/delivery/disk";

fn disk(seen: &Value, key: &str) -> Option<f64> {
    let disk = [CALLS_DISK, DELIVERY_DISK]
        .iter()
        .find_map(|place| seen.pointer(place));
    disk?.get(key).and_then(number)
}

fn filled(seen: &Value) -> Option<f64> {
    let (free, total) = (disk(seen, "free_bytes")?, disk(seen, "total_bytes")?);
    (total > 0.0).then(|| 1.0 - free / total)
}

fn connected(seen: &Value) -> Option<f64> {
    let bus = seen.get("bus")?;
    let up = bus
        .get("link")
        .is_none_or(|link| link["state"] == "connected");
    Some(if up { 1.0 } else { 0.0 })
}

fn waiting(seen: &Value) -> Option<f64> {
    let queues = seen.pointer("/bus/queues")?.as_array()?;
    Some(
        queues
            .iter()
            .filter_map(|queue| number(&queue["depth"]))
            .sum(),
    )
}

fn trunks(seen: &Value) -> Option<f64> {
    let trunks = seen.pointer("/switch/trunks")?.as_array()?;
    let registered = trunks.iter().filter(|trunk| trunk["state"] == "registered");
    Some(registered.count() as f64)
}

fn unregistered(seen: &Value) -> Option<f64> {
    let all = seen.pointer("/switch/trunks")?.as_array()?.len() as f64;
    Some(all - trunks(seen)?)
}

/// All of them.
pub(crate) static TABLE: &[Observed] = &[
    Observed::new(
        "callreel.node.draining",
        Kind::Gauge,
        ("{node}", ""),
        Read::At(&["/node/draining"]),
        "1 while the node takes no new calls and waits for the last one.",
    ),
    Observed::new(
        "callreel.bus.connected",
        Kind::Gauge,
        ("{connection}", ""),
        Read::Made(connected),
        "1 while the broker is there, 0 while it is away; always 1 on the embedded bus.",
    ),
    Observed::new(
        "callreel.bus.published",
        Kind::Counter,
        ("{message}", ""),
        Read::At(&["/bus/published"]),
        "Messages published.",
    ),
    Observed::new(
        "callreel.bus.dropped",
        Kind::Counter,
        ("{message}", ""),
        Read::At(&["/bus/dropped"]),
        "Messages lost because a queue of this node was full.",
    ),
    Observed::new(
        "callreel.bus.waiting",
        Kind::Gauge,
        ("{message}", ""),
        Read::Made(waiting),
        "Messages in the node's queues, received and not handled yet.",
    ),
    Observed::new(
        "callreel.bus.buffered",
        Kind::Gauge,
        ("{message}", ""),
        Read::At(&["/bus/link/buffered"]),
        "Messages that wait for the broker to come back.",
    ),
    Observed::new(
        "callreel.channels.live",
        Kind::Gauge,
        ("{channel}", ""),
        Read::At(&["/switch/channels"]),
        "Legs of calls at this switch.",
    ),
    Observed::new(
        "callreel.registrations.live",
        Kind::Gauge,
        ("{contact}", ""),
        Read::At(&["/switch/registrations"]),
        "Contacts of phones registered at this switch.",
    ),
    Observed::new(
        "callreel.trunks.registered",
        Kind::Gauge,
        ("{trunk}", ""),
        Read::Made(trunks),
        "Carriers this switch is registered at.",
    ),
    Observed::new(
        "callreel.trunks.unregistered",
        Kind::Gauge,
        ("{trunk}", ""),
        Read::Made(unregistered),
        "Carriers this switch should be registered at, and is not.",
    ),
    Observed::new(
        "callreel.sip.events",
        Kind::Counter,
        ("{event}", "callreel.event"),
        Read::Each("/switch/counts"),
        "What happened to SIP requests: `calls` taken, `refused` (full or draining), `registrations`, `forbidden` (wrong or no credentials), `malformed`, `unheard` (of banned sources, or too many of one), `shed` (too many at once).",
    ),
    Observed::new(
        "callreel.spool.disk.total",
        Kind::Gauge,
        ("By", ""),
        Read::At(&[
            "/calls/spool/disk/total_bytes",
            "/delivery/disk/total_bytes",
        ]),
        "Size of the file system that the spool is on.",
    ),
    Observed::new(
        "callreel.spool.disk.free",
        Kind::Gauge,
        ("By", ""),
        Read::At(&["/calls/spool/disk/free_bytes", "/delivery/disk/free_bytes"]),
        "What may still be filled of it.",
    ),
    Observed::new(
        "callreel.spool.disk.filled",
        Kind::Gauge,
        ("1", ""),
        Read::Made(filled),
        "The share of it that is filled.",
    ),
    Observed::new(
        "callreel.spool.refuses",
        Kind::Gauge,
        ("{spool}", ""),
        Read::At(&[
            "/calls/spool/disk/refuses_recordings",
            "/delivery/disk/refuses_recordings",
        ]),
        "1 while new recordings are refused because the disk is nearly full.",
    ),
    Observed::new(
        "callreel.spool.sync_failures",
        Kind::Counter,
        ("{failure}", ""),
        Read::At(&["/calls/spool/sync_failures"]),
        "Syncs of the spool that the disk refused.",
    ),
    Observed::new(
        "callreel.deliveries.owed",
        Kind::Gauge,
        ("{recording}", ""),
        Read::At(&["/delivery/owed"]),
        "Recordings that are still to be delivered.",
    ),
    Observed::new(
        "callreel.deliveries.oldest",
        Kind::Gauge,
        ("s", ""),
        Read::At(&["/delivery/oldest_s"]),
        "How long ago the oldest of them began to be recorded; 0 when nothing is owed.",
    ),
    Observed::new(
        "callreel.deliveries.rendering",
        Kind::Gauge,
        ("{recording}", ""),
        Read::At(&["/delivery/rendering"]),
        "Recordings that are being rendered.",
    ),
    Observed::new(
        "callreel.deliveries.delivering",
        Kind::Gauge,
        ("{recording}", ""),
        Read::At(&["/delivery/delivering"]),
        "Recordings that are being delivered at this moment.",
    ),
    Observed::new(
        "callreel.deliveries.held",
        Kind::Gauge,
        ("{recording}", ""),
        Read::At(&["/delivery/held"]),
        "Recordings held back because their receiver keeps failing.",
    ),
    Observed::new(
        "callreel.deliveries.receivers_left_alone",
        Kind::Gauge,
        ("{receiver}", ""),
        Read::At(&["/delivery/receivers_left_alone"]),
        "Receivers that keep failing, so that they are only probed now and then.",
    ),
    Observed::new(
        "callreel.deliveries.steps",
        Kind::Counter,
        ("{recording}", "callreel.step"),
        Read::Each("/delivery/since_start"),
        "What became of recordings: `rendered`, `retrying`, `delivered`, `undeliverable` (given up, kept for a person), `discarded`.",
    ),
    Observed::new(
        "callreel.webhooks.waiting",
        Kind::Gauge,
        ("{fact}", ""),
        Read::At(&["/delivery/webhooks/waiting"]),
        "Facts that webhooks are still to be told.",
    ),
    Observed::new(
        "callreel.webhooks.facts",
        Kind::Counter,
        ("{fact}", "callreel.outcome"),
        Read::Each("/delivery/webhooks/since_start"),
        "Facts for webhooks: `told`, `given_up`, `dropped`.",
    ),
    Observed::new(
        "callreel.retention.deleted",
        Kind::Counter,
        ("{recording}", ""),
        Read::At(&["/delivery/retention/deleted"]),
        "Stored recordings deleted because their time was over.",
    ),
];

/// Registers all of them; `seen` is asked for each when somebody collects, and is not to wait for anything.
pub fn observe<F>(meter: &Meter, seen: F)
where
    F: Fn() -> Seen + Send + Sync + Clone + 'static,
{
    for observed in TABLE {
        let metric = &observed.metric;
        let seen = seen.clone();
        let read = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<f64>| {
            for (value, attributes) in observed.read(&seen()) {
                observer.observe(value, &attributes);
            }
        };
        match metric.kind {
            Kind::Counter => {
                let builder = meter.f64_observable_counter(metric.name);
                let builder = builder.with_unit(metric.unit).with_callback(read);
                builder.with_description(metric.about).build();
            }
            Kind::Gauge | Kind::Histogram => {
                let builder = meter.f64_observable_gauge(metric.name);
                let builder = builder.with_unit(metric.unit).with_callback(read);
                builder.with_description(metric.about).build();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, seen: &Value) -> Vec<(f64, Vec<KeyValue>)> {
        let found = TABLE.iter().find(|observed| observed.metric.name == name);
        found.unwrap().read(seen)
    }

    #[test]
    fn what_a_role_shows_is_read_where_it_stands() {
        let seen = json!({
            "node": {"draining": true},
            "bus": {"published": 7, "queues": [{"depth": 2}, {"depth": 3}], "link": {"state": "connecting"}},
            "switch": {"trunks": [{"state": "registered"}, {"state": "403 Forbidden"}]},
            "delivery": {"since_start": {"delivered": 4, "undeliverable": 0}, "disk": {"free_bytes": 25, "total_bytes": 100}},
        });
        let plain = |value: f64| vec![(value, Vec::new())];
        for (name, value) in [
            ("callreel.node.draining", 1.0),
            ("callreel.bus.published", 7.0),
            ("callreel.bus.waiting", 5.0),
            ("callreel.bus.connected", 0.0),
            ("callreel.trunks.registered", 1.0),
            ("callreel.trunks.unregistered", 1.0),
            ("callreel.spool.disk.filled", 0.75),
            ("callreel.spool.disk.free", 25.0),
        ] {
            assert_eq!(read(name, &seen), plain(value), "{name}");
        }
        let steps = read("callreel.deliveries.steps", &seen);
        let delivered = KeyValue::new("callreel.step", "delivered");
        assert!(steps.contains(&(4.0, vec![delivered])), "{steps:?}");
        assert_eq!(steps.len(), 2);
    }

    #[test]
    fn a_role_that_does_not_run_here_is_told_nothing_of() {
        let seen = json!({"bus": {"queues": []}});
        assert_eq!(read("callreel.bus.connected", &seen), [(1.0, Vec::new())]);
        for name in [
            "callreel.deliveries.owed",
            "callreel.trunks.unregistered",
            "callreel.spool.disk.filled",
        ] {
            assert!(read(name, &seen).is_empty(), "{name}");
        }
    }
}
