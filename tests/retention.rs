//! Recordings that are kept for a term and no longer, and a wrong clock that must not delete them all.

use std::{
    fs::File,
    time::{Duration, SystemTime},
};

use serde_json::json;

use crate::support::{estate::ACCOUNT, eventually, node::Node, sipp::Sipp};

const SETTINGS: &str = "[delivery]\nretain_for = \"30d\"\nretention_interval_s = 1\n";
const DAYS: u64 = 40;

#[test]
fn a_clock_that_jumps_beyond_the_term_deletes_nothing_until_a_person_has_looked() {
    let estate = crate::guard::recorded(&[json!({"format": "mp3"})]);
    estate.media_config(&json!({"store_recordings": true}));
    let mut node = Node::asleep(&estate, SETTINGS);
    let clock = node.with_clock();
    node.launch();
    Sipp::calls(node.sip(), 1000.0);
    let id = node.recordings(1)[0]["id"].as_str().unwrap().to_owned();
    let audio = || {
        let path = format!("/v2/accounts/{ACCOUNT}/recordings/{id}");
        node.fetch(&path, "audio/mpeg").0
    };
    eventually("its audio to be stored", || (audio() == 200).then_some(()));
    let last_round = node.data().join("data/spool/retention.clock");
    eventually("a first round", || last_round.exists().then_some(()));

    clock.is_off_by(i64::try_from(DAYS).unwrap() * 86_400);
    let refusals = || node.log().matches("retention.clock").count();
    eventually("three rounds that refuse", || {
        (refusals() >= 3).then_some(())
    });
    assert_eq!(audio(), 200, "nothing is deleted");

    let now = SystemTime::now() + Duration::from_hours(24 * DAYS);
    let looked_at = File::options().write(true).open(last_round).unwrap();
    looked_at.set_modified(now).unwrap();
    eventually("its deletion", || (audio() == 404).then_some(()));
    assert!(node.documents("call_recording").is_empty());
    let deleted = eventually("the manifest to say so", || {
        let lines = node.manifest().into_iter();
        lines.into_iter().find(|line| line["what"] == "deleted")
    });
    assert_eq!(deleted["recording_id"], id);
    assert!(deleted["receipts"][0].is_string(), "{deleted}");
    let check = node.cli(&["check"]);
    assert!(check.status.success(), "{check:?}");
}
