//! Recordings on a switch of others whose node stops or dies in the middle.

use std::time::Duration;

use callreel_bus::Bus;
use callreel_proto::{EndReason, Exchange, RecordingFact, RecordingId, RecordingState};
use callreel_spool::{SpoolConfig, Ticket, Writer};
use serde_json::{Value, json};

use crate::{
    kazoo::{Kazoo, TREES, Tree, forever, record},
    world::{CALL, World, pass},
};

/// A recording, begun or not, whose node is killed and starts again on what is left on disk: a copy of its spool, on a bus
/// where nothing of the first one has any hand in it.
async fn killed(tree: Tree, begun: bool) -> (Kazoo, Value, RecordingId) {
    let mut kazoo = Kazoo::with_call(tree, record(forever())).await;
    let start = kazoo.commanded("record_call").await;
    if begun {
        kazoo.record("RECORD_START", &start, &json!({})).await;
        kazoo.noticed(RecordingFact::Started).await;
    }
    let left = kazoo.world.spool.view().tickets().unwrap().remove(0);
    let id = left.recording_id().clone();
    let copy = tempfile::tempdir().unwrap();
    let path = format!("recordings/{id}/ticket.json");
    std::fs::create_dir_all(copy.path().join(&path).parent().unwrap()).unwrap();
    let original = kazoo.world.spool.view().dir().join(&path);
    std::fs::copy(original, copy.path().join(&path)).unwrap();
    // The writer it names does not live there: that is how a dead one looks.
    let spool = Writer::open(copy.path(), &SpoolConfig::default()).unwrap();
    let control = kazoo.world.control.clone();
    kazoo.world = World::on(Bus::embedded(), &control, spool, copy).await;
    (kazoo, start, id)
}

impl Kazoo {
    fn ticket(&self, id: &RecordingId) -> Ticket {
        self.world.spool.view().ticket(id).unwrap().unwrap()
    }

    async fn interrupted(&mut self, id: &RecordingId) -> Ticket {
        let ended = self.noticed(RecordingFact::Ended).await;
        assert_eq!(
            (ended.recording_id.as_ref(), ended.end_reason),
            (Some(id), Some(EndReason::Interrupted))
        );
        let ticket = self.ticket(id);
        assert_eq!(ticket.state(), RecordingState::Ended);
        ticket
    }
}

#[tokio::test]
async fn what_a_killed_node_was_recording_is_stopped_by_the_next_and_ends_with_the_switchs_word() {
    for tree in TREES {
        let (mut kazoo, start, id) = killed(tree, true).await;
        let stop = kazoo.commanded("record_call").await;
        assert_eq!(
            (&stop["Record-Action"], &stop["Media-Name"]),
            (&json!("stop"), &start["Media-Name"])
        );
        assert_eq!(kazoo.ticket(&id).state(), RecordingState::Growing);
        kazoo
            .record("RECORD_STOP", &start, &json!({"Length": "7000"}))
            .await;
        let ticket = kazoo.interrupted(&id).await;
        assert_eq!(ticket.length_ms(), Some(7000));
    }
}

#[tokio::test]
async fn a_switch_that_is_gone_too_is_not_waited_for_and_its_file_is_looked_for_all_the_same() {
    let (mut kazoo, start, id) = killed(Tree::V43, false).await;
    kazoo.commanded("record_call").await;
    kazoo.settle().await;
    pass(Duration::from_secs(6)).await;
    let ticket = kazoo.interrupted(&id).await;
    let usual = format!("/tmp/{}", start["Media-Name"].as_str().unwrap());
    assert_eq!(ticket.switch_file().unwrap().path, Some(usual));
}

#[tokio::test]
async fn a_node_that_stops_tells_the_switch_to_stop() {
    let mut kazoo = Kazoo::with_call(Tree::V50, record(forever())).await;
    let start = kazoo.commanded("record_call").await;
    kazoo.record("RECORD_START", &start, &json!({})).await;
    let begun = kazoo.noticed(RecordingFact::Started).await;
    let world = kazoo.world;
    let (bus, spool, mut switch) = (world.bus.clone(), world.spool.clone(), world.switch);
    let stopping = tokio::spawn(world.calls.stop(Duration::ZERO));
    let heard: Value = serde_json::from_slice(&switch.recv().await.unwrap().body).unwrap();
    assert_eq!(
        (&heard["Record-Action"], &heard["Call-ID"]),
        (&json!("stop"), &json!(CALL))
    );
    let path = json!(format!("/tmp/{}", start["Media-Name"].as_str().unwrap()));
    let stopped = json!({"App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "call_event",
        "Event-Name": "RECORD_STOP", "Msg-ID": "1", "Call-ID": CALL, "Application-Response": path, "Length": "800"});
    let bytes = stopped.to_string();
    bus.publish(Exchange::Callevt, "call.RECORD_STOP.x", bytes)
        .await
        .unwrap();
    stopping.await.unwrap();
    let ticket = spool
        .view()
        .ticket(begun.recording_id.as_ref().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(
        (ticket.end_reason(), ticket.length_ms()),
        (Some(EndReason::Interrupted), Some(800))
    );
}
