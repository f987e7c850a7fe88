//! Switches that the test plays: each answers every question for channels with those it has.

use std::time::Duration;

use callreel_bus::{Binding, Bus, QueueOptions};
use callreel_proto::{ChannelQuery, ChannelStatusReq, Exchange};
use serde_json::{Map, Value, json};
use tokio::task::AbortHandle;

use crate::world::ACCOUNT;

/// The A leg of the call that most tests are about.
pub(crate) const CALL: &str = "zT4k/q8.1@192.0.2.44";
/// The leg that was dialled for it.
pub(crate) const OTHER_LEG: &str = "b-7731";

/// A switch of ours, or of another kind, on the bus. Dropping it takes it away.
pub(crate) struct Switch(AbortHandle);

impl Drop for Switch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Switch {
    /// A switch with these channels.
    pub(crate) async fn start(bus: &Bus, node: &str, channels: Vec<Value>) -> Self {
        Self::slow(bus, node, channels, Duration::ZERO).await
    }

    /// One that takes its time.
    pub(crate) async fn slow(bus: &Bus, node: &str, channels: Vec<Value>, delay: Duration) -> Self {
        let binding = Binding::new(Exchange::Callevt, ChannelStatusReq::PATTERN);
        let subscribed = bus.subscribe(QueueOptions::private(64), vec![binding]);
        let (mut questions, bus, node) = (subscribed.await.unwrap(), bus.clone(), node.to_owned());
        let answering = tokio::spawn(async move {
            while let Some(question) = questions.recv().await {
                let question: Value = serde_json::from_slice(&question.body).unwrap();
                tokio::time::sleep(delay).await;
                let answer = answer(&node, &question, &channels).to_string();
                let to = question["Server-ID"].as_str().unwrap();
                bus.send(Exchange::Targeted, to, answer).await.unwrap();
            }
        });
        Self(answering.abort_handle())
    }
}

fn answer(node: &str, question: &Value, channels: &[Value]) -> Value {
    let way = ChannelQuery::of(question["Event-Name"].as_str().unwrap()).unwrap();
    let found = match way {
        // As ecallmgr does, which looks at the account alone.
        ChannelQuery::Account => json!(channels),
        _ => {
            assert_eq!(question["Fields"], "all");
            let meant = channels
                .iter()
                .filter(|c| c["Call-ID"] == question["Call-ID"]);
            let by_id = meant.map(|c| (c["Call-ID"].as_str().unwrap().to_owned(), c.clone()));
            Value::Object(by_id.collect::<Map<_, _>>())
        }
    };
    json!({
        "App-Name": "switch", "App-Version": "1", "Event-Category": "call_event",
        "Event-Name": way.response(), "Msg-ID": question["Msg-ID"], "Node": node, "Channels": found,
    })
}

/// The A leg, as a switch of ours tells of it.
pub(crate) fn call() -> Value {
    json!({
        "Account-ID": ACCOUNT, "Answered": true, "Authorizing-ID": "d1", "Authorizing-Type": "device",
        "Call-Direction": "inbound", "Call-ID": CALL, "Caller-ID-Name": "Ylva Ek", "Destination": "230",
        "Elapsed-Seconds": 7, "From": "204@north.test", "Other-Leg-Call-ID": OTHER_LEG, "Owner-ID": "u1",
        "Presence-ID": "204@north.test", "Realm": "north.test", "Switch-URL": "sip:x@192.0.2.9",
        "Timestamp": 63_961_833_600_u64, "Username": "desk-204",
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "X-Secret": "s3cret"},
    })
}

/// The leg that was dialled for it.
pub(crate) fn other_leg() -> Value {
    json!({
        "Account-ID": ACCOUNT, "Answered": true, "Authorizing-ID": "d2", "Bridge-ID": CALL,
        "Call-Direction": "outbound", "Call-ID": OTHER_LEG, "Destination": "desk-230",
        "Other-Leg-Call-ID": CALL, "Timestamp": 63_961_833_600_u64,
    })
}
