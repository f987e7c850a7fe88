//! A live call is controlled through an API in a process of its own, whichever `calls` node has it.

use serde_json::Value;

use super::{Talk, recorded};
use crate::{
    recording::{LEFT, RIGHT},
    support::{
        audio::listen, cluster::Cluster, estate::ACCOUNT, eventually, receiver::Receiver,
        site::Site,
    },
};

/// What `callreel calls` says.
#[track_caller]
fn said(site: &Site, args: &[&str]) -> String {
    let output = site.cli(&[&["calls"], args].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {why}");
    said
}

/// The live channels, once there are two.
fn legs(site: &Site) -> Vec<Value> {
    eventually("two legs", || {
        let listed = site.api(&format!("/v2/accounts/{ACCOUNT}/channels"));
        let legs = listed["data"].as_array()?.clone();
        (legs.len() == 2).then_some(legs)
    })
}

#[test]
fn either_leg_of_a_call_on_any_node_can_be_masked() {
    let receiver = Receiver::start();
    let cluster = Cluster::start(&recorded(&receiver));
    let mut talk = Talk::begin(&cluster);
    let legs = legs(&cluster);
    let [a_leg, b_leg] = [0, 1].map(|n| legs[n]["uuid"].as_str().unwrap());
    assert_eq!(a_leg, talk.call_id, "{legs:?}");
    assert_eq!(
        (&legs[0]["other_leg"], &legs[1]["other_leg"]),
        (&legs[1]["uuid"], &legs[0]["uuid"])
    );
    talk.is_heard(&cluster);
    let masked_after = talk.seconds();
    assert!(said(&cluster, &["record", ACCOUNT, a_leg, "mask"]).contains("  masked  "));
    let masked_at = talk.seconds();
    eventually("a second to pass", || {
        (talk.seconds() > masked_at + 1.0).then_some(())
    });
    let unmasked_after = talk.seconds();
    assert!(said(&cluster, &["record", ACCOUNT, b_leg, "unmask"]).contains("  recording  "));
    let unmasked_at = talk.seconds();
    eventually("another", || {
        (talk.seconds() > unmasked_at + 1.0).then_some(())
    });
    let length = talk.end();
    let heard = listen(&receiver.accepted().body);
    assert!(
        (heard.seconds() - length).abs() < 0.2,
        "{} s of {length} s",
        heard.seconds()
    );
    for (channel, hz) in [(0, LEFT), (1, RIGHT)] {
        let spans = heard.tone(channel, hz);
        let [(_, mask), (unmask, _)] = spans[..] else {
            panic!("channel {channel} speaks at {spans:?}");
        };
        // Between the question and its answer; the call's and the file's seconds do not begin as one.
        let asked = masked_after - 0.3..masked_at + 0.3;
        assert!(asked.contains(&mask), "masked at {mask}, not in {asked:?}");
        let asked = unmasked_after - 0.3..unmasked_at + 0.3;
        assert!(
            asked.contains(&unmask),
            "unmasked at {unmask}, not in {asked:?}"
        );
    }
    let masks = &cluster.recordings(1)[0]["masked"];
    assert_eq!(masks[0]["by"]["source"], "api", "{masks}");
    assert_eq!(
        masks[0]["by"]["who"], "callreel calls at 127.0.0.1",
        "{masks}"
    );
}
