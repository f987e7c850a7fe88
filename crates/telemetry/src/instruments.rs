//! The instruments that roles count with, each with its name and what it says. Reads no clock.

use std::sync::OnceLock;

use opentelemetry::{
    global,
    metrics::{Counter, Histogram, Meter, UpDownCounter},
};

use crate::{
    SCOPE,
    metric::{Kind, Metric},
};

/// Upper ends of what is answered at once: half a millisecond to ten seconds.
const QUICK_S: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Upper ends of what may wait for a receiver that is away: a tenth of a second to three days.
const PATIENT_S: [f64; 14] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0, 86400.0, 259200.0,
];

/// A kind of instrument.
trait Instrument: Sized {
    const KIND: Kind;
    fn build(meter: &Meter, metric: &Metric, boundaries: &[f64]) -> Self;
}

impl Instrument for Counter<u64> {
    const KIND: Kind = Kind::Counter;

    fn build(meter: &Meter, metric: &Metric, _: &[f64]) -> Self {
        let builder = meter.u64_counter(metric.name).with_unit(metric.unit);
        builder.with_description(metric.about).build()
    }
}

impl Instrument for Counter<f64> {
    const KIND: Kind = Kind::Counter;

    fn build(meter: &Meter, metric: &Metric, _: &[f64]) -> Self {
        let builder = meter.f64_counter(metric.name).with_unit(metric.unit);
        builder.with_description(metric.about).build()
    }
}

impl Instrument for Histogram<f64> {
    const KIND: Kind = Kind::Histogram;

    fn build(meter: &Meter, metric: &Metric, boundaries: &[f64]) -> Self {
        let builder = meter.f64_histogram(metric.name).with_unit(metric.unit);
        let builder = builder.with_boundaries(boundaries.to_vec());
        builder.with_description(metric.about).build()
    }
}

impl Instrument for UpDownCounter<i64> {
    const KIND: Kind = Kind::Gauge;

    fn build(meter: &Meter, metric: &Metric, _: &[f64]) -> Self {
        let builder = meter
            .i64_up_down_counter(metric.name)
            .with_unit(metric.unit);
        builder.with_description(metric.about).build()
    }
}

/// Counts one that is there for as long as it lives.
#[derive(Debug)]
pub struct Live(&'static UpDownCounter<i64>);

impl Live {
    /// One more.
    pub fn one_of(counter: &'static UpDownCounter<i64>) -> Self {
        counter.add(1, &[]);
        Self(counter)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.add(-1, &[]);
    }
}

/// Only a histogram has upper ends.
macro_rules! ends {
    () => {
        &[]
    };
    ($boundaries:ident) => {
        &$boundaries
    };
}

macro_rules! instruments {
    ($($field:ident: $type:ty = $name:literal in $unit:literal by $attributes:literal $(up to $boundaries:ident)?, $about:literal;)*) => {
        /// All of them.
        #[derive(Debug)]
        pub struct Instruments {
            $(
                #[doc = $about]
                pub $field: $type,
            )*
        }

        /// What each is.
        pub(crate) static TABLE: &[Metric] = &[$(Metric {
            name: $name,
            kind: <$type as Instrument>::KIND,
            unit: $unit,
            attributes: $attributes,
            about: $about,
        },)*];

        impl Instruments {
            fn new(meter: &Meter) -> Self {
                let mut metrics = TABLE.iter();
                let mut next = || metrics.next().expect("one for each field");
                Self {
                    $($field: <$type as Instrument>::build(meter, next(), ends!($($boundaries)?)),)*
                }
            }
        }
    };
}

instruments! {
    calls_live: UpDownCounter<i64> = "callreel.calls.live" in "{call}" by "",
        "Calls whose callflow this node walks now.";
    recordings_live: UpDownCounter<i64> = "callreel.recordings.live" in "{recording}" by "",
        "Recordings that grow now.";
    calls_started: Counter<u64> = "callreel.calls.started" in "{call}" by "",
        "Calls whose callflow this node began to walk.";
    calls_ended: Counter<u64> = "callreel.calls.ended" in "{call}" by "callreel.hangup.cause",
        "Calls that ended, by the cause of their hangup.";
    route_duration: Histogram<f64> = "callreel.route.duration" in "s" by "" up to QUICK_S,
        "From a switch's `route_req` to its `route_win`, of calls that this node won.";
    step_duration: Histogram<f64> = "callreel.callflow.step.duration" in "s" by "" up to QUICK_S,
        "From an event of a call to the commands that its callflow makes of it, in the node.";
    modules: Counter<u64> = "callreel.callflow.modules" in "{module}" by "callreel.module",
        "Modules of callflows that were begun, by name.";
    recordings_started: Counter<u64> = "callreel.recordings.started" in "{recording}" by "",
        "Recordings that were begun.";
    recordings_ended: Counter<u64> = "callreel.recordings.ended" in "{recording}" by "callreel.end_reason",
        "Recordings that ended, by the reason.";
    capture_packets: Counter<u64> = "callreel.capture.packets" in "{packet}" by "",
        "RTP packets written to journals.";
    capture_dropped: Counter<u64> = "callreel.capture.dropped" in "{packet}" by "",
        "Packets that the kernel threw away because the node did not take them in time: audio that is lost.";
    spool_sync_duration: Histogram<f64> = "callreel.spool.sync.duration" in "s" by "" up to QUICK_S,
        "Syncs of the spool's file system.";
    render_duration: Histogram<f64> = "callreel.render.duration" in "s" by "callreel.format" up to PATIENT_S,
        "Rendering one recording, in its thread.";
    render_audio: Counter<f64> = "callreel.render.audio" in "s" by "callreel.format",
        "Audio that was rendered, seconds of recordings.";
    delivery_attempts: Counter<u64> = "callreel.delivery.attempts" in "{attempt}" by "callreel.part callreel.outcome",
        "Tries to deliver a recording, its `file` or the `document` of one that was uploaded: `delivered`, `refused` (the receiver said no), `failed` (it did not answer, or broke off).";
    delivery_lateness: Histogram<f64> = "callreel.delivery.lateness" in "s" by "" up to PATIENT_S,
        "From the end of a recording to the acknowledgement of its receiver.";
    store_duration: Histogram<f64> = "callreel.store.request.duration" in "s" by "callreel.operation callreel.outcome" up to QUICK_S,
        "Requests to the store, embedded or CouchDB: `ok` or `failed`.";
    speech: Counter<u64> = "callreel.speech.renders" in "{text}" by "callreel.outcome",
        "Texts made into speech, `ok` or `failed`; those kept from before are not counted.";
    sip_requests: Counter<u64> = "callreel.sip.requests" in "{request}" by "callreel.sip.method",
        "SIP requests received, by method; those of no known method are `other`.";
    http_server_duration: Histogram<f64> = "http.server.request.duration" in "s" by "http.request.method http.route http.response.status_code" up to QUICK_S,
        "Requests to the HTTP API.";
}

/// The instruments of this process. They belong to the collector that was set before the first call; without one they do
/// nothing.
pub fn metrics() -> &'static Instruments {
    static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();
    INSTRUMENTS.get_or_init(|| Instruments::new(&global::meter(SCOPE)))
}
