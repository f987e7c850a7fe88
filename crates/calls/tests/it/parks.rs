//! Parking slots: who gets one, who is told that it is taken, and when it is free again.

use std::time::Duration;

use callreel_bus::{Binding, Subscription};
use callreel_calls::CallsConfig;
use callreel_proto::{
    AccountDb, AccountId, CallId, ChannelStatus, ChannelStatusReq, ChannelStatusResp, Envelope,
    Exchange, Headers,
};
use callreel_store::Store;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    kazoo::{Kazoo, Tree},
    world::{ACCOUNT, CALL, PATIENCE, pass, queue},
};

const OTHER: &str = "other@10.0.0.2";
const ANOTHER: &str = "another@10.0.0.3";
/// Longer than what must not happen would take.
const SOON: Duration = Duration::from_millis(100);

fn db() -> String {
    AccountDb::name(&AccountId::parse(ACCOUNT).unwrap())
}

/// The slot's document with this call in it.
fn slot_of(call: &str, attended: bool) -> Value {
    json!({"_id": "parking-slot-7", "pvt_type": "parked_call", "slot": {"Call-ID": call, "Attended": attended}})
}

/// A switch whose caller comes to the action with this data; and who is asked whether channels live.
struct Slots {
    kazoo: Kazoo,
    asked: Subscription,
}

impl Slots {
    async fn with(data: Value, docs: &[Value], vars: Value) -> Self {
        let full = json!({"module": "response", "data": {"code": 486}});
        let flow = json!({"module": "park", "data": data, "children": {"MAX_SLOT_EXCEEDED": full}});
        Self::running(flow, docs, vars).await
    }

    /// A switch whose caller comes to this flow.
    async fn running(flow: Value, docs: &[Value], vars: Value) -> Self {
        let docs: Vec<_> = docs.iter().cloned().map(|doc| (db(), doc)).collect();
        let docs: Vec<_> = docs
            .iter()
            .map(|(db, doc)| (db.as_str(), doc.clone()))
            .collect();
        let mut kazoo = Kazoo::with(Tree::V50, flow, CallsConfig::default(), &docs).await;
        let asked = [Binding::new(Exchange::Callevt, ChannelStatusReq::PATTERN)];
        let asked = queue(&kazoo.world.bus, &asked).await;
        kazoo.offer(&json!({"Custom-Channel-Vars": vars})).await;
        kazoo.take_bid().await;
        kazoo.give(&json!({})).await;
        Self { kazoo, asked }
    }

    /// The caller dials slot 7 to wait there, whose documents are these.
    async fn dialled(docs: &[Value]) -> Self {
        let data = json!({"slot": "7", "action": "direct_park"});
        Self::with(data, docs, json!({})).await
    }

    /// The question whether this channel lives.
    async fn asked_after(&mut self, call: &str) -> Envelope<ChannelStatusReq> {
        let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
        let asked = asked.expect("the switches are asked").unwrap();
        let asked = Envelope::<ChannelStatusReq>::from_bytes(&asked.body).unwrap();
        assert_eq!(asked.body.call_id, CallId::new(call));
        asked
    }

    /// A switch has the channel that was asked after.
    async fn lives(&self, asked: Envelope<ChannelStatusReq>) {
        let body = ChannelStatusResp::new(asked.body.call_id, ChannelStatus::Active);
        let headers =
            Headers::new("call_event", "channel_status_resp").msg_id(asked.headers.msg_id);
        let bytes = Envelope { headers, body }.to_bytes();
        let back = asked.headers.server_id.unwrap();
        let bus = &self.kazoo.world.bus;
        bus.send(Exchange::Targeted, &back, bytes).await.unwrap();
    }

    /// No switch has the channel that was asked after.
    async fn nobody_answers(&self) {
        pass(Duration::from_secs(2)).await;
    }

    /// The call waits, answered first if it was not.
    async fn waits(&mut self) {
        self.kazoo.commanded("answer").await;
        self.kazoo.done("answer", "").await;
        self.kazoo.commanded("hold").await;
    }

    /// The caller is told this.
    async fn told(&mut self, prompt: &str) {
        self.kazoo.commanded("answer").await;
        self.kazoo.done("answer", "").await;
        let played = self.kazoo.commanded("play").await;
        let name = played["Media-Name"].as_str().unwrap();
        assert!(name.contains(prompt), "{name}");
    }

    fn store(&self) -> &Store {
        &self.kazoo.world.store
    }

