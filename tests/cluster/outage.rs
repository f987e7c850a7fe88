//! The broker killed and started again in the middle of calls.

use super::{Talk, recorded, whole};
use crate::support::{
    audio::listen, broker::Broker, cluster::Cluster, eventually, receiver::Receiver,
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

#[test]
fn a_call_goes_on_while_the_broker_is_away_and_its_recording_is_complete() {
    let receiver = Receiver::start();
    let mut broker = Broker::start();
    let cluster = Cluster::with(&recorded(&receiver), &broker.vhost(), &[]);
    let mut talk = Talk::begin(&cluster);
    broker.kill();
    lost(&cluster);
    broker.resume();
    back(&cluster);
    let seconds = talk.end();
    whole(&listen(&receiver.accepted().body), seconds);
}
