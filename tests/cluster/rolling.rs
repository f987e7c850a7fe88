//! The upgrade that docs/upgrades.md tells of: one process after the other goes to another build and back, while phones call.
//!
//! `CALLREEL_PREVIOUS` names the program of the version before (`make rolling` builds it). Without it both builds are this one,
//! and what is left is a rolling restart.

use std::path::{Path, PathBuf};

use super::{Talk, recorded, whole};
use crate::support::{
    audio::listen, cluster::Cluster, couch::Server, receiver::Receiver, this_build,
};

/// Whoever reads what others write goes first.
const UP: [&str; 5] = ["delivery", "api", "switch", "calls-1", "calls-2"];
/// And last on the way back; a part of the cluster stays.
const BACK: [&str; 3] = ["calls-2", "switch", "delivery"];

fn previous() -> PathBuf {
    std::env::var_os("CALLREEL_PREVIOUS").map_or_else(this_build, PathBuf::from)
}

/// A cluster that changes while it works.
struct Rolling {
    cluster: Cluster,
    receiver: Receiver,
    calls: usize,
}

impl Rolling {
    /// One process ends in peace in the middle of a recorded call, and another build takes its place.
    fn goes_to(&mut self, program: &Path, name: &'static str) {
        let mut talk = Talk::begin(&self.cluster);
        talk.is_heard(&self.cluster);
        self.cluster.member(name).terminate();
        let seconds = talk.end();
        assert!(self.cluster.member(name).ended(), "{name} ends in peace");
        self.cluster.member(name).becomes(program);
        self.cluster.member(name).launch();
        self.calls += 1;
        let arrivals = self.receiver.accepted_all(self.calls);
        whole(&listen(&arrivals[self.calls - 1].body), seconds);
    }
}

#[test]
fn a_cluster_goes_to_another_build_and_back_and_every_recording_is_whole() {
    let (couch, receiver) = (Server::start(), Receiver::start());
    let (old, new) = (previous(), this_build());
    let cluster = Cluster::of_build(&old, &recorded(&receiver), &couch.url());
    let mut rolling = Rolling {
        cluster,
        receiver,
        calls: 0,
    };
    for name in UP {
        rolling.goes_to(&new, name);
    }
    for name in BACK {
        rolling.goes_to(&old, name);
    }
    let (cluster, receiver) = (&rolling.cluster, &rolling.receiver);
    assert_eq!(receiver.arrivals().len(), rolling.calls, "each once");
    assert!(cluster.tickets().is_empty(), "nothing is owed");
    for name in cluster.names() {
        let log = cluster.log_of(name);
        assert!(!log.contains("ERROR"), "{name} says an error");
        assert!(
            !log.contains("error=malformed"),
            "{name} cannot read a message"
        );
    }
}
