//! Two `calls` nodes share the calls of one switch, and either may end, in peace or not.

use std::{collections::BTreeMap, time::Duration};

use callreel_proto::Utc;
use serde_json::json;

use crate::{
    recording::encoded,
    support::{
        audio::{self, Heard, listen},
        broker::Broker,
        cluster::Cluster,
        estate::{CALLER, Estate, NUMBER},
        eventually,
        receiver::Receiver,
        sipp::{Caller, Run, Sipp},
    },
};

const NODES: [&str; 2] = ["calls-1", "calls-2"];

/// The caller's voice.
const VOICE: f32 = 1000.0;

/// Answers, records, and hangs up after a while.
pub(super) fn recorded(url: &str, seconds: u32) -> Estate {
    let sleep = json!({"module": "sleep", "data": {"duration": seconds}, "children": {}});
    let data = json!({"action": "start", "format": "wav", "url": url});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    Estate::with_flow(&json!({"module": "answer", "data": {}, "children": {"_": record}}))
}

/// The node that won a call, once one has.
fn winner(cluster: &Cluster, call_id: &str) -> &'static str {
    let won = format!("call won call_id={call_id} ");
    eventually(&format!("{call_id} to be won"), || {
        let mut nodes = NODES.into_iter();
        nodes.find(|node| cluster.log_of(node).contains(&won))
    })
}

/// Calls that run: the phones' processes, and each call with the node that won it.
#[derive(Default)]
pub(super) struct Calls {
    runs: Vec<(Sipp, Run)>,
    pub(super) won: BTreeMap<String, &'static str>,
}

impl Calls {
    /// Four more, which speak until they are hung up on.
    fn start(&mut self, cluster: &Cluster) {
        // A phone for each: they would quarrel about a port.
        let phone = Sipp::new(CALLER, cluster.sip());
        let voice = phone.audio(&audio::mulaw_tone(VOICE, 20.0));
        let scenario = Caller::dials(NUMBER)
            .answered(NUMBER)
            .streams(&voice)
            .awaits_bye()
            .scenario();
        let run = phone.run_at_once("call", &scenario, 4);
        self.runs.push((phone, run));
    }

    /// Waits until each call has been won.
    fn find_winners(&mut self, cluster: &Cluster) {
        for (_, run) in &self.runs {
            for n in 1..=4 {
                let call_id = run.call_id().replace("%u", &n.to_string());
                let node = winner(cluster, &call_id);
                self.won.insert(call_id, node);
            }
        }
    }

    /// Calls until each node has some.
    pub(super) fn at_both(cluster: &Cluster) -> Self {
        let mut calls = Self::default();
        while NODES.iter().any(|node| calls.of(node).next().is_none()) {
            assert!(
                calls.won.len() < 20,
                "one node wins nothing: {:?}",
                calls.won
            );
            calls.start(cluster);
            calls.find_winners(cluster);
        }
        calls
    }

    /// The calls of a node.
    fn of(&self, node: &str) -> impl Iterator<Item = &str> {
        let won = self.won.iter().filter(move |(_, by)| **by == node);
        won.map(|(call_id, _)| call_id.as_str())
    }

    /// Waits until all were hung up on.
    pub(super) fn completed(&mut self) {
        for (_phone, run) in self.runs.drain(..) {
            run.completed();
        }
    }
}

/// The file of a call, once it has arrived.
pub(super) fn file_of(receiver: &Receiver, call_id: &str) -> Heard {
    let name = format!("/r/call_recording_{}.wav", encoded(call_id));
    let body = eventually(&format!("{name} to arrive"), || {
        let mut arrivals = receiver.arrivals().into_iter();
        arrivals.find(|arrival| arrival.path == name)
    });
    listen(&body.body)
}

/// Its voice is in the file from soon after its start to the end, and it lasts so long, seconds, give or take what commands
/// and events need through a broker on a busy machine.
#[track_caller]
pub(super) fn whole(heard: &Heard, seconds: f64) {
    let length = heard.seconds();
    assert!((length - seconds).abs() < 0.3, "{length} s of {seconds} s");
    let (from, to) = heard.only_tone(0, VOICE);
    assert!(
        from < 0.5 && to > length - 0.3,
        "it speaks from {from} to {to} of {length} s"
    );
}