    /// Waits until this call, or none, is in the slot.
    async fn until_in(&self, number: &str, call: Option<&str>) {
        let id = format!("parking-slot-{number}");
        let found = async {
            loop {
                let doc = self.store().get(&db(), &id).await.unwrap();
                let doc = doc.unwrap_or_default();
                if doc["slot"]["Call-ID"].as_str() == call {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.expect("the slot comes to have this call");
    }
}

#[tokio::test]
async fn a_call_has_its_slot_until_it_hangs_up() {
    let mut slots = Slots::dialled(&[]).await;
    slots.waits().await;
    slots.until_in("7", Some(CALL)).await;
    slots.kazoo.event("CHANNEL_DESTROY", &json!({})).await;
    slots.until_in("7", None).await;
}

#[tokio::test]
async fn a_slot_whose_call_lives_is_told_to_be_taken() {
    let mut slots = Slots::dialled(&[slot_of(OTHER, false)]).await;
    let asked = slots.asked_after(OTHER).await;
    slots.lives(asked).await;
    slots.told("park-already_in_use").await;
    slots.until_in("7", Some(OTHER)).await;
}

#[tokio::test]
async fn a_slot_whose_call_no_switch_has_is_taken_over() {
    let mut slots = Slots::dialled(&[slot_of(OTHER, false)]).await;
    slots.asked_after(OTHER).await;
    slots.nobody_answers().await;
    slots.waits().await;
    slots.until_in("7", Some(CALL)).await;
}

#[tokio::test]
async fn whoever_is_faster_has_the_slot() {
    let mut slots = Slots::dialled(&[slot_of(OTHER, false)]).await;
    slots.asked_after(OTHER).await;
    slots
        .store()
        .save(&db(), slot_of(ANOTHER, false))
        .await
        .unwrap();
    slots.nobody_answers().await;
    let asked = slots.asked_after(ANOTHER).await;
    slots.lives(asked).await;
    slots.told("park-already_in_use").await;
    slots.until_in("7", Some(ANOTHER)).await;
}

#[tokio::test]
async fn a_kept_slot_is_for_the_call_that_is_transferred_there() {
    let by_bob =
        json!({"Referred-To": "<sip:*37@acme.test>", "Referred-By": "<sip:bob@acme.test>"});
    let bob = json!({"_id": "bobs-phone", "pvt_type": "device", "enabled": true, "sip": {"username": "bob"},
        "music_on_hold": {"media_id": "silence_stream://7"}});
    let docs = [slot_of(OTHER, true), bob];
    let mut slots = Slots::with(json!({"slot": "7"}), &docs, by_bob).await;
    slots.kazoo.commanded("answer").await;
    slots.kazoo.done("answer", "").await;
    let hold = slots.kazoo.commanded("hold").await;
    assert_eq!(hold["Hold-Media"], "silence_stream://7", "{hold}");
    slots.until_in("7", Some(CALL)).await;
    let doc = slots.store().get(&db(), "parking-slot-7").await.unwrap();
    assert_eq!(doc.unwrap()["slot"]["Ringback-ID"], "bobs-phone");
    let asked = tokio::time::timeout(SOON, slots.asked.recv()).await;
    assert!(
        asked.is_err(),
        "it does not matter whether its keeper lives"
    );
}

#[tokio::test]
async fn a_kept_slot_is_taken_for_who_dials_it_and_free_a_while_after_its_keeper_is_gone() {
    let mut slots = Slots::dialled(&[slot_of(OTHER, true)]).await;
    let asked = slots.asked_after(OTHER).await;
    slots.lives(asked).await;
    slots.told("park-already_in_use").await;

    let data = json!({"slot": "7", "action": "park"});
    let mut slots = Slots::with(data, &[], json!({})).await;
    slots.told("park-call_placed_in_spot").await;
    slots.until_in("7", Some(CALL)).await;
    let gone = Instant::now();
    slots.kazoo.event("CHANNEL_DESTROY", &json!({})).await;
    slots.kazoo.settle().await;
    pass(Duration::from_millis(2900)).await;
    slots.until_in("7", None).await;
    assert!(gone.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn a_call_that_hangs_up_leaves_its_slot_to_whoever_has_it_by_then() {
    let mut slots = Slots::dialled(&[]).await;
    slots.waits().await;
    slots
        .store()
        .save(&db(), slot_of(OTHER, false))
        .await
        .unwrap();
    slots.kazoo.event("CHANNEL_DESTROY", &json!({})).await;
    slots.kazoo.settle().await;
    let freed = tokio::time::timeout(SOON, slots.until_in("7", None)).await;
    assert!(freed.is_err(), "another call was in it");
}

/// Slot documents from 101 on, each with this call in it.
fn taken(calls: &[&str]) -> Vec<Value> {
    let slots = calls.iter().zip(101..);
    let slots = slots.map(|(call, number)| {
        let id = format!("parking-slot-{number}");
        json!({"_id": id, "pvt_type": "parked_call", "slot": {"Call-ID": call}})
    });
    slots.collect()
}

impl Slots {
    /// The caller is to wait in any slot to 103.
    async fn any_of(docs: &[Value]) -> Self {
        let data = json!({"action": "direct_park", "max_slot_number": 103});
        Self::with(data, docs, json!({})).await
    }

    /// The switches are asked after as many channels, of which one has these.
    async fn asked_after_all(&mut self, count: usize, live: &[&str]) {
        for _ in 0..count {
            let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
            let asked = asked.expect("the switches are asked").unwrap();
            let asked = Envelope::<ChannelStatusReq>::from_bytes(&asked.body).unwrap();
            if live.contains(&asked.body.call_id.as_str()) {
                self.lives(asked).await;
            }
        }
    }

    async fn nobody_is_asked(&mut self) {
        let asked = tokio::time::timeout(SOON, self.asked.recv()).await;
        assert!(asked.is_err(), "{asked:?}");
    }
}

#[tokio::test]
async fn a_slot_is_chosen_without_asking_while_one_is_free() {
    let mut docs = taken(&["one", "two", "three"]);
    docs.remove(1);
    let mut slots = Slots::any_of(&docs).await;
    slots.waits().await;
    slots.until_in("102", Some(CALL)).await;
    slots.nobody_is_asked().await;
}

#[tokio::test]
async fn where_all_slots_are_taken_the_first_whose_call_is_gone_is_chosen() {
    let beyond =
        json!({"_id": "parking-slot-104", "pvt_type": "parked_call", "slot": {"Call-ID": "four"}});
    let mut docs = taken(&["one", "two", "three"]);
    docs.extend([beyond, slot_of("seven", false)]);
    let mut slots = Slots::any_of(&docs).await;
    slots.asked_after_all(3, &["one"]).await;
    slots.nobody_is_asked().await;
    slots.nobody_answers().await;
    slots.waits().await;
    slots.until_in("102", Some(CALL)).await;
    slots.until_in("103", Some("three")).await;
}

#[tokio::test]
async fn a_slot_that_is_kept_is_the_last_to_be_chosen() {
    let mut docs = taken(&["one", "two", "three"]);
    docs[0]["slot"]["Attended"] = json!(true);
    let mut slots = Slots::any_of(&docs).await;
    slots.asked_after_all(3, &[]).await;
    slots.nobody_answers().await;
    slots.waits().await;
    slots.until_in("102", Some(CALL)).await;
}

#[tokio::test]
async fn where_all_slots_have_calls_that_live_there_is_none_and_nobody_waits_for_that() {
    let calls = ["one", "two", "three"];
    let mut slots = Slots::any_of(&taken(&calls)).await;
    let asked = Instant::now();
    slots.asked_after_all(3, &calls).await;
    slots.kazoo.commanded("respond").await;
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_call_that_hangs_up_while_its_slot_is_looked_for_leaves_it() {
    let mut slots = Slots::dialled(&[slot_of(OTHER, false)]).await;
    slots.asked_after(OTHER).await;
    slots.kazoo.event("CHANNEL_DESTROY", &json!({})).await;
    slots.kazoo.settle().await;
    slots.nobody_answers().await;
    slots.until_in("7", None).await;
    slots.kazoo.over().await;
}

#[tokio::test]
async fn a_call_that_has_another_flow_when_its_slot_is_found_leaves_it() {
    let mut slots = Slots::dialled(&[slot_of(OTHER, false)]).await;
    slots.asked_after(OTHER).await;
    let flow = json!({"module": "sleep", "data": {"duration": 600}, "children": {}});
    let pivot = json!({"Application-Data": flow.to_string()});
    slots.kazoo.event("CHANNEL_PIVOT", &pivot).await;
    slots.kazoo.commanded("noop").await;
    slots.nobody_answers().await;
    slots.until_in("7", None).await;
    slots.kazoo.nothing_more_is_said().await;
}
