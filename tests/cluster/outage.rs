//! The broker killed and started again in the middle of calls.

use std::time::Duration;

use super::{Talk, recorded, whole};
use crate::support::{
    audio::listen,
    broker::Broker,
    cluster::Cluster,
    estate::{CALLER, NUMBER},
    eventually,
    receiver::Receiver,
    sipp::{Caller, Sipp},
};

/// Waits until each of these has lost the broker, or has it again, so many times.
fn all_say(cluster: &Cluster, words: &str, times: usize) {
    for name in cluster.names() {
        eventually(&format!("{name} to say {words}"), || {
            (cluster.log_of(name).matches(words).count() >= times).then_some(())
        });
    }
}

fn lost(cluster: &Cluster) {
    all_say(cluster, "no connection to the broker", 1);
}

fn back(cluster: &Cluster) {
    all_say(cluster, "again=true", 1);
}

/// Phones that talk while the broker is away, the broker, and the cluster.
fn talking_without_a_broker(receiver: &Receiver) -> (Talk, Broker, Cluster) {
    let mut broker = Broker::start();
    let cluster = Cluster::with(&recorded(receiver), &broker.vhost(), &[]);
    let talk = Talk::begin(&cluster);
    talk.is_heard(&cluster);
    broker.kill();
    lost(&cluster);
    (talk, broker, cluster)
}

#[test]
fn a_call_goes_on_while_the_broker_is_away_and_its_recording_is_complete() {
    let receiver = Receiver::start();
    let (mut talk, mut broker, cluster) = talking_without_a_broker(&receiver);
    // Nobody can be asked who wants a new call.
    let other = Sipp::new(CALLER, cluster.sip());
    let refused = Caller::dials(NUMBER).refused(NUMBER, 503).scenario();
    other.run("refused", &refused).completed();
    broker.resume();
    back(&cluster);
    let seconds = talk.end();
    whole(&listen(&receiver.accepted().body), seconds);
}

#[test]
fn a_hangup_while_the_broker_is_away_ends_the_recording_where_the_call_ended() {
    let receiver = Receiver::start();
    let (mut talk, mut broker, cluster) = talking_without_a_broker(&receiver);
    let seconds = talk.end();
    broker.resume();
    back(&cluster);
    whole(&listen(&receiver.accepted().body), seconds);
}

#[test]
fn a_recording_that_ended_before_delivery_was_back_to_hear_of_it_is_found() {
    let receiver = Receiver::start();
    let (mut talk, mut broker, mut cluster) = talking_without_a_broker(&receiver);
    let seconds = talk.end();
    cluster.member("delivery").suspend();
    broker.resume();
    eventually("the recording to end", || {
        let mut tickets = cluster.tickets().into_iter();
        tickets.find(|ticket| ticket["state"] == "ended")
    });
    cluster.member("delivery").go_on();
    whole(&listen(&receiver.accepted().body), seconds);
}

#[test]
fn a_switch_that_dies_costs_its_calls_and_nothing_that_was_recorded_of_them() {
    let receiver = Receiver::start();
    let checks = |node| (node, "CALLREEL_CALLS_CHANNEL_CHECK_S", "2");
    let variables = ["calls-1", "calls-2"].map(checks);
    let broker = Broker::shared().vhost();
    let mut cluster = Cluster::with(&recorded(&receiver), &broker, &variables);
    let talk = Talk::begin(&cluster);
    talk.is_heard(&cluster);
    let seconds = talk.seconds();
    cluster.member("switch").kill();
    // Its next run says that it knows nothing of the call.
    cluster.member("switch").launch();
    whole(&listen(&receiver.accepted().body), seconds);
}

#[test]
fn a_hangup_that_nobody_was_there_to_hear_of_is_asked_for() {
    let receiver = Receiver::start();
    let (mut talk, mut broker, mut cluster) = talking_without_a_broker(&receiver);
    let seconds = talk.end();
    // A recorder takes packets that waited for longer than ten seconds for new ones: let it take the last of them.
    std::thread::park_timeout(Duration::from_millis(500));
    for node in ["calls-1", "calls-2"] {
        cluster.member(node).suspend();
    }
    broker.resume();
    eventually("the switch to say it to nobody", || {
        let said = cluster.log_of("switch").contains("again=true");
        said.then_some(())
    });
    for node in ["calls-1", "calls-2"] {
        cluster.member(node).go_on();
    }
    whole(&listen(&receiver.accepted().body), seconds);
}
