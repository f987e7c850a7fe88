//! What a node tells a receiver of telemetry: one trace for each call, across processes and their deaths; log lines and
//! metrics; and nothing that a call would have to wait for.

use std::{net::TcpListener, time::Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::{
    recording::{a_call, ring, start},
    support::{
        PATIENCE, audio,
        broker::Broker,
        cluster::Cluster,
        collector::{Collector, Seen},
        estate::{ACCOUNT, CALLEE_USER, CALLER, Estate, NUMBER},
        eventually,
        node::Node,
        receiver::Receiver,
        sipp::{Caller, Sipp},
    },
};

const MEMBERS: [&str; 5] = ["api", "delivery", "calls-1", "calls-2", "switch"];

/// A cluster that tells this collector everything, soon.
fn traced(estate: &Estate, collector: &Collector) -> Cluster {
    let url = collector.url();
    let variables = [
        ("CALLREEL_TELEMETRY_OTLP_ENDPOINT", url.as_str()),
        (
            "CALLREEL_TELEMETRY_OTLP_HEADERS",
            "{Authorization=\"Bearer t0ken\"}",
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "200"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
    ];
    let of_all: Vec<_> = MEMBERS
        .into_iter()
        .flat_map(|member| variables.map(|(key, value)| (member, key, value)))
        .collect();
    Cluster::with(estate, &Broker::shared().vhost(), &of_all)
}

/// The spans of one call, as one looks at them.
struct Trace(Vec<Seen>);

impl Trace {
    /// The one child of this name that `parent` has.
    fn child(&self, parent: &Seen, name: &str) -> &Seen {
        let children = self.children(parent, name);
        assert_eq!(
            children.len(),
            1,
            "{name} of {}: {:#?}",
            parent.name,
            self.0
        );
        children[0]
    }

    /// All of them, in the order in which they began.
    fn children(&self, parent: &Seen, name: &str) -> Vec<&Seen> {
        let mut children: Vec<_> = self.0.iter().collect();
        children.retain(|span| span.parent == parent.id && span.name == name);
        children.sort_by_key(|span| span.began);
        children
    }
}

#[test]
fn a_call_is_one_trace_across_all_processes_and_the_death_of_one() {
    let refusing = Receiver::answering(&[503; 100]);
    let flow = start(&refusing.url("/r"), "wav", ring(CALLEE_USER));
    let collector = Collector::start();
    let mut cluster = traced(&Estate::with_flow(&flow), &collector);
    let call_id = a_call(&cluster, 300, 1500);
    let refused = collector.span("delivery", |s| is_of_file(s) && s.failed);
    cluster.member("delivery").kill();
    let address = refusing.address();
    drop(refusing);
    let accepting = Receiver::at(address, &[]);
    cluster.member("delivery").launch();
    accepting.accepted();
    collector.span("delivery", |s| is_of_file(s) && !s.failed);
    let root = collector.span("INVITE", |s| s.parent.is_empty());
    let of_call = |s: &Seen| s.trace == root.trace;
    let trace = Trace(collector.spans().into_iter().filter(of_call).collect());

    let callflow = the_caller(&trace, &root, &call_id);
    let record_call = trace.child(callflow, "record_call");
    let user = trace.child(callflow, "user");
    assert!(
        record_call.ended <= user.began,
        "one module after the other"
    );
    the_callee(&trace, user, &call_id);
    the_recording(&trace, trace.child(record_call, "recording"), &refused);
    all_hangs_together(&trace, &root);
    lines_and_metrics_come_too(&collector, callflow, &call_id);
    let secrets = collector.headers("authorization");
    assert!(secrets.iter().all(|s| s.as_deref() == Some("Bearer t0ken")));
}

fn is_of_file(attempt: &Seen) -> bool {
    attempt.attribute("callreel.part") == "file"
}

/// From the INVITE to the calls node that has it.
fn the_caller<'a>(trace: &'a Trace, root: &Seen, call_id: &str) -> &'a Seen {
    let at = |span: &Seen| (span.node.clone(), span.kind);
    let switch = || "callreel@switch".to_owned();
    assert_eq!(at(root), (switch(), SpanKind::Server));
    assert_eq!(root.attribute("callreel.call_id"), call_id);
    assert_eq!(root.attribute("callreel.hangup.cause"), "NORMAL_CLEARING");
    assert_eq!(root.events, ["answered"]);
    let route = trace.child(root, "route");
    assert_eq!(at(route), (switch(), SpanKind::Client));
    let callflow = trace.child(route, "callflow");
    assert_eq!(callflow.kind, SpanKind::Server);
    assert_eq!(callflow.node, route.attribute("callreel.node"));
    assert!(
        callflow.node.starts_with("callreel@calls-"),
        "{}",
        callflow.node
    );
    callflow
}

/// The phone that the module rings.
fn the_callee(trace: &Trace, user: &Seen, call_id: &str) {
    let bridge = trace.child(user, "bridge");
    let callee = trace.child(bridge, "INVITE");
    for (span, kind) in [(bridge, SpanKind::Server), (callee, SpanKind::Client)] {
        assert_eq!((span.node.as_str(), span.kind), ("callreel@switch", kind));
    }
    assert_eq!(callee.events, ["answered"]);
    assert_ne!(callee.attribute("callreel.call_id"), call_id);
}

