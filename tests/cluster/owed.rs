//! What is owed is told and ordered wherever somebody asks: also by an API that has no spool of the recordings.

use serde_json::Value;

use super::nodes::recorded;
use crate::support::{
    audio,
    broker::Broker,
    cluster::Cluster,
    estate::{CALLER, NUMBER},
    eventually,
    receiver::Receiver,
    sipp::{Caller, Sipp},
};

#[test]
fn an_api_without_the_spool_shows_what_another_node_owes_and_has_it_tried_again() {
    // Refused five times in a row: given up, and kept for a person.
    let receiver = Receiver::answering(&[404; 5]);
    let elsewhere = tempfile::tempdir().unwrap();
    let spool = elsewhere.path().to_str().unwrap();
    let cluster = Cluster::with(
        &recorded(&receiver.url("/r"), 1),
        &Broker::shared().vhost(),
        &[("api", "CALLREEL_SPOOL_DIR", spool)],
    );
    let phone = Sipp::new(CALLER, cluster.sip());
    phone.register();
    let voice = phone.audio(&audio::mulaw_tone(1000.0, 5.0));
    let dials = Caller::dials(NUMBER).answered(NUMBER);
    let scenario = dials.streams(&voice).awaits_bye().scenario();
    phone.run("call", &scenario).completed();
    let owed = eventually("the API to show it as undeliverable", || {
        let listed = cluster.api("/deliveries?state=undeliverable");
        assert_eq!(listed.get("silent_nodes"), None, "{listed}");
        listed["data"].as_array()?.first().cloned()
    });
    let why = owed["last_error"].as_str().unwrap();
    assert!(why.contains("404"), "{why}");
    let id = owed["id"].as_str().unwrap();
    assert_eq!(cluster.api(&format!("/deliveries/{id}"))["data"]["id"], id);
    let retry = format!("POST /deliveries/{id}/retry");
    let (status, _) = cluster.request(&retry, "", "");
    assert_eq!(status, 202);
    receiver.accepted();
    eventually("nothing to be owed", || {
        let left = cluster.api("/deliveries")["data"].clone();
        (left == Value::Array(Vec::new())).then_some(())
    });
}
