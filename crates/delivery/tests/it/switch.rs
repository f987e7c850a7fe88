//! A foreign switch as delivery sees it: it is told over the bus to send a file, and sends it by HTTP. Speaks raw JSON.

use std::{io::Cursor, net::SocketAddr};

use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_delivery::DeliveryConfig;
use callreel_media::{AudioShape, Converter, Profile};
use callreel_proto::{AudioFormat, Channels, Destination, EndReason, Exchange};
use callreel_spool::{Promise, Source, SwitchFile, Ticket, Writer};
use serde_json::{Value, json};

use crate::{
    call::{CALLER_HZ, OTHER_HZ, ticket, tone},
    node::{Node, PATIENCE, config},
};

pub(crate) const NODE: &str = "freeswitch@fs1.example.com";
const KEY: &str = "switch.command.freeswitch%40fs1%2Eexample%2Ecom";

/// Settings with an intake on loopback.
pub(crate) fn open_intake() -> DeliveryConfig {
    DeliveryConfig {
        intake_listen: Some("127.0.0.1:0".parse().unwrap()),
        ..config()
    }
}

/// Puts an ended recording into the spool whose audio is in a file on the switch.
pub(crate) fn recorded(writer: &Writer, to: Destination, change: &dyn Fn(&mut Promise)) -> Ticket {
    let mut ticket = ticket(to, &|promise| {
        promise.source = Source::Switch(SwitchFile {
            node: NODE.to_owned(),
            media_name: "0f1e 2d.wav".to_owned(),
            path: Some("/tmp/0f1e 2d.wav".to_owned()),
            ..SwitchFile::default()
        });
        change(promise);
    });
    writer.create_ticket(&ticket).unwrap();
    ticket.end(2_000_000_000, EndReason::Hangup).unwrap();
    writer.save_ticket(&ticket).unwrap();
    ticket
}

/// A call of two seconds, as a switch records it: the caller hums on the left, the other party on the right.
pub(crate) fn file(format: AudioFormat) -> Vec<u8> {
    let shape = AudioShape {
        format: None,
        sample_rate: 8000,
        channels: 2,
    };
    let profile = Profile {
        format,
        ..Profile::default()
    };
    let mut out = Cursor::new(Vec::new());
    let mut made = Converter::new(shape, &profile, Channels::Stereo, &mut out).unwrap();
    for n in 0..100 {
        let legs = [CALLER_HZ, OTHER_HZ].map(|hz| tone(hz, n * 160));
        made.push(&legs).unwrap();
    }
    made.finish().unwrap();
    out.into_inner()
}

/// One order to send a file.
pub(crate) struct Order(Value);

impl Order {
    pub(crate) fn field(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(crate) fn url(&self) -> &str {
        self.field("/Args/Url").as_str().unwrap()
    }

    pub(crate) fn token(&self) -> &str {
        self.url().rsplit('/').nth(1).unwrap()
    }

    /// Where the intake listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let rest = self.url().strip_prefix("http://").unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    }

    pub(crate) fn path(&self) -> &str {
        let rest = self.url().strip_prefix("http://").unwrap();
        &rest[rest.find('/').unwrap()..]
    }
}

/// PUTs a file; the answer's status and text.
pub(crate) async fn put(url: &str, file: impl Into<reqwest::Body>) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.put(url).body(file).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub(crate) struct Switch {
    bus: Bus,
    orders: Subscription,
}

impl Switch {
    /// The switch and its ecallmgr on the node's bus.
    pub(crate) async fn beside(node: &Node) -> Self {
        Self::named(node, KEY).await
    }

    pub(crate) async fn named(node: &Node, key: &str) -> Self {
        let binding = Binding::new(Exchange::Switch, key);
        let options = QueueOptions::private(10);
        Self {
            orders: node.bus.subscribe(options, vec![binding]).await.unwrap(),
            bus: node.bus.clone(),
        }
    }

    pub(crate) async fn next_order(&mut self) -> Order {
        let order = tokio::time::timeout(PATIENCE, self.orders.recv()).await;
        let order = order.expect("an order comes in time").unwrap();
        Order(serde_json::from_slice(&order.body).unwrap())
    }

    /// Tells whoever gave the order what came of it.
    pub(crate) async fn answer(&self, order: &Order, fields: Value) {
        let mut body = json!({
            "App-Name": "ecallmgr",
            "App-Version": "4.3",
            "Event-Category": "switch_event",
            "Event-Name": "reply",
            "Msg-ID": order.field("/Msg-ID"),
            "Command": "send_http",
            "FreeSWITCH-Node": NODE,
        });
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let asker = order.field("/Server-ID").as_str().unwrap();
        let body = serde_json::to_vec(&body).unwrap();
        let sent = self.bus.send(Exchange::Targeted, asker, body).await;
        sent.unwrap();
    }

    pub(crate) async fn fail(&self, order: &Order, error: &str) {
        let fields = json!({"Result": "error", "Error": error});
        self.answer(order, fields).await;
    }

    /// Does as the next order says.
    pub(crate) async fn send(&mut self, file: Vec<u8>) -> Order {
        let order = self.next_order().await;
        assert_eq!(put(order.url(), file).await.0, 200);
        self.answer(&order, json!({"Result": "success"})).await;
        order
    }
}