/// From the order to the try that was taken, with the process between them dead for a while.
fn the_recording(trace: &Trace, recording: &Seen, refused: &Seen) {
    assert_eq!(recording.attribute("callreel.end_reason"), "hangup");
    assert!(
        recording.ended - recording.began > 1_000_000_000,
        "as long as the talk"
    );
    let rendering = trace.child(recording, "rendering");
    let mut attempts = trace.children(recording, "delivery");
    attempts.retain(|attempt| is_of_file(attempt));
    let (last, earlier) = attempts.split_last().unwrap();
    assert!(earlier.iter().any(|attempt| attempt.id == refused.id));
    for attempt in earlier {
        assert!(attempt.failed, "{attempt:#?}");
        assert_eq!(attempt.attribute("callreel.outcome"), "failed");
    }
    assert_eq!(last.attribute("callreel.outcome"), "delivered");
    assert_eq!(last.attribute("server.address"), "127.0.0.1");
    for span in [rendering, last] {
        assert_eq!(span.node, "callreel@delivery");
    }
    let id = recording.attribute("callreel.recording_id");
    for span in [recording, rendering, last] {
        assert_eq!(span.attribute("callreel.recording_id"), id);
        assert_eq!(span.attribute("callreel.account_id"), ACCOUNT);
    }
}

fn all_hangs_together(trace: &Trace, root: &Seen) {
    for span in &trace.0 {
        let is_root = span.id == root.id;
        let known = is_root || trace.0.iter().any(|other| other.id == span.parent);
        assert!(known, "its parent was never told of: {span:#?}");
        let numbers = span.attributes.keys().filter(|key| key.contains("number"));
        assert_eq!(numbers.count(), 0, "{span:#?}");
    }
}

fn lines_and_metrics_come_too(collector: &Collector, callflow: &Seen, call_id: &str) {
    let line = eventually("the line that the call was won", || {
        let lines = collector.lines().into_iter();
        let mut won = lines.filter(|line| line.said == "call won");
        won.find(|line| line.attributes["call_id"] == call_id)
    });
    assert_eq!(line.node, callflow.node);
    assert_eq!(line.attributes["account_id"], ACCOUNT);
    eventually("metrics of roles and of what they show", || {
        let told = collector.metrics();
        let mut both = ["callreel.calls.started", "callreel.bus.connected"].iter();
        both.all(|name| told.iter().any(|t| t == name))
            .then_some(())
    });
}

/// A node with these settings of telemetry records a call and delivers it, then ends. What it logged, and when it was told to end.
fn a_delivered_call(settings: &[(&str, &str)]) -> (String, Instant) {
    let receiver = Receiver::start();
    let sleep = json!({"module": "sleep", "data": {"duration": 1}, "children": {}});
    let flow = start(&receiver.url("/r"), "wav", sleep);
    let flow = json!({"module": "answer", "data": {}, "children": {"_": flow}});
    let loopback = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n";
    let mut node = Node::asleep(&Estate::with_flow(&flow), loopback);
    for (key, value) in settings {
        node.set_env(&format!("CALLREEL_TELEMETRY_{key}"), value);
    }
    node.launch();
    let phone = Sipp::new(CALLER, node.sip());
    phone.register();
    let voice = phone.audio(&audio::mulaw_tone(1000.0, 2.0));
    let dials = Caller::dials(NUMBER).answered(NUMBER);
    let scenario = dials.streams(&voice).awaits_bye().scenario();
    phone.run("call", &scenario).completed();
    receiver.accepted();
    let told = Instant::now();
    node.terminate();
    eventually("the node to end", || node.ended().then_some(()));
    (node.log(), told)
}

#[test]
fn a_node_that_ends_tells_what_it_has_not_told_yet_and_no_number_unless_asked() {
    let collector = Collector::start();
    let url = collector.url();
    // By default spans wait for five seconds, and the node ends before.
    a_delivered_call(&[("OTLP_ENDPOINT", &url), ("PHONE_NUMBERS", "true")]);
    let spans = collector.spans();
    for name in ["INVITE", "callflow", "recording", "rendering", "delivery"] {
        assert!(
            spans.iter().any(|span| span.name == name),
            "{name}: {spans:#?}"
        );
    }
    let dialled = spans.iter().find(|s| s.name == "callflow").unwrap();
    assert_eq!(dialled.attribute("callreel.number.dialled"), NUMBER);
}

#[test]
fn a_share_of_nothing_keeps_no_trace_and_all_log_lines() {
    let collector = Collector::start();
    let url = collector.url();
    a_delivered_call(&[("OTLP_ENDPOINT", &url), ("TRACE_RATIO", "0.0")]);
    assert_eq!(collector.spans().len(), 0);
    let lines = collector.lines();
    assert!(
        lines.iter().any(|line| line.said == "call won"),
        "{lines:#?}"
    );
}

#[test]
fn a_collector_that_never_answers_holds_up_no_call_and_no_end() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap();
    let (_, told) = a_delivered_call(&[("OTLP_ENDPOINT", &format!("http://{address}"))]);
    assert!(told.elapsed() < PATIENCE / 2, "{:?}", told.elapsed());
}

#[test]
fn a_collector_that_is_not_there_is_told_of_once() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let (log, _) = a_delivered_call(&[("OTLP_ENDPOINT", &url)]);
    assert_eq!(
        log.matches("telemetry.otlp_endpoint takes nothing").count(),
        1,
        "{log}"
    );
}