/// Calls at both nodes, `calls-1` killed among them: those of the other are recorded whole, and its own up to the kill once
/// `then` has brought back what finishes them.
fn killed(then: impl FnOnce(&mut Cluster)) {
    let receiver = Receiver::start();
    let orphans = ("switch", "CALLREEL_SWITCH_CONTROLLER_TIMEOUT_S", "2");
    let estate = recorded(&receiver.url("/r"), 8);
    let mut cluster = Cluster::with(&estate, &Broker::shared().vhost(), &[orphans]);
    let mut calls = Calls::at_both(&cluster);
    let began: BTreeMap<String, i64> = calls
        .of("calls-1")
        .map(|call_id| (call_id.to_owned(), growing_since(&cluster, call_id)))
        .collect();
    std::thread::park_timeout(Duration::from_secs(2));
    let killed_ms = Utc::now().unix_ms();
    cluster.member("calls-1").kill();
    // Its phones are not left parked for ever.
    calls.completed();
    for call_id in calls.of("calls-2") {
        whole(&file_of(&receiver, call_id), 8.0);
    }
    assert_eq!(receiver.arrivals().len(), calls.of("calls-2").count());
    then(&mut cluster);
    for (call_id, began_ms) in &began {
        let heard = file_of(&receiver, call_id);
        let lost_s = (killed_ms - began_ms) as f64 / 1000.0 - heard.seconds();
        assert!((-0.1..0.25).contains(&lost_s), "{call_id} lost {lost_s} s");
        heard.only_tone(0, VOICE);
    }
    for doc in cluster.recordings(calls.won.len()) {
        let call_id = doc["call_id"].as_str().expect("it has one");
        let cause = match began.contains_key(call_id) {
            true => "interrupted",
            false => "hangup",
        };
        assert_eq!(doc["completion_cause"], cause, "{doc}");
    }
}

/// When the recording of a call began, Unix milliseconds.
pub(super) fn growing_since(cluster: &Cluster, call_id: &str) -> i64 {
    let ticket = eventually("the recording to begin", || {
        let mut tickets = cluster.tickets().into_iter();
        tickets.find(|ticket| ticket["call_id"] == call_id && ticket["state"] == "growing")
    });
    ticket["started_at"].as_i64().expect("a time")
}

#[test]
fn a_killed_node_costs_the_calls_of_the_other_nothing_and_finishes_its_own_at_its_next_start() {
    killed(|cluster| cluster.member("calls-1").launch());
}

#[test]
fn the_recordings_of_a_node_that_never_comes_back_are_finished_by_delivery() {
    killed(|cluster| {
        cluster.member("delivery").kill();
        cluster.member("delivery").launch();
    });
}

#[test]
fn a_node_told_to_end_finishes_its_calls_and_leaves_new_ones_to_the_other() {
    let receiver = Receiver::start();
    let mut cluster = Cluster::start(&recorded(&receiver.url("/r"), 6));
    let mut calls = Calls::at_both(&cluster);
    cluster.member("calls-1").terminate();
    eventually("the node to drain", || {
        let drains = cluster.log_of("calls-1").contains("draining");
        drains.then_some(())
    });
    let mut late = Calls::default();
    late.start(&cluster);
    late.find_winners(&cluster);
    assert_eq!(late.of("calls-2").count(), 4, "{:?}", late.won);
    assert!(cluster.member("calls-1").ended(), "an ordinary end");
    for call_id in calls.of("calls-1") {
        whole(&file_of(&receiver, call_id), 6.0);
    }
    calls.completed();
    late.completed();
    for call_id in calls.of("calls-2").chain(late.of("calls-2")) {
        whole(&file_of(&receiver, call_id), 6.0);
    }
    assert!(!cluster.log().contains("ERROR"), "nothing went wrong");
}

#[test]
fn each_of_many_calls_at_once_is_won_by_one_node_and_both_get_some() {
    let receiver = Receiver::start();
    let cluster = Cluster::start(&recorded(&receiver.url("/r"), 2));
    let mut calls = Calls::default();
    for _ in 0..5 {
        calls.start(&cluster);
    }
    calls.find_winners(&cluster);
    calls.completed();
    let mut wins = 0;
    for node in NODES {
        assert!(calls.of(node).next().is_some(), "{:?}", calls.won);
        wins += cluster.log_of(node).matches("call won").count();
    }
    assert_eq!((calls.won.len(), wins), (20, 20));
    for call_id in calls.won.keys() {
        whole(&file_of(&receiver, call_id), 2.0);
    }
    assert_eq!(receiver.arrivals().len(), 20);
}
